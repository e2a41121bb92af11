"""Bridges between components: each is joined to the row that is truly nearest to it by mutual reachability.

A top-k graph of real headlines falls apart. Edges of infinite length would keep it in one piece and ruin the clusters;
here the missing edges of the minimum spanning tree of *all* pairs of components are searched in the vectors.

In each of Boruvka's rounds, every component but the largest looks for the nearest row outside itself. Blocks of
single-precision products say which rows may be the nearest, and products in double precision decide. What a row has found
is kept between rounds: it stays right while the row found is in another component, and it is a lower bound once both are in
one component. So later rounds search few rows again.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clustering.arrays import Edges, Floats, Indices, Values, Vectors
from clustering.kernels import as_int64, dot, find, inverse_norms, kernel, parallel_range
from clustering.time_damping import UNDAMPED, TimeDamping, damped, damping_of
from newstide.core.errors import InvalidGraph

_SMALLEST_BLOCK, _LARGEST_BLOCK = 16, 2048
_UNIT_DEVIATION = 1e-6  # of a length from 1, as rounding leaves it


@dataclass(frozen=True, slots=True)
class Metric:
    """The distance of two rows: sqrt(2 - 2 s), where s is their cosine, damped by distance in time."""

    vectors: Vectors  # (n, dim), looked at only where there is something to bridge
    damping: TimeDamping = UNDAMPED

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2:
            raise InvalidGraph(
                f"Vectors of shape {self.vectors.shape}.", "Give one row of numbers per row of the lists."
            )
        if self.vectors.dtype.kind not in "fiu":
            raise InvalidGraph(f"Vectors of type {self.vectors.dtype}.", "Vectors are numbers.")


class _Space(NamedTuple):
    """Where distances are measured, for the kernel."""

    vectors: Vectors  # (n, dim) of unit length
    norms: Values  # (n,) what makes their products exact; 0 for a row of zeros
    core: Floats  # (n,)


class _Findings(NamedTuple):
    """The nearest row that each row has found outside its component; the arrays are mutated."""

    weight: Values  # (n,) of the bridge found, or a bound below it
    row: Indices  # (n,) where it leads; -1 = nowhere yet


def bridges(component: Indices, core: Floats, metric: Metric, memory_mb: int) -> tuple[Edges, Values]:
    """The edges that complete the minimum spanning forest of components to a tree.

    Where two bridges from one component to another are equally light, the first by rows is taken: which one it is shows in
    the tree once a longer edge within that other component lies between their ends. Rows in an order of their own, as
    ascending ids, make it always the same.

    Args:
        component: (n,) component of each row, numbered from 0.
        core: (n,) core distances. Rows with an infinite one are not joined to anything.
        metric: What the lists' distances are, for any pair of rows.
        memory_mb: Most memory for a block of products.

    Returns:
        Edges (m, 2), smaller row first, and their weights (m,).

    Raises:
        InvalidGraph: A vector is not finite; names the row and the value.
    """
    reachable = np.isfinite(core)
    component = component.copy()
    vectors, norms = _unit_vectors(np.ascontiguousarray(metric.vectors, dtype=np.float32))
    space = _Space(vectors, norms, core)
    damping = damping_of(metric.damping, len(component))
    found = _Findings(np.zeros(len(component)), np.full(len(component), -1, np.int32))
    edges: list[tuple[int, int]] = []
    weights: list[float] = []
    while True:
        sizes = np.bincount(component[reachable])
        if np.count_nonzero(sizes) <= 1:
            break
        rows = np.flatnonzero(reachable & (component != sizes.argmax())).astype(np.int32)
        bound = _known(rows, component, found, len(sizes))
        _search(rows, component, space, damping, found, bound, memory_mb)
        component = _joined(rows, component, found, edges, weights)
    return np.array(edges, np.int32).reshape(-1, 2), np.array(weights, np.float64)


def _unit_vectors(vectors: Vectors) -> tuple[Vectors, Values]:
    """Vectors whose products in single precision are cosines up to rounding, and what makes them exact; zeros stay zeros."""
    norms = inverse_norms(vectors)
    odd = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    wrong = np.argwhere(~np.isfinite(vectors[odd]))
    if len(wrong):
        row, column = odd[wrong[0, 0]], wrong[0, 1]
        raise InvalidGraph(
            f"The vector of row {row} holds {vectors[row, column]} at place {column}.",
            "Give vectors of finite numbers.",
        )
    norms[odd] = 0.0
    if (np.abs(norms - 1.0) > _UNIT_DEVIATION).any():
        vectors = np.multiply(vectors, norms[:, None], out=np.empty_like(vectors), casting="same_kind")
        norms = inverse_norms(vectors)
        norms[odd] = 0.0
    return vectors, norms


def _known(rows: Indices, component: Indices, found: _Findings, components: int) -> Values:
    """Each component's lightest bridge among those already found and still leading outside; inf = none."""
    valid = rows[(found.row[rows] >= 0) & (component[found.row[rows]] != component[rows])]
    bound = np.full(components, np.inf)
    np.minimum.at(bound, component[valid], found.weight[valid])
    return bound


