"""The approximate searcher for windows too large to compare every row with every other.

Rows are parted into cells by spherical k-means, once the mean of all rows has been taken off them: what all have in common
would draw most rows into a few cells. A row's neighbours are looked for in the cells nearest to the row, its own first. Then
they are looked for, again and again, among the neighbours of its neighbours and among the rows that list it (Dong, Moses, Li
2011), until the lists of a sample hold what they should. Where that gains nothing more, each row looks into as many further
cells. Nothing depends on how work is split among threads.

Few rows, those that a run adds, are compared with all, as the exact searcher does.
"""

from dataclasses import dataclass, field

import numpy as np

from clustering.arrays import Flags, Indices, Labels, Vectors
from clustering.kernels import as_flag, as_int64, kernel, parallel_range
from clustering.neighbours.exact import ExactSearcher, at_least, kth_largest
from clustering.neighbours.neighbour_lists import (
    MISSING_SIMILARITY,
    NeighbourListArrays,
    NeighbourLists,
    PointArrays,
    Points,
    offer,
    similarity,
)
from newstide.core import logs

_ROWS_A_CELL = 500
_SAMPLED = 40  # rows a cell, from which the centres of cells are found
_ROUNDS = 5  # of k-means
_FIRST_CELLS = 8  # looked into by each row, its own among them
_GAIN = 0.002  # of recall, for which a pass among neighbours' neighbours is followed by another
_FOLLOWED = 20  # of a list, whose lists are looked at
_FEW = 0.1  # share of the rows up to which the searched ones are compared with all
_RECALL = 0.98  # of the lists of a sample, at which they are taken
_SAMPLE = 1_000
_AT_ONCE = 8_192  # rows of one product

log = logs.get("graph")


