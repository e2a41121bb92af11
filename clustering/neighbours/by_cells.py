"""The approximate searcher for windows too large to compare every row with every other.

Rows are parted into cells, each around a row drawn by lot. A row's neighbours are looked for in its own cell and in those
nearest to that; then, again and again, among the neighbours of its neighbours (Dong, Moses, Li 2011), until the lists of a
sample hold what they should. Where that gains nothing more, all rows are searched in twice as many cells. Nothing depends on
how work is split among threads.

Few rows, those that a run adds, are compared with all, as the exact searcher does.
"""

from dataclasses import dataclass, field

import numpy as np

from clustering.arrays import Flags, Indices, Labels, Vectors
from clustering.kernels import as_int64, dot, kernel, parallel_range
from clustering.neighbours.exact import ExactSearcher, at_least, kth_largest
from clustering.neighbours.neighbour_lists import (
    NeighbourListArrays,
    NeighbourLists,
    PointArrays,
    Points,
    similarity,
    write_most_similar,
)
from newstide.core import logs

_ROWS_A_CELL = 250
_FIRST_CELLS = 16  # looked at, with the row's own
_GAIN = 0.002  # of recall, for which a pass among neighbours' neighbours is followed by another
_FOLLOWED = 20  # of a list, whose lists are looked at
_FEW = 0.1  # share of the rows up to which the searched ones are compared with all
_RECALL = 0.98  # of the lists of a sample, at which they are taken
_SAMPLE = 1_000
_AT_ONCE = 4_096  # rows whose nearest centre is sought together

log = logs.get("graph")


@dataclass(frozen=True, slots=True)
class CellSearcher:
    """Searches cells at the first build, and everything for what comes later.

    Args:
        memory_mb: Most memory for a block of products.
        seed: Of the rows that cells lie around, and of the sample.
        width: Neighbours of a list that count for its recall.
    """

    memory_mb: int = 1024
    seed: int = 42
    width: int = 30
    _all: ExactSearcher = field(init=False)

    def __post_init__(self) -> None:
        """The searcher for few rows."""
        object.__setattr__(self, "_all", ExactSearcher(self.memory_mb))

    @property
    def exact(self) -> bool:
        """False: a neighbour may lie in a cell that is not looked at."""
        return False

    def fill(self, points: Points, lists: NeighbourLists, rows: Indices, offered: Flags, complete: Flags) -> None:
        """See `Searcher.fill`."""
        n = len(points.vectors)
        if len(rows) <= max(_SAMPLE, _FEW * n):
            self._all.fill(points, lists, rows, offered, complete)
            return
        cells = _Cells.of(points, self.seed)
        sample = np.sort(np.random.default_rng(self.seed).choice(n, min(_SAMPLE, n), replace=False)).astype(np.int32)
        true = NeighbourLists.unwritten(n, lists.indices.shape[1])
        nothing = np.zeros(len(sample), np.bool_)
        self._all.fill(points, true, sample, nothing, np.zeros(n, np.bool_))
        wanted = true.indices[sample, : self.width]
        looked_at = _FIRST_CELLS
        while True:
            cells.search(points, lists, looked_at)
            recall, before, passes = _recall(wanted, lists.indices[sample, : self.width]), -1.0, 0
            while before + _GAIN < recall < _RECALL:
                _follow(lists.indices.copy(), points.arrays, lists.arrays)
                recall, before, passes = _recall(wanted, lists.indices[sample, : self.width]), recall, passes + 1
            log.info("searched cells", rows=n, looked_at=looked_at, passes=passes, recall=round(recall, 4))
            if recall >= _RECALL or looked_at >= len(cells.starts) - 1:
                return
            looked_at *= 2


