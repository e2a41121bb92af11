"""Search words mean the same on the page, in feeds and in watches: one table holds the two that read them."""

import json
from pathlib import Path

import pytest

from newstide_app.queries.words import Words

TABLE = Path(__file__).parent / "data" / "words.json"  # search words, a title, and whether they find it


@pytest.mark.parametrize(("words", "title", "wanted"), json.loads(TABLE.read_text(encoding="utf-8")))
def test_words_are_found_as_people_write_them(words: str, title: str, wanted: bool) -> None:
    assert Words(words).match([title]) is wanted


def test_words_may_stand_in_several_texts_and_a_phrase_stands_in_one() -> None:
    texts = ["Harbour closed", "after the STORM"]
    assert Words("storm harb").match(texts)
    assert Words('"after the storm"').match(texts)
    assert not Words('"closed after"').match(texts)
    assert not Words("storm -harbour").match(texts)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ('flood OR "high water" -insurance', ""),
        ("", "no word"),
        ('flood "high', "not closed"),
        ("OR flood", "OR does not stand"),
        ("flood OR", "OR does not stand"),
        ("a OR OR b", "OR does not stand"),
        ("a OR -b", "OR does not stand"),
        ('""', "a word is empty"),
        ("*", "a word is empty"),
    ],
)
def test_what_makes_no_sense_is_passed_over_and_named(words: str, problem: str) -> None:
    assert problem in Words(words).problem
    assert bool(Words(words).problem) == bool(problem)
