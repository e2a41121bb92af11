"""The order in which hdbscan adds rows to its spanning tree, and the binary tree that it makes of that.

hdbscan walks by Prim's algorithm from row 0, takes each edge to start at the row added last, and sorts the edges by an
unstable sort. Where no two weights are equal none of that matters; where some are, its labels depend on it.
"""

import numpy as np

from clustering.arrays import Edges, Indices, Labels, Offsets, Values
from clustering.kernels import as_int64, kernel
from clustering.tree.dendrogram import single_linkage


def merges_of_tree(edges: Edges, weights: Values) -> Values:
    """The binary tree (n - 1, 4), in scipy's format, of a spanning tree with edges (n - 1, 2) and weights (n - 1,)."""
    starts, columns, values = _by_row(edges, weights)
    return merges_of_path(*walk(starts, columns, values, np.zeros(len(edges) + 1)))


def merges_of_path(path: Offsets, weights: Values) -> Values:
    """The binary tree (n - 1, 4) of rows in the order in which they were added (n,), at weights (n - 1,)."""
    order = order_of_path(path, weights)
    return single_linkage(np.column_stack((path[:-1], path[1:]))[order], weights[order])


def order_of_path(path: Offsets, weights: Values) -> Offsets:
    """The places (n - 1,) of the path's edges in ascending order of weight: the library's call, on its kind of array.

    In which order numpy leaves equal weights depends on the processor, and so do the library's labels, and these.
    """
    order: Offsets = np.argsort(np.column_stack((path[:-1], path[1:], weights)).T[2])
    return order


@kernel()
def _by_row(edges: Edges, weights: Values) -> tuple[Offsets, Indices, Values]:
    """The tree's edges from both of their ends: where each row's edges begin (n + 1,), their other ends, their weights."""
    m = len(edges)
    starts = np.zeros(m + 2, np.int64)
    for edge in range(m):
        starts[edges[edge, 0] + 1] += 1
        starts[edges[edge, 1] + 1] += 1
    starts = np.cumsum(starts)
    filled = starts[:-1].copy()
    columns, values = np.empty(2 * m, np.int32), np.empty(2 * m, np.float64)
    for edge in range(m):
        for side in range(2):
            place = filled[edges[edge, side]]
            columns[place], values[place] = edges[edge, 1 - side], weights[edge]
            filled[edges[edge, side]] += 1
    return starts, columns, values


@kernel()
def walk(starts: Offsets, columns: Indices, values: Values, core: Values) -> tuple[Labels, Values]:
    """The rows in the order in which Prim's algorithm adds them (n,), and the weight of each addition (n - 1,).

    The row added next is the one of the smallest weight; of several, the one with the smallest number. Where no further row
    can be reached, it is the one with the smallest number, at an infinite weight.

    Args:
        starts: (n + 1,) where each row's edges begin.
        columns: (edges,) their other ends.
        values: (edges,) their lengths.
        core: (n,) core distances.
    """
    n = len(core)
    heap_weight = np.empty(len(columns) + 1, np.float64)
    heap_row = np.empty(len(columns) + 1, np.int32)
    held = as_int64(0)
    nearest = np.full(n, np.inf)
    added = np.zeros(n, np.bool_)
    path = np.zeros(n, np.int64)
    weights = np.full(n - 1, np.inf)
    smallest = 0
    for step in range(1, n):
        row = path[step - 1]
        added[row] = True
        for place in range(starts[row], starts[row + 1]):
            other = columns[place]
            weight = max(values[place], core[row], core[other])
            if not added[other] and weight < nearest[other]:
                nearest[other] = weight
                held = _push(heap_weight, heap_row, held, weight, other)
        path[step] = -1
        while held > 0:
            weight, other = heap_weight[0], heap_row[0]
            held = _pop(heap_weight, heap_row, held)
            if not added[other] and weight == nearest[other]:
                path[step] = other
                weights[step - 1] = weight
                break
        if path[step] < 0:
            while added[smallest]:
                smallest += 1
            path[step] = smallest
    return path, weights


@kernel()
def _precedes(heap_weight: Values, heap_row: Indices, one: int, weight: float, row: int) -> bool:
    """Whether the heap's entry at place `one` is not larger than (`weight`, `row`)."""
    return bool(heap_weight[one] < weight or (heap_weight[one] == weight and heap_row[one] <= row))


@kernel()
def _push(heap_weight: Values, heap_row: Indices, held: int, weight: float, row: int) -> int:
    """Adds an entry to the heap (mutated), which has its smallest (weight, row) on top; returns its size."""
    place = held
    while place > 0 and not _precedes(heap_weight, heap_row, (place - 1) // 2, weight, row):
        heap_weight[place] = heap_weight[(place - 1) // 2]
        heap_row[place] = heap_row[(place - 1) // 2]
        place = (place - 1) // 2
    heap_weight[place] = weight
    heap_row[place] = row
    return held + 1


@kernel()
def _pop(heap_weight: Values, heap_row: Indices, held: int) -> int:
    """Removes the top of the heap (mutated); returns its size."""
    held -= 1
    weight, row = heap_weight[held], heap_row[held]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= held:
            break
        if child + 1 < held and _precedes(heap_weight, heap_row, child + 1, heap_weight[child], heap_row[child]):
            child += 1
        if not _precedes(heap_weight, heap_row, child, weight, row):
            break
        heap_weight[place] = heap_weight[child]
        heap_row[place] = heap_row[child]
        place = child
    heap_weight[place] = weight
    heap_row[place] = row
    return held