@dataclass(frozen=True, slots=True)
class CellSearcher:
    """Searches cells at the first build, and everything for what comes later.

    Args:
        memory_mb: Most memory for a block of products.
        seed: Of the rows that centres of cells are found from, and of the sample.
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
        """False: a neighbour may lie in a cell that is not looked into."""
        return False

    def fill(self, points: Points, lists: NeighbourLists, rows: Indices, offered: Flags, complete: Flags) -> None:
        """See `Searcher.fill`."""
        n = len(points.vectors)
        if len(rows) <= max(_SAMPLE, _FEW * n):
            self._all.fill(points, lists, rows, offered, complete)
            return
        sample = np.sort(np.random.default_rng(self.seed).choice(n, min(_SAMPLE, n), replace=False)).astype(np.int32)
        true = NeighbourLists.unwritten(n, lists.indices.shape[1])
        self._all.fill(points, true, sample, np.zeros(len(sample), np.bool_), np.zeros(n, np.bool_))
        wanted = true.indices[sample, : self.width]
        lists.indices[:], lists.similarities[:], lists.lengths[:] = -1, MISSING_SIMILARITY, 0
        cells = _Cells.of(points, self.seed)
        looked_into, following = 0, cells.near.shape[1]
        while True:
            cells.search(points, lists, looked_into, following)
            looked_into = following
            recall, before, passes = _recall(wanted, lists.indices[sample, : self.width]), -1.0, 0
            met = np.zeros(lists.indices.shape, np.bool_)
            while before + _GAIN < recall < _RECALL:
                listed = lists.indices.copy()
                _follow(cells.members, listed, met, *_listing(listed, met), points.arrays, lists.arrays)
                _mark_met(listed, met, lists.indices)
                recall, before, passes = _recall(wanted, lists.indices[sample, : self.width]), recall, passes + 1
            log.info("searched cells", rows=n, looked_into=looked_into, passes=passes, recall=round(recall, 4))
            if recall >= _RECALL or looked_into == cells.count:
                return
            following = min(2 * looked_into, cells.count)


@dataclass(frozen=True, slots=True)
class _Cells:
    """Rows by cell.

    Attributes:
        mean: (dim,) what is taken off a row before it is compared with centres.
        centres: (cells, dim) unit rows.
        members: (n,) rows, cell after cell, ascending within each.
        starts: (cells + 1,) where each cell begins.
        near: (n, first cells) the nearest cells of each row, its own first.
    """

    mean: Vectors
    centres: Vectors
    members: Indices
    starts: Labels
    near: Indices

    @property
    def count(self) -> int:
        return len(self.centres)

    @classmethod
    def of(cls, points: Points, seed: int) -> "_Cells":
        n = len(points.vectors)
        count = max(1, n // _ROWS_A_CELL)
        some = np.random.default_rng(seed).choice(n, min(n, count * _SAMPLED), replace=False)
        sampled = points.vectors[some]
        mean = sampled.mean(axis=0, dtype=np.float64).astype(np.float32)
        sampled = _apart(sampled, mean)
        centres = sampled[:count]
        for _ in range(_ROUNDS):
            centres = _means(sampled, *_by_cell(_nearest_cells(sampled, centres, 1)[:, 0], count), centres)
        near = _nearest_to_all(points.vectors, mean, centres, min(_FIRST_CELLS, count))
        return cls(mean, centres, *_by_cell(near[:, 0], count), near)

    def search(self, points: Points, lists: NeighbourLists, begin: int, end: int) -> None:
        """Offers to each row the members of its nearest cells, of those from place `begin` to place `end`."""
        near = self.near
        if end > near.shape[1]:
            near = _nearest_to_all(points.vectors, self.mean, self.centres, end)
        near = near[:, begin:end]
        own = 1 if begin == 0 else 0  # a row's own cell goes first, so that its list asks for much when others follow
        for places in (near[:, :own], near[:, own:]):
            lookers, starts = _by_cell(places.ravel(), self.count)
            lookers //= max(1, places.shape[1])
            for cell in range(self.count):
                members = self.members[self.starts[cell] : self.starts[cell + 1]]
                theirs = points.vectors[members].T
                those = lookers[starts[cell] : starts[cell + 1]]
                for start in range(0, len(those), _AT_ONCE):
                    part = those[start : start + _AT_ONCE]
                    _offer_members(points.vectors[part] @ theirs, part, members, points.arrays, lists.arrays)


def _nearest_to_all(vectors: Vectors, mean: Vectors, centres: Vectors, count: int) -> Indices:
    """(n, count) the nearest cells of each row of `vectors`, nearest first."""
    near = np.empty((len(vectors), count), np.int32)
    for start in range(0, len(vectors), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        near[rows] = _nearest_cells(_apart(vectors[rows], mean), centres, count)
    return near


def _apart(vectors: Vectors, mean: Vectors) -> Vectors:
    """(n, dim) unit rows without what all have in common."""
    centred = vectors - mean
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    return centred


def _by_cell(cell: Indices, count: int) -> tuple[Indices, Labels]:
    """Places in `cell`, cell after cell, ascending within each; and (count + 1,) where each cell's begin."""
    order = np.argsort(cell, kind="stable")
    return order.astype(np.int32 if len(cell) < 2**31 else np.int64), np.searchsorted(cell[order], np.arange(count + 1))


