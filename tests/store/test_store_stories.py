"""Stories, runs and language means: written whole, read whole."""

import numpy as np
import pandas as pd
import pytest

from newstide.core.errors import StoreLimit
from newstide.milvus import LanguageMean, RunRow, Store, filters
from tests.harness.store_rows import DIM, story_frame, unit_vectors


def run_row(number: int, **changes: object) -> RunRow:
    fields: dict[str, object] = {
        "run": number,
        "mean": unit_vectors(1)[0] * np.float32(0.3),
        "theta": 0.123456789012,
        "started_at": 1_700_000_000_000,
        "finished_at": 1_700_000_001_000,
        "parameters": {"neighbours": 30, "selection": "calibrated", "nested": {"window": None}},
        "counts": {"rows": 12, "kinds": {"born": 2}, "newest": 1_799_999_999_999},
        "durations": {"graph": 0.25},
    }
    return RunRow(**(fields | changes))  # type: ignore[arg-type]


def test_stories_come_back_as_they_were_written_by_number(store: Store) -> None:
    written = story_frame([7, 3])
    store.upsert_stories(written)

    found = store.stories(centroids=True)

    assert found["cluster_label"].tolist() == [3, 7]
    expected = written.sort_values("cluster_label", ignore_index=True)
    for name in expected.columns.drop(["centroid", "reach"]):
        assert found[name].tolist() == expected[name].tolist(), name
    np.testing.assert_allclose(found["reach"], expected["reach"])
    for got, want in zip(found["centroid"], expected["centroid"], strict=True):
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, want)


def test_centroids_come_only_if_asked_for(store: Store) -> None:
    store.upsert_stories(story_frame([1]))
    assert "centroid" not in store.stories()


def test_a_store_without_stories_gives_an_empty_frame_with_all_columns(store: Store) -> None:
    store.upsert_stories(story_frame([]))
    assert store.stories().empty
    assert {"cluster_label", "keywords", "successor", "centroid"} <= set(store.stories(centroids=True).columns)


def test_a_story_written_again_replaces_the_former(store: Store) -> None:
    store.upsert_stories(story_frame([1, 2]))
    store.upsert_stories(story_frame([2], status="closed", successor=1, keywords=[]))
    assert store.stories()["cluster_label"].tolist() == [1, 2]
    (closed,) = store.stories('status == "closed"').to_dict("records")
    assert (closed["cluster_label"], closed["successor"], closed["keywords"]) == (2, 1, [])


def test_values_of_numpy_are_written_as_numbers(store: Store) -> None:
    stories = story_frame([1], size=np.int64(5), reach=np.float32(0.25), parents=[np.int64(4)])
    store.upsert_stories(stories)
    (story,) = store.stories().to_dict("records")
    assert (story["size"], story["reach"], story["parents"]) == (5, 0.25, [4])


def test_more_stories_than_one_request_takes_are_read_in_full(store: Store) -> None:
    store.upsert_stories(story_frame(list(range(2_100))))
    assert store.stories()["cluster_label"].tolist() == list(range(2_100))
    assert store.highest_label() == 2_099


def test_numbers_and_centroids_that_cannot_be_right_are_refused(store: Store) -> None:
    with pytest.raises(StoreLimit, match="A number of story 4 is nan"):
        store.upsert_stories(story_frame([4], reach=float("nan")))
    with pytest.raises(StoreLimit, match="The vector of story 4 has length 0"):
        store.upsert_stories(story_frame([4], centroid=np.zeros(DIM, np.float32)))
    assert store.stories().empty


def test_a_title_too_long_is_cut(store: Store) -> None:
    store.upsert_stories(story_frame([1], title="日" * 3_000))
    assert store.stories()["title"].tolist() == ["日" * 2_666]


def test_there_is_no_last_run_before_the_first(store: Store) -> None:
    assert store.last_run() is None
    assert store.runs().empty


def test_runs_come_back_oldest_first_and_the_last_one_in_full(store: Store) -> None:
    store.insert_run(run_row(2))
    store.insert_run(run_row(1, theta=0.5))
    assert store.runs()["run"].tolist() == [1, 2]
    last = store.last_run()
    assert last is not None
    expected = run_row(2)
    np.testing.assert_array_equal(last.mean, expected.mean)
    for name in ("run", "theta", "status", "started_at", "finished_at", "parameters", "counts", "durations"):
        assert getattr(last, name) == getattr(expected, name), name

    store.insert_run(run_row(10))
    newest = store.last_run()
    assert newest is not None
    assert newest.run == 10


def test_a_run_written_again_is_there_once(store: Store) -> None:
    store.insert_run(run_row(1))
    store.insert_run(run_row(1, theta=0.9))
    assert store.runs()["theta"].tolist() == [0.9]


def test_a_run_with_a_number_that_is_none_is_refused(store: Store) -> None:
    with pytest.raises(StoreLimit, match="A number of run 1 is inf"):
        store.insert_run(run_row(1, counts={"deep": [{"down": float("inf")}]}))


def test_means_are_kept_by_language_the_unknown_one_among_them(store: Store) -> None:
    vectors = unit_vectors(3) * np.float32(0.5)
    store.upsert_means([])
    assert store.means() == []
    store.upsert_means([LanguageMean("", vectors[0], 5, 1), LanguageMean("pl", vectors[1], 7, 1)])
    store.upsert_means([LanguageMean("pl", vectors[2], 8, 2)])
    found = store.means()
    assert [(mean.language, mean.count, mean.run) for mean in found] == [("", 5, 1), ("pl", 8, 2)]
    np.testing.assert_array_equal(np.stack([mean.mean for mean in found]), vectors[[0, 2]])


def test_closed_stories_are_found_by_what_they_were_born_of_and_what_they_went_into(store: Store) -> None:
    store.upsert_stories(
        pd.concat(
            [
                story_frame([4], parents=[1, 9], status="closed"),
                story_frame([5], parents=[], status="closed", successor=2),
                story_frame([6], parents=[3], status="closed", successor=3),
                story_frame([7], parents=[1], successor=-1),
            ],
            ignore_index=True,
        )
    )
    assert store.stories(filters.closed_after([1, 2]))["cluster_label"].tolist() == [4, 5]
    assert store.stories(filters.closed_after([8]))["cluster_label"].tolist() == []
