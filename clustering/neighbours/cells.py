"""Cells: rows parted by spherical k-means, so that a row's neighbours need be looked for in few of them.

The mean of all rows is taken off them first: what all have in common would draw most rows into a few cells.
"""

from dataclasses import dataclass, replace

import numpy as np

from clustering.arrays import Indices, Labels, Vectors
from clustering.kernels import kernel, parallel_range
from clustering.neighbours.largest import at_least, kth_largest

_ROWS_A_CELL = 500
_SAMPLED = 40  # rows a cell, from which the centres of cells are found
_ROUNDS = 5  # of k-means
_AT_ONCE = 8_192  # rows of one product


@dataclass(frozen=True, slots=True)
class Cells:
    """Which cell each row lies in.

    Attributes:
        mean: (dim,) what is taken off a row before it is compared with centres.
        centres: (cells, dim) unit rows.
        of_row: (n,) the cell of each row; -1 = not placed yet.
        later: How many rows were placed since the centres were found.
    """

    mean: Vectors
    centres: Vectors
    of_row: Indices
    later: int = 0

    @property
    def count(self) -> int:
        """How many cells there are."""
        return len(self.centres)

    @property
    def are_outdated(self) -> bool:
        """Whether most rows came after the centres were found."""
        return 2 * self.later > len(self.of_row)

    @classmethod
    def found(cls, vectors: Vectors, seed: int, looked_into: int) -> tuple["Cells", Indices]:
        """New cells for rows (n, dim), and (n, looked into) the nearest of each row, its own first."""
        n = len(vectors)
        count = max(1, n // _ROWS_A_CELL)
        some = np.random.default_rng(seed).choice(n, min(n, count * _SAMPLED), replace=False)
        sampled = vectors[some]
        mean = sampled.mean(axis=0, dtype=np.float64).astype(np.float32)
        sampled = _apart(sampled, mean)
        centres = sampled[:count]
        for _ in range(_ROUNDS):
            centres = _means(sampled, *by_cell(_nearest_cells(sampled, centres, 1)[:, 0], count), centres)
        cells = cls(mean, centres, np.empty(0, np.int32))
        near = cells.nearest(vectors, min(looked_into, count))
        return replace(cells, of_row=np.ascontiguousarray(near[:, 0])), near

    def nearest(self, vectors: Vectors, count: int) -> Indices:
        """(n, count) the nearest cells of each row of `vectors`, nearest first, smaller number first among equals."""
        near = np.empty((len(vectors), count), np.int32)
        for start in range(0, len(vectors), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            near[rows] = _nearest_cells(_apart(vectors[rows], self.mean), self.centres, count)
        return near

    def carried_over(self, old_row: Indices) -> "Cells":
        """The cells of rows that stay, under new row numbers; `old_row` (n,) is -1 for those that are new."""
        known = old_row >= 0
        of_row = np.where(known, self.of_row[np.where(known, old_row, 0)], -1).astype(np.int32)
        return replace(self, of_row=of_row)

    def with_all(self, vectors: Vectors) -> "Cells":
        """The same with a cell for the rows (n, dim) that have none yet."""
        new = np.flatnonzero(self.of_row < 0)
        if not len(new):
            return self
        of_row = self.of_row.copy()
        of_row[new] = self.nearest(vectors[new], 1)[:, 0]
        return replace(self, of_row=of_row, later=self.later + len(new))


def by_cell(cell: Indices, count: int) -> tuple[Indices, Labels]:
    """Places in `cell`, cell after cell, ascending within each; and (count + 1,) where each cell's begin."""
    order = np.argsort(cell, kind="stable")
    return order.astype(np.int32 if len(cell) < 2**31 else np.int64), np.searchsorted(cell[order], np.arange(count + 1))


def _apart(vectors: Vectors, mean: Vectors) -> Vectors:
    """(n, dim) unit rows without what all have in common."""
    centred = vectors - mean
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    return centred


def _nearest_cells(vectors: Vectors, centres: Vectors, count: int) -> Indices:
    rounding = 2.0**-23 * (vectors.shape[1] + 8)  # of a product in single precision, at most
    near = np.empty((len(vectors), count), np.int32)
    for start in range(0, len(vectors), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        _rank_cells(vectors[some] @ centres.T, vectors[some], centres, np.float32(2 * rounding), near[some])
    return near


@kernel(parallel=True)
def _rank_cells(products: Vectors, vectors: Vectors, centres: Vectors, slack: np.float32, near: Indices) -> None:
    """Writes the nearest cells of each row; the products only say which may be among them."""
    count = near.shape[1]
    for row in parallel_range(len(products)):
        some = at_least(products[row], kth_largest(products[row], count) - slack, 2 * count)
        exact = np.empty(len(some), np.float64)
        for place in range(len(some)):
            total = 0.0
            for column in range(vectors.shape[1]):
                total -= np.float64(vectors[row, column]) * np.float64(centres[some[place], column])
            exact[place] = total
        near[row] = some[np.argsort(exact, kind="mergesort")[:count]]


@kernel(parallel=True)
def _means(vectors: Vectors, members: Indices, starts: Labels, before: Vectors) -> Vectors:
    """(cells, dim) unit means of the members of each cell; as before where it has none."""
    dim = vectors.shape[1]
    means = before.copy()
    for cell in parallel_range(len(starts) - 1):
        total = np.zeros(dim, np.float64)
        for member in members[starts[cell] : starts[cell + 1]]:
            for column in range(dim):
                total[column] += vectors[member, column]
        length = np.sqrt((total * total).sum())
        if length > 1e-9:
            for column in range(dim):
                means[cell, column] = total[column] / length
    return means
