"""Outlets' names at the ends of titles: learnt from the titles of a window, for copies and for names alone."""

import numpy as np
import pandas as pd

from clustering.stories.naming import name_stories
from clustering.stories.similarity import collapse_titles
from newstide.core.outlets import without_endings

HEADS = ["Ferry sails again", "Bread prices climb", "Old mill sold", "Comet seen", "Otters return", "Choir wins prize"]
ENDINGS = [" - The Quarnel Evening Standard and Argus", " | Orvane Daily", " — Velm Courier"]


def test_an_ending_that_recurs_is_left_out_and_one_that_does_not_stays() -> None:
    titles = [f"{head}{ending}" for ending in ENDINGS for head in HEADS]
    assert without_endings(titles) == HEADS * 3
    once = ["Ferry sails again - at last", "Mill sold | why", "Re-run", "A - B - C", "", "- Orvane Daily"]
    assert without_endings(once) == once
    same = ["Ferry sails again - Orvane Daily"] * 9  # one title, however often it came
    assert without_endings(same) == same


def test_in_many_titles_an_ending_must_recur_more_often() -> None:
    titles = [f"Headline {number}" for number in range(50_000)]
    few = [f"{head} - live" for head in HEADS]
    assert without_endings([*titles, *few])[-len(few) :] == few
    many = [f"Headline {number} - live" for number in range(20)]
    assert without_endings([*titles, *many])[-len(many) :] == titles[:20]


def test_one_headline_from_several_outlets_is_one_point() -> None:
    titles = [f"{head}{ending}" for ending in ENDINGS for head in HEADS] + HEADS
    first, points = collapse_titles(titles)
    assert first.tolist() == list(range(6))
    assert points.tolist() == list(range(6)) * 4


def test_no_story_is_named_by_the_outlet_and_its_title_is_shown_as_it_came() -> None:
    titles = [f"{head} - Orvane Daily" for head in HEADS]
    frame = pd.DataFrame({"title": titles, "source": "", "language": "en", "published_at": 1_790_000_000_000})
    vectors = np.tile(np.array([[1, 0]], np.float32), (6, 1))
    stories = name_stories(np.array([0, 0, 0, 1, 1, 1]), vectors, frame, 0.1)
    assert set(stories["title"]) <= set(titles)
    words = {word for some in stories["keywords"] for word in some}
    assert words
    assert not words & {"orvane", "daily"}
