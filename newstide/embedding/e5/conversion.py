"""The packaged 4-bit weights as a model that CTranslate2 reads: converted once, kept in the cache folder.

A converted model is complete or missing: one process at a time makes it under another name and renames it, and a
manifest holds every file's checksum. Remains of earlier versions and killed processes are removed. Where the cache folder
cannot be written, the model is made in a private temporary folder at each start, and removed once it is loaded.
"""

import fcntl
import json
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from newstide.core import logs
from newstide.core.errors import EmbedderError
from newstide.embedding.e5.engine import USE_INSTEAD, Network
from newstide.embedding.e5.instructions import ctranslate2
from newstide.embedding.e5.tokens import sentencepiece_model
from newstide.embedding.e5.weights import Matrix, Weights, dequantised, read_weights

LAYOUT = 1  # version of a converted model's layout, counted up with each change to it
_FOLDER, _MAKING, _LOCK, _MANIFEST, _TOKENS = "e5-small-", ".e5-making-", ".e5-lock", "manifest.json", "tokens.model"
_ROWS = 16_384  # rows of the word matrix that are held in full precision at once
_PATIENCE = 60.0  # seconds to wait for another process that converts, which takes three
_LOOK_EVERY = 0.1  # seconds

log = logs.get("embedding")


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted model.

    Attributes:
        folder: Where CTranslate2 finds it.
        network: The sizes of its network.
        tokens: The vocabulary, as a model of sentencepiece.
        normal: Character code to the text that replaces the character.
    """

    folder: Path
    network: Network
    tokens: bytes
    normal: Mapping[int, str]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The model in that folder; None where the model is missing or damaged."""
        try:
            manifest = json.loads((folder / _MANIFEST).read_bytes())
            if any(_checksum(folder / name) != wanted for name, wanted in manifest["checksums"].items()):
                return None
            normal = {int(code): text for code, text in manifest["normal"].items()}
            return cls(folder, Network(**manifest["network"]), (folder / _TOKENS).read_bytes(), normal)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


@contextmanager
def converted(source: Path, cache: Path) -> Iterator[Converted]:
    """The converted model, to be loaded within the block, during which no other process removes it.

    Args:
        source: The weight file, whose checksum has been verified.
        cache: Where the model is kept.

    Raises:
        EmbedderError: The model can be written neither there nor to the folder for temporary files.
    """
    with ExitStack() as held:
        model = _kept(source, cache, held)
        if model is None:
            try:
                private = tempfile.mkdtemp(prefix="newstide-e5-")
            except OSError as error:
                raise _no_room(cache, error) from error
            held.callback(shutil.rmtree, private, ignore_errors=True)
            model = _made(source, Path(private), cache)
        yield model


def _kept(source: Path, cache: Path, held: ExitStack) -> Converted | None:
    """The model in the cache, made where it is missing or damaged; None where the cache cannot keep it."""
    folder = cache / f"{_FOLDER}{_version(source)}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = held.enter_context((cache / _LOCK).open("ab"))
        _take(lock, fcntl.LOCK_SH)
        if (model := Converted.read(folder)) is not None:
            return model
        _take(lock, fcntl.LOCK_EX)
        if (model := Converted.read(folder)) is not None:  # another process was quicker
            return model
        _sweep(cache)
        _make(source, cache, folder)
    except OSError as error:
        if (model := Converted.read(folder)) is not None:  # another user made the model; we cannot write there
            return model
        log.warning(
            "the converted multilingual-e5-small cannot be kept, and is converted again at each start",
            folder=str(cache),
            reason=str(error),
        )
        return None
    return Converted.read(folder)


def _make(source: Path, cache: Path, folder: Path) -> None:
    making = Path(tempfile.mkdtemp(prefix=_MAKING, dir=cache))
    try:
        log.info("converting multilingual-e5-small; this happens once", folder=str(folder))
        convert(read_weights(source), making)
        making.chmod(0o755)  # others may read the model, as the umask allows
        making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _made(source: Path, private: Path, cache: Path) -> Converted:
    try:
        convert(read_weights(source), private)
    except OSError as error:
        raise _no_room(cache, error) from error
    model = Converted.read(private)
    if model is None:
        raise EmbedderError(f"The files in {private} do not read as they were written.", "Check that disk.")
    return model


def _no_room(cache: Path, error: OSError) -> EmbedderError:
    return EmbedderError(
        f"multilingual-e5-small takes 125 MB, which can be written neither to {cache} nor to {tempfile.gettempdir()}: "
        f"{error}.",
        f"Make room, or set NEWSTIDE_CACHE_DIR or TMPDIR to a folder with room. {USE_INSTEAD}",
    )


