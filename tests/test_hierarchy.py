"""The tree and its clusters against hdbscan on the dense matrix of the same graph, and against brute force."""

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score

from clustering.time_damping import TimeDamping
from clustering.tree import Hierarchy, build_hierarchy, cluster_neighbours
from clustering.tree.extraction import Selection
from tests.harness.trees import (
    SELECTIONS,
    Array,
    all_distances,
    blobs,
    dense,
    fitted,
    graphs,
    hdbscans,
    heights_of_merges,
    meeting_heights,
    nearest,
    oracle,
    reachability,
    single_linkage_heights,
    unit,
    untidy_lists,
)


@oracle
@given(graphs(), st.sampled_from([2, 3, 5]), st.sampled_from(["eom", "leaf"]))
def test_without_ties_labels_and_probabilities_are_hdbscans(graph: Any, min_cluster_size: int, selection: Any) -> None:
    labels, probabilities = hdbscans(dense(*graph), 1, min_cluster_size, selection)
    found = cluster_neighbours(*graph, min_samples=1, min_cluster_size=min_cluster_size, selection=selection)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_allclose(found.probabilities, probabilities, rtol=1e-12)


@oracle
@given(graphs(), st.integers(2, 5))
def test_with_ties_any_two_rows_meet_at_hdbscans_height(graph: Any, min_samples: int) -> None:
    matrix = dense(*graph)
    found = meeting_heights(build_hierarchy(*graph, min_samples=min_samples))
    np.testing.assert_array_equal(found, single_linkage_heights(reachability(matrix, min_samples)))
    np.testing.assert_array_equal(found, heights_of_merges(fitted(matrix, min_samples).single_linkage_tree_.to_numpy()))


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("min_samples", [3, *(pytest.param(more, marks=pytest.mark.slow) for more in (2, 5))])
def test_with_ties_labels_are_closer_to_hdbscans_than_those_to_their_own_on_permuted_rows(
    min_samples: int, selection: Selection
) -> None:
    rng = np.random.default_rng(7)
    to_hdbscan, to_itself = [], []
    for _ in range(60):
        vectors = blobs(rng, 200, 8, 12, 0.2)
        indices, lengths = nearest(all_distances(vectors), 30)
        matrix = dense(indices, lengths)
        if connected_components(np.isfinite(matrix))[0] > 1:
            continue
        labels = hdbscans(matrix, min_samples, 3, selection)[0]
        found = cluster_neighbours(indices, lengths, min_samples=min_samples, selection=selection)
        to_hdbscan.append(adjusted_rand_score(labels, found.labels))
        order = rng.permutation(len(matrix))
        permuted = hdbscans(matrix[np.ix_(order, order)], min_samples, 3, selection)[0]
        to_itself.append(adjusted_rand_score(labels[order], permuted))
    assert len(to_itself) >= 40
    assert np.mean(to_hdbscan) >= max(0.995, np.mean(to_itself))


@oracle
@given(untidy_lists())
def test_any_lists_give_the_single_linkage_of_their_union_graph(lists: Any) -> None:
    indices, lengths, min_samples = lists
    matrix = reachability(dense(indices, lengths), min_samples)
    hierarchy = build_hierarchy(indices, lengths, min_samples=min_samples)
    np.testing.assert_array_equal(meeting_heights(hierarchy), single_linkage_heights(matrix))
    off = ~np.eye(len(matrix), dtype=bool)
    count = connected_components(np.isfinite(matrix) & off)[0]
    assert hierarchy.components == count
    assert len(hierarchy.edges) == len(matrix) - count


@oracle
@given(untidy_lists())
def test_the_dendrogram_keeps_its_promises(lists: Any) -> None:
    indices, lengths, min_samples = lists
    tree = build_hierarchy(indices, lengths, min_samples=min_samples)
    nodes = len(tree.parent)
    inner = np.arange(nodes - 1)
    assert tree.parent[-1] == -1
    assert (tree.parent[inner] > inner).all()
    assert (tree.parent[inner] >= tree.n).all()
    split = inner[inner >= tree.n]
    assert (tree.height[split] < tree.height[tree.parent[split]]).all()
    sums = np.zeros(nodes, int)
    np.add.at(sums, tree.parent[inner], tree.size[inner])
    np.testing.assert_array_equal(sums[tree.n :], tree.size[tree.n :])
    assert (np.bincount(tree.parent[inner], minlength=nodes)[tree.n :] >= 2).all()
    keys = np.lexsort((tree.edges[:, 1], tree.edges[:, 0], tree.weights))
    np.testing.assert_array_equal(keys, np.arange(len(keys)))
    assert (tree.edges[:, 0] < tree.edges[:, 1]).all()


