"""The space in which headlines are compared: embeddings centred by their language's mean.

A multilingual model puts each language in a region of its own; two headlines in one language are similar for that
reason alone. Subtracting the language's mean removes this similarity. The reclusterer
learns the means, and the consumer centres each arriving headline with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

_SHRINKAGE = 20.0  # rows of the mean of all that are mixed into each language's
_BLOCK = 8_192  # rows that are centred together, so that no second array of all is needed


@dataclass(frozen=True, slots=True)
class Means:
    """Mean vectors by primary language subtag; `""` = unknown.

    Attributes:
        overall: (dim,) the mean of all rows.
        by_language: (dim,) the mean of each language's rows, and the number of these rows.
    """

    overall: Vectors
    by_language: dict[str, tuple[Vectors, int]]

    def shrunk(self, language: str) -> Vectors:
        """What to subtract: (sum of the language's vectors + 20 x overall mean) / (count + 20)."""
        mean, count = self.by_language.get(language, (self.overall, 0))
        shrunk: Vectors = ((mean * count + self.overall * _SHRINKAGE) / (count + _SHRINKAGE)).astype(np.float32)
        return shrunk


def no_means(dim: int) -> Means:
    """Means that leave vectors as they are."""
    return Means(np.zeros(dim, np.float32), {})


def language_means(vectors: Vectors, languages: Sequence[str]) -> Means:
    """The means of these rows: vectors (n, dim), n >= 1, and their BCP 47 tags (n,)."""
    primary = np.array([primary_language(language) for language in languages], object)
    by_language = {
        language: (_mean(vectors[primary == language]), int((primary == language).sum()))
        for language in sorted(set(primary))
    }
    return Means(_mean(vectors), by_language)


def _mean(vectors: Vectors) -> Vectors:
    """(dim,) in double precision: in single, a million rows leave three digits of it."""
    mean: Vectors = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def centre(vectors: Vectors, languages: Sequence[str], means: Means) -> Vectors:
    """Vectors (n, dim) less their language's shrunk mean, as rows of unit length.

    A row that is its language's mean exactly, as the only row of all is, keeps its direction.
    """
    primary = np.array([primary_language(language) for language in languages], object)
    shrunk = {language: means.shrunk(language) for language in set(primary)}
    centred = np.array(vectors, np.float32)
    for start in range(0, len(centred), _BLOCK):
        block, own = slice(start, start + _BLOCK), primary[start : start + _BLOCK]
        part = centred[block]
        for language in set(own):
            part[own == language] -= shrunk[language]
        lengths = np.linalg.norm(part, axis=1, keepdims=True)
        degenerate = lengths[:, 0] < 1e-6
        part[degenerate] = vectors[block][degenerate]
        lengths[degenerate] = 1
        part /= lengths
    return centred


def primary_language(tag: str) -> str:
    """`pt` of `pt-BR`."""
    return tag.partition("-")[0]
