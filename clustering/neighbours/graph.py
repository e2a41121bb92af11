"""The top-k graph of one window, and the function that brings it up to date."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from clustering.arguments import as_array
from clustering.arrays import Flags, Indices, Labels, Vectors
from clustering.neighbours.cells import Cells
from clustering.neighbours.neighbour_lists import NeighbourLists, Points, Searcher, carried_over, gather
from clustering.neighbours.vector_file import Stored
from newstide.core.errors import InvalidGraph

FetchVectors = Callable[[Sequence[str]], Vectors]

_FETCHED_AT_ONCE = 20_000  # ids a call of `fetch_vectors`


@dataclass(frozen=True, slots=True)
class NeighbourGraph:
    """The nearest neighbours of every row by plain cosine.

    Attributes:
        ids: (n,) of str, ascending; row numbers follow their order, which makes all that follows deterministic.
        vectors: (n, dim) the stored embeddings.
        wide_indices: (n, k + spare) lists with neighbours in reserve; -1 behind a list's end.
        wide_similarities: (n, k + spare) cosines; -1 behind a list's end.
        k: How many neighbours are to be used.
        exact: Whether every list came from an exact searcher.
        cells: What the searcher of cells keeps for the next update; None: nothing.
        stored: Where its vectors lie on disk; None: nowhere.
    """

    ids: npt.NDArray[np.object_]
    vectors: Vectors
    wide_indices: Indices
    wide_similarities: Vectors
    k: int
    exact: bool = True
    cells: Cells | None = None
    stored: Stored | None = None

    @property
    def indices(self) -> Indices:
        """(n, k) rows of the nearest others, most similar first, smaller row first among equals; -1 = missing."""
        return self.wide_indices[:, : self.k]

    @property
    def similarities(self) -> Vectors:
        """(n, k) their cosines; -1 where the neighbour is missing."""
        return self.wide_similarities[:, : self.k]


@dataclass(frozen=True, slots=True)
class GraphReport:
    """What an update of the graph did.

    Attributes:
        new: Rows that the last graph did not hold.
        removed: Rows that left.
        repaired: Rows that stayed, and were searched again as their lists had become too short.
        searched: Rows searched, all together.
        rebuilt: Whether every row was searched.
        reason: Why, where it was rebuilt.
        recall: Share of a sample's true neighbours that their lists held before a rebuild; None = exact, not measured.
        seconds: Duration.
    """

    new: int
    removed: int
    repaired: int
    searched: int
    rebuilt: bool
    reason: str
    recall: float | None
    seconds: float


def update_graph(
    previous: NeighbourGraph | None,
    ids: Sequence[str],
    fetch_vectors: FetchVectors,
    searcher: Searcher,
    *,
    k: int,
    spare: int,
    doubted: Collection[str] = (),
    vector_sample: int = 0,
    recall_sample: int = 200,
    recall_floor: float = 0.95,
    seed: int = 42,
) -> tuple[NeighbourGraph, GraphReport]:
    """Brings the graph to a new set of rows, at a cost that grows with the new rows.

    Args:
        previous: The last graph, or None.
        ids: The rows there are now, in any order, none twice.
        fetch_vectors: Gives the vectors (m, dim) of ids in their order; asked only for rows that `previous` lacks, or whose
            vectors are to be compared.
        searcher: Where neighbours come from.
        k: Neighbours a row.
        spare: Neighbours kept in reserve for when others leave.
        doubted: Ids that may have another vector than in `previous`, such as rows that were removed and came again. Their
            vectors are fetched; one that differs is taken for a row that left and another that came.
        vector_sample: Further vectors of `previous` to compare; one that differs makes the graph be built anew.
        recall_sample: NeighbourLists to check against a fresh search, where the searcher is not exact.
        recall_floor: A smaller recall than this makes all rows be searched again.
        seed: Of the samples; give each run one of its own, so that all rows have their turn.

    Raises:
        InvalidGraph: An id stands twice, `fetch_vectors` gives something else than one unit vector an id, or k or spare are
            out of range.
    """
    started = time.perf_counter()
    _require_widths(k, spare)
    names, old_row = _numbered(previous, ids)
    stale = ""
    if previous is not None:
        suspects, sample = _to_compare(names, old_row, doubted, vector_sample, seed)
        if len(changed := _changed(previous, names, old_row, sample, fetch_vectors)):
            stale = f"the vector of {names[changed[0]]!r} is no longer the one that was kept"
            previous, old_row = None, np.full(len(names), -1, np.int32)
        else:
            old_row[_changed(previous, names, old_row, suspects, fetch_vectors)] = -1
    n, width = len(names), k + spare
    is_new = old_row < 0
    vectors = _vectors(previous, names, old_row, fetch_vectors)
    kept_cells = None if previous is None or previous.cells is None else previous.cells.carried_over(old_row)
    stored = None if previous is None or previous.stored is None else previous.stored.carried_over(old_row)
    points = Points.of(names, vectors, kept_cells)
    lists, reason = _kept_lists(previous, old_row, width, exact=searcher.exact)
    reason = stale or reason
    kept = n - int(is_new.sum())
    complete = ~is_new & (lists.lengths == kept - 1)
    short = ~is_new & ~complete & (lists.lengths < k)
    recall = None
    is_searched = np.ones(n, np.bool_) if reason else is_new | short
    cells = _fill(searcher, points, lists, is_searched, is_new, complete)
    if not searcher.exact and not reason and recall_sample and n > 1:
        recall = _measured_recall(searcher.judge, points, lists, min(k, n - 1), recall_sample, seed)
        if recall < recall_floor:
            reason = f"the lists' recall was {recall:.3f}, below {recall_floor:.3f}"
            is_searched = np.ones(n, np.bool_)
            cells = _fill(searcher, points, lists, is_searched, is_new, complete)
    report = GraphReport(
        new=n - kept,
        removed=(0 if previous is None else len(previous.ids)) - kept,
        repaired=0 if reason else int(short.sum()),
        searched=int(is_searched.sum()),
        rebuilt=bool(reason),
        reason=reason,
        recall=recall,
        seconds=time.perf_counter() - started,
    )
    graph = NeighbourGraph(
        _as_objects(names), vectors, lists.indices, lists.similarities, k, searcher.exact, cells, stored
    )
    return graph, report


def choose_searcher(
    setting: Literal["auto", "exact", "cells", "milvus"],
    rows: int,
    *,
    is_lite: bool,
    exact_rows: int,
    previous: NeighbourGraph | None = None,
) -> Literal["exact", "cells", "milvus"]:
    """On Milvus Lite, whose index compares all rows, blocks in this process: exact ones up to a size, then within cells.

    Otherwise Milvus, which scales out. An exact graph cannot go on from one of cells, and searches all rows: where the
    previous graph is one of cells, it takes a fifth fewer rows to come back, so that a number of rows that rises and falls
    about the limit costs that once.
    """
    if setting != "auto":
        return setting
    if not is_lite:
        return "milvus"
    most = exact_rows if previous is None or previous.exact else exact_rows * 4 // 5
    return "exact" if rows <= most else "cells"


def _require_widths(k: int, spare: int) -> None:
    whole = all(isinstance(one, int | np.integer) and not isinstance(one, bool) for one in (k, spare))
    if not whole or k < 1 or spare < 0:
        raise InvalidGraph(
            f"k is {k!r} and spare is {spare!r}.", "Give whole numbers: a k of at least 1 and a spare of at least 0."
        )


def _require_ids(ids: Sequence[str]) -> None:
    if isinstance(ids, str | bytes) or not isinstance(ids, Collection):
        raise InvalidGraph(f"The ids are {ids!r:.80}.", "Give a list of texts, one per row.")
    for wrong in (one for one in ids if not isinstance(one, str)):
        raise InvalidGraph(f"An id is {wrong!r:.80}.", "Give a list of texts, one per row.")


def _numbered(previous: NeighbourGraph | None, ids: Sequence[str]) -> tuple[list[str], Indices]:
    """The ids in ascending order, and each one's row in the last graph, -1 = new."""
    _require_ids(ids)
    present = set(ids)
    if len(present) != len(ids):
        twice = next(one for one, two in pairwise(sorted(ids)) if one == two)
        raise InvalidGraph(f"The id {twice!r} stands twice.", "Give each row once.")
    if previous is None:
        return sorted(present), np.full(len(present), -1, np.int32)
    rows = {name: row for row, name in enumerate(previous.ids.tolist())}
    names = [name for name in rows if name in present]
    names += sorted(present.difference(rows))
    names.sort()  # two ascending runs: merged, not sorted
    return names, np.fromiter(map(rows.get, names, repeat(-1)), np.int32, len(names))