@oracle
@given(untidy_lists(), st.integers(0, 2**32 - 1))
def test_permuting_the_rows_leaves_the_tree_as_it_is(lists: Any, seed: int) -> None:
    indices, lengths, min_samples = lists
    rng = np.random.default_rng(seed)
    n = len(indices)
    order = rng.permutation(n)  # row `order[i]` becomes row i
    place = np.empty(n + 1, int)
    place[order], place[-1] = np.arange(n), -1
    within = rng.permutation(indices.shape[1])
    one = build_hierarchy(indices, lengths, min_samples=min_samples)
    two = build_hierarchy(place[indices][order][:, within], lengths[order][:, within], min_samples=min_samples)
    assert clades(one, order) == clades(two, np.arange(n))


@oracle
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3]), st.booleans())
def test_permuting_the_rows_leaves_the_bridged_tree_as_it_is(seed: int, min_samples: int, timed: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors = blobs(rng, 80, 6, 15, 0.02) * np.exp(rng.normal(size=(80, 1))).astype(np.float32)
    vectors[rng.integers(0, 80, 10)] = vectors[0]
    times = rng.random(80) * 4  # copies at a few same times would make bridges that are equally light
    damping = 0.3 * (np.exp(-np.abs(times[:, None] - times[None]) / 4) - 1) if timed else 0.0
    full = np.sqrt(np.maximum(0.0, all_distances(vectors) ** 2 - 2 * damping))
    np.fill_diagonal(full, 0.0)
    indices, lengths = nearest(full, 5)
    extra: dict[str, Any] = {"min_samples": min_samples, "memory_mb": 1}
    timing: dict[str, Any] = {"damping": TimeDamping(times, 0.3, 4.0)} if timed else {}
    one = build_hierarchy(indices, lengths, vectors=vectors, **extra, **timing)
    order = rng.permutation(80)
    place = np.argsort(order)
    if timed:
        timing["damping"] = TimeDamping(times[order], 0.3, 4.0)
    two = build_hierarchy(place[indices][order], lengths[order], vectors=vectors[order], **extra, **timing)
    assert clades(one, order) == clades(two, np.arange(80))


def clades(tree: Hierarchy, names: Array) -> list[tuple[float, list[int]]]:
    """Each node as (height, the rows below it): the tree without its numbering."""
    number = np.empty(tree.n, int)
    number[names] = np.arange(tree.n)
    below = [{int(number[row])} for row in range(tree.n)] + [set() for _ in range(len(tree.parent) - tree.n)]
    for node, parent in enumerate(tree.parent):
        if parent >= 0:
            below[parent] |= below[node]
    return sorted((float(height), sorted(rows)) for height, rows in zip(tree.height, below, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3]), st.booleans())
def test_bridges_are_the_spanning_tree_of_the_components_true_distances(
    seed: int, min_samples: int, timed: bool
) -> None:
    rng = np.random.default_rng(seed)
    vectors = blobs(rng, 150, 6, 25, 0.02)
    vectors[rng.integers(0, 150, 10)] = vectors[0]
    times = rng.random(150) * 10
    damping = 0.3 * (np.exp(-np.abs(times[:, None] - times[None]) / 4) - 1) if timed else 0.0
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    full = np.sqrt(np.maximum(0.0, 2 - 2 * (exact @ exact.T + damping)))
    full = np.minimum(full, full.T)
    np.fill_diagonal(full, 0.0)
    indices, lengths = nearest(full, 5)
    matrix = dense(indices, lengths)
    count, component = connected_components(np.isfinite(matrix))
    core = np.sort(matrix, axis=0)[min_samples]
    wanted = np.maximum(full, np.maximum(core[:, None], core[None]))
    between = np.full((count, count), np.inf)
    np.minimum.at(between, (component[:, None], component[None]), wanted)
    np.fill_diagonal(between, 0.0)
    extra: dict[str, Any] = {"damping": TimeDamping(times, 0.3, 4.0)} if timed else {}
    tree = build_hierarchy(indices, lengths, min_samples=min_samples, vectors=vectors, memory_mb=1, **extra)
    assert tree.components == count
    assert len(tree.edges) == 149
    crosses = component[tree.edges[:, 0]] != component[tree.edges[:, 1]]
    bridges: Array | list[float] = np.sort(linkage(squareform(between), "single")[:, 2]) if count > 1 else []
    np.testing.assert_allclose(tree.weights[crosses], bridges, atol=1e-7)
    np.testing.assert_allclose(tree.weights[crosses], wanted[tuple(tree.edges[crosses].T)], atol=1e-7)
    within = build_hierarchy(indices, lengths, min_samples=min_samples)
    np.testing.assert_array_equal(tree.edges[~crosses], within.edges)


