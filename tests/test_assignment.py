"""A label on arrival: the story within whose reach a headline lies."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from consumers.assignment import OpenStories, assign
from newstide.core.language_means import Means, centre, language_means, no_means
from newstide.core.settings import MilvusSettings
from newstide.embedding import ModelCard
from newstide.milvus import LanguageMean, RunRow, open_store


def around(*angles: float) -> npt.NDArray[np.float32]:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def stories(*angles: float, reach: float = 0.9, means: Means | None = None) -> OpenStories:
    numbers = np.arange(100, 100 + len(angles))
    centroids = around(*angles) if angles else np.empty((0, 2), np.float32)
    return OpenStories(numbers, centroids, np.full(len(angles), reach, np.float32), means or no_means(2))


def test_a_headline_gets_the_nearest_story_that_it_lies_within_reach_of() -> None:
    labels, probabilities = assign(around(0.1, 1.4, 3.0), ["en"] * 3, stories(0.0, 1.5))
    assert labels.tolist() == [100, 101, -1]
    assert probabilities[1] == pytest.approx(probabilities[0])
    assert probabilities[2] == 0


def test_a_nearer_story_of_smaller_reach_leaves_it_to_a_farther_one_of_larger_reach() -> None:
    known = OpenStories(np.array([7, 8]), around(0.0, 1.0), np.array([0.99, 0.5], np.float32), no_means(2))
    assert assign(around(0.4), [""], known)[0].tolist() == [8]


def test_at_the_centroid_the_probability_is_one_and_at_the_edge_none() -> None:
    reach = float(np.cos(0.5))
    _, probabilities = assign(around(0.0, 0.499), ["", ""], stories(0.0, reach=reach))
    assert probabilities == pytest.approx([1, 0], abs=5e-3)


def test_before_the_first_run_and_without_stories_all_are_noise() -> None:
    unknown = OpenStories(np.array([7]), around(0.0), np.zeros(1, np.float32), None)
    assert assign(around(0.0), [""], unknown)[0].tolist() == [-1]
    assert assign(around(0.0), [""], stories())[0].tolist() == [-1]
    assert len(assign(np.empty((0, 2), np.float32), [], stories(0.0))[0]) == 0


def test_what_a_run_is_writing_is_left_alone_until_it_has_finished(milvus_settings: MilvusSettings) -> None:
    card = ModelCard("test-model", 4, "0123456789abcdef" * 4)
    store = open_store(milvus_settings, card)

    def write_stories(run: int) -> None:
        story = {
            "cluster_label": 7,
            "centroid": np.eye(4, dtype=np.float32)[run],
            **{name: [] for name in ("keywords", "languages", "sources", "parents", "former_ids")},
            **dict.fromkeys(("size", "previous_size", "first_published_at", "last_published_at", "created_run"), 1),
            "title": "Story",
            "reach": 0.5,
            "status": "open",
            "successor": -1,
            "updated_run": run,
        }
        store.upsert_stories(pd.DataFrame([story]))

    def write_means(run: int) -> None:
        store.upsert_means([LanguageMean("en", np.full(4, run, np.float32), 10, run)])

    def finish(run: int) -> None:
        store.insert_run(RunRow(run, np.full(4, run, np.float32), 0.3, run, run))

    def seen() -> int | None:
        """The run that all of what is loaded is of."""
        found = OpenStories.load(store)
        if found is None:
            return None
        assert found.means is not None
        runs = {int(found.centroids[0].argmax()), int(found.means.overall[0]), int(found.means.by_language["en"][0][0])}
        return runs.pop() if len(runs) == 1 else -1

    try:
        for run in (1, 2):
            for write in (write_stories, write_means):
                write(run)
                assert seen() is None
            finish(run)
            assert seen() == run
    finally:
        store.close()


@pytest.fixture
def two_languages() -> tuple[npt.NDArray[np.float32], list[str]]:
    rng = np.random.default_rng(0)
    region = rng.normal(size=(2, 16)) * 2
    vectors = (np.repeat(region, 100, axis=0) + rng.normal(size=(200, 16))).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), ["de"] * 100 + ["fr"] * 100


def test_headlines_are_compared_less_their_language_s_mean(
    two_languages: tuple[npt.NDArray[np.float32], list[str]],
) -> None:
    vectors, languages = two_languages
    means = language_means(vectors, languages)
    centred = centre(vectors, languages, means)
    known = OpenStories(np.array([3, 4]), centred[[0, 150]], np.full(2, 0.95, np.float32), means)
    labels, _ = assign(vectors, languages, known)
    assert np.flatnonzero(labels == 3).tolist() == [0]
    assert np.flatnonzero(labels == 4).tolist() == [150]
