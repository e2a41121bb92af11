"""Graphs of random points, and what hdbscan, scipy and brute force make of them."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from hdbscan import HDBSCAN
from hypothesis import settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import linkage
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import squareform

from clustering.tree import Hierarchy
from clustering.tree.extraction import Selection

Array = npt.NDArray[Any]
SELECTIONS: tuple[Selection, ...] = ("eom", "leaf")
FAR = 1e9
oracle = settings(max_examples=200, deadline=None)


def unit(vectors: Array) -> Array:
    scaled: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled.astype(np.float32)


def all_distances(vectors: Array) -> Array:
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    distances = np.sqrt(np.maximum(0.0, 2 - 2 * exact @ exact.T))
    distances = np.minimum(distances, distances.T)
    np.fill_diagonal(distances, 0.0)
    return distances


def nearest(distances: Array, k: int) -> tuple[Array, Array]:
    """(n, k) lists without the row itself."""
    apart = distances.copy()
    np.fill_diagonal(apart, -1.0)
    indices = np.argsort(apart, axis=1, kind="stable")[:, 1 : k + 1].astype(np.int32)
    return indices, np.take_along_axis(distances, indices, axis=1)


def dense(indices: Array, distances: Array) -> Array:
    """The union graph as a matrix, infinite where neither row lists the other."""
    n = len(indices)
    matrix: Array = np.full((n, n), np.inf)
    rows = np.repeat(np.arange(n), indices.shape[1])
    listed = indices.ravel() >= 0
    np.minimum.at(matrix, (rows[listed], indices.ravel()[listed]), distances.ravel()[listed])
    matrix = np.minimum(matrix, matrix.T)
    np.fill_diagonal(matrix, 0.0)
    return matrix


def reachability(matrix: Array, min_samples: int) -> Array:
    core = np.sort(matrix, axis=0)[min(min_samples, len(matrix) - 1)]
    reach: Array = np.maximum(matrix, np.maximum(core[:, None], core[None]))
    return reach


def meeting_heights(hierarchy: Hierarchy) -> Array:
    """(n, n) heights at which two rows meet in the dendrogram."""
    n, nodes = hierarchy.n, len(hierarchy.parent)
    ancestors = np.zeros((nodes, nodes), bool)
    for node in range(nodes - 1, -1, -1):
        ancestors[node, node] = True
        if hierarchy.parent[node] >= 0:
            ancestors[node] |= ancestors[hierarchy.parent[node]]
    lowest = np.empty((n, n), np.int64)
    for row in range(n):
        lowest[row] = np.argmax(
            ancestors[row] & ancestors[:n], axis=1
        )  # the first common ancestor has the least number
    return hierarchy.height[lowest]


def single_linkage_heights(matrix: Array) -> Array:
    """(n, n) heights at which two rows meet by single linkage; infinite (as good as) distances stay infinite."""
    heights = heights_of_merges(linkage(squareform(np.minimum(matrix, FAR), checks=False), method="single"))
    return np.where(heights == FAR, np.inf, heights)


def heights_of_merges(merges: Array) -> Array:
    """(n, n) heights at which two rows meet in a tree of scipy's format."""
    n = len(merges) + 1
    heights = np.zeros((n, n))
    members = {row: [row] for row in range(n)}
    for number, (one, two, height, _) in enumerate(merges):
        first, second = members.pop(int(one)), members.pop(int(two))
        heights[np.ix_(first, second)] = height
        heights[np.ix_(second, first)] = height
        members[n + number] = first + second
    return heights


def hdbscans(matrix: Array, min_samples: int, min_cluster_size: int = 3, selection: Any = "eom") -> tuple[Array, Array]:
    model = fitted(matrix, min_samples, min_cluster_size, selection)
    return model.labels_, model.probabilities_


def fitted(matrix: Array, min_samples: int, min_cluster_size: int = 3, selection: Any = "eom") -> HDBSCAN:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return HDBSCAN(
            metric="precomputed",
            min_samples=min_samples,
            min_cluster_size=min_cluster_size,
            cluster_selection_method=selection,
        ).fit(matrix)


def same_partition(one: Array, two: Array) -> bool:
    noise = (one == -1) == (two == -1)
    pairs = np.unique(np.stack((one, two)), axis=1)
    return noise.all() and len(pairs[0]) == len(np.unique(one)) == len(np.unique(two))


def blobs(rng: np.random.Generator, n: int, dim: int, clusters: int, spread: float) -> Array:
    scale = 4 ** rng.random((n, 1))
    return unit(
        rng.normal(size=(clusters, dim))[rng.integers(0, clusters, n)] + spread * scale * rng.normal(size=(n, dim))
    )


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Array, Array]:
    """Connected top-k graphs of random points."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(12, 150))
    vectors = blobs(rng, n, draw(st.integers(3, 12)), draw(st.integers(1, 10)), draw(st.sampled_from([0.05, 0.2, 0.5])))
    distances = all_distances(vectors)
    k = draw(st.integers(5, 40))
    while True:
        indices, lengths = nearest(distances, min(k, n - 1))
        if connected_components(np.isfinite(dense(indices, lengths)))[0] == 1:
            return indices, lengths
        k *= 2


@st.composite
def untidy_lists(draw: st.DrawFn) -> tuple[Array, Array, int]:
    """Lists of any kind: one-sided, unsorted, of several components, with gaps, the row itself, ties and zeros."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, k = draw(st.integers(2, 60)), draw(st.integers(1, 8))
    reach = draw(st.integers(1, n))
    indices = (np.arange(n)[:, None] + rng.integers(-reach, reach + 1, (n, k))) % n
    values = rng.random((n, n)) if draw(st.booleans()) else rng.integers(0, 4, (n, n)) / 4
    symmetric = np.minimum(values, values.T) if draw(st.booleans()) else values
    lengths = symmetric[np.arange(n)[:, None], indices]
    indices[rng.random((n, k)) < 0.15] = -1
    return indices.astype(np.int32), lengths, draw(st.integers(1, k))
