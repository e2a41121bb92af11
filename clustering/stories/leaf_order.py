"""A tree's leaves in an order in which the members of every node are neighbours."""

from dataclasses import dataclass

import numpy as np

from clustering.arrays import Indices
from clustering.kernels import kernel


@dataclass(frozen=True, slots=True)
class LeafOrder:
    """The order, and each node's range of it.

    Attributes:
        order: (n,) rows.
        first: (nodes,) place in `order` where the node's members begin.
        last: (nodes,) and the place after their end.
    """

    order: Indices
    first: Indices
    last: Indices


def leaf_order(parent: Indices, n: int) -> LeafOrder:
    """The leaves in tree order.

    Args:
        parent: (nodes,) with leaves 0 to n - 1, a parent's number larger than its children's, -1 for a root.
        n: Leaves.
    """
    return LeafOrder(*_ranges(np.ascontiguousarray(parent), n))


@kernel()
def _ranges(parent: Indices, n: int) -> tuple[Indices, Indices, Indices]:
    nodes = len(parent)
    size = np.zeros(nodes, np.int32)
    size[:n] = 1
    for node in range(nodes):
        if parent[node] >= 0:
            size[parent[node]] += size[node]
    first = np.zeros(nodes, np.int32)
    free = np.zeros(nodes, np.int32)  # where the next child's members begin
    taken = np.int32(0)  # by roots
    for node in range(nodes - 1, -1, -1):
        if parent[node] < 0:
            first[node] = taken
            taken += size[node]
        else:
            first[node] = free[parent[node]]
            free[parent[node]] += size[node]
        free[node] = first[node]
    order = np.empty(n, np.int32)
    for row in range(n):
        order[first[row]] = row
    return order, first, first + size
