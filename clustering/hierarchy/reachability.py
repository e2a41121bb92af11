"""Core distances over the union graph.

The union graph has an edge between two rows when either lists the other. A row's core distance is its `min_samples`-th
smallest edge there (Campello, Moulavi, Sander 2013, definition 5, the row itself not counted, as hdbscan counts);
the mutual reachability of an edge is the largest of its length and its two ends' core distances (definition 8).
"""

import numpy as np

from clustering.hierarchy.lists import Floats, Indices
from clustering.kernels import chunk_count, kernel, parallel_range


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
    chunks = chunk_count()
    core = _own_core(indices, distances, min_samples)
    targets, sources, lengths = _shorter_edges_from_others(indices, distances, core, chunks)
    if len(targets):  # never for true nearest neighbours; for re-weighted or approximate lists
        order = np.lexsort((sources, targets))
        _add_edges(indices, distances, core, targets[order], sources[order], lengths[order], min_samples)
    return core


@kernel(parallel=True)
def _own_core(indices: Indices, distances: Floats, min_samples: int) -> Floats:
    n, k = indices.shape
    core = np.empty(n, distances.dtype)
    chunk = 4096
    for part in parallel_range((n + chunk - 1) // chunk):
        nearest = np.empty(min_samples, distances.dtype)
        names = np.empty(min_samples, np.int32)
        for row in range(part * chunk, min(n, (part + 1) * chunk)):
            held = 0
            for column in range(k):
                other = indices[row, column]
                if other >= 0 and other != row:
                    held = _keep_nearest(nearest, names, held, distances[row, column], other)
            core[row] = nearest[min_samples - 1] if held == min_samples else np.inf
    return core


@kernel()
def _keep_nearest(nearest: Floats, names: Indices, held: int, length: float, name: int) -> int:
    """Inserts into the ascending `nearest[:held]` if it belongs there; a name met twice keeps its smaller length."""
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
    indices: Indices, distances: Floats, core: Floats, chunks: int
) -> tuple[Indices, Indices, Floats]:
    """Edges that would lower the core distance of their target, which does not list them (or lists them longer)."""
    n, k = indices.shape
    counts = np.zeros(chunks + 1, np.int64)
    for part in parallel_range(chunks):
        for row in range(part * n // chunks, (part + 1) * n // chunks):
            for column in range(k):
                if _lowers_core(indices, distances, core, row, column):
                    counts[part + 1] += 1
    starts = np.cumsum(counts)
    targets = np.empty(starts[chunks], np.int32)
    sources = np.empty(starts[chunks], np.int32)
    lengths = np.empty(starts[chunks], distances.dtype)
    for part in parallel_range(chunks):
        place = starts[part]
        if starts[part + 1] > place:
            for row in range(part * n // chunks, (part + 1) * n // chunks):
                for column in range(k):
                    if _lowers_core(indices, distances, core, row, column):
                        targets[place] = indices[row, column]
                        sources[place] = row
                        lengths[place] = distances[row, column]
                        place += 1
    return targets, sources, lengths


@kernel()
def _lowers_core(indices: Indices, distances: Floats, core: Floats, row: int, column: int) -> bool:
    """Whether the neighbour in that place is nearer than its core distance, and does not list `row` at that length."""
    other, length = indices[row, column], distances[row, column]
    if other < 0 or other == row or length >= core[other]:
        return False
    for place in range(indices.shape[1]):  # noqa: SIM110 - compiled
        if indices[other, place] == row and distances[other, place] <= length:
            return False
    return True


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
    """Lowers `core` (mutated) of the rows in the ascending `targets` by the edges that reach them."""
    nearest = np.empty(min_samples, distances.dtype)
    names = np.empty(min_samples, np.int32)
    edge = 0
    while edge < len(targets):
        row = targets[edge]
        held = 0
        for column in range(indices.shape[1]):
            other = indices[row, column]
            if other >= 0 and other != row:
                held = _keep_nearest(nearest, names, held, distances[row, column], other)
        while edge < len(targets) and targets[edge] == row:
            held = _keep_nearest(nearest, names, held, lengths[edge], sources[edge])
            edge += 1
        if held == min_samples:
            core[row] = nearest[min_samples - 1]
