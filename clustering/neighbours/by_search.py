"""The Milvus searcher: batched searches, in any Milvus, through a function that the caller gives.

Hits are ranked anew from the vectors at hand, so that lists are those of the exact searcher wherever the index is exact.
A search gives a new row's own neighbours; where the new row belongs in the lists of others is found near it (`insertion`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from clustering.arrays import Flags, Indices, Vectors
from clustering.kernels import as_int64, kernel, parallel_range
from clustering.neighbours.insertion import offer_nearby
from clustering.neighbours.neighbour_lists import (
    NeighbourListArrays,
    NeighbourLists,
    PointArrays,
    Points,
    similarity,
    write_ranked,
)

_MOST_HITS = 16_384  # of one query, by a Milvus server
_HEADROOM = 8  # hits beyond the list, for the row itself and for ties at its end


class Hits(Protocol):
    """The hits of a search."""

    @property
    def ids(self) -> npt.NDArray[np.object_]:
        """(m, limit) most similar first; empty or None behind the last hit."""
        ...


SearchVectors = Callable[[Vectors, int, str], Hits]


@dataclass(frozen=True, slots=True)
class MilvusSearcher:
    """Searches in Milvus.

    Args:
        search: Takes vectors (m, dim), a limit of hits and a filter; the limits of Milvus on one request are its business.
        where: Filter of the window.
        batch_rows: Rows whose hits are held in memory at once; fewer, in proportion, where more hits a row are asked for.
    """

    search: SearchVectors
    where: str = ""
    batch_rows: int = 8192

    @property
    def exact(self) -> bool:
        """False: an index may miss neighbours, and so may the insertion into old lists."""
        return False

    @property
    def judge(self) -> "MilvusSearcher":
        """Itself: what its index misses is the index's business."""
        return self

    def fill(self, points: Points, lists: NeighbourLists, rows: Indices, offered: Flags, complete: Flags) -> None:
        """See `Searcher.fill`."""
        row_of = {name: row for row, name in enumerate(points.ids)}
        limit = fewest = min(_MOST_HITS, lists.indices.shape[1] + 1 + _HEADROOM)
        unclear = rows
        while len(unclear):
            at_once = max(1, self.batch_rows * fewest // limit)
            parts = [unclear[start : start + at_once] for start in range(0, len(unclear), at_once)]
            unclear = np.concatenate([self._search(points, lists, part, row_of, limit) for part in parts])
            if limit == _MOST_HITS:
                break
            limit = min(_MOST_HITS, 4 * limit)
        if offered.any():
            offer_nearby(points, lists, rows, offered, complete)

    def _search(
        self, points: Points, lists: NeighbourLists, rows: Indices, row_of: dict[str, int], limit: int
    ) -> Indices:
        """Searches `rows` for `limit` hits each; returns the rows whose lists may not be complete."""
        ids = self.search(points.vectors[rows], limit, self.where).ids
        hits = _as_rows(ids, row_of)
        full = np.array([len(line) >= limit and bool(line[limit - 1]) for line in ids], np.bool_)
        unclear = _rank(hits, full, rows, points.arrays, lists.arrays)
        return rows[unclear]


def _as_rows(ids: npt.NDArray[Any], row_of: dict[str, int]) -> Indices:
    """Hits as row numbers, ascending, -1 for those that are not among the rows (a row that came meanwhile) or missing."""
    get = row_of.get
    rows = np.array([[get(name, -1) for name in line] for line in ids], np.int32).reshape(len(ids), -1)
    rows.sort(axis=1)
    return rows


@kernel(parallel=True)
def _rank(hits: Indices, full: Flags, rows: Indices, points: PointArrays, lists: NeighbourListArrays) -> Flags:
    """Makes the hits the lists of `rows`; which lists more hits might change.

    That is so when all hits asked for came, and the last is no less similar (up to rounding) than the list's last.
    """
    vectors, norms, slack = points.vectors, points.norms, points.slack
    similarities, lengths = lists.similarities, lists.lengths
    width = similarities.shape[1]
    unclear = np.zeros(len(rows), np.bool_)
    for place in parallel_range(len(rows)):
        row = rows[place]
        candidates = np.empty(hits.shape[1], np.int32)
        values = np.empty(hits.shape[1], np.float32)
        count = 0
        lowest = np.float32(2.0)
        for number in range(hits.shape[1]):
            hit = hits[place, number]
            if hit < 0 or hit == row or (count > 0 and hit == candidates[count - 1]):
                continue
            candidates[count] = hit
            values[count] = similarity(vectors, norms, as_int64(row), as_int64(hit))
            lowest = min(lowest, values[count])
            count += 1
        write_ranked(lists, row, candidates[:count], values[:count])
        if full[place]:
            length = lengths[row]
            unclear[place] = length < width or similarities[row, width - 1] <= lowest + np.float32(slack)
    return unclear
