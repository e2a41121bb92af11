"""Calibrated selection: the clusters of a tree whose members are more alike than chance would make them.

From the tree, those disjoint nodes that maximise the sum of (mean pair similarity - theta) x size^exponent. theta comes
from random pairs (`clustering.similarity.random_pair_threshold`), so no label is needed and every corpus and model is
measured anew. The maximum is exact, by dynamic programming from the leaves to the root.
"""

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from newstide.errors import InvalidGraph

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

_BLOCK = 32  # dimensions summed at a time: bounds the memory beyond the vectors
_FEATURES = 128  # random Fourier features of the time kernel


@dataclass(frozen=True, slots=True)
class Selected:
    """The clusters chosen from a tree.

    Attributes:
        labels: (n,) cluster of each row, numbered by the first row of each; -1 = in none.
        probabilities: (n,) how much more like its cluster than theta a row is, relative to the row most like it: 1 for
            that one, 0 for rows at theta, below it, or in no cluster.
        nodes: (clusters,) the tree's nodes chosen.
        similarity: (clusters,) mean similarity of the pairs of members.
    """

    labels: Numbers
    probabilities: npt.NDArray[np.float32]
    nodes: Numbers
    similarity: npt.NDArray[np.float64]


def select_calibrated(
    parent: npt.NDArray[np.int32],
    vectors: Vectors,
    theta: float,
    *,
    exponent: float = 1.5,
    min_size: int = 2,
    times: npt.NDArray[np.float64] | None = None,
    time_weight: float = 0.0,
    time_scale: float = 1.0,
) -> Selected:
    """Chooses clusters from a tree.

    The mean pair similarity of a node is exact from the sum S of its members' vectors: (|S|^2 - n) / (n (n - 1)).
    Leaves are put in the tree's order, where a node's members are neighbours, and summed by blocks of dimensions. The
    damping by distance in time, time_weight (exp(-|dt| / time_scale) - 1), is a sum over pairs too, by random Fourier
    features of the Laplacian kernel (Rahimi and Recht 2007).

    Args:
        parent: (nodes,) of a tree whose leaves 0 to n - 1 are the rows; a parent's number is larger than a child's.
        vectors: (n, dim) unit rows in clustering space.
        theta: Mean pair similarity above which a node is worth something.
        exponent: Of the size.
        min_size: Smallest cluster.
        times: (n,) days, or None.
        time_weight: lambda.
        time_scale: tau, days.

    Raises:
        InvalidGraph: The tree and the vectors do not belong together.
    """
    n = len(vectors)
    if len(parent) < n or (len(parent) and np.any(parent[:-1] <= np.arange(len(parent) - 1))):
        raise InvalidGraph(f"A tree of {len(parent)} nodes is none over {n} rows.", "Use build_hierarchy's.")
    if n < 2 or len(parent) == n:
        return Selected(np.full(n, -1, np.int64), np.zeros(n, np.float32), np.empty(0, np.int64), np.empty(0))
    first, last, order = _member_ranges(parent, n)
    sizes = (last - first)[n:].astype(np.float64)
    pairs = np.maximum(sizes * (sizes - 1), 1)
    squares = np.zeros(len(sizes))
    for block in _blocks(vectors):
        squares += _squared_sums(block[order], first[n:], last[n:])
    similarity = (squares - sizes) / pairs
    if times is not None and time_weight > 0:
        kernel = np.zeros(len(sizes))
        for block in _blocks(_time_features(times, time_scale)):
            kernel += _squared_sums(block[order], first[n:], last[n:])
        similarity += time_weight * ((kernel - sizes) / pairs - 1)
    worth = np.where(sizes >= min_size, (similarity - theta) * sizes**exponent, 0.0)
    chosen = _best_antichain(parent, worth, n)
    labels, nodes = _numbered(chosen, first, last, order, n)
    probabilities = _probabilities(labels, len(nodes), vectors, theta)
    return Selected(labels, probabilities, nodes, similarity[nodes - n])


def _blocks(vectors: Vectors) -> list[Vectors]:
    return [vectors[:, start : start + _BLOCK] for start in range(0, vectors.shape[1], _BLOCK)]


def _time_features(times: npt.NDArray[np.float64], scale: float) -> Vectors:
    """(n, 2 x features) rows of unit length whose products approximate exp(-|dt| / scale)."""
    frequencies = np.random.default_rng(0).standard_cauchy(_FEATURES) / scale
    angles = np.outer(times - times.min(), frequencies)
    features: Vectors = (np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(_FEATURES)).astype(
        np.float32
    )
    return features


