"""The minimum spanning forest of the union graph by mutual reachability: Boruvka's algorithm, without ties.

The union graph has an edge between two rows when either lists the other. Edges are ordered by (weight, smaller row, larger
row), called the total order below. No two edges are equal in it, so there is exactly one minimum spanning forest, which
every number of threads finds. Weights are computed from the lists when they are needed. The only further array of the
lists' size holds the edges that cross between trees after the first round.

In large collections most of the time goes into reading rows that lie far apart in memory, so each pass reads as few of them
as it can.
"""

from typing import NamedTuple

import numpy as np

from clustering.arrays import Edges, Flags, Floats, Indices, Offsets, Values
from clustering.kernels import BLOCK, as_int64, chunk_count, kernel, parallel_range


def spanning_forest(indices: Indices, distances: Floats, core: Floats) -> tuple[Edges, Values, Indices]:
    """The minimum spanning forest by mutual reachability.

    Args:
        indices: (n, k), -1 = missing, own row ignored.
        distances: (n, k).
        core: (n,) core distances of the same type; edges of rows with an infinite one are left out.

    Returns:
        Edges (m, 2), smaller row first, in no particular order, but always in the same; their weights (m,); and each row's
        component (n,), numbered from 0 in the order of the components' trees.
    """
    chunks = chunk_count()
    weight, other = _nearest_listed(indices, distances, core)
    _offer_to_others(*_lighter_edges_from_others(indices, distances, core, weight, other, chunks), weight, other)
    tree, trees = _join(other)
    rows = np.flatnonzero(_gives_edge(other)).astype(np.int32)
    edges, weights = [_as_edges(rows, other[rows])], [weight[rows].astype(np.float64)]
    del weight, other, rows
    live = _crossing_edges(indices, distances, core, tree, chunks)
    component = tree
    while trees > 1:
        best = _lightest_crossing(live, trees)
        other = _other_tree(best, live)
        tree, joined = _join(other)
        if joined == trees:
            break
        chosen = best[np.flatnonzero(_gives_edge(other))]
        edges.append(np.stack((live.first[chosen], live.second[chosen]), axis=1))
        weights.append(live.weights[chosen].astype(np.float64))
        component, trees = tree[component], joined
        _drop_inner_edges(live, tree)
    return np.concatenate(edges), np.concatenate(weights), component


def _as_edges(first: Indices, second: Indices) -> Edges:
    return np.stack((np.minimum(first, second), np.maximum(first, second)), axis=1)


@kernel()
def _precedes(weight: float, first: int, second: int, than_weight: float, than_first: int, than_second: int) -> bool:
    """Whether the edge (`first`, `second`) comes before the other edge in the total order; `first` < `second`."""
    if weight != than_weight:
        return weight < than_weight
    if first != than_first:
        return first < than_first
    return second < than_second


@kernel(parallel=True)
def _nearest_listed(indices: Indices, distances: Floats, core: Floats) -> tuple[Floats, Indices]:
    """The first edge, in the total order, that each row lists: its weight (inf = none) and its other end (-1 = none)."""
    n, k = indices.shape
    weight = np.empty(n, distances.dtype)
    end = np.empty(n, np.int32)
    for number in parallel_range(n):
        row = as_int64(number)
        lightest = np.inf
        nearest = -1
        if core[row] < np.inf:
            for column in range(k):
                other = indices[row, column]
                if other < 0 or other == row or distances[row, column] > lightest:
                    continue
                reach = max(distances[row, column], core[row], core[other])
                if reach < lightest or (
                    reach == lightest
                    and reach < np.inf
                    and _precedes(reach, min(row, other), max(row, other), reach, min(row, nearest), max(row, nearest))
                ):
                    lightest = reach
                    nearest = other
        weight[row] = lightest
        end[row] = nearest
    return weight, end


