"""Which stories a run writes, and what it need not read again."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clustering.run.known_stories import KnownStories, differing
from clustering.run.story_book import StoryBook


def story(number: int, **other: Any) -> dict[str, Any]:
    return {
        "cluster_label": number,
        "centroid": np.array([1, 0], np.float32),
        "title": f"Story {number}",
        "keywords": ["word"],
        "size": 3,
        "reach": 0.5,
        "status": "open",
        "successor": -1,
        "updated_run": 1,
        **other,
    }


@pytest.mark.parametrize(
    ("change", "written"),
    [
        ({}, False),
        ({"updated_run": 2}, False),
        ({"reach": 0.5004}, False),
        ({"reach": 0.502}, True),
        ({"centroid": np.array([1, 5e-4], np.float32)}, False),
        ({"centroid": np.array([1, 2e-3], np.float32)}, True),
        ({"title": "Another"}, True),
        ({"keywords": ["word", "other"]}, True),
        ({"size": 4}, True),
        ({"status": "closed"}, True),
    ],
)
def test_a_story_is_written_when_it_says_something_else(change: dict[str, Any], written: bool) -> None:
    before = {7: story(7)}
    rows = pd.DataFrame([story(7, **change), story(8)])
    assert differing(rows, before).tolist() == [written, True]


def test_after_a_run_the_stories_are_those_that_were_written_and_the_others_as_they_were() -> None:
    known = KnownStories(
        pd.DataFrame([story(1), story(2), story(3)]), pd.DataFrame([story(0)]).drop(columns="centroid"), 4
    )
    written = pd.DataFrame(
        [
            story(2, size=9, updated_run=5, reach=0.1),
            story(3, status="closed", updated_run=5),
            story(4, updated_run=5),
            story(0, updated_run=5),  # it is open again
        ]
    )
    after = known.after(written, 5)
    assert after.open["cluster_label"].tolist() == [0, 1, 2, 4]
    assert after.open["updated_run"].tolist() == [5, 1, 5, 5]
    assert after.open["reach"].tolist()[2] == float(np.float32(0.1))  # as Milvus keeps it
    assert after.dissolved["cluster_label"].tolist() == [3]
    assert after.next_number == 5


def test_a_story_that_lost_gained_or_swapped_a_headline_has_changed() -> None:
    book = StoryBook(
        rows=pd.DataFrame([story(number, size=2) for number in range(5)]).set_index("cluster_label", drop=False),
        next_number=5,
        previous=np.array([0, 0, 1, 1, 2, 2, 3, 3, -1, 4]),
        open=frozenset(range(5)),
        back=frozenset(),
        ending=frozenset(),
        seen_in_part=frozenset(),
    )
    labels = np.array([0, 0, 1, -1, 2, 2, 3, 3, 3, 4])
    new = np.arange(10) == 8
    assert book.unchanged(labels, new) == {0, 2}  # 1 lost one, 3 gained one, of 4 one is no longer in the window
    assert replace(book, open=frozenset({0})).unchanged(labels, new) == {0}
