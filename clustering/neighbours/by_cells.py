"""The approximate searcher for windows too large to compare every row with every other.

Rows are parted into cells. A row's neighbours are looked for in the cells nearest to the row, its own first. Then they are
looked for, again and again, among the neighbours of its neighbours and among the rows that list it (Dong, Moses, Li 2011),
until the lists of a sample hold what they should. Where that gains nothing more, each row looks into as many further cells.
Nothing depends on how work is split among threads.

The cells are kept. Few rows, those that a run adds, look into twice as many cells each and follow their neighbours' lists;
then they are offered to the members of those cells and to the rows near them (`insertion`).
"""

from dataclasses import dataclass, field

import numpy as np

from clustering.arrays import Flags, Indices, Labels, Offsets, Vectors
from clustering.kernels import as_flag, as_int64, kernel, parallel_range
from clustering.neighbours.cells import Cells, by_cell
from clustering.neighbours.exact import ExactSearcher, least_to_offer
from clustering.neighbours.insertion import offer_found, offer_nearby
from clustering.neighbours.neighbour_lists import (
    MISSING_SIMILARITY,
    NeighbourListArrays,
    NeighbourLists,
    PointArrays,
    Points,
    offer_new,
    single,
)
from newstide.core import logs

_FIRST_CELLS = 8  # looked into by each row, its own among them
_LATER_CELLS = 16  # looked into by each row that comes later
_LATER_PASSES = 2  # among its neighbours' neighbours
_GAIN = 0.002  # of recall, for which a pass among neighbours' neighbours is followed by another
_FOLLOWED = 20  # of a list, whose lists are looked at
_FEW = 0.1  # share of the rows up to which the searched ones are few
_COMPARED_WITH_ALL = 10_000  # rows up to which few are compared with all
_RECALL = 0.98  # of the lists of a sample, at which they are taken
_SAMPLE = 1_000
_AT_ONCE = 8_192  # rows of one product
_FEW_AT_ONCE = 1_000  # later rows

log = logs.get("graph")


