"""Neighbour lists of real headlines against exact HDBSCAN on all their distances."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hdbscan import HDBSCAN
from sklearn.metrics import adjusted_rand_score

from clustering.neighbours import ExactSearcher, NeighbourGraph, update_graph
from clustering.tree import cluster_neighbours
from newstide.core.settings import EmbeddingSettings
from newstide.embedding import load_embedder
from tests.harness.labelled import labelled

NAMES = ("giveme5w1h", "uci_stories", "allsides_roundups")
_ORDERS = 3
ROWS = 1500


def lists_and_distances(name: str) -> tuple[NeighbourGraph, npt.NDArray[np.float64]]:
    """The graph of the set's first titles, and all their distances."""
    titles = pd.read_parquet(labelled(f"{name}.parquet"))["title"].drop_duplicates().head(ROWS).tolist()
    vectors = load_embedder(EmbeddingSettings(model="use-multilingual")).encode(titles)
    graph, _ = update_graph(
        None, [f"{row:05d}" for row in range(len(titles))], lambda _: vectors, ExactSearcher(), k=30, spare=0
    )
    exact = graph.vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    distances = np.sqrt(np.maximum(0.0, 2 - 2 * exact @ exact.T))
    np.fill_diagonal(distances, 0.0)
    return graph, distances


@pytest.mark.parametrize("name", NAMES)
def test_thirty_neighbours_give_the_clusters_of_all_distances(name: str) -> None:
    graph, distances = lists_and_distances(name)
    labels = HDBSCAN(metric="precomputed", min_samples=1, min_cluster_size=3).fit(distances).labels_
    lengths = np.sqrt(np.maximum(0.0, 2 - 2 * graph.similarities.astype(np.float64)))
    found = cluster_neighbours(graph.indices, lengths, min_samples=1, vectors=graph.vectors).labels
    assert labels.max() > 20
    assert adjusted_rand_score(labels, found) >= 0.99


def test_with_ties_they_are_as_close_to_hdbscans_as_those_to_their_own_on_permuted_rows() -> None:
    rng = np.random.default_rng(0)
    to_hdbscan, to_itself = [], []
    for name in NAMES:
        graph, distances = lists_and_distances(name)
        labels = HDBSCAN(metric="precomputed", min_samples=3, min_cluster_size=3).fit(distances).labels_
        lengths = np.sqrt(np.maximum(0.0, 2 - 2 * graph.similarities))
        found = cluster_neighbours(graph.indices, lengths, min_samples=3, vectors=graph.vectors).labels
        for _ in range(
            _ORDERS
        ):  # which of equal weights comes first depends on the processor, too: one order tells little
            order = rng.permutation(len(labels))
            permuted = HDBSCAN(metric="precomputed", min_samples=3, min_cluster_size=3)
            theirs = permuted.fit(distances[np.ix_(order, order)]).labels_
            to_hdbscan.append(adjusted_rand_score(theirs, found[order]))
            to_itself.append(adjusted_rand_score(theirs, labels[order]))
    assert np.mean(to_hdbscan) >= np.mean(to_itself) - 0.01, (to_hdbscan, to_itself)
