"""Lists of nearest neighbours that stay exact while rows come and go.

A row's list is a *prefix*: whatever its length, it holds the row's nearest others, none left out. Removing rows shortens a
list and leaves it a prefix. A new row enters a list if it precedes the list's last; behind the last nobody knows what
else there is, unless the list already holds everyone. So lists shrink and grow, and only one that has become shorter than
what is used must be searched again.

Neighbours are ordered by similarity (largest first), then by row. Similarities are products in double precision, rounded to
single: the same number for a pair in whichever direction and batch it is met.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from clustering.arrays import Flags, Indices, Values, Vectors
from clustering.kernels import as_flag, as_int64, dot, inverse_norms, kernel, parallel_range
from clustering.neighbours.cells import Cells
from newstide.core.errors import InvalidGraph

MISSING_SIMILARITY = -1.0  # of the places behind a list's end, whose row number is -1
_LONGEST_DEVIATION = 0.01  # of a vector's length from 1, beyond which it is no embedding


class PointArrays(NamedTuple):
    """What of `Points` the kernels need."""

    vectors: Vectors
    norms: Values
    slack: float


class NeighbourListArrays(NamedTuple):
    """The arrays of `NeighbourLists`, for the kernels, which mutate them."""

    indices: Indices
    similarities: Vectors
    lengths: Indices


@dataclass(frozen=True, slots=True)
class Points:
    """The rows to be searched among.

    Attributes:
        ids: Ascending.
        vectors: (n, dim), of unit length.
        inverse_norms: (n,) 1 / length, which is 1 up to rounding.
        slack: How far a product in single precision can be from the cosine, at most.
        cells: What a searcher kept of its last search; None: nothing.
    """

    ids: Sequence[str]
    vectors: Vectors
    inverse_norms: Values
    slack: float
    cells: Cells | None = None

    @classmethod
    def of(cls, ids: Sequence[str], vectors: Vectors, cells: Cells | None = None) -> "Points":
        """Checks the vectors.

        Raises:
            InvalidGraph: A vector is not finite or not of unit length.
        """
        norms = inverse_norms(vectors)
        deviation = np.abs(norms - 1.0)
        if len(deviation) and not (float(deviation.max()) <= _LONGEST_DEVIATION):
            row = int(np.flatnonzero(~(deviation <= _LONGEST_DEVIATION))[0])
            raise InvalidGraph(
                f"The vector of {ids[row]!r} has length {np.linalg.norm(vectors[row]):.6g}.",
                "Embeddings must be finite unit vectors.",
            )
        rounding = 2.0**-24 * (vectors.shape[1] + 8)  # the worst case of any order of summation
        longest = float(deviation.max()) if len(deviation) else 0.0
        return cls(ids, vectors, norms, rounding + 2.1 * longest + 2.0**-23, cells)

    @property
    def arrays(self) -> PointArrays:
        """As compiled kernels take them."""
        return PointArrays(self.vectors, self.inverse_norms, self.slack)


@dataclass(frozen=True, slots=True)
class NeighbourLists:
    """Neighbour lists under construction; the arrays are mutated.

    Attributes:
        indices: (n, width) nearest first, -1 behind a list's end.
        similarities: (n, width).
        lengths: (n,).
    """

    indices: Indices
    similarities: Vectors
    lengths: Indices

    @classmethod
    def empty(cls, n: int, width: int) -> "NeighbourLists":
        """Lists of length 0."""
        return cls(
            np.full((n, width), -1, np.int32),
            np.full((n, width), MISSING_SIMILARITY, np.float32),
            np.zeros(n, np.int32),
        )

    @classmethod
    def unwritten(cls, n: int, width: int) -> "NeighbourLists":
        """Lists of which only those that are searched may be read, and only those take memory."""
        return cls(np.empty((n, width), np.int32), np.empty((n, width), np.float32), np.zeros(n, np.int32))

    @property
    def arrays(self) -> NeighbourListArrays:
        """As compiled kernels take them."""
        return NeighbourListArrays(self.indices, self.similarities, self.lengths)


class Searcher(Protocol):
    """Where neighbours come from."""

    @property
    def exact(self) -> bool:
        """Whether lists are always the true ones, so that there is no recall to measure."""
        ...

    @property
    def judge(self) -> "Searcher":
        """The searcher by whose lists the recall of this one is measured."""
        ...

    def fill(
        self, points: Points, lists: NeighbourLists, rows: Indices, offered: Flags, complete: Flags
    ) -> Cells | None:
        """Searches the lists of `rows` anew, and offers some of them to the lists of all other rows.

        Args:
            points: All rows.
            lists: Mutated.
            rows: Row numbers to search, ascending.
            offered: (len(rows),) which of them are new, and offered to rows that are not searched.
            complete: (n,) lists that hold everyone but what is offered, so that nothing offered is left out.

        Returns:
            What is to be kept for the next search.
        """
        ...


def carried_over(indices: Indices, similarities: Vectors, new_row: Indices, old_row: Indices) -> NeighbourLists:
    """The lists of rows that stay, without those that left, under new row numbers.

    Args:
        indices: (old n, width).
        similarities: (old n, width).
        new_row: (old n,) -1 = left. Ascending where it is not.
        old_row: (n,) -1 = new, with an empty list.
    """
    lists = NeighbourLists.empty(len(old_row), indices.shape[1])
    _carry_over(indices, similarities, new_row, old_row, lists.arrays)
    return lists


@kernel(parallel=True)
def _carry_over(
    indices: Indices, similarities: Vectors, new_row: Indices, old_row: Indices, lists: NeighbourListArrays
) -> None:
    """Writes into `lists` (mutated) what `carried_over` returns."""
    to_indices, to_values, lengths = lists.indices, lists.similarities, lists.lengths
    for row in parallel_range(len(old_row)):
        source = old_row[row]
        if source < 0:
            continue
        length = 0
        for place in range(indices.shape[1]):
            other = indices[source, place]
            if other >= 0 and new_row[other] >= 0:
                to_indices[row, length] = new_row[other]
                to_values[row, length] = similarities[source, place]
                length += 1
        lengths[row] = length


@kernel(parallel=True)
def gather(vectors: Vectors, old_row: Indices, result: Vectors) -> None:
    """Writes rows of `vectors` in a new order into `result`; rows with -1 are left to be written."""
    for row in parallel_range(len(old_row)):
        if old_row[row] >= 0:
            for column in range(vectors.shape[1]):
                result[row, column] = vectors[old_row[row], column]


@kernel()
def similarity(vectors: Vectors, norms: Values, one: int, two: int) -> np.float32:
    """The cosine of two rows, correctly rounded but for the last place, and symmetric to the bit."""
    low, high = min(one, two), max(one, two)
    value = dot(vectors, low, high) * (norms[low] * norms[high])
    return np.float32(min(1.0, max(-1.0, value)))


@kernel(fastmath={"reassoc", "contract"})
def single(vectors: Vectors, one: int, two: int) -> np.float32:
    """The product of two rows in single precision."""
    total = np.float32(0.0)
    for column in range(vectors.shape[1]):
        total += vectors[one, column] * vectors[two, column]
    return total


@kernel()
def offer(lists: NeighbourListArrays, row: int, other: int, value: np.float32, complete: bool) -> bool:
    """Inserts `other` into the list of `row` (mutated) where it belongs, if that is known; whether it did."""
    indices, similarities, lengths = lists.indices, lists.similarities, lists.lengths
    width = indices.shape[1]
    length = lengths[row]
    place = length
    while place > 0 and (
        similarities[row, place - 1] < value
        or (similarities[row, place - 1] == value and indices[row, place - 1] > other)
    ):
        place -= 1
    if place == width or (place == length and not complete):
        return False
    end = min(length, width - 1)
    for later in range(end, place, -1):
        indices[row, later] = indices[row, later - 1]
        similarities[row, later] = similarities[row, later - 1]
    indices[row, place] = other
    similarities[row, place] = value
    lengths[row] = end + 1
    return True


@kernel()
def offer_new(row: int, other: int, points: PointArrays, lists: NeighbourListArrays, complete: bool) -> None:
    """Offers `other` to the list of `row` (mutated) unless it is there."""
    for place in range(lists.lengths[row]):
        if lists.indices[row, place] == other:
            return
    offer(lists, row, other, similarity(points.vectors, points.norms, row, other), complete)


@kernel()
def write_ranked(lists: NeighbourListArrays, row: int, candidates: Indices, values: Vectors) -> None:
    """Makes the best of `candidates` (ascending rows, none twice) the list of `row` (mutated)."""
    indices, similarities, lengths = lists.indices, lists.similarities, lists.lengths
    width = indices.shape[1]
    for place in range(width):
        indices[row, place] = -1
        similarities[row, place] = MISSING_SIMILARITY
    lengths[row] = 0
    for number in range(len(candidates)):
        offer(lists, as_int64(row), as_int64(candidates[number]), values[number], as_flag(True))


@kernel()
def write_most_similar(lists: NeighbourListArrays, row: int, candidates: Indices, points: PointArrays) -> None:
    """Makes the most similar of `candidates` (ascending rows, none twice, without `row`) the list of `row` (mutated)."""
    values = np.empty(len(candidates), np.float32)
    for number in range(len(candidates)):
        values[number] = similarity(points.vectors, points.norms, as_int64(row), as_int64(candidates[number]))
    write_ranked(lists, row, candidates, values)
