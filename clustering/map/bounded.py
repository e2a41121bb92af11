"""The map of more rows than a page draws: as many are laid out as it draws, and the others placed among these.

A row that was laid out stays so until it leaves the window, so that the map stays where its readers know it. What laying out
costs depends on how many rows are drawn, and no longer on how many there are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustering.arrays import Indices, Labels, Vectors
from clustering.kernels import as_flag, as_int64, dot, kernel
from clustering.map.layout import Layout, Positions, lay_out, placed
from clustering.neighbours.graph import NeighbourGraph
from clustering.neighbours.neighbour_lists import MISSING_SIMILARITY, NeighbourListArrays, offer
from newstide.core.settings import LayoutSettings


@dataclass(frozen=True, slots=True)
class Map:
    """Where all rows are.

    Attributes:
        positions: (n, 2).
        layout: Of the rows that were laid out: all, where a page draws as many.
    """

    positions: Positions
    layout: Layout


def lay_out_some(
    graph: NeighbourGraph,
    wanted: Labels,
    previous: Layout | None,
    *,
    settings: LayoutSettings,
    weights: str = "",
    vectors_of: Callable[[Labels], Vectors] | None = None,
) -> Map:
    """Lays out some of the rows, and places the others at the median of their nearest neighbours.

    Args:
        graph: Of all n rows.
        wanted: (m,) rows to lay out, as many as there is room for: what was laid out before takes the places of others.
        previous: The last map, or None.
        settings: Of the layout.
        weights: Fingerprint of the model that made the vectors.
        vectors_of: Gives the vectors of some rows; None: the graph's.
    """
    ids = graph.ids
    if len(wanted) >= len(ids):
        layout = lay_out(graph.vectors, graph.indices, graph.similarities, ids, previous, settings, weights)
        return Map(layout.positions, layout)
    rows = _chosen(ids, wanted, previous)
    own = np.ascontiguousarray(graph.vectors[rows] if vectors_of is None else vectors_of(rows))
    lists, alike = lists_among(rows, graph.wide_indices, graph.wide_similarities, own, graph.k)
    layout = lay_out(own, lists, alike, ids[rows], previous, settings, weights)
    positions = np.full((len(ids), 2), np.nan, np.float32)
    positions[rows] = layout.positions
    return Map(placed(positions, graph.wide_indices), layout)


def _chosen(ids: npt.NDArray[np.object_], wanted: Labels, previous: Layout | None) -> Labels:
    """As many rows as are wanted, ascending: those of the last map, the wanted ones first, then others that are wanted."""
    known = np.zeros(len(ids), np.bool_)
    if previous is not None:
        there = set(previous.ids.tolist())
        known = np.fromiter((id_ in there for id_ in ids), np.bool_, len(ids))
    order = np.concatenate([wanted[known[wanted]], np.setdiff1d(np.flatnonzero(known), wanted), wanted[~known[wanted]]])
    return np.sort(order[: len(wanted)])


def lists_among(
    rows: Labels, indices: Indices, similarities: Vectors, vectors: Vectors, k: int
) -> tuple[Indices, Vectors]:
    """The nearest of some rows among themselves, as far as the lists of all rows tell.

    A row's own list tells it, where it names enough of them; else, also the lists of those that it names.

    Args:
        rows: (m,) ascending.
        indices: (n, any) the lists of all rows, most similar first; -1 behind a list's end.
        similarities: (n, any) cosines.
        vectors: (m, dim) unit, of these rows.
        k: How many to find.

    Returns:
        (m, k) numbers from 0 to m - 1, most similar first, -1 = missing; and their cosines.
    """
    number = np.full(len(indices), -1, np.int32)
    number[rows] = np.arange(len(rows), dtype=np.int32)
    found = NeighbourListArrays(
        np.full((len(rows), k), -1, np.int32),
        np.full((len(rows), k), MISSING_SIMILARITY, np.float32),
        np.zeros(len(rows), np.int32),
    )
    _nearest_among(rows, number, indices, similarities, vectors, found)
    return found.indices, found.similarities


@kernel()
def _nearest_among(
    rows: Labels,
    number: Indices,
    indices: Indices,
    similarities: Vectors,
    vectors: Vectors,
    found: NeighbourListArrays,
) -> None:
    """Fills the lists found, which are empty. On one core: for more, compiling it takes ten times as long."""
    k = found.indices.shape[1]
    seen_by = np.full(len(rows), -1, np.int32)
    for own in range(len(rows)):
        count = 0
        for place in range(indices.shape[1]):
            near = indices[rows[own], place]
            if near >= 0 and number[near] >= 0 and count < k:
                found.indices[own, count] = number[near]
                found.similarities[own, count] = similarities[rows[own], place]
                count += 1
        if count < k:
            _find_further(own, rows[own], number, indices, vectors, seen_by, found)


@kernel()
def _find_further(
    own: int,
    row: int,
    number: Indices,
    indices: Indices,
    vectors: Vectors,
    seen_by: Indices,
    found: NeighbourListArrays,
) -> None:
    """Makes the best of those that a row lists, and of those that these list, its list; `seen_by` is changed, too."""
    for place in range(found.indices.shape[1]):
        found.indices[own, place] = -1
        found.similarities[own, place] = MISSING_SIMILARITY
    seen_by[own] = own
    width = indices.shape[1]
    for place in range(width):
        near = indices[row, place]
        if near < 0:
            continue
        for step in range(-1, width):  # the listed row itself, and then those that it lists
            further = near if step < 0 else indices[near, step]
            other = number[further] if further >= 0 else -1
            if other >= 0 and seen_by[other] != own:
                seen_by[other] = own
                value = np.float32(dot(vectors, as_int64(own), as_int64(other)))
                offer(found, as_int64(own), as_int64(other), value, as_flag(True))
