"""From rows to clusters: copies, the threshold from run to run, and that nothing else touches the lists."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from clustering.neighbours import ExactSearcher, update_graph
from clustering.neighbours.cells import Cells
from clustering.stories.clusters import Clusters, cluster_rows
from clustering.tree.tutorial import tutorial_labels
from newstide.core.errors import InvalidGraph
from newstide.core.settings import ClusteringSettings

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

DIM = 32
DAY = 86_400_000  # ms
SETTINGS = ClusteringSettings(neighbours=20)


def near(axis: int, count: int, seed: int, spread: float = 0.02) -> Vectors:
    """(count, DIM) unit vectors close to one axis."""
    vectors = np.eye(DIM)[axis] + spread * np.random.default_rng(seed).normal(size=(count, DIM))
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def anywhere(count: int, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM))
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def clustered(
    vectors: Vectors,
    titles: list[str] | None = None,
    settings: ClusteringSettings = SETTINGS,
    *,
    times: npt.ArrayLike | None = None,
    theta: float | None = None,
    smoothed_theta: float | None = None,
    previous: npt.ArrayLike | None = None,
) -> Clusters:
    n = len(vectors)
    ids = [f"{row:05d}" for row in range(n)]
    graph, _ = update_graph(
        None,
        ids,
        lambda some: vectors[[int(id_) for id_ in some]],
        ExactSearcher(),
        k=settings.graph_neighbours,
        spare=0,
    )
    before = graph.indices.copy(), graph.similarities.copy()
    headlines = pd.DataFrame(
        {
            "id": ids,
            "title": titles or ids,
            "language": "en",
            "published_at": np.zeros(n, np.int64) if times is None else np.asarray(times, np.int64),
        }
    )
    found = cluster_rows(
        graph,
        headlines,
        settings,
        known_theta=theta,
        known_smoothed_theta=smoothed_theta,
        previous=None if previous is None else np.asarray(previous, np.int64),
    )
    assert np.array_equal(graph.indices, before[0])
    assert np.array_equal(graph.similarities, before[1])
    return found


@pytest.mark.parametrize("unreadable", [0, 9])
@pytest.mark.parametrize("cells", [None, 7])
def test_neither_the_order_of_work_nor_centring_in_place_changes_anything(unreadable: int, cells: int | None) -> None:
    rng = np.random.default_rng(3)
    vectors = np.concatenate([near(axis, 12, seed=axis, spread=0.15) for axis in range(6)] + [anywhere(40)])
    n = len(vectors)
    ids = [f"{row:05d}" for row in range(n)]
    graph, _ = update_graph(None, ids, lambda _: vectors, ExactSearcher(), k=SETTINGS.graph_neighbours, spare=0)
    headlines = pd.DataFrame(
        {
            "id": ids,
            "title": [f"title {row % 100}" for row in range(n)],
            "language": ["en", "de"] * (n // 2),
            "published_at": rng.integers(0, DAY, n),
        }
    )
    readable = np.ones(n, np.bool_)
    readable[rng.choice(n, unreadable, replace=False)] = False
    plain = cluster_rows(graph, headlines, SETTINGS, readable=readable)
    assert plain.labels.max() >= 3
    of_row = rng.integers(0, cells or 1, n).astype(np.int32)
    means, centres = np.zeros(DIM, np.float32), np.zeros((cells or 1, DIM), np.float32)
    other = replace(graph, vectors=graph.vectors.copy(), cells=None if cells is None else Cells(means, centres, of_row))
    found = cluster_rows(other, headlines, SETTINGS, readable=readable, overwrite=True)
    for name in ("labels", "probabilities", "centred", "point"):
        np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))
    assert (found.threshold, found.smoothed_threshold) == (plain.threshold, plain.smoothed_threshold)
    assert found.centred is other.vectors


def test_copies_take_the_label_of_what_they_copy_and_copies_alone_are_a_cluster() -> None:
    vectors = np.concatenate([near(0, 4, 1), near(0, 1, 2, 0.5), near(1, 2, 3, 0.5), anywhere(60)])
    titles = [f"Harbour {row}" for row in range(4)] + ["HARBOUR 0!", "Alone, twice", "alone twice"]
    strict = SETTINGS.model_copy(update={"deviations": 4.0})  # so that none of the noise joins the two
    found = clustered(vectors, titles + [f"Noise {row}" for row in range(60)], strict)
    assert found.points == 65
    assert set(found.labels[:5]) == {found.labels[0]}
    assert found.labels[5] == found.labels[6] >= 0
    assert (found.labels == found.labels[5]).sum() == 2
    assert found.probabilities[[5, 6]].tolist() == [1, 1]
    assert found.probabilities[4] == found.probabilities[0]


def test_copies_alone_are_a_cluster_only_of_the_size_that_one_needs() -> None:
    vectors = np.concatenate([near(0, 2, 1, 0.5), near(1, 3, 3, 0.5), anywhere(60)])
    titles = ["twice", "Twice", "thrice", "Thrice", "thrice!"] + [f"Noise {row}" for row in range(60)]
    found = clustered(vectors, titles, SETTINGS.model_copy(update={"min_cluster_size": 3}))
    assert found.labels[:2].tolist() == [-1, -1]
    assert len(set(found.labels[2:5])) == 1
    assert found.labels[2] >= 0


def test_titles_are_left_alone_where_that_is_asked() -> None:
    vectors = np.concatenate([near(0, 1, 1), near(1, 1, 2), anywhere(60)])
    titles = ["twice", "Twice"] + [f"Noise {row}" for row in range(60)]
    found = clustered(vectors, titles, SETTINGS.model_copy(update={"deduplicate": False}))
    assert found.points == 62
    assert found.labels[0] != found.labels[1] or found.labels[0] == -1


def test_a_copy_that_comes_in_later_with_a_smaller_id_moves_its_point_neither_in_place_nor_in_time() -> None:
    """Row 0 is the newcomer: a copy of row 1, which is a headline of an old story, and embedded elsewhere."""
    story = near(0, 4, 1)
    vectors = np.concatenate([near(5, 1, 9), story, anywhere(60)])
    titles = ["Harbour 0", *(f"Harbour {row}" for row in range(4)), *(f"Noise {row}" for row in range(60))]
    times = [40 * DAY, *[0] * 64]
    previous = [-1, 7, 7, 7, 7, *[-1] * 60]
    settings = SETTINGS.model_copy(update={"time_weight": 0.9})
    found = clustered(vectors, titles, settings, times=times, previous=previous)
    assert len(set(found.labels[:5])) == 1
    assert found.labels[0] >= 0


def test_a_point_was_in_the_story_that_most_of_its_copies_were_in() -> None:
    """Alone, its headlines are a cluster only by inertia, and only as the story 7 that two copies of three know."""
    angle = np.radians([0.0, 41.0])
    pair = np.zeros((2, DIM), np.float32)
    pair[:, 0], pair[:, 1] = np.cos(angle), np.sin(angle)
    vectors = np.concatenate([pair[:1], pair[:1], pair[:1], pair[1:], anywhere(60)])
    titles = ["same", "Same", "same!", "other", *(f"Noise {row}" for row in range(60))]
    plain = SETTINGS.model_copy(update={"deviations": 5.0, "centre": False, "inertia": 0.5})

    def together(previous: list[int]) -> bool:
        found = clustered(vectors, titles, plain, previous=[*previous, *[-1] * 60])
        return bool(found.labels[0] == found.labels[3])

    assert together([-1, 7, 7, 7])
    assert together([8, 7, 7, 7])
    assert not together([8, 8, 7, 7])


def test_a_row_that_stays_with_its_story_by_inertia_has_a_probability_like_the_others() -> None:
    story = near(0, 6, 1, 0.12)
    vectors = np.concatenate([story, anywhere(60)])
    for deviations in np.arange(3.0, 8.0, 0.25):
        plain = {"deviations": float(deviations), "smoothing": 0.0}  # rows are as they are measured below
        settings = SETTINGS.model_copy(update=plain)
        found = clustered(vectors, None, settings, previous=[0] * 6 + [-1] * 60)
        inside = np.flatnonzero(found.labels == found.labels[0]) if found.labels[0] >= 0 else np.empty(0, np.int64)
        if len(inside):
            assert (found.probabilities[inside] > 0).any()
            assert found.probabilities[inside].max() == 1
            lifted = found.probabilities[inside][np.argsort(found.centred[inside] @ found.centred[inside].mean(axis=0))]
            assert (np.diff(lifted) >= -1e-5).all()


def test_theta_stays_until_it_has_drifted_by_the_setting() -> None:
    vectors = anywhere(200)
    fresh = clustered(vectors).threshold.theta
    near_by, far_off = fresh + 0.9 * SETTINGS.theta_drift, fresh + 1.1 * SETTINGS.theta_drift
    assert clustered(vectors, theta=near_by).threshold.theta == near_by
    assert clustered(vectors, theta=far_off).threshold.theta == fresh


def test_the_theta_of_smoothed_rows_stays_likewise_and_on_its_own() -> None:
    vectors = np.concatenate([near(axis, 10, axis, 0.2) for axis in range(20)])
    found = clustered(vectors)
    theta, fresh = found.threshold.theta, found.smoothed_threshold.theta
    assert abs(theta - fresh) > 0.01
    near_by, far_off = fresh + 0.9 * SETTINGS.theta_drift, fresh + 1.1 * SETTINGS.theta_drift
    kept = clustered(vectors, theta=theta, smoothed_theta=near_by)
    assert (kept.threshold.theta, kept.smoothed_threshold.theta) == (theta, near_by)
    assert clustered(vectors, theta=theta, smoothed_theta=far_off).smoothed_threshold.theta == fresh


def test_headlines_in_another_order_than_the_graph_s_are_refused() -> None:
    vectors = anywhere(6)
    ids = list("abcdef")
    graph, _ = update_graph(
        None, ids, lambda some: vectors[[ids.index(id_) for id_ in some]], ExactSearcher(), k=5, spare=0
    )
    headlines = pd.DataFrame({"id": ids, "title": ids, "language": "en", "published_at": 0})
    assert len(cluster_rows(graph, headlines, SETTINGS).labels) == 6
    with pytest.raises(InvalidGraph, match="Row 0 of the graph is 'a', row 0 of the headlines 'f'"):
        cluster_rows(graph, headlines.iloc[::-1], SETTINGS)
    with pytest.raises(InvalidGraph, match="5 headlines for a graph of 6 rows"):
        cluster_rows(graph, headlines.iloc[:5], SETTINGS)
    with pytest.raises(InvalidGraph, match="7 stories of the last run for a graph of 6 rows"):
        cluster_rows(graph, headlines, SETTINGS, previous=np.full(7, -1))


def test_only_the_choice_sees_smoothed_rows_what_leaves_is_centred() -> None:
    vectors = np.concatenate([near(axis, 10, axis, 0.2) for axis in range(10)])
    plain = clustered(vectors, settings=SETTINGS.model_copy(update={"smoothing": 0.0}))
    smooth = clustered(vectors)
    np.testing.assert_array_equal(smooth.centred, plain.centred)
    assert smooth.threshold == plain.threshold == plain.smoothed_threshold
    assert smooth.smoothed_threshold != plain.threshold
    assert not np.array_equal(smooth.probabilities, plain.probabilities)


@pytest.mark.parametrize("change", [{"selection": "eom"}, {"selection": "leaf"}, {"tutorial": True}])
def test_the_library_s_selections_and_the_tutorial_see_rows_as_they_are(change: dict[str, Any]) -> None:
    vectors = np.concatenate([near(axis, 10, axis, 0.2) for axis in range(10)])
    one = clustered(vectors, settings=SETTINGS.model_copy(update={**change, "smoothing": 0.6}))
    two = clustered(vectors, settings=SETTINGS.model_copy(update={**change, "smoothing": 0.0}))
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(one.probabilities, two.probabilities)
    assert one.smoothed_threshold == one.threshold


@pytest.mark.parametrize("selection", ["eom", "leaf"])
def test_the_library_s_selections_are_a_setting(selection: str) -> None:
    vectors = np.concatenate([near(0, 8, 1), near(1, 8, 2), near(2, 8, 3)])
    found = clustered(vectors, None, SETTINGS.model_copy(update={"selection": selection}))
    for start in (0, 8, 16):
        part = found.labels[start : start + 8]
        assert len(set(part[part >= 0].tolist())) >= 1
    assert not set(found.labels[:8]) & set(found.labels[8:]) - {-1}


def test_the_tutorial_s_clustering_is_one_switch_and_nothing_of_ours() -> None:
    vectors = np.concatenate([near(0, 30, 1), near(1, 30, 2)])
    settings = SETTINGS.model_copy(update={"tutorial": True})
    ids = [f"{row:05d}" for row in range(60)]
    graph, _ = update_graph(
        None,
        ids,
        lambda some: vectors[[int(id_) for id_ in some]],
        ExactSearcher(),
        k=settings.graph_neighbours,
        spare=0,
    )
    expected, probabilities = tutorial_labels(graph.indices, graph.similarities)
    found = clustered(vectors, ["the same title"] * 60, settings, previous=[5] * 60)
    assert found.labels.tolist() == expected.tolist()
    assert found.probabilities == pytest.approx(probabilities, abs=1e-6)
    assert np.array_equal(found.centred, vectors)
    assert found.points == 60
