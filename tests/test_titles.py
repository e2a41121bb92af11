"""Which headline a story is called by, in which language, and when that changes."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from clustering.stories.importance import importance
from clustering.stories.naming import name_stories
from clustering.stories.titles import in_language

HOUR = 3_600_000


def story(angles: list[float], languages: list[str], before: dict[int, dict[str, Any]] | None = None) -> dict[str, Any]:
    """The name of one story whose headlines `t0`, `t1`, ... lie at these angles around its centre."""
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    rows = pd.DataFrame(
        {
            "title": [f"t{row}" for row in range(len(angles))],
            "source": "Paper",
            "language": languages,
            "published_at": 0,
        }
    )
    return dict(name_stories(np.zeros(len(angles), int), vectors, rows, 0.2, before=before).iloc[0])


def known(title: str, titles: dict[str, str], challenged: list[str] | None = None) -> dict[int, dict[str, Any]]:
    return {0: {"title": title, "titles": titles, "challenged": challenged or []}}


def test_each_language_has_its_most_central_headline_and_an_unknown_one_has_none() -> None:
    found = story([-0.9, 0.0, 0.4, -0.4, 0.9], ["pl", "en-GB", "pl", "", "en-US"])
    assert found["title"] == "t1"
    assert found["titles"] == {"en": "t1", "pl": "t2"}
    assert (found["challenged"], found["previous_titles"]) == ([], {})


def test_a_title_stays_where_another_is_better_by_less() -> None:
    found = story([-0.2, 0.0, 0.2], ["en", "en", "pl"], known("t0", {"en": "t0", "pl": "t2"}))
    assert (found["title"], found["titles"]) == ("t0", {"en": "t0", "pl": "t2"})
    assert (found["challenged"], found["previous_titles"]) == ([], {})


def test_a_title_goes_once_another_is_better_by_a_twentieth_in_two_runs_running() -> None:
    angles, languages = [-0.6, 0.0, 0.6], ["en", "en", "pl"]
    first = story(angles, languages, known("t0", {"en": "t0", "pl": "t2"}))
    assert (first["title"], first["titles"]["en"]) == ("t0", "t0")
    assert first["challenged"] == ["", "en"]
    between = story([0.0, 0.1, 0.0], languages, {0: first})
    assert (between["title"], between["challenged"]) == ("t0", [])
    second = story(angles, languages, {0: first})
    assert (second["title"], second["titles"]["en"], second["titles"]["pl"]) == ("t1", "t1", "t2")
    assert second["previous_titles"] == {"": "t0", "en": "t0"}
    assert second["challenged"] == []


def test_a_title_whose_headline_has_left_goes_at_once() -> None:
    found = story([0.0, 0.1], ["en", "pl"], known("gone", {"en": "gone", "pl": "t1", "de": "weg"}))
    assert found["previous_titles"] == {"": "gone", "en": "gone"}
    assert found["titles"] == {"en": "t0", "pl": "t1"}


def test_a_reader_gets_the_first_of_their_languages_that_there_is() -> None:
    titles = {"en": "Storm", "pl": "Burza"}
    assert in_language("Storm", titles, ["de", "pl-PL", "en"]) == ("Burza", "pl")
    assert in_language("Storm", titles, ["de"]) == ("Storm", "")


def rows(*headlines: tuple[str, str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(headlines, columns=["title", "source", "language", "published_at"])


def test_importance_grows_with_sources_languages_and_what_is_new_and_copies_count_once() -> None:
    frame = rows(
        ("Storm hits", "A", "en", 0),
        ("Storm hits!", "B", "en", 20 * HOUR),  # a copy: neither a source nor new
        ("Burza uderza", "C", "pl-PL", 20 * HOUR),
        ("No source", "", "", 20 * HOUR),  # neither a source nor a language, but new
        ("Else", "A", "en", 0),
    )
    found = importance(np.array([3, 3, 3, 3, -1]), frame, 20 * HOUR)
    assert found == pytest.approx({3: np.log(3) * (1 + np.log(2)) * (1 + 2 / 3)})


def test_where_most_headlines_have_no_source_each_counts_as_one_of_its_own() -> None:
    frame = rows(("a", "", "en", 0), ("b", "", "en", 0), ("c", "A", "en", 0))
    assert importance(np.array([0, 0, 0]), frame, 24 * HOUR) == pytest.approx({0: np.log(4)})
    frame.loc[1, "source"] = "A"
    assert importance(np.array([0, 0, 0]), frame, 24 * HOUR) == pytest.approx({0: np.log(2)})
