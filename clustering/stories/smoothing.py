"""Rows made clearer by their neighbours: each is pulled towards those that it lists, nearer ones and closer in time more.

A headline is a few words, and its vector tells as much of how they are put as of what they say. Neighbours say the same in
other words, so a part of their vectors takes the wording away. There is one pass: a second one would mix in what
neighbours' neighbours say, which gains nothing.
"""

import numpy as np

from clustering.arguments import require_array, require_number
from clustering.arrays import Indices, Labels, Vectors
from clustering.kernels import as_int64, dot, kernel, parallel_range
from clustering.time_damping import TimeDamping, damping_of
from newstide.core.errors import InvalidGraph

_DAYS = 2.0  # in which a neighbour's weight falls to 1 / e


def smoothed(
    indices: Indices,
    vectors: Vectors,
    theta: float,
    damping: TimeDamping | None = None,
    rows: Labels | None = None,
    strength: float = 1.0,
    order: Labels | None = None,
) -> Vectors:
    """Each row and the weighted mean of its neighbours: v_i = unit(c_i + strength sum_j w_ij c_j / (1 + sum_j w_ij)).

    The weight of a neighbour is w_ij = max(0, (c_i . c_j - theta) / (1 - theta)): 0 where the two are no more alike than
    chance makes rows, 1 for a copy. Where similarities are damped by distance in time, it is multiplied by
    exp(-|dt| / 2 days). The neighbours' part is never longer than `strength` times the row's own, however many they are.

    Args:
        indices: (n, k) neighbours, -1 = missing; no row lists itself, and none twice.
        vectors: (n, dim) unit rows c in clustering space.
        theta: Cosine of these rows that is worth 0, as `random_pair_threshold` finds it.
        damping: Of the n; of it, the times are used. None, or a weight of 0: time does not count.
        rows: (n,) where each of them stands in `vectors`, if not all do: no copy of them is made.
        strength: Of the neighbours' part, from 0 to 1.
        order: (n,) all of the n, as they are best gone through: neighbours close to one another; None: as they stand.

    Returns:
        (n, dim) unit rows. A row without a neighbour above theta is as it was. Takes n k dim steps, and no memory of that
        size beside the result.

    Raises:
        InvalidGraph: There is not one list and one time per row, or theta or strength is no finite number.
    """
    require_number("theta", theta)
    require_number("strength", strength)
    require_array("Neighbour lists", indices, 2, whole=True)
    require_array("Vectors", vectors, 2, whole=False)
    rows = np.arange(len(vectors)) if rows is None else np.asarray(rows, np.int64)
    if len(indices) != len(rows):
        raise InvalidGraph(f"{len(indices)} lists for {len(rows)} rows.", "Give one list per row.")
    if theta >= 1:
        return vectors[rows]
    lists, times = np.ascontiguousarray(indices, np.int32), damping_of(damping, len(rows))
    order = np.arange(len(rows)) if order is None else order
    return _smoothed(lists, rows, vectors, theta, float(strength), times, order)


@kernel(parallel=True)
def _smoothed(
    indices: Indices,
    rows: Labels,
    vectors: Vectors,
    theta: float,
    strength: float,
    damping: TimeDamping,
    order: Labels,
) -> Vectors:
    n, dim = len(rows), vectors.shape[1]
    result = np.empty((n, dim), np.float32)
    for turn in parallel_range(n):
        point = order[turn]
        row = rows[point]
        together = np.zeros(dim)
        weights = 0.0
        for near in indices[point]:
            if near < 0:
                continue
            other = rows[near]
            weight = (dot(vectors, as_int64(row), as_int64(other)) - theta) / (1.0 - theta)
            if weight <= 0.0:
                continue
            if damping.weight > 0.0:
                weight *= np.exp(-abs(damping.times[point] - damping.times[near]) / _DAYS)
            weights += weight
            for column in range(dim):
                together[column] += weight * vectors[other, column]
        squared = 0.0
        for column in range(dim):
            together[column] = vectors[row, column] + strength * together[column] / (1.0 + weights)
            squared += together[column] * together[column]
        length = np.sqrt(squared) if weights > 0.0 else 1.0
        for column in range(dim):
            result[point, column] = together[column] / length
    return result
