"""Puts new rows into the lists of old ones, where not all rows are compared.

A new row is offered to its own neighbours, to the rows that these list, and to the rows that list these. That misses few
of the lists that the row belongs in; every run measures the recall.
"""

import numpy as np

from clustering.arrays import Flags, Indices, Offsets, Vectors
from clustering.kernels import as_int64, kernel, parallel_range
from clustering.neighbours.exact import least_to_offer
from clustering.neighbours.neighbour_lists import (
    NeighbourListArrays,
    NeighbourLists,
    PointArrays,
    Points,
    offer_new,
    single,
)

_AT_ONCE = 2_000  # new rows whose candidates are held at a time


def offer_nearby(points: Points, lists: NeighbourLists, rows: Indices, offered: Flags, complete: Flags) -> None:
    """Offers new rows, whose own lists are found, to the lists (mutated) of the rows near them.

    Args:
        points: All rows.
        lists: Of all rows.
        rows: Row numbers that were searched; nothing is offered to them.
        offered: (len(rows),) which of them are new.
        complete: (n,) see `Searcher.fill`.
    """
    new = rows[offered]
    least = least_to_offer(lists, rows, complete, points.slack)
    wanted = np.zeros(len(lists.lengths), np.bool_)
    wanted[lists.indices[new][lists.indices[new] >= 0]] = True
    starts, listers = _listers_of(wanted, lists.indices)
    for start in range(0, len(new), _AT_ONCE):
        some = new[start : start + _AT_ONCE]
        begins = np.concatenate(([0], np.cumsum(_most(some, starts, lists.arrays))))
        others = np.full(begins[-1], -1, np.int32)
        _find(some, begins, starts, listers, least, points.arrays, lists.arrays, others)
        offer_found(points, lists, some, begins, others, complete)


def offer_found(
    points: Points, lists: NeighbourLists, rows: Indices, begins: Offsets, others: Indices, complete: Flags
) -> None:
    """Offers rows to the lists (mutated) of those that were found for them, and that do not have them yet.

    Args:
        points: All rows.
        lists: Of all rows.
        rows: Row numbers.
        begins: (len(rows) + 1,) where in `others` what was found for each row begins.
        others: Row numbers, -1 = none.
        complete: (n,) see `Searcher.fill`.
    """
    found = np.flatnonzero(others >= 0)
    offering = rows[np.searchsorted(begins, found, side="right") - 1]
    others = others[found]
    order = np.argsort(others, kind="stable")
    others, offering = others[order], offering[order]
    ends = np.flatnonzero(np.diff(others, append=-1)) + 1
    _offer_groups(others, offering, ends, complete, points.arrays, lists.arrays)


@kernel()
def _listers_of(wanted: Flags, indices: Indices) -> tuple[Offsets, Indices]:
    """The listers of each wanted row: the rows that list row i are `listers[starts[i]:starts[i + 1]]`."""
    n, width = indices.shape
    starts = np.zeros(n + 1, np.int64)
    for row in range(n):
        for place in range(width):
            other = indices[row, place]
            if other >= 0 and wanted[other]:
                starts[other + 1] += 1
    starts = np.cumsum(starts)
    filled = starts[:-1].copy()
    listers = np.empty(starts[n], np.int32)
    for row in range(n):
        for place in range(width):
            other = indices[row, place]
            if other >= 0 and wanted[other]:
                listers[filled[other]] = row
                filled[other] += 1
    return starts, listers


@kernel()
def _most(new: Indices, starts: Offsets, lists: NeighbourListArrays) -> Offsets:
    """(len(new),) how many rows each new row may be offered to, at most."""
    most = np.zeros(len(new), np.int64)
    for turn in range(len(new)):
        for place in range(lists.lengths[new[turn]]):
            hit = lists.indices[new[turn], place]
            most[turn] += 1 + lists.lengths[hit] + starts[hit + 1] - starts[hit]
    return most


@kernel(parallel=True)
def _find(
    new: Indices,
    begins: Offsets,
    starts: Offsets,
    listers: Indices,
    least: Vectors,
    points: PointArrays,
    lists: NeighbourListArrays,
    others: Indices,
) -> None:
    """Writes, from `begins` on, the rows whose lists each new row may enter into `others`."""
    for turn in parallel_range(len(new)):
        row = as_int64(new[turn])
        near = np.empty(begins[turn + 1] - begins[turn], np.int32)
        count = 0
        for place in range(lists.lengths[row]):
            hit = lists.indices[row, place]
            near[count] = hit
            count += 1
            for further in range(lists.lengths[hit]):
                near[count] = lists.indices[hit, further]
                count += 1
            for number in range(starts[hit], starts[hit + 1]):
                near[count] = listers[number]
                count += 1
        written = begins[turn]
        for candidate in np.unique(near[:count]):
            other = as_int64(candidate)
            if other != row and least[other] < np.inf and single(points.vectors, row, other) >= least[other]:
                others[written] = other
                written += 1


@kernel(parallel=True)
def _offer_groups(
    others: Indices,
    offering: Indices,
    ends: Offsets,
    complete: Flags,
    points: PointArrays,
    lists: NeighbourListArrays,
) -> None:
    """Offers the rows `offering` to the lists (mutated) of `others`, which stand in groups of equal rows."""
    for group in parallel_range(len(ends)):
        for number in range(ends[group - 1] if group else 0, ends[group]):
            other, row = as_int64(others[number]), as_int64(offering[number])
            offer_new(other, row, points, lists, complete[other])