def test_three_blobs_that_no_edge_connects_are_three_clusters() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 30)
    vectors = unit(10 * np.eye(3)[truth] + 0.3 * rng.normal(size=(90, 3)))
    indices, lengths = nearest(all_distances(vectors), 10)
    for given_vectors in (vectors, None):
        found = cluster_neighbours(indices, lengths, vectors=given_vectors)
        assert found.hierarchy.components == 3
        clustered = found.labels >= 0
        assert clustered.mean() > 0.9
        assert adjusted_rand_score(truth[clustered], found.labels[clustered]) == 1.0


def test_without_vectors_components_hang_side_by_side_under_an_infinite_root() -> None:
    tree = build_hierarchy([[1], [0], [3], [2]], [[0.5], [0.5], [0.25], [0.25]], min_samples=1)
    assert tree.height.tolist() == [0, 0, 0, 0, 0.25, 0.5, np.inf]
    assert tree.parent.tolist() == [5, 5, 4, 4, 6, 6, -1]
    assert tree.size.tolist() == [1, 1, 1, 1, 2, 2, 4]


def test_copies_collapsed_to_one_point_leave_the_others_labels_as_they_are() -> None:
    rng = np.random.default_rng(5)
    vectors = blobs(rng, 600, 16, 40, 0.1)
    originals = np.arange(600)
    source = np.concatenate((originals, np.repeat(originals[::10], 5)))
    point = np.unique(vectors[source], axis=0, return_inverse=True)[1].ravel()
    collapsed = np.unique(point, return_index=True)[1]
    without = cluster_neighbours(*nearest(all_distances(vectors), 30), vectors=vectors, min_samples=1).labels
    distinct = vectors[source][collapsed]
    found = cluster_neighbours(*nearest(all_distances(distinct), 30), vectors=distinct, min_samples=1).labels[point]
    others = np.setdiff1d(originals, originals[::10])
    assert adjusted_rand_score(without[others], found[others]) > 0.99


def test_a_few_copies_do_not_swallow_the_clusters_around_them() -> None:
    """At distance 0 the excess of mass is infinite; the floor keeps it within bounds."""
    rng = np.random.default_rng(1)
    truth = np.repeat(np.arange(6), 40)
    vectors = unit(np.eye(6)[truth] + 0.1 * rng.normal(size=(240, 6)))
    vectors[3:7] = vectors[3]
    vectors[100:104] = vectors[100]
    found = cluster_neighbours(*nearest(all_distances(vectors), 30), vectors=vectors, min_samples=1)
    assert np.isfinite(found.probabilities).all()
    assert adjusted_rand_score(truth, found.labels) > 0.95


def test_the_forest_weighs_what_scipys_weighs_on_a_large_graph_whatever_the_threads() -> None:
    rng = np.random.default_rng(4)
    n, k = 20_000, 8
    indices = ((np.arange(n)[:, None] + rng.integers(1, 400, (n, k))) % n).astype(np.int32)
    lengths = rng.random((n, k)).astype(np.float32)
    tree = build_hierarchy(indices, lengths, min_samples=2)
    rows = np.repeat(np.arange(n), k)
    core = tree.core.astype(np.float64)
    weights = np.maximum(lengths.ravel(), np.maximum(core[rows], core[indices.ravel()]))
    order = np.argsort(-weights, kind="stable")  # of parallel edges the lightest is written last
    low, high = np.minimum(rows, indices.ravel())[order], np.maximum(rows, indices.ravel())[order]
    keys, last = np.unique((low.astype(np.int64) * n + high)[::-1], return_index=True)
    lightest = weights[order][::-1][last]
    graph = coo_array((lightest, (keys // n, keys % n)), shape=(n, n)).tocsr()
    assert tree.weights.sum() == pytest.approx(minimum_spanning_tree(graph).sum(), rel=1e-9)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = build_hierarchy(indices, lengths, min_samples=2)
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(alone.edges, tree.edges)
    np.testing.assert_array_equal(alone.parent, tree.parent)


def test_flat_cuts_are_scipys_single_linkage() -> None:
    rng = np.random.default_rng(9)
    distances = all_distances(blobs(rng, 200, 5, 6, 0.3))
    tree = build_hierarchy(*nearest(distances, 199), min_samples=1)
    cut = np.quantile(tree.weights, 0.9)
    top = np.arange(len(tree.parent))
    for node in range(len(top) - 2, -1, -1):
        if tree.height[tree.parent[node]] <= cut:
            top[node] = top[tree.parent[node]]
    wanted = fcluster(linkage(squareform(distances), "single"), cut, "distance")
    assert adjusted_rand_score(wanted, top[:200]) == 1.0
