"""The tree and its clusters against hdbscan on the dense matrix of the same graph, and against brute force."""

import warnings
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytest
from hdbscan import HDBSCAN
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score

from clustering.time_damping import TimeDamping
from clustering.tree import Hierarchy, build_hierarchy, cluster_neighbours
from clustering.tree.dendrogram import single_linkage
from clustering.tree.extraction import Selection, labels_of_merges
from clustering.tree.hdbscan_labels import connected_tree, library_clusters
from clustering.tree.prim import merges_of_tree

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
@pytest.mark.parametrize("min_samples", [2, 3, 5])
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
    times = rng.integers(0, 4, 80).astype(float)
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


def as_matrix(tree: Hierarchy) -> Any:
    """The spanning tree as the library's public interface takes it."""
    first, second = np.concatenate((tree.edges, tree.edges[:, ::-1])).T
    return coo_array((np.tile(tree.weights, 2), (first, second)), shape=(tree.n, tree.n)).tocsr()


@oracle
@given(graphs(), st.sampled_from([2, 3, 5]), st.sampled_from(SELECTIONS), st.sampled_from([0, 20_000]))
def test_the_shortcut_into_the_library_gives_what_its_public_interface_gives(
    graph: Any, min_cluster_size: int, selection: Selection, most_for_library: int
) -> None:
    tree = build_hierarchy(*graph, min_samples=1)
    labels, probabilities = hdbscans(as_matrix(tree), 1, min_cluster_size, selection)
    found = library_clusters(tree, min_cluster_size, selection, most_for_library)
    assert same_partition(found[0], labels)
    np.testing.assert_array_equal(found[1], probabilities)


def test_with_ties_the_shortcut_is_as_close_to_the_public_interface_as_ties_allow() -> None:
    rng = np.random.default_rng(2)
    for selection in SELECTIONS:
        for _ in range(5):
            vectors = blobs(rng, 300, 8, 15, 0.2)
            tree = build_hierarchy(*nearest(all_distances(vectors), 20), min_samples=3, vectors=vectors)
            labels = hdbscans(as_matrix(tree), 1, 3, selection)[0]
            assert adjusted_rand_score(library_clusters(tree, 3, selection)[0], labels) > 0.9


@oracle
@given(untidy_lists(), st.sampled_from([2, 3, 5]), st.sampled_from(["eom", "leaf"]))
def test_above_the_bound_the_choice_is_still_the_librarys_to_the_last_bit(
    lists: Any, min_cluster_size: int, selection: Any
) -> None:
    indices, lengths, min_samples = lists
    tree = build_hierarchy(indices, lengths, min_samples=min_samples)
    n = tree.n
    if n < 2 * min_cluster_size:
        return
    edges = np.stack((np.arange(n - 1), np.arange(1, n)), axis=1)
    weights = np.sort(lengths.ravel()[np.arange(n - 1) % lengths.size])  # a chain with ties and zeros
    apart = np.where(np.arange(n - 1) < n - 1 - n // 4, weights, np.inf)  # what nothing connects
    for merges in (single_linkage(edges, weights), single_linkage(edges, apart), merges_of(tree)):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            library = labels_of_merges(merges, min_cluster_size, selection)
            ours = labels_of_merges(merges, min_cluster_size, selection, most_for_library=0)
        np.testing.assert_array_equal(ours[0], library[0])
        np.testing.assert_array_equal(ours[1], library[1])


def merges_of(tree: Hierarchy) -> Array:
    edges, weights = connected_tree(tree, tree.weights)
    return merges_of_tree(edges, weights)


def test_above_the_bound_thousands_of_clusters_are_the_librarys_to_the_last_bit() -> None:
    rng = np.random.default_rng(6)
    vectors = blobs(rng, 3000, 8, 200, 0.2)
    for min_samples in (1, 3):
        merges = merges_of(build_hierarchy(*nearest(all_distances(vectors), 15), min_samples=min_samples))
        for selection in SELECTIONS:
            library = labels_of_merges(merges, 3, selection)
            ours = labels_of_merges(merges, 3, selection, most_for_library=0)
            assert library[0].max() > 150
            np.testing.assert_array_equal(ours[0], library[0])
            np.testing.assert_array_equal(ours[1], library[1])


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
