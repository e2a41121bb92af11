"""Rows that settle on a map: UMAP's weights and forces, for the rows that move."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from clustering.map import settling
from clustering.map.layout import medians, umap_compiled_once
from clustering.map.settling import Forces, settled
from clustering.stories import naming
from tests.test_layout import make_vectors, neighbours

ROWS, K = 300, 12


@pytest.fixture(scope="module")
def lists() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Each row first, then its nearest; euclidean distances."""
    near, alike = neighbours(make_vectors(ROWS), K - 1)
    own = np.arange(ROWS, dtype=np.int32)[:, None]
    distances = np.sqrt(np.maximum(0, 2 - 2 * np.concatenate([np.ones((ROWS, 1)), alike], axis=1)))
    return np.concatenate([own, near], axis=1), distances.astype(np.float32)


@pytest.fixture
def start() -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(ROWS, 2)).astype(np.float32) * 5


def test_weights_are_umaps(lists: tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]) -> None:
    indices, distances = lists
    umap = umap_compiled_once()
    sigmas, rhos = umap.umap_.smooth_knn_dist(distances, float(K))
    rows, tails, values, _ = umap.umap_.compute_membership_strengths(indices, distances, sigmas, rhos)
    ours = settling._memberships(distances, float(np.log2(K)), float(distances.mean(dtype=np.float64)))
    others = rows != tails
    assert np.allclose(ours.ravel()[others], values[others], atol=2e-3)
    heads, to, weights = settling._edges(np.ones(ROWS, np.bool_), indices, distances)
    graph = umap.umap_.fuzzy_simplicial_set(
        np.zeros((ROWS, 2)), K, np.random.RandomState(0), "euclidean", knn_indices=indices, knn_dists=distances
    )[0].toarray()
    dense = np.zeros((ROWS, ROWS), np.float32)
    dense[heads, to] = weights
    assert np.allclose(dense, graph, atol=3e-3)


def test_forces_are_the_same_compiled_and_as_written(
    lists: tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]],
    start: npt.NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moving = np.arange(ROWS) % 3 == 0
    forces = Forces(1.6, 0.9, 0.1, 12, 42)
    compiled = settled(start, moving, *lists, forces)
    assert np.array_equal(compiled[~moving], start[~moving])
    assert (compiled[moving] != start[moving]).any(axis=1).mean() > 0.9
    for name in ("_move", "_next", "_clipped"):
        monkeypatch.setattr(settling, name, getattr(settling, name).py_func)
    with np.errstate(over="ignore"):
        assert np.allclose(settled(start, moving, *lists, forces), compiled, atol=1e-3)


def test_a_row_goes_to_its_neighbours_and_off_the_others(
    lists: tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]], start: npt.NDArray[np.float32]
) -> None:
    indices, distances = lists
    near = np.zeros((ROWS, 2), np.float32)
    near[indices[0, 1:]] = start[1]  # all neighbours of row 0 on one spot, the others in the middle
    near[0] = start[1] + [3, 0]
    moving = np.arange(ROWS) == 0
    moved = settled(near, moving, indices, distances, Forces(1.6, 0.9, 1.0, 200, 42))
    assert np.linalg.norm(moved[0] - start[1]) < 1.5


def test_a_row_is_placed_at_the_median_of_its_nearest_placed_neighbours(
    lists: tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]], start: npt.NDArray[np.float32]
) -> None:
    indices = lists[0][:, 1:]
    there = np.random.default_rng(2).random(ROWS) < 0.5
    waiting = np.flatnonzero(~there)
    found = medians(start, there, waiting, indices)
    for row, place in zip(waiting, found, strict=True):
        some = [other for other in indices[row] if there[other]][:10]
        expected = np.median(start[some], axis=0) if some else [np.nan, np.nan]
        assert np.allclose(place, expected, equal_nan=True, atol=1e-6)


def test_means_and_closeness_are_numpys() -> None:
    vectors = make_vectors(50)
    rows, bounds = np.random.default_rng(4).permutation(50)[:30], np.array([0, 5, 6, 30])
    means = naming._means(vectors, rows, bounds)
    parts = [vectors[rows[begin:end]].astype(np.float64).mean(axis=0) for begin, end in itertools.pairwise(bounds)]
    assert np.allclose(means, parts)
    story = np.repeat([0, 1, 2], np.diff(bounds))
    closeness = naming._closeness(vectors, rows, means.astype(np.float32), story)
    assert np.allclose(closeness, (vectors[rows] * means[story]).sum(axis=1), atol=1e-6)