@dataclass(frozen=True, slots=True)
class CellSearcher:
    """Searches cells.

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
        """The searcher of all rows, for samples."""
        object.__setattr__(self, "_all", ExactSearcher(self.memory_mb))

    @property
    def exact(self) -> bool:
        """False: a neighbour may lie in a cell that is not looked into."""
        return False

    @property
    def judge(self) -> ExactSearcher:
        """The true lists."""
        return self._all

    def fill(
        self, points: Points, lists: NeighbourLists, rows: Indices, offered: Flags, complete: Flags
    ) -> Cells | None:
        """See `Searcher.fill`."""
        n = len(points.vectors)
        if len(rows) > max(_SAMPLE, _FEW * n):
            return self._build(points, lists)
        if n <= _COMPARED_WITH_ALL:
            self._all.fill(points, lists, rows, offered, complete)
            return None
        cells = points.cells
        if cells is None or cells.are_outdated:
            cells, _ = Cells.found(points.vectors, self.seed, 1)
        cells = cells.with_all(points.vectors)
        _look_into_cells(points, lists, rows, offered, complete, cells)
        for _ in range(_LATER_PASSES):
            listed = lists.indices.copy()
            nothing = np.zeros(listed.shape, np.bool_), np.empty(0, np.int32), np.zeros(n + 1, np.int64)
            _follow(rows, listed, *nothing, points.arrays, lists.arrays)
        if offered.any():
            offer_nearby(points, lists, rows, offered, complete)
        return cells

    def _build(self, points: Points, lists: NeighbourLists) -> Cells:
        """The lists of all rows."""
        n = len(points.vectors)
        sample = np.sort(np.random.default_rng(self.seed).choice(n, min(_SAMPLE, n), replace=False)).astype(np.int32)
        true = NeighbourLists.unwritten(n, lists.indices.shape[1])
        self._all.fill(points, true, sample, np.zeros(len(sample), np.bool_), np.zeros(n, np.bool_))
        wanted = true.indices[sample, : self.width]
        lists.indices[:], lists.similarities[:], lists.lengths[:] = -1, MISSING_SIMILARITY, 0
        cells, near = Cells.found(points.vectors, self.seed, _FIRST_CELLS)
        members, _ = by_cell(cells.of_row, cells.count)
        rows = np.arange(n, dtype=np.int32)
        looked_into = 0
        while True:
            _search(points, lists, rows, cells, near[:, looked_into:])
            looked_into = near.shape[1]
            recall, before, passes = _recall(wanted, lists.indices[sample, : self.width]), -1.0, 0
            met = np.zeros(lists.indices.shape, np.bool_)
            while before + _GAIN < recall < _RECALL:
                listed = lists.indices.copy()
                _follow(members, listed, met, *_listing(listed, met), points.arrays, lists.arrays)
                _mark_met(listed, met, lists.indices)
                recall, before, passes = _recall(wanted, lists.indices[sample, : self.width]), recall, passes + 1
            log.info("searched cells", rows=n, looked_into=looked_into, passes=passes, recall=round(recall, 4))
            if recall >= _RECALL or looked_into == cells.count:
                return cells
            near = cells.nearest(points.vectors, min(2 * looked_into, cells.count))


def _look_into_cells(
    points: Points, lists: NeighbourLists, rows: Indices, offered: Flags, complete: Flags, cells: Cells
) -> None:
    """Offers to each of a few rows the members of its nearest cells, and the row to theirs where it is new."""
    near = cells.nearest(points.vectors[rows], min(_LATER_CELLS, cells.count))
    members, starts = by_cell(cells.of_row, cells.count)
    sizes = np.diff(starts)
    least = least_to_offer(lists, rows, complete, points.slack)
    order = np.argsort(near[:, 0], kind="stable")  # rows of one cell one after another: its vectors are then at hand
    for start in range(0, len(rows), _FEW_AT_ONCE):
        some = order[start : start + _FEW_AT_ONCE]
        most = np.where(offered[some], sizes[near[some]].sum(axis=1), 0)
        begins = np.concatenate(([0], np.cumsum(most)))
        others = np.full(begins[-1], -1, np.int32)
        _look_into(rows[some], near[some], members, starts, begins, least, points.arrays, lists.arrays, others)
        offer_found(points, lists, rows[some], begins, others, complete)


def _search(points: Points, lists: NeighbourLists, rows: Indices, cells: Cells, near: Indices) -> None:
    """Offers to each of `rows` the members of cells, `near` (len(rows), any).

    The first ones go first, so that a row's list asks for much when others follow.
    """
    members, begins = by_cell(cells.of_row, cells.count)
    for places in (near[:, :1], near[:, 1:]):
        lookers, starts = by_cell(places.ravel(), cells.count)
        lookers //= max(1, places.shape[1])
        for cell in np.flatnonzero(np.diff(starts)):
            inside = members[begins[cell] : begins[cell + 1]]
            theirs = points.vectors[inside].T
            those = rows[lookers[starts[cell] : starts[cell + 1]]]
            for start in range(0, len(those), _AT_ONCE):
                part = those[start : start + _AT_ONCE]
                _offer_members(points.vectors[part] @ theirs, part, inside, points.arrays, lists.arrays)


def _recall(true: Indices, found: Indices) -> float:
    wanted = int((true >= 0).sum())
    hit = sum(int(np.isin(one[one >= 0], other).sum()) for one, other in zip(true, found, strict=True))
    return hit / wanted if wanted else 1.0


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
                offer_new(row, as_int64(members[number]), points, lists, as_flag(True))
                least = _least(lists, row, points.slack)


@kernel(parallel=True)
def _look_into(
    rows: Indices,
    near: Indices,
    members: Indices,
    starts: Labels,
    begins: Offsets,
    least: Vectors,
    points: PointArrays,
    lists: NeighbourListArrays,
    others: Indices,
) -> None:
    """Offers the members of its cells to each row's list (mutated), and notes from `begins` on whose lists it may enter.

    Args:
        rows: (m,)
        near: (m, any) their cells.
        members: (n,) rows, cell after cell.
        starts: (cells + 1,) where each cell begins.
        begins: (m + 1,) where in `others` each row's begin; no room for a row: none is noted.
        least: (n,) the product below which nothing enters a list.
        points: All rows.
        lists: Of all rows.
        others: Mutated.
    """
    for turn in parallel_range(len(rows)):
        row = as_int64(rows[turn])
        written = begins[turn]
        is_noted = begins[turn + 1] > written
        asked = _least(lists, row, points.slack)
        for cell in near[turn]:
            for number in range(starts[cell], starts[cell + 1]):
                other = as_int64(members[number])
                if other == row:
                    continue
                value = single(points.vectors, row, other)
                if value >= asked:
                    offer_new(row, other, points, lists, as_flag(True))
                    asked = _least(lists, row, points.slack)
                if is_noted and value >= least[other]:
                    others[written] = other
                    written += 1


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
        order: (m,) rows, similar ones near one another, whose vectors are then at hand.
        listed: (n, width) the lists before.
        met: (n, width) neighbours that stood in the list at the last pass too: two of them in a row have been looked at.
        listing: For each row, those that list it, newly.
        starts: (n + 1,) where each row's begin.
        points: All rows.
        lists: Mutated.
    """
    width = listed.shape[1]
    for turn in parallel_range(len(order)):
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
            if other >= 0 and other != row and single(points.vectors, row, other) >= least:
                offer_new(row, other, points, lists, as_flag(True))
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
