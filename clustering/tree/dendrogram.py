"""From a spanning forest to the dendrogram, with equal heights contracted.

Where weights are equal, the binary tree of single linkage depends on the order of rows. Here everything that merges at one
height is one node, with as many children as there are parts, so the tree depends on the heights alone.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from clustering.arrays import Edges, Flags, Indices, Offsets, Values
from clustering.kernels import find, kernel, parallel_range

_FEW_TIED = 32  # sorted by insertion, more by numpy

_Integers = npt.NDArray[np.signedinteger[Any]]


def sorted_edges(edges: Edges, weights: Values) -> tuple[Edges, Values]:
    """The edges (m, 2) and their weights (m,), sorted by (weight, smaller row, larger row)."""
    edges, weights = _reordered(edges, weights, _ascending(weights))
    changes = np.flatnonzero(weights[1:] != weights[:-1]) + 1
    _sort_tied(edges, np.concatenate(([0], changes, [len(weights)])))
    return edges, weights


def _ascending(weights: Values) -> _Integers:
    """The places (m,) of the weights in ascending order; all weights are >= 0."""
    rounded = weights.astype(np.float32) + np.float32(0)  # no -0, whose bits sort last
    if len(weights) >= 1 << 32 or not np.array_equal(rounded, weights):
        return np.argsort(weights)
    # Single precision loses nothing: weight and place fit into one number, which numpy sorts ten times faster.
    keys = rounded.view(np.uint32).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(len(keys), dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).view(np.int64)


@kernel(parallel=True)
def _reordered(edges: Edges, weights: Values, order: _Integers) -> tuple[Edges, Values]:
    """The edges and weights at the places in `order`."""
    m = len(order)
    new_edges, new_weights = np.empty((m, 2), np.int32), np.empty(m, np.float64)
    for place in parallel_range(m):
        new_edges[place, 0], new_edges[place, 1] = edges[order[place], 0], edges[order[place], 1]
        new_weights[place] = weights[order[place]]
    return new_edges, new_weights


@kernel(parallel=True)
def _sort_tied(edges: Edges, starts: Offsets) -> None:
    """Sorts edges of equal weight (mutated) by (smaller row, larger row); each of `starts` begins such a run of edges."""
    for run in parallel_range(len(starts) - 1):
        start, end = starts[run], starts[run + 1]
        if end - start > _FEW_TIED:
            keys = (edges[start:end, 0].astype(np.int64) << 32) | edges[start:end, 1]
            keys.sort()
            for place in range(end - start):
                edges[start + place, 0] = keys[place] >> 32
                edges[start + place, 1] = keys[place] & 0xFFFFFFFF
            continue
        for place in range(start + 1, end):
            one, two = edges[place, 0], edges[place, 1]
            hole = place
            while hole > start and (
                edges[hole - 1, 0] > one or (edges[hole - 1, 0] == one and edges[hole - 1, 1] > two)
            ):
                edges[hole, 0], edges[hole, 1] = edges[hole - 1, 0], edges[hole - 1, 1]
                hole -= 1
            edges[hole, 0], edges[hole, 1] = one, two


@kernel()
def dendrogram(edges: Edges, weights: Values, n: int) -> tuple[Indices, Values, Indices]:
    """The contracted dendrogram.

    Args:
        edges: (m, 2) of a forest, ascending by weight.
        weights: (m,).
        n: Rows.

    Returns:
        `parent` (nodes,), -1 for the root; `height` (nodes,), 0 for leaves; `size` (nodes,), leaves below. Leaves are the
        nodes 0 to n - 1, a parent's number is larger than its children's, the root is the last node. Trees of a forest
        hang side by side under a root of infinite height.
    """
    m = len(edges)
    above = ~np.arange(n).astype(np.int32)  # union-find over rows, by size; a root holds ~(the node over its rows)
    parent = np.full(n + m + 1, -1, np.int32)
    height = np.zeros(n + m + 1, np.float64)
    size = np.ones(n + m + 1, np.int32)
    merged = np.zeros(n + m + 1, np.bool_)  # nodes that turned out to be their parent, at the same height
    nodes = n
    here = n  # nodes from this one on have the height of the present edge
    for edge in range(m):
        weight = weights[edge]
        if edge and weight != weights[edge - 1]:
            here = nodes
        one, first = _find_or_node(above, edges[edge, 0])
        two, second = _find_or_node(above, edges[edge, 1])
        total = size[first] + size[second]
        if first >= here and second >= here:
            node, gone = max(first, second), min(first, second)
            parent[gone] = node
            merged[gone] = True
        elif first >= here:
            node = first
            parent[second] = node
        elif second >= here:
            node = second
            parent[first] = node
        else:
            node = nodes
            nodes += 1
            height[node] = weight
            parent[first] = node
            parent[second] = node
        if size[first] < size[second]:
            one, two = two, one
        above[two] = one
        above[one] = ~node
        size[node] = total
    roots = 0
    for node in range(nodes):
        roots += parent[node] < 0
    if roots > 1:
        for node in range(nodes):
            if parent[node] < 0:
                parent[node] = nodes
        height[nodes] = np.inf
        size[nodes] = n
        nodes += 1
    return _without_merged(parent, height, size, merged, nodes)


@kernel()
def _find_or_node(above: Indices, row: int) -> tuple[int, int]:
    """The root of a row in a union-find (mutated), and the dendrogram's node over the root's rows.

    A root holds ~node in place of its own number, so one array serves for both.
    """
    root = row
    while above[root] >= 0:
        root = above[root]
    while row != root:
        following = above[row]
        above[row] = root
        row = following
    return root, ~above[root]


@kernel()
def _without_merged(
    parent: Indices, height: Values, size: Indices, merged: Flags, nodes: int
) -> tuple[Indices, Values, Indices]:
    """The parents, heights and sizes of the nodes that are not merged into their parent, under new numbers.

    A merged node has a smaller number than the node that it is merged into.
    """
    number = np.empty(nodes, np.int32)
    kept = 0
    for node in range(nodes):
        number[node] = kept
        kept += not merged[node]
    for node in range(nodes - 1, -1, -1):
        if merged[node]:
            number[node] = number[parent[node]]
    new_parent = np.empty(kept, np.int32)
    new_height = np.empty(kept, np.float64)
    new_size = np.empty(kept, np.int32)
    for node in range(nodes):
        if not merged[node]:
            place = number[node]
            new_parent[place] = number[parent[node]] if parent[node] >= 0 else -1
            new_height[place] = height[node]
            new_size[place] = size[node]
    return new_parent, new_height, new_size


@kernel()
def single_linkage(edges: _Integers, weights: Values) -> Values:
    """The binary tree of a spanning tree in scipy's format, as hdbscan's own conversion gives it.

    Args:
        edges: (n - 1, 2) in the order in which they merge.
        weights: (n - 1,).

    Returns:
        (n - 1, 4): the two nodes merged (rows first, then merges in order), height, rows below.
    """
    m = len(edges)
    above = np.arange(2 * m + 1)
    size = np.ones(2 * m + 1, np.int64)
    merges = np.empty((m, 4), np.float64)
    for edge in range(m):
        one, two = find(above, edges[edge, 0]), find(above, edges[edge, 1])
        node = m + 1 + edge
        above[one] = node
        above[two] = node
        size[node] = size[one] + size[two]
        merges[edge, 0] = one
        merges[edge, 1] = two
        merges[edge, 2] = weights[edge]
        merges[edge, 3] = size[node]
    return merges
