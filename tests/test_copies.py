"""Copies of headlines: collapsed as runs do by default, they change nothing for the others; left apart, little."""

import json
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hdbscan import HDBSCAN
from sklearn.metrics import adjusted_rand_score

from clustering.neighbours import ExactSearcher, update_graph
from clustering.stories.clusters import Clusters, cluster_rows
from clustering.stories.copies import lists_of_points
from clustering.stories.similarity import reweigh, to_distance
from clustering.tree import cluster_neighbours
from newstide.core.headline import Headline, from_fields
from newstide.core.settings import ClusteringSettings, EmbeddingSettings
from newstide.embedding import load_embedder
from newstide.embedding.headlines import embed_headlines
from producers.sample import day_file

Vectors = np.ndarray[tuple[int, int], np.dtype[np.float32]]


@pytest.fixture(scope="module")
def day() -> tuple[list[Headline], Vectors]:
    lines = day_file().read_text(encoding="utf-8").splitlines()
    headlines = [from_fields(json.loads(line), 4_000_000_000_000).headline for line in lines]
    embedder = load_embedder(EmbeddingSettings())
    return headlines, embed_headlines(embedder, headlines)


def clustered(headlines: list[Headline], vectors: Vectors, settings: ClusteringSettings) -> Clusters:
    ids = [f"{row:06d}" for row in range(len(headlines))]
    graph, _ = update_graph(None, ids, lambda _: vectors, ExactSearcher(), k=30, spare=10)
    columns = {
        "id": ids,
        "title": [headline.title for headline in headlines],
        "language": [headline.language for headline in headlines],
        "published_at": [headline.published_at for headline in headlines],
    }
    return cluster_rows(graph, pd.DataFrame(columns), settings)


@pytest.mark.parametrize(
    ("selection", "smoothing", "least"),
    [("eom", False, 0.985), ("calibrated", False, 0.99), ("calibrated", True, 0.99)],  # eom: .990 or .995 by processor
)
def test_five_copies_of_every_tenth_headline_leave_the_others_where_they_are(
    day: tuple[list[Headline], Vectors], selection: str, smoothing: bool, least: float
) -> None:
    headlines, vectors = day
    settings = ClusteringSettings.model_validate({"selection": selection, "smoothing": smoothing})
    n = len(headlines)
    copied = np.arange(0, n, 10)
    rows = np.concatenate((np.arange(n), np.repeat(copied, 5)))
    alone = clustered(headlines, vectors, settings)
    among = clustered([headlines[row] for row in rows], vectors[rows], settings)
    others = np.setdiff1d(np.arange(n), copied)
    assert alone.labels.max() > 50
    assert among.points == alone.points
    assert adjusted_rand_score(alone.labels[others], among.labels[:n][others]) > least
    for first, copy in zip(np.repeat(copied, 5), range(n, len(rows)), strict=True):
        assert among.labels[copy] == among.labels[first] >= 0


