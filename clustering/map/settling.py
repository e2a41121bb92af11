"""Moves some rows of a map and leaves the others where they are: UMAP's forces on the edges of the rows that move.

A run's new headlines, and those that lie near them, are a small part of the map. What they cost grows with them: only their
edges are weighed and followed. The weights and the forces are UMAP's (McInnes, Healy, Melville 2018): an edge draws its ends
together as often as its weight says, and for each draw some rows taken at random push a row away.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustering.arrays import Flags, Indices, Labels, Values, Vectors
from clustering.kernels import kernel

_PUSHES = 5  # for each draw, as UMAP
_STEPS = 64  # of the search for a row's bandwidth, as UMAP
_TOLERANCE = 1e-5
_LEAST_BANDWIDTH = 1e-3  # of the mean distance in a list
_LARGEST_STEP = 4.0  # along one axis, before the rate
_FEWEST_EPOCHS = 10  # from which on UMAP leaves out edges too weak to be drawn once


@dataclass(frozen=True, slots=True)
class Forces:
    """How rows move.

    Attributes:
        a: Of UMAP's curve 1 / (1 + a d^2b).
        b: Likewise.
        rate: Of the first epoch; it falls to nothing over the epochs.
        epochs: How many.
        seed: Of the rows that push.
    """

    a: float
    b: float
    rate: float
    epochs: int
    seed: int


def settled(start: Vectors, moving: Flags, lists: Indices, distances: Vectors, forces: Forces) -> Vectors:
    """The map with the moving rows where the forces bring them.

    Args:
        start: (n, 2) where each row is.
        moving: (n,) which of them may move.
        lists: (n, k) the row itself first, then its nearest.
        distances: (n, k) euclidean.
        forces: How rows move.

    Returns:
        (n, 2); the same for the same input.
    """
    heads, tails, weights = _edges(moving, lists, distances)
    if forces.epochs > _FEWEST_EPOCHS and len(weights):
        strong = weights >= weights.max() / forces.epochs
        heads, tails, weights = heads[strong], tails[strong], weights[strong]
    positions = start.astype(np.float64)
    if len(weights):
        every = weights.max() / weights.astype(np.float64)
        random = np.random.default_rng(forces.seed).integers(1, 2**63 - 1, len(start)).astype(np.uint64)
        _move(positions, moving, heads, tails, every, random, forces.a, forces.b, forces.rate, forces.epochs)
    return positions.astype(np.float32)


def _edges(moving: Flags, lists: Indices, distances: Vectors) -> tuple[Labels, Labels, Vectors]:
    """The edges that begin in a moving row, both ways where both ends move: heads, tails, weights."""
    from scipy.sparse import csr_matrix

    n, k = lists.shape
    rows = np.flatnonzero(moving | moving[lists].any(axis=1))
    weights = _memberships(distances[rows], float(np.log2(k)), float(distances.mean(dtype=np.float64)))
    heads, tails = np.repeat(rows, k), lists[rows].ravel()
    some = (heads != tails) & (moving[heads] | moving[tails])
    listed = csr_matrix((weights.ravel()[some], (heads[some], tails[some])), shape=(n, n))
    listed.sum_duplicates()  # a short list repeats its last
    np.minimum(listed.data, 1, out=listed.data)
    turned = listed.T.tocsr()
    either = (listed + turned - listed.multiply(turned)).tocoo()
    own = moving[either.row] & (either.data > 0)
    return either.row[own].astype(np.int64), either.col[own].astype(np.int64), either.data[own].astype(np.float32)


@kernel()
def _memberships(distances: Vectors, target: float, mean_of_all: float) -> Vectors:
    """(m, k) how surely each of the listed is a neighbour: 1 for the nearest, the sum of a list being `target`."""
    m, k = distances.shape
    weights = np.zeros((m, k), np.float32)
    for row in range(m):
        own = distances[row]
        nearest = 0.0
        for place in range(k):
            if own[place] > 0:
                nearest = own[place]
                break
        low, high, width = 0.0, np.inf, 1.0
        for _ in range(_STEPS):
            total = 0.0
            for place in range(1, k):
                beyond = own[place] - nearest
                total += np.exp(-beyond / width) if beyond > 0 else 1.0
            if abs(total - target) < _TOLERANCE:
                break
            if total > target:
                high = width
                width = (low + high) / 2
            else:
                low = width
                width = width * 2 if np.isinf(high) else (low + high) / 2
        width = max(width, _LEAST_BANDWIDTH * (own.mean() if nearest > 0 else mean_of_all))
        for place in range(k):
            beyond = own[place] - nearest
            weights[row, place] = np.exp(-beyond / width) if beyond > 0 and width > 0 else 1.0
    return weights


@kernel()
def _next(random: npt.NDArray[np.uint64], row: int) -> int:
    """A row's next random number (Marsaglia's xorshift)."""
    value = random[row]
    value ^= value << np.uint64(13)
    value ^= value >> np.uint64(7)
    value ^= value << np.uint64(17)
    random[row] = value
    return int(value >> np.uint64(1))


@kernel(fastmath={"reassoc", "contract"})
def _move(
    positions: Values,
    moving: Flags,
    heads: Labels,
    tails: Labels,
    every: Values,
    random: npt.NDArray[np.uint64],
    a: float,
    b: float,
    rate: float,
    epochs: int,
) -> None:
    """Follows the edges over all epochs; changes `positions`. An edge is drawn once in `every` epochs."""
    n = len(positions)
    draw, push = every.copy(), every / _PUSHES
    for epoch in range(epochs):
        step = rate * (1 - epoch / epochs)
        for edge in range(len(heads)):
            if draw[edge] > epoch:
                continue
            head, tail = heads[edge], tails[edge]
            east, north = positions[head, 0] - positions[tail, 0], positions[head, 1] - positions[tail, 1]
            apart = east * east + north * north
            if apart > 0:
                force = -2 * a * b * apart ** (b - 1) / (a * apart**b + 1)
                along, across = _clipped(force * east) * step, _clipped(force * north) * step
                if moving[tail]:
                    positions[tail, 0] -= along
                    positions[tail, 1] -= across
                else:  # which draws the head as often, and has no edge of its own here
                    along, across = 2 * along, 2 * across
                positions[head, 0] += along
                positions[head, 1] += across
            draw[edge] += every[edge]
            pushes = int((epoch - push[edge]) / (every[edge] / _PUSHES))
            for _ in range(pushes):
                other = _next(random, head) % n
                east, north = positions[head, 0] - positions[other, 0], positions[head, 1] - positions[other, 1]
                apart = east * east + north * north
                if apart > 0:
                    force = 2 * b / ((0.001 + apart) * (a * apart**b + 1))
                    positions[head, 0] += _clipped(force * east) * step
                    positions[head, 1] += _clipped(force * north) * step
            push[edge] += max(0, pushes) * every[edge] / _PUSHES


@kernel()
def _clipped(value: float) -> float:
    return max(-_LARGEST_STEP, min(_LARGEST_STEP, value))
