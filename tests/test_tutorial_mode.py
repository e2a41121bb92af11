"""Tutorial mode against the tutorial's own code: a dense matrix of infinities given to hdbscan."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.neighbours import ExactSearcher, update_graph
from clustering.tree.tutorial import as_searched, labels_of_search, tutorial_labels
from newstide.core.errors import InvalidGraph
from newstide.core.settings import Settings
from newstide.embedding import load_embedder
from newstide_app.evaluation import evaluate_file, read_labelled
from tests.harness.tutorial import tutorials_own_code

Array = npt.NDArray[Any]


def searched(vectors: Array, k: int) -> tuple[Array, Array]:
    """Squared euclidean distances in single precision, itself included, as a search gives them."""
    squared = ((vectors[:, None].astype(np.float32) - vectors[None].astype(np.float32)) ** 2).sum(2)
    indices = np.argsort(squared, axis=1, kind="stable")[:, :k].astype(np.int32)
    return indices, np.take_along_axis(squared, indices, axis=1)


@st.composite
def collections(draw: st.DrawFn) -> tuple[Array, Array]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, dim, blobs = draw(st.integers(6, 120)), draw(st.integers(1, 6)), draw(st.integers(1, 8))
    spread = draw(st.sampled_from([0.05, 0.3, 1.0]))
    vectors = rng.normal(size=(blobs, dim))[rng.integers(0, blobs, n)] + spread * rng.normal(size=(n, dim))
    if draw(st.booleans()):  # few distinct values: ties
        vectors = np.round(vectors * 4) / 4
    for _ in range(draw(st.integers(0, 3))):  # copies
        vectors[rng.integers(0, n, draw(st.integers(1, 10)))] = vectors[rng.integers(0, n)]
    indices, distances = searched(vectors, draw(st.integers(2, min(50, n))))
    if draw(st.booleans()):  # an index that misses some, even a row itself
        indices[rng.random(indices.shape) < 0.1] = -1
    return indices, distances


@settings(max_examples=300, deadline=None)
@given(collections())
def test_labels_and_probabilities_are_the_tutorials_bit_for_bit(lists: Any) -> None:
    labels, probabilities = tutorials_own_code(*lists)
    found = labels_of_search(*lists)
    np.testing.assert_array_equal(found[0], labels)
    np.testing.assert_array_equal(found[1], probabilities)


@pytest.mark.parametrize("n", [600, 1500])
def test_labels_are_the_tutorials_at_a_few_hundred_headlines_in_high_dimension(n: int) -> None:
    rng = np.random.default_rng(n)
    vectors = rng.normal(size=(n // 8, 96))[rng.integers(0, n // 8, n)] + 0.6 * rng.normal(size=(n, 96))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lists = searched(vectors, 50)
    labels, probabilities = tutorials_own_code(*lists)
    found = labels_of_search(*lists)
    assert labels.max() > 10
    np.testing.assert_array_equal(found[0], labels)
    np.testing.assert_array_equal(found[1], probabilities)


def test_the_graphs_lists_become_the_tutorials_search() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(200, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"{row:04d}" for row in range(200)]
    graph, _ = update_graph(None, ids, lambda _: vectors, ExactSearcher(), k=60, spare=0)
    indices, distances = as_searched(graph.indices, graph.similarities)
    true, squared = searched(vectors, 50)
    assert indices.shape == (200, 50)
    assert (indices == true).mean() > 0.99
    np.testing.assert_allclose(distances, squared, atol=1e-5)
    np.testing.assert_array_equal(
        tutorial_labels(graph.indices, graph.similarities)[0], tutorials_own_code(indices, distances)[0]
    )


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7])
def test_a_handful_of_rows_have_hdbscans_labels(n: int) -> None:
    for seed in range(20):
        vectors = np.random.default_rng(seed).normal(size=(n, 3))
        lists = searched(vectors, n)
        labels, probabilities = tutorials_own_code(*lists)
        found = labels_of_search(*lists)
        np.testing.assert_array_equal(found[0], labels)
        np.testing.assert_array_equal(found[1], probabilities)


def test_evaluated_as_the_tutorial_real_headlines_have_the_labels_of_its_own_code(
    real_headlines: Path, tmp_path: Path
) -> None:
    chosen = Settings().updated(clustering={"tutorial": True, "selection": "leaf", "min_samples": 1})
    path, out = real_headlines / "giveme5w1h.parquet", tmp_path / "labels.csv"
    report = evaluate_file(path, chosen, text="title", labels_out=out)
    titles = read_labelled(path, needs_time=False)["title"].tolist()
    vectors = load_embedder(chosen.embedding).encode(titles).astype(np.float64)
    cosines = (vectors @ vectors.T / np.outer(*[np.linalg.norm(vectors, axis=1)] * 2)).clip(-1, 1).astype(np.float32)
    np.fill_diagonal(cosines, 2)  # the row itself first, at distance 0
    indices = np.argsort(-cosines, axis=1, kind="stable")[:, :50].astype(np.int32)
    distances = np.maximum(0, 2 - 2 * np.take_along_axis(cosines, indices, axis=1))
    labels, _ = tutorials_own_code(indices, distances)
    found = pd.read_csv(out)["cluster_label"].to_numpy()
    assert report["selection"] == "tutorial"
    assert labels.max() > 20
    np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_too_few_rows_are_noise(n: int) -> None:
    labels, probabilities = labels_of_search(np.zeros((n, 3), np.int32), np.zeros((n, 3)))
    assert labels.tolist() == [-1] * n
    assert probabilities.tolist() == [0.0] * n


@pytest.mark.parametrize(("name", "value"), [("min_samples", 0), ("min_cluster_size", 1), ("min_samples", "fail")])
def test_parameters_out_of_range_are_named(name: str, value: Any) -> None:
    with pytest.raises(InvalidGraph, match=f"{name} is {value!r}"):
        labels_of_search([[1], [0]], [[1.0], [1.0]], **{name: value})


def test_a_row_number_out_of_range_is_named() -> None:
    with pytest.raises(InvalidGraph, match="names 9 as a neighbour, and there are 2 rows"):
        labels_of_search([[0, 9], [1, 0]], [[0.0, 1.0], [0.0, 1.0]])
