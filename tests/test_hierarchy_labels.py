"""The clusters that are chosen from a tree against those that hdbscan chooses from it."""

import warnings
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from sklearn.metrics import adjusted_rand_score

from clustering.tree import Hierarchy, build_hierarchy
from clustering.tree.dendrogram import single_linkage
from clustering.tree.extraction import Selection, labels_of_merges
from clustering.tree.hdbscan_labels import connected_tree, library_clusters
from clustering.tree.prim import merges_of_tree
from tests.harness.trees import (
    SELECTIONS,
    Array,
    all_distances,
    blobs,
    graphs,
    hdbscans,
    nearest,
    oracle,
    same_partition,
    untidy_lists,
)


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
