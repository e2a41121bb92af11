"""What lies far away, or is long, does not change what is near: the guard against copies, and bridges."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from clustering.tree import build_hierarchy, cluster_neighbours


@pytest.mark.parametrize("distance", [1e2, 1e4, 1e6])
def test_one_row_far_from_all_others_leaves_their_clusters_as_they_are(distance: float) -> None:
    rng = np.random.default_rng(0)
    centres = np.array([(0, 0), (4, 0), (0, 4), (9, 9)])
    points = np.repeat(centres, 60, axis=0) + rng.normal(0, 0.3, (240, 2))
    points = np.vstack((points, np.full((1, 2), distance)))
    lengths, found = cKDTree(points).query(points, len(points))

    labels = cluster_neighbours(found[:, 1:], lengths[:, 1:].astype(np.float32), min_cluster_size=5).labels

    assert [len(set(labels[start : start + 60])) for start in range(0, 240, 60)] == [1, 1, 1, 1]
    assert len(set(labels[:240])) == 4
    assert labels[240] == -1


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("length", [0.2, 1.0, 5.0])
def test_bridges_do_not_depend_on_the_vectors_lengths(length: float, spread: float) -> None:
    rng = np.random.default_rng(1)
    vectors = np.repeat(rng.normal(size=(10, 8)), 12, axis=0) + 0.15 * rng.normal(size=(120, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = np.sqrt(np.maximum(0, 2 - 2 * vectors @ vectors.T))
    np.fill_diagonal(distances, np.inf)
    indices = np.argsort(distances, axis=1)[:, :5]
    lengths = np.take_along_axis(distances, indices, axis=1)
    lists = indices.astype(np.int32), lengths
    stretched = vectors * (length * np.exp(spread * rng.normal(size=(120, 1))))

    bridged = build_hierarchy(*lists, vectors=vectors.astype(np.float32))
    again = build_hierarchy(*lists, vectors=stretched.astype(np.float32))

    assert bridged.components > 1
    np.testing.assert_allclose(again.weights, bridged.weights, atol=1e-4)
