"""A label on arrival: the story of the nearest headline, if that is near enough."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from unittest.mock import MagicMock

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from consumers import assignment
from consumers.assignment import Members, OpenStories, assign, near_enough, representatives
from consumers.stories_in_use import StoriesInUse, open_stories
from newstide.core.headline import Headline
from newstide.core.language_means import centre, language_means, no_means
from newstide.core.settings import MilvusSettings, Settings
from newstide.embedding import ModelCard
from newstide.milvus import HeadlineRow, LanguageMean, RunRow, Store, open_store
from newstide_app.services import run as services

DAY = 86_400_000


def around(*angles: float) -> npt.NDArray[np.float32]:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def stories(
    *members: tuple[int, float], near: float = 0.9, times: list[int] | None = None, weight: float = 0.0
) -> OpenStories:
    """Stories of members (number, angle); each one's centroid is the mean of its members."""
    labels = np.array([number for number, _ in members], np.int64)
    vectors = around(*(angle for _, angle in members)) if members else np.empty((0, 2), np.float32)
    numbers = np.unique(labels)
    centroids = [vectors[labels == number].mean(axis=0) for number in numbers]
    known = Members.of(numbers, labels, vectors, np.array(times or [0] * len(members), np.int64))
    centred = np.stack(centroids) if centroids else np.empty((0, 2), np.float32)
    return OpenStories(numbers, centred, known, no_means(2), near, weight, 7.0 * DAY)


def labels_of(known: OpenStories, *angles: float, at: int = 0) -> list[int]:
    vectors = around(*angles)
    labels, _ = assign(vectors, [""] * len(angles), np.full(len(angles), at, np.int64), known)
    return list(map(int, labels))


def test_a_headline_gets_the_story_of_its_nearest_headline() -> None:
    known = stories((7, 0.0), (7, 0.6), (8, 1.0))
    assert labels_of(known, 0.1, 0.65, 0.9, 3.0) == [7, 7, 8, -1]


def test_the_nearest_headline_counts_and_not_the_nearest_middle_of_a_story() -> None:
    known = stories((7, 0.0), (7, 1.2), (8, 0.45))
    assert labels_of(known, 1.15) == [7]
    assert labels_of(known, 0.5) == [8]


def test_the_same_vector_is_certain_and_one_that_is_just_near_enough_is_not() -> None:
    _, probabilities = assign(
        around(0.0, 0.499), ["", ""], np.zeros(2, np.int64), stories((7, 0.0), near=float(np.cos(0.5)))
    )
    assert probabilities == pytest.approx([1, 0], abs=5e-3)


def test_distance_in_time_makes_a_headline_less_near() -> None:
    known = stories((7, 0.0), (8, 0.35), near=0.8, times=[0, 30 * DAY], weight=0.2)
    assert labels_of(known, 0.2) == [7]
    assert labels_of(known, 0.15, at=30 * DAY) == [8]
    assert labels_of(known, 2.0, at=0) == [-1]


def test_before_the_first_run_and_without_stories_all_are_noise() -> None:
    nothing = OpenStories.none(2)
    assert labels_of(nothing, 0.0) == [-1]
    assert labels_of(stories(), 0.0) == [-1]
    assert len(assign(np.empty((0, 2), np.float32), [], np.empty(0, np.int64), stories((7, 0.0)))[0]) == 0


def test_members_of_stories_that_are_not_open_count_for_nothing() -> None:
    members = Members.of(np.array([3, 9]), np.array([9, 5, 3, -1]), around(0, 1, 2, 3), np.arange(4))
    assert members.story.tolist() == [0, 1]
    assert members.times_ms.tolist() == [2, 0]


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 40))
def test_it_is_what_comparing_with_every_member_gives(seed: int, stories_there: int, rows: int) -> None:
    rng = np.random.default_rng(seed)

    def unit(count: int) -> npt.NDArray[np.float32]:
        made = rng.normal(size=(count, 5)).astype(np.float32)
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)

    labels, vectors, times = rng.integers(0, stories_there, 30), unit(30), rng.integers(0, 9 * DAY, 30)
    numbers = np.unique(labels)
    known = OpenStories(
        numbers, unit(len(numbers)), Members.of(numbers, labels, vectors, times), no_means(5), 0.5, 0.3, 2.0 * DAY
    )
    new, at = unit(rows), rng.integers(0, 9 * DAY, rows)
    found, _ = assign(new, [""] * rows, at, known)
    all_of_them = new @ vectors.T + 0.3 * (np.exp(-abs(at[:, None] - times) / (2 * DAY)) - 1)
    expected = np.where(all_of_them.max(axis=1) >= 0.5, labels[all_of_them.argmax(axis=1)], -1)
    near_the_edge = abs(all_of_them.max(axis=1) - 0.5) < 1e-5
    assert ((found == expected) | near_the_edge).all()