@pytest.mark.parametrize(("exact_points", "least"), [(300, 1.0), (299, 0.95)])
@pytest.mark.parametrize("times", [1, 5, 40])  # 40 are more than a list holds
def test_points_among_copies_list_what_they_would_alone_or_among_many_points_almost(
    times: int, exact_points: int, least: float
) -> None:
    rng = np.random.default_rng(4)
    middles = rng.normal(size=(8, 16))
    vectors = (middles[rng.integers(0, 8, 300)] + 0.5 * rng.normal(size=(300, 16))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.concatenate((np.arange(300), np.repeat(np.arange(0, 300, 10), times)))

    def lists(chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        ids = [f"{row:06d}" for row in range(len(chosen))]
        graph, _ = update_graph(None, ids, lambda _: vectors[chosen], ExactSearcher(), k=12, spare=4)
        return lists_of_points(graph, np.arange(300), chosen, 64, exact_points)

    alone, among = lists(np.arange(300)), lists(rows)
    assert among.shape == alone.shape
    assert among.min() >= 0
    assert all(len({*row, own}) == 13 for own, row in enumerate(among.tolist()))
    assert np.mean([np.isin(ours, theirs).mean() for ours, theirs in zip(among, alone, strict=True)]) >= least


@pytest.mark.parametrize("min_samples", [1, 3])
def test_equal_vectors_under_different_titles_do_not_swallow_the_clusters_around_them(min_samples: int) -> None:
    """Cosines in single precision leave copies up to 0.001 apart instead of at 0."""
    settings = ClusteringSettings.model_validate(
        {"selection": "eom", "min_samples": min_samples, "min_cluster_size": 3, "centre": False, "time_weight": 0}
    )
    truth = np.repeat(np.arange(12), 30)
    apart = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        vectors = np.eye(12, 64)[truth] + 0.12 * rng.normal(size=(360, 64))
        copies = np.add.outer([3, 100, 200, 333], np.arange(5))
        vectors[copies] = vectors[copies[:, :1]]
        unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        headlines = [Headline(id=str(row), title=f"title {row}", published_at=0) for row in range(360)]
        distances = to_distance(reweigh(copies, unit))[:, 1:]
        apart += bool((distances > 0).any())
        found = clustered(headlines, unit, settings)
        assert np.isfinite(found.probabilities).all()
        assert adjusted_rand_score(truth, found.labels) > 0.98
    assert apart >= 2


@pytest.mark.parametrize("deduplicate", [True, False])
@pytest.mark.parametrize("selection", ["calibrated", "eom", "leaf"])
def test_headlines_all_alike_are_one_story_or_none_where_hdbscan_takes_no_root(
    day: tuple[list[Headline], Vectors], selection: str, deduplicate: bool
) -> None:
    headlines, vectors = day
    settings = ClusteringSettings.model_validate({"selection": selection, "deduplicate": deduplicate})
    found = clustered([headlines[0]] * 40, vectors[:1].repeat(40, axis=0), settings)
    is_story = deduplicate or selection == "calibrated"
    assert found.labels.tolist() == [0 if is_story else -1] * 40
    assert found.probabilities.tolist() == pytest.approx([float(is_story)] * 40, abs=1e-6)


@pytest.mark.parametrize("tutorial", [True, False])
@pytest.mark.parametrize("selection", ["calibrated", "eom", "leaf"])
def test_one_headline_is_in_no_story(day: tuple[list[Headline], Vectors], selection: str, tutorial: bool) -> None:
    headlines, vectors = day
    settings = ClusteringSettings.model_validate({"selection": selection, "tutorial": tutorial})
    found = clustered(headlines[:1], vectors[:1], settings)
    assert found.labels.tolist() == [-1]
    assert found.probabilities.tolist() == [0.0]


def groups(*, within: float, far: int) -> npt.NDArray[np.float64]:
    """Distances of two groups of four copies that lie `within` apart, and of rows at 1.25 from all others."""
    n = 8 + far
    distances = np.full((n, n), 1.25)
    distances[:8, :8] = within
    distances[:4, :4] = distances[4:8, 4:8] = 0
    np.fill_diagonal(distances, 0)
    return distances


@pytest.mark.parametrize("selection", ["eom", "leaf"])
@pytest.mark.parametrize(("within", "far"), [(1.0, 0), (1.0, 3), (0.5, 3), (1.2, 2)])
def test_where_copies_dominate_they_are_the_clusters_as_hdbscan_has_it(selection: Any, within: float, far: int) -> None:
    distances = groups(within=within, far=far)
    n = len(distances)
    indices = np.array([sorted(set(range(n)) - {row}, key=lambda other: distances[row, other]) for row in range(n)])
    lengths = np.take_along_axis(distances, indices, axis=1)
    found = cluster_neighbours(indices, lengths, min_cluster_size=3, min_samples=3, selection=selection)
    library = HDBSCAN(metric="precomputed", cluster_selection_method=selection, min_samples=3, min_cluster_size=3)
    with warnings.catch_warnings():  # of its infinite densities
        warnings.simplefilter("ignore")
        expected = library.fit(distances).labels_
    assert expected.max() == 1
    assert found.labels.tolist() == expected.tolist()
    assert np.isfinite(found.probabilities).all()
