"""From a spanning forest to the dendrogram, with equal heights contracted.

Single linkage over tied weights gives binary trees that depend on the order of rows. Here all that merges at one height is
one node with as many children as there are parts, so the tree depends on the heights alone.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from clustering.hierarchy.forest import Edges, Weights
from clustering.hierarchy.lists import Indices
from clustering.kernels import kernel

_Numbers = npt.NDArray[np.signedinteger[Any]]


def sorted_edges(edges: Edges, weights: Weights) -> tuple[Edges, Weights]:
    """Edges by (weight, smaller row, larger row)."""
    order = np.argsort(weights)
    weights, edges = weights[order], edges[order]
    tied = np.zeros(len(weights), np.bool_)
    tied[1:] = weights[1:] == weights[:-1]
    tied[:-1] |= tied[1:]
    edges[tied] = edges[tied][np.lexsort((edges[tied, 1], edges[tied, 0], weights[tied]))]
    return edges, weights


def dendrogram(edges: Edges, weights: Weights, n: int) -> tuple[Indices, Weights, Indices]:
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
    parent, height, size = _link(edges, weights, n)
    return parent, height, size


@kernel()
def _find(above: _Numbers, row: int) -> int:
    root = row
    while above[root] != root:
        root = above[root]
    while above[row] != root:
        following = above[row]
        above[row] = root
        row = following
    return int(root)


@kernel()
def _link(edges: Edges, weights: Weights, n: int) -> tuple[Indices, Weights, Indices]:
    m = len(edges)
    above = np.arange(n).astype(np.int32)  # union-find over rows, by size
    top = np.arange(n).astype(np.int32)  # of a union-find root: the dendrogram's node over its rows
    parent = np.full(n + m + 1, -1, np.int32)
    height = np.zeros(n + m + 1, np.float64)
    size = np.ones(n + m + 1, np.int32)
    merged = np.zeros(n + m + 1, np.bool_)  # nodes that turned out to be their parent, at the same height
    nodes = n
    for edge in range(m):
        weight = weights[edge]
        one, two = _find(above, edges[edge, 0]), _find(above, edges[edge, 1])
        first, second = top[one], top[two]
        total = size[first] + size[second]
        first_is_here = first >= n and height[first] == weight
        second_is_here = second >= n and height[second] == weight
        if first_is_here and second_is_here:
            node, gone = max(first, second), min(first, second)
            parent[gone] = node
            merged[gone] = True
        elif first_is_here:
            node = first
            parent[second] = node
        elif second_is_here:
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
        top[one] = node
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
def _without_merged(
    parent: Indices, height: Weights, size: Indices, merged: npt.NDArray[np.bool_], nodes: int
) -> tuple[Indices, Weights, Indices]:
    """Leaves out merged nodes; a merged node's number is smaller than the node's it is part of."""
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
def single_linkage(edges: _Numbers, weights: Weights) -> Weights:
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
        one, two = _find(above, edges[edge, 0]), _find(above, edges[edge, 1])
        node = m + 1 + edge
        above[one] = node
        above[two] = node
        size[node] = size[one] + size[two]
        merges[edge, 0] = one
        merges[edge, 1] = two
        merges[edge, 2] = weights[edge]
        merges[edge, 3] = size[node]
    return merges