def _to_compare(
    names: Sequence[str], old_row: Indices, doubted: Collection[str], sample: int, seed: int
) -> tuple[Labels, Labels]:
    """The rows that stay whose vectors are compared: those in doubt, and a sample of the others."""
    kept = np.flatnonzero(old_row >= 0)
    is_doubted = np.fromiter((names[row] in doubted for row in kept.tolist()), np.bool_, len(kept))
    others = kept[~is_doubted]
    some = np.random.default_rng(seed).choice(len(others), min(sample, len(others)), replace=False)
    return kept[is_doubted], np.sort(others[some])


def _changed(
    previous: NeighbourGraph,
    names: Sequence[str],
    old_row: Indices,
    rows: Labels,
    fetch_vectors: FetchVectors,
) -> Labels:
    """Those of `rows`, all of them in the last graph, whose vectors have changed."""
    found = [rows[:0]]
    for part, vectors in _fetched(names, rows, fetch_vectors):
        before = previous.vectors[old_row[part]]
        same = vectors.shape == before.shape
        found.append(part[(vectors != before).any(axis=1)] if same else part)
    return np.concatenate(found)


def _fetched(names: Sequence[str], rows: Labels, fetch_vectors: FetchVectors) -> Iterator[tuple[Labels, Vectors]]:
    """Yields some row numbers at a time, with their vectors."""
    for start in range(0, len(rows), _FETCHED_AT_ONCE):
        part = rows[start : start + _FETCHED_AT_ONCE]
        yield part, _as_vectors(fetch_vectors([names[row] for row in part]))


