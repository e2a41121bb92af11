"""The clustering similarity: which headlines are one point, how alike two are, and how alike chance makes them.

Only the edges of the neighbour graph are weighed by it; what is searched is always the plain cosine, so the lists stay
valid while means move and days pass.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from clustering.arrays import Indices, Labels, Vectors
from clustering.kernels import as_int64, dot, kernel, parallel_range
from clustering.time_damping import TimeDamping, damped, damping_of
from newstide.core.outlets import without_endings

_SAME = 0.999  # random pairs more alike than this are copies, not chance
_PAIRS = 100_000
_FEW = 50  # rows
_BLOCK = 10_000


@dataclass(frozen=True, slots=True)
class Threshold:
    """How alike random pairs are, and theta: how alike the members of a cluster are on average at least."""

    theta: float
    mean: float
    deviation: float


class _WordsAlone(dict[int, str]):
    """For `str.translate`: letters, marks and digits stay, as a vowel sign in Hindi makes the word; the rest is a gap.

    Invisible joiners (Cf) are nothing at all: they shape letters and part no words.
    """

    def __missing__(self, code: int) -> str:
        category = unicodedata.category(chr(code))
        kept = chr(code) if category[0] in "LMN" else "" if category == "Cf" else " "
        self[code] = kept
        return kept


_WORDS_ALONE = _WordsAlone()
_KEPT = 2**21  # titles whose words are remembered: a run asks several times, and the next one again


@lru_cache(_KEPT)
def _words_alone(title: str) -> str:
    return " ".join(title.casefold().translate(_WORDS_ALONE).split())


def collapse_titles(titles: Sequence[str]) -> tuple[Labels, Labels]:
    """Titles equal after lower-casing and stripping punctuation and recurring outlets' names are one point.

    Returns:
        The row number of each point's first title, (points,), ascending; and each row's point, (n,). Titles without a
        letter or digit stay apart.
    """
    number: dict[str, int] = {}
    words = map(_words_alone, without_endings(titles))
    points = np.fromiter(
        (number.setdefault(text or f"\x00{row}", len(number)) for row, text in enumerate(words)), np.int64, len(titles)
    )
    return np.unique(points, return_index=True)[1], points


def random_pair_threshold(
    vectors: Vectors, deviations: float, seed: int, pairs: int = _PAIRS, rows: Labels | None = None
) -> Threshold:
    """Theta = mean + `deviations` x standard deviation of the similarity of random pairs.

    Needs no labels and adapts to every corpus and model. Pairs of one row and pairs of copies are left out. Of fewer
    than 50 rows, the median and the deviation below it are taken.

    Args:
        vectors: (n, dim) unit rows in clustering space.
        deviations: How many standard deviations above the mean.
        seed: Of the pairs.
        pairs: How many are drawn; for few rows, all pairs are taken.
        rows: Those of `vectors` that count; None: all.
    """
    n = len(vectors) if rows is None else len(rows)
    if n < 2:
        return Threshold(1.0, 0.0, 0.0)
    if n * (n - 1) // 2 <= pairs:
        first, second = np.triu_indices(n, 1)
    else:
        rng = np.random.default_rng(seed)
        first, second = rng.integers(0, n, pairs), rng.integers(0, n, pairs)
        apart = first != second
        first, second = first[apart], second[apart]
    if rows is not None:
        first, second = rows[first], rows[second]
    alike = np.concatenate(
        [
            np.einsum("ij,ij->i", vectors[first[start : start + _BLOCK]], vectors[second[start : start + _BLOCK]])
            for start in range(0, len(first), _BLOCK)
        ]
    ).astype(np.float64)
    chance = alike[alike < _SAME]
    if not len(chance):
        return Threshold(_SAME, 1.0, 0.0)
    mean, deviation = float(chance.mean()), float(chance.std())
    if n < _FEW:  # pairs of one story are no rarity among few rows: the half below the median tells what chance is
        mean = float(np.median(chance))
        below = chance[chance <= mean]
        deviation = float(np.sqrt(((below - mean) ** 2).mean()))
    return Threshold(min(mean + deviations * deviation, _SAME), mean, deviation)


def reweigh(
    indices: Indices,
    vectors: Vectors,
    damping: TimeDamping | None = None,
    order: Labels | None = None,
) -> Vectors:
    """The clustering similarity of the graph's edges: their cosine, damped by distance in time.

    Args:
        indices: (n, k) row numbers, -1 = missing.
        vectors: (n, dim) unit rows in clustering space.
        damping: Of the same rows, or None.
        order: (n,) all rows, as they are best gone through: neighbours close to one another; None: as they stand.

    Returns:
        (n, k); -inf where an edge is missing.
    """
    n = len(vectors)
    order = np.arange(n) if order is None else order
    return _edge_similarities(np.ascontiguousarray(indices, np.int32), vectors, damping_of(damping, n), order)


def to_distance(similarities: Vectors) -> Vectors:
    """sqrt(max(0, 2 - 2 s)): the euclidean distance of unit vectors of that cosine; inf for -inf.

    As precise as its cosines, which is what the guard against duplicates goes by: copies lie up to 0.001 apart.
    """
    distances: Vectors = np.sqrt(np.maximum(np.float32(0), np.float32(2) - np.float32(2) * similarities))
    return distances


@kernel(parallel=True)
def _edge_similarities(indices: Indices, vectors: Vectors, damping: TimeDamping, order: Labels) -> Vectors:
    n, k = indices.shape
    similarities = np.full((n, k), -np.inf, np.float32)
    for turn in parallel_range(n):
        row = order[turn]
        for place in range(k):
            one, other = as_int64(row), as_int64(indices[row, place])
            if other >= 0:
                similarities[row, place] = damped(dot(vectors, one, other), damping, one, other)
    return similarities
