"""What a story is called, and the facts that stand beside its name."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from clustering.stories import keywords as keywords_module
from clustering.stories.keywords import Words, split
from clustering.stories.naming import name_stories

HOUR = 3_600_000


def headlines(*titles: str, language: str = "en", every: int = HOUR) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "title": titles,
            "source": [f"Paper {row % 2}" for row in range(len(titles))],
            "language": language,
            "published_at": [row * every for row in range(len(titles))],
        }
    )


def around(*angles: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_the_most_central_headline_is_the_title_and_of_copies_the_newest() -> None:
    rows = headlines("edge", "centre", "other edge")
    assert name_stories(np.array([4, 4, 4]), around(-0.5, 0.0, 0.5), rows, 0.2)["title"].tolist() == ["centre"]
    rows = headlines("old", "new", every=48 * HOUR)
    assert name_stories(np.array([4, 4]), around(0.1, 0.1), rows, 0.2)["title"].tolist() == ["new"]


def test_facts_are_counted_per_story_and_noise_is_left_out() -> None:
    names = name_stories(np.array([9, -1, 2, 9, 2, 9]), around(0, 1, 2, 0.1, 2.1, 0.2), headlines(*"abcdef"), 0.2)
    assert names["cluster_label"].tolist() == [2, 9]
    assert names["size"].tolist() == [2, 3]
    assert names["first_published_at"].tolist() == [2 * HOUR, 0]
    assert names["last_published_at"].tolist() == [4 * HOUR, 5 * HOUR]
    assert names["sources"].tolist() == [["Paper 0"], ["Paper 1", "Paper 0"]]
    assert np.linalg.norm(np.stack(list(names["centroid"])), axis=1) == pytest.approx(1)


def test_the_reach_is_where_the_mean_similarity_to_the_members_is_theta() -> None:
    theta = 0.4
    vectors = np.concatenate([around(0.0, 0.3, 0.9), around(*np.linspace(2, 4, 60))])
    labels = np.array([0] * 3 + [-1] * 60)
    story = name_stories(labels, vectors, headlines(*map(str, range(63))), theta).iloc[0]
    centroid = story["centroid"]
    at_the_edge = np.arctan2(centroid[1], centroid[0]) + np.arccos(story["reach"])
    assert (vectors[:3] @ around(at_the_edge)[0]).mean() == pytest.approx(theta, abs=1e-5)


def test_in_a_small_window_the_reach_is_never_below_chance() -> None:
    story = name_stories(np.array([0, 0]), around(0.0, 0.2), headlines("a", "b"), -0.5).iloc[0]
    assert story["reach"] >= 0.2


def test_keywords_tell_a_story_from_the_others_and_are_no_stop_words() -> None:
    rows = headlines(
        "The volcano in Iceland and the flights",
        "Iceland volcano: what we know",
        "The bank and the rates in London",
        "Rates of the bank",
    )
    names = name_stories(np.array([0, 0, 1, 1]), around(0, 0.1, 2, 2.1), rows, 0.2)
    assert set(names["keywords"][0][:2]) == {"volcano", "iceland"}
    assert set(names["keywords"][1][:2]) == {"bank", "rates"}
    assert not {"the", "and", "what", "know"} & set(names["keywords"][0][:2])


@pytest.mark.parametrize(
    ("language", "titles", "word"),
    [
        ("de", ("Der Vulkan und die Flüge", "Vulkan auf Island"), "vulkan"),
        ("ja", ("秋田にクマ", "クマが秋田のスーパーに"), "秋田"),
        ("ru", ("Вулкан и рейсы", "Извержение: вулкан"), "вулкан"),
        ("ar", ("بركان في أيسلندا", "ثوران بركان"), "بركان"),
        ("hi", ("ज्वालामुखी फटा और उड़ानें रद्द", "आइसलैंड में ज्वालामुखी का विस्फोट"), "ज्वालामुखी"),
        ("ta", ("எரிமலை வெடித்தது", "ஐஸ்லாந்தில் எரிமலை"), "எரிமலை"),
    ],
)
def test_keywords_come_in_every_script(language: str, titles: tuple[str, ...], word: str) -> None:
    names = name_stories(np.array([0, 0]), around(0, 0.1), headlines(*titles, language=language), 0.2)
    assert word in names["keywords"][0]


def test_stop_words_of_every_language_present_are_left_out() -> None:
    rows = headlines(
        "Der Vulkan und die Flüge nach Island", "Vulkan auf Island: was wir über die Flüge wissen", language="de"
    )
    keywords = name_stories(np.array([0, 0]), around(0, 0.1), rows, 0.2)["keywords"][0]
    assert {"vulkan", "flüge", "island"} <= set(keywords)
    assert not {"und", "die", "auf", "nach", "über", "was", "wir"} & set(keywords)


def test_a_story_of_stop_words_alone_still_has_keywords() -> None:
    assert name_stories(np.array([0, 0]), around(0, 0.1), headlines("What it is", "It is"), 0.2)["keywords"][0]


def test_no_story_is_an_empty_table() -> None:
    names = name_stories(np.array([-1, -1]), around(0, 1), headlines("a", "b"), 0.2)
    assert len(names) == 0
    assert "reach" in names


def test_a_story_with_the_same_headlines_keeps_what_was_said_of_it_and_its_numbers_are_made_anew() -> None:
    rows = headlines("volcano in Iceland", "Iceland volcano", "bank rates", "rates of the bank")
    labels, vectors = np.array([3, 3, 5, 5]), around(0, 0.1, 2, 2.1)
    kept = {"title": "Kept", "titles": {"is": "Kept"}, "challenged": [], "keywords": ["lava"], "languages": ["is"]}
    before: dict[int, dict[str, Any]] = {3: {**kept, "sources": ["Blad"]}, 4: {}}
    fresh = name_stories(labels, vectors, rows, 0.2)
    names = name_stories(labels, vectors, rows, 0.2, before=before, unchanged={3, 5})
    told = ["title", "titles", "challenged", "keywords", "languages", "sources"]
    one, other = names[told].to_dict("records")
    assert one == before[3]
    assert other == fresh[told].to_dict("records")[1]  # nothing is known of it
    assert names[["size", "reach"]].equals(fresh[["size", "reach"]])
    assert np.array_equal(np.stack(list(names["centroid"])), np.stack(list(fresh["centroid"])))
    before[3]["challenged"] = ["is"]  # another title was better: whether it still is decides this run
    again = name_stories(labels, vectors, rows, 0.2, before=before, unchanged={3, 5})
    assert again["keywords"].tolist() == fresh["keywords"].tolist()


def test_words_are_split_once_a_title_and_forgotten_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def noted(title: str) -> list[str]:
        asked.append(title)
        return split(title)

    monkeypatch.setattr(keywords_module, "split", noted)
    words = Words()
    for titles in (["one volcano", "two banks"], ["one volcano", "three rates"], ["one volcano"], ["two banks"]):
        flat, lengths = words.of(titles)
        texts = words.texts()
        assert [texts[number] for number in flat] == " ".join(titles).split()
        assert lengths.tolist() == [2] * len(titles)
    assert asked == ["one volcano", "two banks", "three rates", "two banks"]
    assert set(words.texts()) == {"one", "volcano", "two", "banks"}  # those of the third title are gone
