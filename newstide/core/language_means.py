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
_BLOCK = 8_192  # rows that are taken together, so that no second array of all is needed


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


def language_means(vectors: Vectors, languages: Sequence[str], rows: npt.NDArray[np.int64] | None = None) -> Means:
    """The means of rows, summed in double precision: in single, a million of them leave three digits.

    Args:
        vectors: (n, dim), n >= 1.
        languages: (n,) their BCP 47 tags.
        rows: Those that count, at least one; None: all.
    """
    rows = np.arange(len(vectors)) if rows is None else rows
    names, number = _numbered(languages)
    own = number[rows]
    sums = np.zeros((len(names), vectors.shape[1]))
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        part = vectors[rows[block]]
        for one in np.unique(own[block]):
            sums[one] += part[own[block] == one].sum(axis=0, dtype=np.float64)
    counts = np.bincount(own, minlength=len(names)).tolist()
    means = {
        name: ((total / count).astype(np.float32), count)
        for name, total, count in zip(names, sums, counts, strict=True)
        if count
    }
    return Means((sums.sum(axis=0) / len(rows)).astype(np.float32), means)


def _numbered(languages: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The primary languages, ascending, and (n,) each one's number."""
    primary = list(map(primary_language, languages))
    names = sorted(set(primary))
    number = {name: place for place, name in enumerate(names)}
    return names, np.fromiter(map(number.__getitem__, primary), np.int64, len(primary))


def centre(vectors: Vectors, languages: Sequence[str], means: Means, *, overwrite: bool = False) -> Vectors:
    """Vectors (n, dim) less their language's shrunk mean, as rows of unit length.

    A row that is its language's mean exactly, as the only row of all is, keeps its direction. With `overwrite`, they take
    the place of the vectors given.
    """
    names, number = _numbered(languages)
    shrunk = [means.shrunk(name) for name in names]
    centred = vectors if overwrite else np.array(vectors, np.float32)
    for start in range(0, len(centred), _BLOCK):
        block = slice(start, start + _BLOCK)
        part, own = centred[block], number[block]
        before = part.copy()
        for one in np.unique(own):
            part[own == one] -= shrunk[one]
        lengths = np.linalg.norm(part, axis=1, keepdims=True)
        degenerate = lengths[:, 0] < 1e-6
        part[degenerate] = before[degenerate]
        lengths[degenerate] = 1
        part /= lengths
    return centred


def primary_language(tag: str) -> str:
    """`pt` of `pt-BR`."""
    return tag.partition("-")[0]
