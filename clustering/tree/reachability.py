"""Core distances over the union graph.

The union graph has an edge between two rows when either lists the other. A row's core distance is its `min_samples`-th
smallest edge there (Campello, Moulavi, Sander 2013, definition 5, the row itself not counted, as hdbscan counts);
the mutual reachability of an edge is the largest of its length and its two ends' core distances (definition 8).
"""

import numpy as np

from clustering.arrays import Floats, Indices
from clustering.kernels import BLOCK, as_int64, kernel, parallel_range


def core_distances(indices: Indices, distances: Floats, min_samples: int) -> Floats:
    """The `min_samples`-th smallest edge of every row in the union graph.

    Args:
        indices: (n, k), -1 = missing, own row ignored.
        distances: (n, k), finite and >= 0 where the neighbour is not missing. Where two rows list each other with
            different distances, the smaller one counts.
        min_samples: >= 1.

    Returns:
        (n,) of the type of `distances`; infinite for a row with fewer edges.
    """
    core, names, nearest = _own_core(indices, distances, min_samples)
    targets, sources, lengths = _shorter_edges_from_others(indices, distances, core, names, nearest)
    del names, nearest
    if len(targets):  # never for true nearest neighbours; for re-weighted or approximate lists
        order = np.lexsort((sources, targets))
        _add_edges(indices, distances, core, targets[order], sources[order], lengths[order], min_samples)
    return core


@kernel(parallel=True)
def _own_core(indices: Indices, distances: Floats, min_samples: int) -> tuple[Floats, Indices, Floats]:
    """What each row's own list says: its core distance, and the rows and lengths of its nearest edges.

    Returns:
        Core distances (n,), infinite where a list is too short; row numbers (n, min_samples), -1 = none; and lengths
        (n, min_samples), ascending, inf = none.
    """
    n, k = indices.shape
    core = np.empty(n, distances.dtype)
    names = np.full((n, min_samples), -1, np.int32)
    nearest = np.full((n, min_samples), np.inf, distances.dtype)
    for row in parallel_range(n):
        held = as_int64(0)
        for column in range(k):
            other = indices[row, column]
            if other >= 0 and other != row:
                held = _keep_nearest(nearest[row], names[row], held, distances[row, column], other)
        core[row] = nearest[row, min_samples - 1]
    return core, names, nearest


@kernel()
def _keep_nearest(nearest: Floats, names: Indices, held: int, length: float, name: int) -> int:
    """Inserts an edge into the ascending lengths `nearest[:held]` and their rows `names` (mutated) where it belongs.

    An edge that is longer than all of a full list is left out. Of a row that comes twice the smaller length stays.

    Returns:
        How many edges the list holds now.
    """
    most = nearest.shape[0]
    if held == most and length >= nearest[most - 1]:
        return held
    end = held
    for place in range(held):
        if names[place] == name:
            if length >= nearest[place]:
                return held
            end = place
            break
    if end == held:
        if held < most:
            held += 1
        else:
            end = most - 1
    while end > 0 and nearest[end - 1] > length:
        nearest[end] = nearest[end - 1]
        names[end] = names[end - 1]
        end -= 1
    nearest[end] = length
    names[end] = name
    return held


@kernel(parallel=True)
def _shorter_edges_from_others(
    indices: Indices, distances: Floats, core: Floats, names: Indices, nearest: Floats
) -> tuple[Indices, Indices, Floats]:
    """The edges that lower the core distance of their target, which does not list them, or lists them as longer.

    Returns:
        Targets, sources and lengths, each (edges,): the source lists the target.
    """
    n = len(indices)
    blocks = (n + BLOCK - 1) // BLOCK
    starts = np.zeros(blocks + 1, np.int64)
    for block in parallel_range(blocks):
        rows, _ = _lowering_edges(indices, distances, core, names, nearest, as_int64(block))
        starts[block + 1] = len(rows)
    for block in range(blocks):
        starts[block + 1] += starts[block]
    targets = np.empty(starts[blocks], np.int32)
    sources = np.empty(starts[blocks], np.int32)
    lengths = np.empty(starts[blocks], distances.dtype)
    for block in parallel_range(blocks):
        if starts[block + 1] > starts[block]:
            rows, columns = _lowering_edges(indices, distances, core, names, nearest, as_int64(block))
            for edge in range(len(rows)):
                place, row, column = starts[block] + edge, rows[edge], columns[edge]
                targets[place] = indices[row, column]
                sources[place] = row
                lengths[place] = distances[row, column]
    return targets, sources, lengths


@kernel()
def _lowering_edges(
    indices: Indices, distances: Floats, core: Floats, names: Indices, nearest: Floats, block: int
) -> tuple[Indices, Indices]:
    """The edges of one block of rows that are shorter than their target's core distance, and that the target lacks.

    Each step is made for the whole block before the next step begins. If each edge were followed to its end first, the
    processor would wait for memory at every branch that it predicted wrongly.

    Returns:
        The edges' rows and columns in the lists.
    """
    n, k = indices.shape
    start, end = block * BLOCK, min(n, (block + 1) * BLOCK)
    reach = np.empty((end - start, k), core.dtype)
    for row in range(start, end):
        for column in range(k):
            reach[row - start, column] = core[max(0, indices[row, column])]
    rows, columns = np.empty(reach.size, np.int32), np.empty(reach.size, np.int32)
    held = 0
    for row in range(start, end):
        for column in range(k):
            rows[held], columns[held] = row, column
            other = indices[row, column]
            held += distances[row, column] < reach[row - start, column] and other >= 0 and other != row
    known = np.zeros(held, np.bool_)
    for place in range(names.shape[1]):
        for edge in range(held):
            row, column = rows[edge], columns[edge]
            other = indices[row, column]
            known[edge] |= (names[other, place] == row) & (nearest[other, place] <= distances[row, column])
    left = np.flatnonzero(~known)
    return rows[left], columns[left]


@kernel()
def _add_edges(
    indices: Indices,
    distances: Floats,
    core: Floats,
    targets: Indices,
    sources: Indices,
    lengths: Floats,
    min_samples: int,
) -> None:
    """Lowers the core distances `core` (mutated) of the rows `targets` (ascending) by the edges that reach them."""
    nearest = np.empty(min_samples, distances.dtype)
    names = np.empty(min_samples, np.int32)
    edge = 0
    while edge < len(targets):
        row = targets[edge]
        held = as_int64(0)
        for column in range(indices.shape[1]):
            other = indices[row, column]
            if other >= 0 and other != row:
                held = _keep_nearest(nearest, names, held, distances[row, column], other)
        while edge < len(targets) and targets[edge] == row:
            held = _keep_nearest(nearest, names, held, lengths[edge], sources[edge])
            edge += 1
        if held == min_samples:
            core[row] = nearest[min_samples - 1]
