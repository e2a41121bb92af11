"""Neighbour lists of real headlines against exact HDBSCAN on all their distances."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hdbscan import HDBSCAN
from sklearn.metrics import adjusted_rand_score

from clustering.hierarchy import cluster_neighbours
from clustering.neighbours import ExactSearcher, update_graph
from newstide.embedding import load_embedder
from newstide.settings import EmbeddingSettings

DATA = Path(os.environ.get("NEWSTIDE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
ROWS = 1500


@pytest.mark.parametrize("name", ["giveme5w1h", "uci_stories", "allsides_roundups"])
def test_thirty_neighbours_give_the_clusters_of_all_distances(name: str) -> None:
    file = DATA / f"{name}.parquet"
    if not file.exists():
        pytest.skip(f"{file} is missing: set NEWSTIDE_TEST_DATA to the folder of labelled headlines")
    titles = pd.read_parquet(file)["title"].drop_duplicates().head(ROWS).tolist()
    vectors = load_embedder(EmbeddingSettings()).encode(titles)
    graph, _ = update_graph(
        None, [f"{row:05d}" for row in range(len(titles))], lambda _: vectors, ExactSearcher(), k=30, spare=0
    )
    exact = graph.vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    distances = np.sqrt(np.maximum(0.0, 2 - 2 * exact @ exact.T))
    np.fill_diagonal(distances, 0.0)
    labels = HDBSCAN(metric="precomputed", min_samples=1, min_cluster_size=3).fit(distances).labels_
    lengths = np.sqrt(np.maximum(0.0, 2 - 2 * graph.similarities.astype(np.float64)))
    found = cluster_neighbours(graph.indices, lengths, min_samples=1, vectors=graph.vectors).labels
    assert labels.max() > 20
    assert adjusted_rand_score(labels, found) >= 0.99
