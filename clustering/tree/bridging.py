"""Bridges between components: each is joined to the row that is truly nearest to it by mutual reachability.

A top-k graph of real headlines falls apart. Edges of infinite length would keep it in one piece and ruin the clusters;
here the missing edges of the minimum spanning tree of *all* pairs of components are searched in the vectors.

Boruvka's rounds over components: all but the largest look for their nearest row outside. Blocks of single-precision
products say where it may be, products in double precision decide. A row's finding is kept between rounds: it stays right
while the row found is in another component, and is a lower bound afterwards, so later rounds search few rows again.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustering.kernels import dot, find, inverse_norms, kernel, parallel_range
from clustering.tree.forest import Edges, Weights
from clustering.tree.lists import Floats, Indices
from newstide.core.errors import InvalidGraph

_SMALLEST_BLOCK, _LARGEST_BLOCK = 16, 2048
_UNIT_DEVIATION = 1e-6  # of a length from 1, as rounding leaves it


@dataclass(frozen=True, slots=True)
class Metric:
    """The distance of two rows: sqrt(2 - 2 s), where s = cosine + time_weight (exp(-|dt| / time_scale) - 1)."""

    vectors: npt.NDArray[np.float32]  # (n, dim), looked at only where there is something to bridge
    times: npt.NDArray[np.float64] | None = None  # (n,) days
    time_weight: float = 0.0
    time_scale: float = 1.0  # days

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2:
            raise InvalidGraph(
                f"Vectors of shape {self.vectors.shape}.", "Give one row of numbers per row of the lists."
            )
        if self.times is not None and len(self.times) != len(self.vectors):
            raise InvalidGraph(
                f"{len(self.times)} times for {len(self.vectors)} vectors.", "Give one time, in days, per row."
            )
        if self.times is not None and len(wrong := np.flatnonzero(~np.isfinite(self.times))):
            raise InvalidGraph(f"Row {wrong[0]} has the time {self.times[wrong[0]]}.", "Times are finite, in days.")
        if self.time_weight < 0 or not self.time_scale > 0:
            raise InvalidGraph(
                f"time_weight {self.time_weight} and time_scale {self.time_scale}.",
                "The weight is not negative, the scale is positive.",
            )


def bridges(component: Indices, core: Floats, metric: Metric, memory_mb: int) -> tuple[Edges, Weights]:
    """The edges that complete the minimum spanning forest of components to a tree.

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
    times = np.zeros(len(component)) if metric.times is None else np.asarray(metric.times, np.float64)
    found_weight = np.zeros(len(component))  # of each row: the weight found, or a bound below it
    found_row = np.full(len(component), -1, np.int32)
    edges: list[tuple[int, int]] = []
    weights: list[float] = []
    while True:
        sizes = np.bincount(component[reachable])
        if np.count_nonzero(sizes) <= 1:
            break
        rows = np.flatnonzero(reachable & (component != sizes.argmax())).astype(np.int32)
        bound = _known(rows, component, found_weight, found_row, len(sizes))
        _search(rows, component, core, vectors, norms, times, metric, found_weight, found_row, bound, memory_mb)
        component = _joined(rows, component, found_weight, found_row, edges, weights)
    return np.array(edges, np.int32).reshape(-1, 2), np.array(weights, np.float64)


def _unit_vectors(vectors: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], Weights]:
    """Vectors whose products in single precision are cosines up to rounding, and what makes them exact; zeros stay zeros."""
    norms = inverse_norms(vectors)
    odd = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    wrong = np.argwhere(~np.isfinite(vectors[odd]))
    if len(wrong):
        row, column = odd[wrong[0, 0]], wrong[0, 1]
        raise InvalidGraph(
            f"The vector of row {row} holds {vectors[row, column]} at place {column}.", "Vectors are finite numbers."
        )
    norms[odd] = 0.0
    if (np.abs(norms - 1.0) > _UNIT_DEVIATION).any():
        vectors = np.multiply(vectors, norms[:, None], out=np.empty_like(vectors), casting="same_kind")
        norms = inverse_norms(vectors)
        norms[odd] = 0.0
    return vectors, norms