@dataclass(frozen=True, slots=True)
class _Cells:
    """Rows by cell.

    Attributes:
        members: (n,) rows, cell after cell, ascending within each.
        starts: (cells + 1,) where each cell begins.
        centres: (cells, dim) the mean of each cell's rows, of unit length.
    """

    members: Labels
    starts: Labels
    centres: Vectors

    @classmethod
    def of(cls, points: Points, seed: int) -> "_Cells":
        n = len(points.vectors)
        count = max(1, n // _ROWS_A_CELL)
        drawn = np.sort(np.random.default_rng(seed).choice(n, count, replace=False)).astype(np.int32)
        around = np.ascontiguousarray(points.vectors[drawn])
        cell = np.empty(n, np.int32)
        for start in range(0, n, _AT_ONCE):
            rows = np.arange(start, min(n, start + _AT_ONCE), dtype=np.int32)
            _nearest(points.vectors[rows] @ around.T, rows, drawn, points.arrays, cell)
        members = np.argsort(cell, kind="stable")
        starts = np.searchsorted(cell[members], np.arange(count + 1))
        return cls(members, starts, _means(points.vectors, members, starts))

    def search(self, points: Points, lists: NeighbourLists, looked_at: int) -> None:
        """Writes the lists of all rows from the nearest cells of each cell."""
        near = _nearest_cells(self.centres, min(looked_at, len(self.centres)))
        for cell, others in enumerate(near):
            rows = self.members[self.starts[cell] : self.starts[cell + 1]].astype(np.int32)
            if not len(rows):
                continue
            among = np.concatenate([self.members[self.starts[one] : self.starts[one + 1]] for one in others])
            among = np.sort(among).astype(np.int32)
            theirs = points.vectors[among]
            for start in range(0, len(rows), _AT_ONCE):
                part = rows[start : start + _AT_ONCE]
                _search_among(points.vectors[part] @ theirs.T, part, among, points.arrays, lists.arrays)


def _recall(true: Indices, found: Indices) -> float:
    wanted = int((true >= 0).sum())
    hit = sum(int(np.isin(one[one >= 0], other).sum()) for one, other in zip(true, found, strict=True))
    return hit / wanted if wanted else 1.0


@kernel(parallel=True)
def _nearest(products: Vectors, rows: Indices, drawn: Indices, points: PointArrays, cell: Indices) -> None:
    """Writes the nearest drawn row's number of each row; the products only say which may be it."""
    vectors, norms, slack = points.vectors, points.norms, points.slack
    for place in parallel_range(len(rows)):
        least = products[place].max() - np.float32(2 * slack)
        best, nearest = np.float32(-2.0), 0
        for number in range(len(drawn)):
            if products[place, number] >= least:
                value = similarity(vectors, norms, as_int64(rows[place]), as_int64(drawn[number]))
                if value > best:
                    best, nearest = value, number
        cell[rows[place]] = nearest


@kernel(parallel=True)
def _means(vectors: Vectors, members: Labels, starts: Labels) -> Vectors:
    dim = vectors.shape[1]
    means = np.zeros((len(starts) - 1, dim), np.float32)
    for cell in parallel_range(len(starts) - 1):
        total = np.zeros(dim, np.float64)
        for member in members[starts[cell] : starts[cell + 1]]:
            for column in range(dim):
                total[column] += vectors[member, column]
        length = max(np.sqrt((total * total).sum()), 1e-9)
        for column in range(dim):
            means[cell, column] = total[column] / length
    return means


@kernel(parallel=True)
def _nearest_cells(centres: Vectors, count: int) -> Labels:
    """(cells, count) of each cell, itself first."""
    cells = len(centres)
    near = np.empty((cells, count), np.int64)
    for cell in parallel_range(cells):
        apart = np.empty(cells, np.float64)
        for other in range(cells):
            apart[other] = -dot(centres, as_int64(cell), as_int64(other))
        apart[cell] = -np.inf
        near[cell] = np.argsort(apart, kind="mergesort")[:count]
    return near


@kernel(parallel=True)
def _search_among(
    products: Vectors, rows: Indices, among: Indices, points: PointArrays, lists: NeighbourListArrays
) -> None:
    """Writes the lists of `rows`, whose products with the rows `among` (ascending), they among them, are given."""
    width = min(lists.indices.shape[1], len(among) - 1)
    for place in parallel_range(len(rows)):
        row = rows[place]
        products[place, np.searchsorted(among, row)] = -np.inf
        least = kth_largest(products[place], width) - np.float32(2 * points.slack)
        candidates = among[at_least(products[place], least, 2 * width)]
        write_most_similar(lists, row, candidates, points)


@kernel(parallel=True)
def _follow(listed: Indices, points: PointArrays, lists: NeighbourListArrays) -> None:
    """Writes each row's list anew from what it lists and what the first of these list; `listed` are the lists before."""
    n, width = listed.shape
    for row in parallel_range(n):
        met = np.empty(width + _FOLLOWED * width, np.int32)
        met[:width] = listed[row]
        count = width
        for near in listed[row, :_FOLLOWED]:
            if near >= 0:
                met[count : count + width] = listed[near]
                count += width
        candidates = np.unique(met[:count])
        candidates = candidates[(candidates >= 0) & (candidates != row)]
        write_most_similar(lists, row, candidates, points)
