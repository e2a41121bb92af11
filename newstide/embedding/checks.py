"""What every model's wrapper has in common: fingerprints, clean texts, and vectors that can be trusted."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt

from newstide.embedding.base import ModelCard
from newstide.errors import EmbedderError

_LONGEST = 4_000  # characters: no model here reads as many, and a tokenizer's time grows with them
_SAME = 0.98  # cosine above which two unlike texts must not lie

_PROBES = ("A fire broke out at the docks.", "Die Zinsen bleiben unverändert.", "選挙の結果")


@dataclass(frozen=True)
class CheckedEmbedder:
    """A model behind the `Embedder` protocol whose input is cleaned and whose output is checked.

    `raw` embeds a non-empty list of clean texts as (n, dim) numbers of any length but zero. One call at a time.
    """

    card: ModelCard
    languages: frozenset[str] | None
    raw: Callable[[list[str]], npt.ArrayLike]
    _lock: Lock = field(default_factory=Lock)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeds texts, in order, as (len(texts), dim) rows of unit length; see `Embedder.encode`."""
        if isinstance(texts, str):
            raise EmbedderError("encode takes a list of texts, not one text.")
        if not texts:
            return np.empty((0, self.card.dim), np.float32)
        with self._lock:
            try:
                vectors = np.asarray(self.raw([prepare(text) for text in texts]), np.float32)
            except EmbedderError:
                raise
            except Exception as error:
                raise EmbedderError(f"{self.card.name} failed on {len(texts)} texts: {error!r}") from error
        if vectors.shape != (len(texts), self.card.dim):
            raise EmbedderError(
                f"{self.card.name} made vectors of shape {vectors.shape} for {len(texts)} texts; "
                f"({len(texts)}, {self.card.dim}) was expected."
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        bad = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 1e-6)))
        if len(bad):
            raise EmbedderError(f"{self.card.name} made no usable vector of {texts[bad[0]][:60]!r}.")
        return np.ascontiguousarray(vectors / lengths)


def checked(
    name: str,
    dim: int,
    weights: Iterable[Path],
    languages: frozenset[str] | None,
    raw: Callable[[list[str]], npt.ArrayLike],
) -> CheckedEmbedder:
    """Wraps a loaded model after a look at three unlike texts.

    Raises:
        EmbedderError: The model sees no difference between them, as one without its tokenizer does.
    """
    embedder = CheckedEmbedder(ModelCard(name, dim, fingerprint(weights)), languages, raw)
    vectors = embedder.encode(_PROBES)
    likeness = float((vectors @ vectors.T)[np.triu_indices(len(_PROBES), 1)].min())
    if likeness > _SAME:
        raise EmbedderError(
            f"{name} sees no difference between unlike texts (cosine {likeness:.3f}).",
            "Its weights or tokenizer are incomplete; fetch the model again.",
        )
    return embedder


def fingerprint(weights: Iterable[Path]) -> str:
    """32 hex digits of a SHA-256 over the weight files' contents, in order of their names.

    Raises:
        EmbedderError: A file is missing or there is none.
    """
    digest = hashlib.sha256()
    files = sorted(weights, key=lambda path: path.name)
    if not files:
        raise EmbedderError("The model has no weight files.")
    for path in files:
        try:
            with path.open("rb") as content:
                while block := content.read(2**22):
                    digest.update(block)
        except OSError as error:
            raise EmbedderError(f"The weights {path} cannot be read: {error.strerror}.") from error
    return digest.hexdigest()[:32]


def prepare(text: str) -> str:
    """The text as every model can take it: no NUL, no lone surrogates, not endless, never empty."""
    clean = text[:_LONGEST].replace("\x00", " ").encode("utf-8", "replace").decode("utf-8").strip()
    return clean or "-"


def missing(extra: str, package: str, name: str) -> EmbedderError:
    """The error for a model whose package is not installed."""
    return EmbedderError(
        f"{name} needs the package {package}, which is not installed.", f"pip install 'newstide[{extra}]'"
    )
