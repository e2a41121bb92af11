"""Messages that mean harm, or that a broken program sent: none ends the consumer, costs minutes, or takes others along."""

import json
from typing import Any

import pytest

from consumers import messages
from newstide.core import envelopes, unforeseen
from newstide.core.logs import OnceAMinute
from tests.test_messages import ARTICLE, EVENT, items, titles


def raise_for(monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> None:
    """Makes a function raise wherever an argument holds the word `poison`."""
    whole = getattr(place, name)

    def poisoned(*given: Any, **named: Any) -> Any:
        if "poison" in str(given):
            raise ZeroDivisionError("nobody\nforesaw this" + "x" * 900)
        return whole(*given, **named)

    monkeypatch.setattr(place, name, poisoned)


@pytest.mark.parametrize(
    ("place", "name"),
    [(messages, "open_bare"), (messages, "from_fields"), (messages, "open_message"), (envelopes, "_unwrapped")],
)
def test_an_error_that_nobody_foresaw_costs_its_own_message(
    monkeypatch: pytest.MonkeyPatch, place: Any, name: str
) -> None:
    raise_for(monkeypatch, place, name)
    headers = [] if name == "open_bare" else [("h", b"")]
    (item,) = items({"title": "poison"}, headers)
    assert item.headline is None
    assert item.fault.startswith("An unexpected error: ZeroDivisionError: nobody foresaw this")
    assert len(item.fault) < 300
    assert titles(ARTICLE, headers=headers) == [ARTICLE["title"]]


@pytest.mark.parametrize(("place", "name"), [(messages, "from_fields"), (envelopes, "_unwrapped")])
def test_an_error_that_nobody_foresaw_costs_its_own_element(
    monkeypatch: pytest.MonkeyPatch, place: Any, name: str
) -> None:
    raise_for(monkeypatch, place, name)
    found = items([{"title": "a"}, {"title": "poison"}, {"title": "b"}])
    assert [(item.place, item.headline and item.headline.title) for item in found] == [(1, "a"), (2, None), (3, "b")]
    assert found[1].raw == {"title": "poison"}


def test_such_an_error_is_logged_with_its_traceback_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(unforeseen, "_LINES", OnceAMinute())
    raise_for(monkeypatch, messages, "from_fields")
    for _ in range(3):
        items({"title": "poison"})
    said = "".join(capsys.readouterr())
    assert said.count("an unexpected error while a message was read") == 1
    assert "in poisoned" in said


@pytest.mark.parametrize(
    "message",
    [
        {**EVENT, "id": "\ud800", "data": ARTICLE},
        {**EVENT, "source": "\ud800", "data": ARTICLE},
        {"after": {**ARTICLE, "id": "\ud83d"}, "op": "c", "source": {"db": "news", "table": "item"}},
    ],
)
def test_half_a_character_in_an_envelopes_id_refuses_nothing(message: Any) -> None:
    assert titles(json.dumps(message).encode()) == [ARTICLE["title"]]