def _nearest_cells(vectors: Vectors, centres: Vectors, count: int) -> Indices:
    """(n, count) of each row, nearest first, smaller number first among equals."""
    rounding = 2.0**-23 * (vectors.shape[1] + 8)  # of a product in single precision, at most
    near = np.empty((len(vectors), count), np.int32)
    for start in range(0, len(vectors), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        _rank_cells(vectors[some] @ centres.T, vectors[some], centres, np.float32(2 * rounding), near[some])
    return near


def _recall(true: Indices, found: Indices) -> float:
    wanted = int((true >= 0).sum())
    hit = sum(int(np.isin(one[one >= 0], other).sum()) for one, other in zip(true, found, strict=True))
    return hit / wanted if wanted else 1.0


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


@kernel(parallel=True)
def _offer_members(
    products: Vectors, rows: Indices, members: Indices, points: PointArrays, lists: NeighbourListArrays
) -> None:
    """Offers the `members` of a cell to the lists (mutated) of `rows`; `products` (rows, members) say which may enter."""
    for place in parallel_range(len(rows)):
        row = as_int64(rows[place])
        least = _least(lists, row, points.slack)
        for number in range(len(members)):
            if products[place, number] >= least and members[number] != row:
                _offer_new(row, as_int64(members[number]), points, lists)
                least = _least(lists, row, points.slack)


@kernel(parallel=True)
def _follow(
    order: Indices,
    listed: Indices,
    met: Flags,
    listing: Indices,
    starts: Labels,
    points: PointArrays,
    lists: NeighbourListArrays,
) -> None:
    """Offers to each row what the first rows of its list have in theirs, and the rows that list it.

    Args:
        order: (n,) all rows, similar ones near one another, whose vectors are then at hand.
        listed: (n, width) the lists before.
        met: (n, width) neighbours that stood in the list at the last pass too: two of them in a row have been looked at.
        listing: For each row, those that list it, newly.
        starts: (n + 1,) where each row's begin.
        points: All rows.
        lists: Mutated.
    """
    n, width = listed.shape
    for turn in parallel_range(n):
        row = as_int64(order[turn])
        others = listing[starts[row] : starts[row + 1]]
        count = len(others)
        found = np.empty(_FOLLOWED * width + count, np.int32)
        found[:count] = others
        for place in range(min(_FOLLOWED, width)):
            near = listed[row, place]
            if near < 0:
                break
            for further in range(width):
                if not (met[row, place] and met[near, further]):
                    found[count] = listed[near, further]
                    count += 1
        least = _least(lists, row, points.slack)
        for candidate in np.unique(found[:count]):
            other = as_int64(candidate)
            if other >= 0 and other != row and _single(points.vectors, row, other) >= least:
                _offer_new(row, other, points, lists)
                least = _least(lists, row, points.slack)


@kernel()
def _listing(listed: Indices, met: Flags) -> tuple[Indices, Labels]:
    """For each row, the rows that list it and did not at the last pass, ascending; and (n + 1,) where each row's begin."""
    n, width = listed.shape
    starts = np.zeros(n + 2, np.int64)
    for row in range(n):
        for place in range(width):
            if listed[row, place] >= 0 and not met[row, place]:
                starts[listed[row, place] + 2] += 1
    starts = np.cumsum(starts)
    listing = np.empty(starts[-1], np.int32)
    for row in range(n):
        for place in range(width):
            if listed[row, place] >= 0 and not met[row, place]:
                listing[starts[listed[row, place] + 1]] = row
                starts[listed[row, place] + 1] += 1
    return listing, starts[:-1]


@kernel()
def _least(lists: NeighbourListArrays, row: int, slack: float) -> np.float32:
    """The product in single precision below which nothing enters the list of `row`."""
    width = lists.indices.shape[1]
    if lists.lengths[row] < width:
        return np.float32(-np.inf)
    return np.float32(lists.similarities[row, width - 1] - np.float32(slack))


@kernel()
def _offer_new(row: int, other: int, points: PointArrays, lists: NeighbourListArrays) -> None:
    """Offers `other` to the list of `row` (mutated) unless it is there."""
    for place in range(lists.lengths[row]):
        if lists.indices[row, place] == other:
            return
    offer(lists, row, other, similarity(points.vectors, points.norms, row, other), as_flag(True))


@kernel(fastmath={"reassoc", "contract"})
def _single(vectors: Vectors, one: int, two: int) -> np.float32:
    """The product of two rows in single precision."""
    total = np.float32(0.0)
    for column in range(vectors.shape[1]):
        total += vectors[one, column] * vectors[two, column]
    return total


@kernel(parallel=True)
def _mark_met(listed: Indices, met: Flags, now: Indices) -> None:
    """Notes in `met` (mutated) which neighbours of the lists of now stood in those before."""
    n, width = listed.shape
    for row in parallel_range(n):
        for place in range(width):
            met[row, place] = False
            for earlier in range(width):
                if listed[row, earlier] == now[row, place]:
                    met[row, place] = True
                    break