def _as_vectors(fetched: Any) -> Vectors:
    vectors = as_array("The fetched vectors", fetched)
    if vectors.dtype.kind not in "fiu" or vectors.ndim != 2:
        raise InvalidGraph(
            f"fetch_vectors gives {fetched!r:.80}.", "It is to give one vector per id, as an array of two dimensions."
        )
    return vectors.astype(np.float32, copy=False)


def _vectors(
    previous: NeighbourGraph | None, names: Sequence[str], old_row: Indices, fetch_vectors: FetchVectors
) -> Vectors:
    """The vectors of all rows: from the last graph where it has them, else fetched."""
    new = np.flatnonzero(old_row < 0)
    if previous is not None and not len(new) and len(names) == len(previous.ids):
        return previous.vectors
    vectors = None
    if previous is not None and len(new) < len(names):
        vectors = np.empty((len(names), previous.vectors.shape[1]), np.float32)
        gather(previous.vectors, old_row, vectors)
    for part, fetched in _fetched(names, new, fetch_vectors):
        if vectors is None:
            vectors = np.empty((len(names), fetched.shape[-1]), np.float32)
        if fetched.shape != (len(part), vectors.shape[1]):
            raise InvalidGraph(
                f"{len(part)} vectors of dimension {vectors.shape[1]} were asked for, and {fetched.shape} came.",
                "Rows were deleted meanwhile, or the model changed: choose the rows anew.",
            )
        vectors[part] = fetched
    if vectors is None:
        return np.empty((0, 0 if previous is None else previous.vectors.shape[1]), np.float32)
    return vectors


def _kept_lists(
    previous: NeighbourGraph | None, old_row: Indices, width: int, *, exact: bool
) -> tuple[NeighbourLists, str]:
    """The lists of the last graph that can be kept; where none can, the reason."""
    n = len(old_row)
    if previous is None:
        return NeighbourLists.empty(n, width), "there was no graph"
    if previous.wide_indices.shape[1] != width:
        return NeighbourLists.empty(n, width), f"lists are {width} wide now, and were {previous.wide_indices.shape[1]}"
    if exact and not previous.exact:
        return NeighbourLists.empty(
            n, width
        ), "lists are to be exact now, and came from a search that may miss neighbours"
    if not (old_row >= 0).any():
        return NeighbourLists.empty(n, width), "no row of the last graph is left"
    new_row = np.full(len(previous.ids), -1, np.int32)
    kept = np.flatnonzero(old_row >= 0).astype(np.int32)
    new_row[old_row[kept]] = kept
    return carried_over(previous.wide_indices, previous.wide_similarities, new_row, old_row), ""


def _fill(
    searcher: Searcher,
    points: Points,
    lists: NeighbourLists,
    is_searched: Flags,
    is_new: Flags,
    complete: Flags,
) -> Cells | None:
    rows = np.flatnonzero(is_searched).astype(np.int32)
    if not len(rows):
        return points.cells
    offered = is_new[rows] & (not is_searched.all())
    return searcher.fill(points, lists, rows, offered, complete)


def _measured_recall(
    searcher: Searcher, points: Points, lists: NeighbourLists, k: int, sample: int, seed: int
) -> float:
    """Share of the nearest `k` by a fresh search that the lists of sampled rows hold."""
    n = len(points.vectors)
    rows = np.sort(np.random.default_rng(seed).choice(n, min(sample, n), replace=False)).astype(np.int32)
    fresh = NeighbourLists.unwritten(n, lists.indices.shape[1])
    nothing = np.zeros(len(rows), np.bool_)
    searcher.fill(points, fresh, rows, nothing, np.zeros(n, np.bool_))
    found = wanted = 0
    for row in rows:
        true = fresh.indices[row, :k]
        true = true[true >= 0]
        wanted += len(true)
        found += int(np.isin(true, lists.indices[row, :k]).sum())
    return found / wanted if wanted else 1.0


def _as_objects(names: Sequence[str]) -> npt.NDArray[np.object_]:
    result: npt.NDArray[Any] = np.empty(len(names), object)
    result[:] = names
    return result
