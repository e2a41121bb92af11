"""The packaged 4-bit weights as a model that CTranslate2 reads: converted once, kept in the cache folder.

A converted model is complete or not there: it is made beside and renamed, by one process at a time, and every file's
checksum stands in it. What an earlier version or a process that was killed has left is removed. Where the cache folder
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

import ctranslate2
import numpy as np
import numpy.typing as npt

from newstide.core import logs
from newstide.core.errors import EmbedderError
from newstide.embedding.e5.engine import USE_INSTEAD, Network
from newstide.embedding.e5.tokens import sentencepiece_model
from newstide.embedding.e5.weights import Matrix, Weights, dequantised, read_weights

LAYOUT = 1  # of a converted model: counted up whenever what is written below changes
_FOLDER, _MAKING, _LOCK, _MANIFEST, _TOKENS = "e5-small-", ".e5-making-", ".e5-lock", "manifest.json", "tokens.model"
_ROWS = 16_384  # of the word matrix in full precision at once
_PATIENCE = 60.0  # seconds for another process that converts, which takes three
_LOOK_EVERY = 0.1  # seconds

log = logs.get("embedding")


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted model.

    Attributes:
        folder: Where CTranslate2 finds it.
        network: Its sizes.
        tokens: The vocabulary, as a model of sentencepiece.
        normal: What stands for a character, by its code.
    """

    folder: Path
    network: Network
    tokens: bytes
    normal: Mapping[int, str]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The model in that folder; None where it is not there, or is not what was written."""
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
    """The converted model, to be loaded while inside: until then, no other process removes it.

    Args:
        source: The weight file; what it holds has been checked.
        cache: Where the model is kept.

    Raises:
        EmbedderError: There is room for it neither there nor in the folder for temporary files.
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
    """The model in the cache, made where it is missing or damaged; None where it cannot be kept there."""
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
        if (model := Converted.read(folder)) is not None:  # made by somebody else, and not ours to write to
            return model
        log.warning(
            "the converted multilingual-e5-small cannot be kept, and is made anew at each start",
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
        making.chmod(0o755)  # others may read it, as they may what the umask lets them
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
        raise EmbedderError(f"What was written to {private} is not what is read from it.", "Is that disk in order?")
    return model


def _no_room(cache: Path, error: OSError) -> EmbedderError:
    return EmbedderError(
        f"multilingual-e5-small takes 125 MB, which can be written neither to {cache} nor to {tempfile.gettempdir()}: "
        f"{error}.",
        f"Make room, or set NEWSTIDE_CACHE_DIR or TMPDIR to a folder that has it. {USE_INSTEAD}",
    )


def _version(source: Path) -> str:
    """Changes with the weights, with what reads the model and with how it is written."""
    facts = [ctranslate2.__version__, source.stat().st_size, LAYOUT]
    return sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _take(lock: IO[bytes], kind: int) -> None:
    """Takes the lock: shared to load a model, alone to make one. The kernel gives it back for a process that is killed.

    Raises:
        OSError: It cannot be had: another process is stuck, or there are no locks on that disk.
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
    """Removes earlier, damaged and unfinished models; whoever has loaded one does not need its files any more."""
    for old in (*cache.glob(f"{_FOLDER}*"), *cache.glob(f"{_MAKING}*")):
        shutil.rmtree(old, ignore_errors=True)


def convert(weights: Weights, folder: Path) -> None:
    """Writes the model, its vocabulary and the manifest into an empty folder.

    The matrices are quantised here, part by part: CTranslate2's own way takes ten times as much memory for a while.

    Raises:
        OSError: It cannot be written.
    """
    from ctranslate2.specs import common_spec, transformer_spec

    encoder = transformer_spec.TransformerEncoderSpec(
        weights.layers,
        weights.heads,
        pre_norm=False,
        activation=common_spec.Activation.GELU,  # the exact one, by the error function
        layernorm_embedding=True,
        num_source_embeddings=2,
        embeddings_merge=common_spec.EmbeddingsMerge.ADD,
    )
    spec = transformer_spec.TransformerEncoderModelSpec(encoder, pooling_layer=False)
    encoder.scale_embeddings = False  # else CTranslate2 multiplies the rows by the root of their length
    _fill(encoder, weights)
    # Tokens are given by number; still it wants a name for each, and any will do.
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