@kernel(parallel=True)
def _lighter_edges_from_others(
    indices: Indices, distances: Floats, core: Floats, weight: Floats, end: Indices, chunks: int
) -> tuple[Indices, Indices, Floats]:
    """The edges that come before the first edge that their target lists itself.

    Args:
        indices: (n, k), -1 = missing.
        distances: (n, k).
        core: (n,) core distances.
        weight: (n,) the weight of the first edge that each row lists.
        end: (n,) the other end of that edge.
        chunks: Parts that the rows are split into, one a thread.

    Returns:
        Targets, sources and weights, each (edges,): the source lists the target.
    """
    n, k = indices.shape
    counts = np.zeros(chunks + 1, np.int64)
    for part in parallel_range(chunks):
        for row in range(part * n // chunks, (part + 1) * n // chunks):
            for column in range(k):
                if _improves_target(indices, distances, core, weight, end, row, column):
                    counts[part + 1] += 1
    starts = np.cumsum(counts)
    targets = np.empty(starts[chunks], np.int32)
    sources = np.empty(starts[chunks], np.int32)
    reaches = np.empty(starts[chunks], distances.dtype)
    for part in parallel_range(chunks):
        place = starts[part]
        if starts[part + 1] > place:
            for row in range(part * n // chunks, (part + 1) * n // chunks):
                for column in range(k):
                    if _improves_target(indices, distances, core, weight, end, row, column):
                        other = indices[row, column]
                        targets[place] = other
                        sources[place] = row
                        reaches[place] = max(distances[row, column], core[row], core[other])
                        place += 1
    return targets, sources, reaches


@kernel()
def _improves_target(
    indices: Indices, distances: Floats, core: Floats, weight: Floats, end: Indices, row: int, column: int
) -> bool:
    """Whether the edge that `row` lists at `column` comes before the first edge that its target lists itself."""
    other = as_int64(indices[row, column])
    if other < 0 or other == row or core[row] > weight[other] or distances[row, column] > weight[other]:
        return False
    reach = max(distances[row, column], core[row], core[other])
    if reach == np.inf:
        return False
    listed = as_int64(end[other])
    if listed < 0:
        return True
    return _precedes(reach, min(row, other), max(row, other), weight[other], min(other, listed), max(other, listed))


@kernel()
def _offer_to_others(targets: Indices, sources: Indices, reaches: Floats, weight: Floats, end: Indices) -> None:
    """Replaces a target's first edge in `weight` and `end` (both mutated) where one of the given edges comes before it."""
    for edge in range(len(targets)):
        row, other, reach = as_int64(targets[edge]), as_int64(sources[edge]), reaches[edge]
        held = as_int64(end[row])
        if held < 0 or _precedes(reach, min(row, other), max(row, other), weight[row], min(row, held), max(row, held)):
            weight[row] = reach
            end[row] = other


@kernel(parallel=True)
def _gives_edge(other: Indices) -> Flags:
    """Which trees add their first edge to the forest, (trees,): all that have one.

    Where two trees chose the same edge, only the tree with the larger number adds it.
    """
    n = len(other)
    gives = np.empty(n, np.bool_)
    for tree in parallel_range(n):
        target = other[tree]
        gives[tree] = target >= 0 and (tree > target or other[target] != tree)
    return gives


def _join(other: Indices) -> tuple[Indices, int]:
    """Joins every tree with the one its lightest edge leads to: new numbers (trees,) and how many there are."""
    root = _roots(other)
    is_root = root == np.arange(len(root), dtype=np.int32)
    numbers = np.cumsum(is_root, dtype=np.int32) - np.int32(1)
    return numbers[root], int(numbers[-1]) + 1 if len(numbers) else 0


@kernel(parallel=True)
def _roots(other: Indices) -> Indices:
    """The root of each tree, (trees,), when every tree is joined to the tree that its first edge leads to.

    The chain of first edges that begins at a tree ends in two trees that chose each other, whose smaller number is the root,
    or in a tree without an edge. Each pass doubles the length of the chain that is followed.
    """
    n = len(other)
    above = np.empty(n, np.int32)
    for tree in parallel_range(n):
        target = other[tree]
        above[tree] = tree if target < 0 or (other[target] == tree and tree < target) else target
    while True:
        higher = np.empty(n, np.int32)
        moved = 0
        for tree in parallel_range(n):
            top = above[above[tree]]
            higher[tree] = top
            if top != above[tree]:
                moved += 1
        above = higher
        if moved == 0:
            return above


class _Crossing(NamedTuple):
    """Edges between trees, for the kernels. `bounds` says which parts of the other arrays are in use.

    The parts that are not in use are never written to, so the operating system gives them no memory.
    """

    first_tree: Indices
    second_tree: Indices
    first: Indices  # rows, the smaller one first
    second: Indices
    weights: Floats
    bounds: Offsets  # (chunks, 2) of the parts in use, which passes go through in parallel


def _crossing_edges(indices: Indices, distances: Floats, core: Floats, tree: Indices, chunks: int) -> _Crossing:
    """The edges between trees: for each row and each other tree, the first edge that the row lists into that tree.

    A later edge of the same row into the same tree is never part of the forest. An edge that both ends list stands twice,
    since finding such pairs would cost more than keeping them.
    """
    most = indices.size
    live = _Crossing(
        first_tree=np.empty(most, np.int32),
        second_tree=np.empty(most, np.int32),
        first=np.empty(most, np.int32),
        second=np.empty(most, np.int32),
        weights=np.empty(most, distances.dtype),
        bounds=np.empty((chunks, 2), np.int64),
    )
    reached = np.where(core < np.inf, tree, np.int32(-1))
    _collect_crossing(indices, distances, core, reached, live)
    return live


@kernel(parallel=True)
def _collect_crossing(indices: Indices, distances: Floats, core: Floats, tree: Indices, live: _Crossing) -> None:
    """Writes the edges between trees into `live` (mutated); `tree` is -1 for a row whose edges are left out."""
    first_tree, second_tree, first, second = live.first_tree, live.second_tree, live.first, live.second
    weights, bounds = live.weights, live.bounds
    n, k = indices.shape
    chunks = len(bounds)
    for part in parallel_range(chunks):
        theirs, reach = np.empty((BLOCK, k), np.int32), np.empty((BLOCK, k), distances.dtype)
        place = part * n // chunks * k
        bounds[part, 0] = place
        for start in range(part * n // chunks, (part + 1) * n // chunks, BLOCK):
            end = min(start + BLOCK, (part + 1) * n // chunks)
            for row in range(start, end):
                for column in range(k):
                    other = max(0, indices[row, column])
                    theirs[row - start, column] = tree[other]
                    reach[row - start, column] = max(distances[row, column], core[other])
            for row in range(start, end):
                mine, begun = tree[row], place
                for column in range(k):
                    other, its = indices[row, column], theirs[row - start, column]
                    if mine < 0 or other < 0 or its < 0 or its == mine:
                        continue
                    weight = max(reach[row - start, column], core[row])
                    low, high = min(row, other), max(row, other)
                    edge = begun
                    while edge < place and second_tree[edge] != its:
                        edge += 1
                    if edge == place:
                        place += 1
                    elif not _precedes(weight, low, high, weights[edge], as_int64(first[edge]), as_int64(second[edge])):
                        continue
                    first_tree[edge], second_tree[edge] = mine, its
                    first[edge], second[edge] = low, high
                    weights[edge] = weight
        bounds[part, 1] = place


@kernel()
def _place_precedes(live: _Crossing, place: int, than: int) -> bool:
    """`_precedes` for two edges of `live`, by their places."""
    first, second, weights = live.first, live.second, live.weights
    return _precedes(
        weights[place],
        as_int64(first[place]),
        as_int64(second[place]),
        weights[than],
        as_int64(first[than]),
        as_int64(second[than]),
    )


@kernel(parallel=True)
def _lightest_crossing(live: _Crossing, trees: int) -> Offsets:
    """The place in `live` of each tree's first edge in the total order, (trees,); -1 = none."""
    first_tree, second_tree = live.first_tree, live.second_tree
    weights, bounds = live.weights, live.bounds
    chunks = len(bounds)
    best = np.full((chunks, trees), -1, np.int64)
    lightest = np.full((chunks, trees), np.inf, weights.dtype)
    for part in parallel_range(chunks):
        for edge in range(bounds[part, 0], bounds[part, 1]):
            weight = weights[edge]
            for side in range(2):
                tree = first_tree[edge] if side == 0 else second_tree[edge]
                if weight > lightest[part, tree]:
                    continue
                held = best[part, tree]
                if held < 0 or weight < lightest[part, tree] or _place_precedes(live, edge, held):
                    best[part, tree] = edge
                    lightest[part, tree] = weight
    for tree in parallel_range(trees):
        for part in range(1, chunks):
            edge, held = best[part, tree], best[0, tree]
            if edge >= 0 and (held < 0 or _place_precedes(live, edge, held)):
                best[0, tree] = edge
    first_of_all: Offsets = best[0]
    return first_of_all


def _other_tree(best: Offsets, live: _Crossing) -> Indices:
    """The tree that each tree's first edge leads to, (trees,); -1 = none."""
    trees = np.arange(len(best), dtype=np.int32)
    other: Indices = np.where(best < 0, np.int32(-1), live.first_tree[best] + live.second_tree[best] - trees)
    return other


@kernel(parallel=True)
def _drop_inner_edges(live: _Crossing, tree: Indices) -> None:
    """Gives the edges in `live` (mutated) the new numbers of their trees, and drops those within one tree."""
    first_tree, second_tree, first, second = live.first_tree, live.second_tree, live.first, live.second
    weights, bounds = live.weights, live.bounds
    for part in parallel_range(len(bounds)):
        place = bounds[part, 0]
        for edge in range(bounds[part, 0], bounds[part, 1]):
            one, two = tree[first_tree[edge]], tree[second_tree[edge]]
            if one != two:
                first_tree[place], second_tree[place] = one, two
                first[place], second[place] = first[edge], second[edge]
                weights[place] = weights[edge]
                place += 1
        bounds[part, 1] = place