def test_the_newest_and_the_firmest_stand_for_a_story_and_all_for_a_small_one() -> None:
    labels = np.array([1] * 40 + [2] * 3 + [-1] * 5)
    firmness = np.r_[np.linspace(1, 0, 40), np.zeros(8)]
    chosen = representatives(labels, np.arange(48), firmness)
    assert chosen.tolist() == [*range(8), *range(32, 40), 40, 41, 42]
    assert representatives(np.array([-1, -1]), np.arange(2), np.zeros(2)).tolist() == []


def test_headlines_are_compared_less_their_language_s_mean() -> None:
    rng = np.random.default_rng(0)
    region = rng.normal(size=(2, 16)) * 2
    vectors = (np.repeat(region, 100, axis=0) + rng.normal(size=(200, 16))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    languages = ["de"] * 100 + ["fr"] * 100
    means = language_means(vectors, languages)
    own = centre(vectors, languages, means)[[0, 150]]
    numbers = np.array([3, 4])
    known = OpenStories(numbers, own, Members.of(numbers, numbers, own, np.zeros(2, np.int64)), means, 0.95)
    labels, _ = assign(vectors, languages, np.zeros(200, np.int64), known)
    assert np.flatnonzero(labels == 3).tolist() == [0]
    assert np.flatnonzero(labels == 4).tolist() == [150]


def test_near_enough_is_so_many_deviations_above_chance_and_more_among_few_headlines() -> None:
    assert near_enough(0.01, 0.1, 5_000) == pytest.approx(0.335)
    assert near_enough(0.01, 0.02, 5_000) == pytest.approx(0.075)
    assert near_enough(0.01, 0.02, 20) == pytest.approx(0.325)


def test_a_run_of_an_earlier_version_tells_by_its_theta_what_is_near_enough() -> None:
    def level(**counts: object) -> float:
        run = RunRow(1, np.zeros(2, np.float32), 0.2, 1, 1, parameters={"deviations": 2.0}, counts=counts)
        nothing = pd.DataFrame(
            {name: [] for name in ("cluster_label", "published_at", "language", "vector", "centroid")}
        )
        return open_stories(run, nothing, no_means(2), nothing, 2).near_enough

    assert level(rows=5_000) == pytest.approx(0.325)
    assert level(rows=5_000, random_pairs={"mean": 0.01, "deviation": 0.05}) == pytest.approx(0.1725)


@pytest.fixture
def store(milvus_settings: MilvusSettings) -> Iterator[Store]:
    store = open_store(milvus_settings, ModelCard("test-model", 4, "0123456789abcdef" * 4))
    yield store
    store.close()


def write_story(store: Store, run: int, number: int = 7, reach: float = 0.5) -> None:
    story = {
        "cluster_label": number,
        "centroid": np.eye(4, dtype=np.float32)[run],
        **{name: [] for name in ("keywords", "languages", "sources", "parents", "former_ids", "challenged")},
        **dict.fromkeys(("size", "previous_size", "first_published_at", "last_published_at", "created_run"), 1),
        "title": "Story",
        "titles": {},
        "importance": 0.0,
        "first_seen_at": 1,
        "reach": reach,
        "status": "open",
        "successor": -1,
        "updated_run": run,
    }
    store.upsert_stories(pd.DataFrame([story]))


def write_means(store: Store, run: int) -> None:
    store.upsert_means([LanguageMean("en", np.full(4, run / 10, np.float32), 10, run)])


def finish(store: Store, run: int) -> None:
    counts = {"rows": 500, "random_pairs": {"mean": 0.0, "deviation": 0.1}}
    store.insert_run(RunRow(run, np.zeros(4, np.float32), 0.3, run, run, counts=counts, parameters={"centre": False}))


def write_headline(store: Store, name: str, axis: int) -> None:
    headline = Headline(id=name, title=name, published_at=10 + axis)
    store.insert_headlines([HeadlineRow(headline, np.eye(4, dtype=np.float32)[axis], 1, -1, 0.0)])


def until_read(in_use: StoriesInUse) -> OpenStories:
    """What is in use once what it reads at this moment has been read."""
    in_use._checked = float("-inf")
    in_use.current()
    if in_use._reading is not None:
        in_use._reading.exception(30)
    return in_use.current()


@pytest.fixture
def in_use(store: Store) -> Iterator[StoriesInUse]:
    with ThreadPoolExecutor(1) as reading:
        yield StoriesInUse(store, reading)


def test_what_a_run_is_writing_is_left_alone_until_it_has_finished(store: Store, in_use: StoriesInUse) -> None:
    for run in (1, 2):
        before = until_read(in_use)
        write_story(store, run)
        assert until_read(in_use) is before
        write_means(store, run)
        assert until_read(in_use) is before
        finish(store, run)
        assert until_read(in_use).centroids[0].argmax() == run


def test_members_follow_the_labels_that_runs_write_and_leave_with_their_rows(
    store: Store, in_use: StoriesInUse
) -> None:
    def story_of(axis: int) -> int:
        known = until_read(in_use)
        vector = np.eye(4, dtype=np.float32)[[axis]]
        return int(assign(vector, ["en"], np.array([10 + axis]), known)[0][0])

    for axis, name in enumerate(("a", "b", "c")):
        write_headline(store, name, axis)
    store.write_labels(["a", "b"], np.array([7, 7]), np.array([1.0, 0.5], np.float32), 1)
    store.settle()
    write_story(store, 1)
    finish(store, 1)
    assert (story_of(0), story_of(1), story_of(2)) == (7, 7, -1)

    store.write_labels(["b", "c"], np.array([-1, 8]), np.array([0.0, 1.0], np.float32), 2)
    store.settle()
    write_story(store, 2)
    write_story(store, 2, 8)
    finish(store, 2)
    assert (story_of(0), story_of(1), story_of(2)) == (7, -1, 8)

    store.delete_headlines(["a"])
    store.settle()
    in_use._looked -= 3600
    write_story(store, 3, 8)
    finish(store, 3)
    assert (story_of(0), story_of(2)) == (-1, 8)


def test_only_stories_that_a_newer_run_has_written_are_read(
    store: Store, in_use: StoriesInUse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (7, 8, 9):
        write_story(store, 1, number)
    finish(store, 1)
    assert until_read(in_use).numbers.tolist() == [7, 8, 9]
    read: list[int] = []
    read_stories = Store.stories

    def noted(store: Store, where: str = "", **options: bool) -> pd.DataFrame:
        found = read_stories(store, where, **options)
        read.extend(found["cluster_label"])
        return found

    monkeypatch.setattr(Store, "stories", noted)
    closed = store.stories_by_number([8], centroids=True).assign(status="closed", updated_run=2)
    store.upsert_stories(closed)
    write_story(store, 2, 9)
    finish(store, 2)
    known = until_read(in_use)
    assert known.numbers.tolist() == [7, 9]
    assert known.centroids.argmax(axis=1).tolist() == [1, 2]
    assert read == [8, 9]


def test_the_first_stories_are_taken_up_however_late_they_come(store: Store, in_use: StoriesInUse) -> None:
    finish(store, 1)
    assert not len(until_read(in_use).numbers)
    in_use._looked -= 3600
    write_headline(store, "a", 0)
    store.write_labels(["a"], np.array([7]), np.ones(1, np.float32), 2)
    store.settle()
    write_story(store, 2)
    finish(store, 2)
    assert until_read(in_use).numbers.tolist() == [7]


def test_a_story_that_lost_a_member_is_read_again_so_that_others_stand_for_it(
    store: Store, in_use: StoriesInUse
) -> None:
    names = [f"m{number:02}" for number in range(20)]
    for name in names:
        write_headline(store, name, 0)
    store.write_labels(names, np.full(20, 7), np.linspace(1, 0.5, 20, dtype=np.float32), 1)
    store.settle()
    write_story(store, 1)
    finish(store, 1)
    before = set(until_read(in_use).members.story)
    assert before == {0}
    assert len(in_use._members) == 16
    store.delete_headlines(in_use._members["id"].tolist()[:2])
    store.settle()
    in_use._looked -= 3600
    finish(store, 2)
    until_read(in_use)
    assert len(in_use._members) == 16


def test_labels_do_not_depend_on_how_many_headlines_are_compared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(40, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    known = replace(
        OpenStories.none(8),
        numbers=np.arange(20),
        centroids=vectors[:20],
        members=Members(np.arange(20), vectors[:20], np.zeros(20, np.int64)),
        means=no_means(8),
        near_enough=0.2,
    )
    times = np.zeros(40, np.int64)
    whole = assign(vectors, ["en"] * 40, times, known)
    monkeypatch.setattr(assignment, "_PRODUCTS", 60)
    parts = assign(vectors, ["en"] * 40, times, known)
    assert (whole[0] >= 0).sum() > 20
    assert np.array_equal(whole[0], parts[0])
    assert np.allclose(whole[1], parts[1], atol=1e-6)


def test_a_story_that_no_similarity_reaches_yet_gets_no_headline(store: Store, in_use: StoriesInUse) -> None:
    write_story(store, 1, reach=2.0)
    finish(store, 1)
    assert len(until_read(in_use).numbers) == 0


def test_the_consumers_small_products_use_one_thread_of_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    def ingest(*_: object, **__: object) -> MagicMock:
        within.append(threads())
        return MagicMock()

    within: list[set[int]] = []
    monkeypatch.setattr(services, "logs", MagicMock())
    monkeypatch.setattr(services, "model_in_use", MagicMock())
    monkeypatch.setattr(services, "_connections", MagicMock())
    monkeypatch.setattr("consumers.loop.ingest", ingest)
    with threadpool_limits(2, user_api="blas"):
        services.run_consumer(Settings(), stop=Event(), drain=True)
        assert (within, threads()) == ([{1}], {2})