def _version(source: Path) -> str:
    """The version of a converted model: it changes with the weights, the engine and the layout."""
    facts = [ctranslate2.__version__, source.stat().st_size, LAYOUT]
    return sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _take(lock: IO[bytes], kind: int) -> None:
    """Takes the lock: shared to load a model, alone to make one. The kernel gives it back for a process that is killed.

    Raises:
        OSError: The lock is not available: another process holds it too long, or that disk has no locks.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_EVERY)


def _sweep(cache: Path) -> None:
    """Removes earlier, damaged and unfinished models; a loaded model does not need its files any more."""
    for old in (*cache.glob(f"{_FOLDER}*"), *cache.glob(f"{_MAKING}*")):
        shutil.rmtree(old, ignore_errors=True)


def convert(weights: Weights, folder: Path) -> None:
    """Writes the model, its vocabulary and the manifest into an empty folder.

    The matrices are quantised here, part by part: CTranslate2's own way takes ten times as much memory for a while.

    Raises:
        OSError: A file cannot be written.
    """
    from ctranslate2.specs import common_spec, transformer_spec

    encoder = transformer_spec.TransformerEncoderSpec(
        weights.layers,
        weights.heads,
        pre_norm=False,
        activation=common_spec.Activation.GELU,  # the exact GELU, by the error function
        layernorm_embedding=True,
        num_source_embeddings=2,
        embeddings_merge=common_spec.EmbeddingsMerge.ADD,
    )
    spec = transformer_spec.TransformerEncoderModelSpec(encoder, pooling_layer=False)
    encoder.scale_embeddings = False  # otherwise CTranslate2 multiplies the rows by the root of their length
    _fill(encoder, weights)
    # Tokens are given by number, but CTranslate2 wants a name for each; any names will do.
    spec.register_vocabulary(["<unk>", *(format(number, "x") for number in range(1, weights.tokens))])
    spec.config.unk_token, spec.config.layer_norm_epsilon = "<unk>", weights.epsilon
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
    vocabulary = weights.vocabulary
    (folder / _TOKENS).write_bytes(sentencepiece_model(vocabulary))
    manifest: dict[str, Any] = {
        "network": asdict(Network(weights.hidden, weights.positions, vocabulary.begin, vocabulary.end)),
        "normal": dict(vocabulary.normal),
        "checksums": {path.name: _checksum(path) for path in sorted(folder.iterdir())},
    }
    (folder / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def _fill(encoder: Any, weights: Weights) -> None:
    """Puts the tensors where CTranslate2 looks for them."""

    def norm(to: Any, name: str) -> None:
        to.gamma, to.beta = weights.vector(f"{name}.w"), weights.vector(f"{name}.b")

    def linear(to: Any, names: list[str], width: int) -> None:
        to.weight, to.weight_scale = _quantised(np.concatenate([weights.matrix(f"{name}.w", width) for name in names]))
        to.bias = np.concatenate([weights.vector(f"{name}.b") for name in names])

    hidden = weights.hidden
    words = weights.blocks("emb.word", hidden)
    parts = [_quantised(dequantised(words[start : start + _ROWS])) for start in range(0, len(words), _ROWS)]
    word, kind = encoder.embeddings
    word.weight, word.weight_scale = (np.concatenate(one) for one in zip(*parts, strict=True))
    kind.weight, kind.weight_scale = _quantised(weights.vector("emb.type").reshape(-1, hidden))
    encoder.position_encodings.encodings = weights.vector("emb.pos").reshape(-1, hidden)
    norm(encoder.layernorm_embedding, "emb.ln")
    for number, layer in enumerate(encoder.layer):
        part = f"l{number}."
        inputs, output = layer.self_attention.linear
        linear(inputs, [f"{part}q", f"{part}k", f"{part}v"], hidden)
        linear(output, [f"{part}ao"], hidden)
        norm(layer.self_attention.layer_norm, f"{part}aln")
        linear(layer.ffn.linear_0, [f"{part}fi"], hidden)
        linear(layer.ffn.linear_1, [f"{part}fo"], weights.inner)
        norm(layer.ffn.layer_norm, f"{part}oln")


def _quantised(matrix: Matrix) -> tuple[npt.NDArray[np.int8], Matrix]:
    """Whole numbers up to 127, and what each row was multiplied by to get them: CTranslate2's own scheme."""
    most = np.abs(matrix).max(axis=1)
    most[most == 0] = 127
    scale = 127 / most
    return np.rint(matrix * scale[:, None]).astype(np.int8), scale.astype(np.float32)


def _checksum(path: Path) -> int:
    """Finds damage, not malice; a digest takes three times as long at each start."""
    value = 0
    with path.open("rb") as content:
        while block := content.read(2**22):
            value = zlib.crc32(block, value)
    return value