def _search(
    rows: Indices,
    component: Indices,
    space: _Space,
    damping: TimeDamping,
    found: _Findings,
    bound: Values,
    memory_mb: int,
) -> None:
    """Finds lighter bridges than `bound` (mutated, as are the findings) from `rows`, where there are any."""
    n, dim = space.vectors.shape
    core = space.core
    block = int(np.clip(memory_mb * 2**20 // (4 * n), _SMALLEST_BLOCK, _LARGEST_BLOCK))
    slack = 2.0**-23 * (dim + 8)  # of a single-precision product of unit vectors, by the worst-case bound
    stale = (found.row[rows] < 0) | (component[np.maximum(found.row[rows], 0)] == component[rows])
    waiting = rows[stale]
    waiting = waiting[np.argsort(np.maximum(found.weight[waiting], core[waiting]), kind="stable")]
    while len(waiting):
        waiting = waiting[np.maximum(found.weight[waiting], core[waiting]) < bound[component[waiting]]]
        part, waiting = waiting[:block], waiting[block:]
        if not len(part):
            break
        products = space.vectors[part] @ space.vectors.T
        _nearest_outside(products, part, component, space, damping, slack, bound[component[part]], found)
        good = part[found.row[part] >= 0]
        np.minimum.at(bound, component[good], found.weight[good])


@kernel(parallel=True)
def _nearest_outside(
    products: Vectors,
    rows: Indices,
    component: Indices,
    space: _Space,
    damping: TimeDamping,  # apart: numba takes no named tuple within another into a parallel loop
    slack: float,
    bound: Values,
    found: _Findings,
) -> None:
    """Writes into `found` (mutated) the nearest row outside each row's component, and the weight of that bridge.

    Where no row is nearer than the row's `bound`, the bound and -1 are written.
    """
    vectors, norms, core = space.vectors, space.norms, space.core
    found_weight, found_row = found.weight, found.row
    n = products.shape[1]
    for place in parallel_range(len(rows)):
        row = rows[place]
        best = bound[place]
        nearest = -1
        least = 1.0 - 0.5 * best * best - slack  # a cosine below it cannot be nearer
        for other in range(n):
            product = products[place, other]
            if product < least or component[other] == component[row]:
                continue
            floor = max(core[row], core[other])
            if floor >= best:
                continue
            cosine = dot(vectors, as_int64(row), as_int64(other)) * (
                norms[row] * norms[other]
            )  # the same from either side
            similarity = damped(cosine, damping, as_int64(row), as_int64(other))
            reach = max(floor, np.sqrt(max(0.0, 2.0 - 2.0 * similarity)))
            if reach < best:
                best = reach
                nearest = other
                least = 1.0 - 0.5 * best * best - slack
                if best <= core[row]:
                    break
        found_weight[row] = best
        found_row[row] = nearest


def _joined(
    rows: Indices,
    component: Indices,
    found: _Findings,
    edges: list[tuple[int, int]],
    weights: list[float],
) -> Indices:
    """Adds each component's lightest bridge to `edges` and `weights` (mutated); the components after that.

    Equally light bridges may close a circle; the last of a circle is left out, which costs nothing.
    """
    valid = rows[(found.row[rows] >= 0) & (component[found.row[rows]] != component[rows])]
    first, second = np.minimum(valid, found.row[valid]), np.maximum(valid, found.row[valid])
    order = np.lexsort((second, first, found.weight[valid], component[valid]))
    chosen = order[np.unique(component[valid][order], return_index=True)[1]]
    chosen = chosen[np.lexsort((second[chosen], first[chosen], found.weight[valid][chosen]))]
    above = np.arange(int(component.max()) + 1)
    for place in chosen:
        one, two = find(above, component[first[place]]), find(above, component[second[place]])
        if one != two:
            above[max(one, two)] = min(one, two)
            edges.append((int(first[place]), int(second[place])))
            weights.append(float(found.weight[valid[place]]))
    return np.array([find(above, one) for one in range(len(above))], np.int32)[component]
