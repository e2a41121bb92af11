"""The minimum spanning forest of the union graph by mutual reachability: Boruvka's algorithm, without ties.

Edges are ordered by (weight, smaller row, larger row), so there is exactly one minimum spanning forest and every number
of threads finds it. Weights are computed from the lists as they are needed; nothing of the lists' size is kept beside
them but the edges that still cross between trees after the first round.

What takes time in large collections is reading of rows that lie far apart in memory, so each pass reads as few as it can.
"""

from typing import NamedTuple

import numpy as np

from clustering.arrays import Edges, Flags, Floats, Indices, Offsets, Values
from clustering.kernels import BLOCK, chunk_count, kernel, parallel_range


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
    """The total order of edges; `first` < `second`."""
    if weight != than_weight:
        return weight < than_weight
    if first != than_first:
        return first < than_first
    return second < than_second


@kernel(parallel=True)
def _nearest_listed(indices: Indices, distances: Floats, core: Floats) -> tuple[Floats, Indices]:
    """Each row's first edge, in the total order, among those it lists: weight (inf = none) and other end (-1 = none)."""
    n, k = indices.shape
    weight = np.empty(n, distances.dtype)
    end = np.empty(n, np.int32)
    for row in parallel_range(n):
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
    """Edges that precede the first edge of their target among those it lists: (targets, sources, weights)."""
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
    other = indices[row, column]
    if other < 0 or other == row or core[row] > weight[other] or distances[row, column] > weight[other]:
        return False
    reach = max(distances[row, column], core[row], core[other])
    if reach == np.inf:
        return False
    if end[other] < 0:
        return True
    return _precedes(
        reach, min(row, other), max(row, other), weight[other], min(other, end[other]), max(other, end[other])
    )


@kernel()
def _offer_to_others(targets: Indices, sources: Indices, reaches: Floats, weight: Floats, end: Indices) -> None:
    """Takes the edges into the rows' first edges `weight`, `end` (mutated)."""
    for edge in range(len(targets)):
        row, other, reach = targets[edge], sources[edge], reaches[edge]
        if end[row] < 0 or _precedes(
            reach, min(row, other), max(row, other), weight[row], min(row, end[row]), max(row, end[row])
        ):
            weight[row] = reach
            end[row] = other


@kernel(parallel=True)
def _gives_edge(other: Indices) -> Flags:
    """Whether a tree's lightest edge is to be counted for it: of two trees that chose each other, the larger number."""
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
    """The root of each tree's chain of lightest edges, by pointer doubling. Chains end in a pair or in a lone tree."""
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
    """Edges between trees, for the kernels; the arrays are longer than what is in use, which `bounds` tells.

    What lies between the parts in use was never written to and takes no memory.
    """

    first_tree: Indices
    second_tree: Indices
    first: Indices  # rows, the smaller one first
    second: Indices
    weights: Floats
    bounds: Offsets  # (chunks, 2) of the parts in use, which passes go through in parallel


def _crossing_edges(indices: Indices, distances: Floats, core: Floats, tree: Indices, chunks: int) -> _Crossing:
    """Of each row's listed edges to another tree the first in the total order; a heavier one beside it is never needed.

    Edges that both ends list are there twice, since looking for them costs more.
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
    """Fills `live` (mutated); `tree` is -1 for rows whose edges are left out."""
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
                    elif not _precedes(weight, low, high, weights[edge], first[edge], second[edge]):
                        continue
                    first_tree[edge], second_tree[edge] = mine, its
                    first[edge], second[edge] = low, high
                    weights[edge] = weight
        bounds[part, 1] = place


@kernel(parallel=True)
def _lightest_crossing(live: _Crossing, trees: int) -> Offsets:
    """The place of each tree's first edge in the total order; -1 = none."""
    first_tree, second_tree, first, second = live.first_tree, live.second_tree, live.first, live.second
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
                if (
                    held < 0
                    or weight < lightest[part, tree]
                    or _precedes(weight, first[edge], second[edge], weight, first[held], second[held])
                ):
                    best[part, tree] = edge
                    lightest[part, tree] = weight
    for tree in parallel_range(trees):
        for part in range(1, chunks):
            edge, held = best[part, tree], best[0, tree]
            if edge >= 0 and (
                held < 0
                or _precedes(weights[edge], first[edge], second[edge], weights[held], first[held], second[held])
            ):
                best[0, tree] = edge
    first_of_all: Offsets = best[0]
    return first_of_all


def _other_tree(best: Offsets, live: _Crossing) -> Indices:
    """Where each tree's first edge leads; -1 = nowhere."""
    trees = np.arange(len(best), dtype=np.int32)
    other: Indices = np.where(best < 0, np.int32(-1), live.first_tree[best] + live.second_tree[best] - trees)
    return other


@kernel(parallel=True)
def _drop_inner_edges(live: _Crossing, tree: Indices) -> None:
    """Renumbers the ends' trees and closes up over edges within one; mutates `live`."""
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