def _known(rows: Indices, component: Indices, found_weight: Weights, found_row: Indices, components: int) -> Weights:
    """Each component's lightest bridge among those already found and still leading outside; inf = none."""
    valid = rows[(found_row[rows] >= 0) & (component[found_row[rows]] != component[rows])]
    bound = np.full(components, np.inf)
    np.minimum.at(bound, component[valid], found_weight[valid])
    return bound


def _search(
    rows: Indices,
    component: Indices,
    core: Floats,
    vectors: npt.NDArray[np.float32],
    norms: Weights,
    times: Weights,
    metric: Metric,
    found_weight: Weights,
    found_row: Indices,
    bound: Weights,
    memory_mb: int,
) -> None:
    """Finds lighter bridges than `bound` (mutated, as are the findings) from `rows`, where there are any."""
    n, dim = vectors.shape
    block = int(np.clip(memory_mb * 2**20 // (4 * n), _SMALLEST_BLOCK, _LARGEST_BLOCK))
    slack = 2.0**-23 * (dim + 8)  # of a single-precision product of unit vectors, by the worst-case bound
    stale = (found_row[rows] < 0) | (component[np.maximum(found_row[rows], 0)] == component[rows])
    waiting = rows[stale]
    waiting = waiting[np.argsort(np.maximum(found_weight[waiting], core[waiting]), kind="stable")]
    while len(waiting):
        waiting = waiting[np.maximum(found_weight[waiting], core[waiting]) < bound[component[waiting]]]
        part, waiting = waiting[:block], waiting[block:]
        if not len(part):
            break
        products = vectors[part] @ vectors.T
        _nearest_outside(
            products,
            part,
            component,
            core,
            vectors,
            norms,
            times,
            metric.time_weight,
            metric.time_scale,
            slack,
            bound[component[part]],
            found_weight,
            found_row,
        )
        good = part[found_row[part] >= 0]
        np.minimum.at(bound, component[good], found_weight[good])


@kernel(parallel=True)
def _nearest_outside(
    products: npt.NDArray[np.float32],
    rows: Indices,
    component: Indices,
    core: Floats,
    vectors: npt.NDArray[np.float32],
    norms: Weights,
    times: Weights,
    time_weight: float,
    time_scale: float,
    slack: float,
    bound: Weights,
    found_weight: Weights,
    found_row: Indices,
) -> None:
    """Writes each row's nearest row outside its component, if nearer than `bound`; else the bound and -1."""
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
            similarity = dot(vectors, row, other) * (norms[row] * norms[other])  # the same from either side
            if time_weight > 0:
                similarity += time_weight * (np.exp(-abs(times[row] - times[other]) / time_scale) - 1.0)
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
    found_weight: Weights,
    found_row: Indices,
    edges: list[tuple[int, int]],
    weights: list[float],
) -> Indices:
    """Adds each component's lightest bridge to `edges` and `weights` (mutated); the components after that.

    Equally light bridges may close a circle; the last of a circle is left out, which costs nothing.
    """
    valid = rows[(found_row[rows] >= 0) & (component[found_row[rows]] != component[rows])]
    first, second = np.minimum(valid, found_row[valid]), np.maximum(valid, found_row[valid])
    order = np.lexsort((second, first, found_weight[valid], component[valid]))
    chosen = order[np.unique(component[valid][order], return_index=True)[1]]
    chosen = chosen[np.lexsort((second[chosen], first[chosen], found_weight[valid][chosen]))]
    above = np.arange(int(component.max()) + 1)
    for place in chosen:
        one, two = find(above, component[first[place]]), find(above, component[second[place]])
        if one != two:
            above[max(one, two)] = min(one, two)
            edges.append((int(first[place]), int(second[place])))
            weights.append(float(found_weight[valid[place]]))
    return np.array([find(above, one) for one in range(len(above))], np.int32)[component]