@numba.njit(cache=True)  # type: ignore[untyped-decorator,unused-ignore]
def _member_ranges(parent, n):  # type: ignore[no-untyped-def]
    """Each node's members as a range [first, last) of the leaves in tree order, and that order."""
    nodes = len(parent)
    size = np.zeros(nodes, np.int64)
    size[:n] = 1
    for node in range(nodes):
        if parent[node] >= 0:
            size[parent[node]] += size[node]
    first = np.zeros(nodes, np.int64)
    free = np.zeros(nodes, np.int64)  # where the next child's members begin
    roots = 0
    for node in range(nodes - 1, -1, -1):
        if parent[node] < 0:
            first[node] = roots
            roots += size[node]
        else:
            first[node] = free[parent[node]]
            free[parent[node]] += size[node]
        free[node] = first[node]
    order = np.empty(n, np.int64)
    for row in range(n):
        order[first[row]] = row
    return first, first + size, order


@numba.njit(parallel=True, cache=True)  # type: ignore[untyped-decorator,unused-ignore]
def _squared_sums(block, first, last):  # type: ignore[no-untyped-def]
    """Over each range of rows, the squared length of the sum of the block's columns; by prefix sums in double."""
    rows, width = block.shape
    prefix = np.zeros((rows + 1, width))
    for column in numba.prange(width):
        total = 0.0
        for row in range(rows):
            total += block[row, column]
            prefix[row + 1, column] = total
    squares = np.empty(len(first))
    for node in numba.prange(len(first)):
        square = 0.0
        for column in range(width):
            part = prefix[last[node], column] - prefix[first[node], column]
            square += part * part
        squares[node] = square
    return squares


@numba.njit(cache=True)  # type: ignore[untyped-decorator,unused-ignore]
def _best_antichain(parent, worth, n):  # type: ignore[no-untyped-def]
    """Which inner nodes to take: disjoint, of the largest total worth; on a tie, the smaller ones."""
    inner = len(worth)
    below = np.zeros(inner)
    take = np.zeros(inner, np.bool_)
    for number in range(inner):
        best = below[number]
        if worth[number] > best:
            best = worth[number]
            take[number] = True
        above = parent[number + n] - n
        if above >= 0:
            below[above] += best
    covered = np.zeros(inner, np.bool_)
    for number in range(inner - 1, -1, -1):
        above = parent[number + n] - n
        if above >= 0 and (covered[above] or take[above]):
            covered[number] = True
            take[number] = False
    return take


def _numbered(
    chosen: npt.NDArray[np.bool_], first: Numbers, last: Numbers, order: Numbers, n: int
) -> tuple[Numbers, Numbers]:
    """Labels by the first row of each cluster, so that they do not depend on the tree's numbering."""
    nodes = np.flatnonzero(chosen) + n
    raw = np.full(n, -1, np.int64)
    for number, node in enumerate(nodes):
        raw[order[first[node] : last[node]]] = number
    earliest = np.full(len(nodes), n, np.int64)
    inside = np.flatnonzero(raw >= 0)
    np.minimum.at(earliest, raw[inside], inside)
    by_row = np.argsort(earliest, kind="stable")
    place = np.empty(len(nodes), np.int64)
    place[by_row] = np.arange(len(nodes))
    raw[inside] = place[raw[inside]]
    return raw, nodes[by_row]


def _probabilities(labels: Numbers, clusters: int, vectors: Vectors, theta: float) -> npt.NDArray[np.float32]:
    probabilities = np.zeros(len(labels), np.float32)
    inside = np.flatnonzero(labels >= 0)
    if not len(inside):
        return probabilities
    own = labels[inside]
    sums = np.zeros((clusters, vectors.shape[1]), np.float32)
    np.add.at(sums, own, vectors[inside])
    sizes = np.bincount(own, minlength=clusters)
    alike = (np.einsum("ij,ij->i", vectors[inside], sums[own]) - 1) / np.maximum(sizes[own] - 1, 1)
    above = np.maximum(alike - theta, 0)
    most = np.zeros(clusters)
    np.maximum.at(most, own, above)
    probabilities[inside] = np.where(most[own] > 0, above / np.where(most[own] > 0, most[own], 1), 1)
    return probabilities
