"""Envelopes within other objects: what they hold is read as if the envelope came alone."""

import json
from typing import Any

import pytest

from newstide.core.headline import derive_id
from tests.test_messages import ARTICLE, EVENT, items, titles

TITLE = ARTICLE["title"]
ROW = {"before": None, "after": ARTICLE, "op": "c", "source": {"table": "n"}}
DELETED = {"before": ARTICLE, "after": None, "op": "d", "source": {"table": "n"}}
AT = "2026-09-20T20:30:00Z"
AT_MS = 1_789_936_200_000

WRAPPED: dict[str, Any] = {
    "key and value": lambda inner: {"key": {"id": 5}, "value": inner},
    "topic and payload": lambda inner: {"topic": "t", "payload": inner},
    "schema, payload and headers": lambda inner: {"schema": {}, "payload": inner, "headers": {}},
    "data": lambda inner: {"data": inner},
    "in an array": lambda inner: [{"value": inner}],
    "records": lambda inner: {"records": [{"value": inner}, {"value": inner}][:1]},
    "SNS": lambda inner: {"Type": "Notification", "Message": json.dumps(inner), "Timestamp": AT},
    "Logstash": lambda inner: {"@timestamp": AT, "message": json.dumps(inner), "host": {"name": "h"}},
    "twice": lambda inner: {"topic": "t", "value": {"payload": inner}},
    "an event": lambda inner: {**EVENT, "data": {"value": inner}},
}


@pytest.mark.parametrize("wrapper", WRAPPED)
@pytest.mark.parametrize(
    "envelope",
    [
        *({**ROW, "op": op} for op in "cur"),
        {"schema": {}, "payload": ROW},
        {**EVENT, "data": ARTICLE},
        {**EVENT, "data": json.dumps(ARTICLE)},
        {"database": "d", "table": "t", "type": "update", "data": ARTICLE, "old": {"title": "Older"}},
    ],
)
def test_an_envelope_within_another_object_is_opened(wrapper: str, envelope: Any) -> None:
    assert titles(WRAPPED[wrapper](envelope)) == [TITLE]


@pytest.mark.parametrize("wrapper", WRAPPED)
@pytest.mark.parametrize(
    "deleted",
    [
        DELETED,
        {"schema": {}, "payload": DELETED},
        {**ARTICLE, "__deleted": "true"},
        {"database": "d", "table": "t", "type": "DELETE", "data": ARTICLE},
        {"key": 1, "value": None},
    ],
)
def test_a_deleted_row_within_another_object_is_a_tombstone(wrapper: str, deleted: Any) -> None:
    assert items(WRAPPED[wrapper](deleted)) == []


@pytest.mark.parametrize("op", ["c", "u", "r"])
def test_a_row_with_a_title_that_also_says_how_it_changed_is_a_headline(op: str) -> None:
    assert titles({**ARTICLE, "op": op, "after": None, "before": {"title": "Older"}}) == [TITLE]
    assert titles({**ARTICLE, "key": 1, "value": None}) == [TITLE]
    assert items({**ARTICLE, "op": "d", "after": None, "before": {"title": "Older"}}) == []


def test_what_stands_around_an_envelope_fills_source_language_and_time_alone() -> None:
    around = {"source": "Velm", "lang": "de", "timestamp": AT, "id": "7", "url": "https://v.example/all"}
    (item,) = items({**around, "payload": ROW})
    assert item.headline is not None
    assert (item.headline.source, item.headline.language, item.headline.published_at) == ("Velm", "de", AT_MS)
    assert item.headline.url == ""


@pytest.mark.parametrize("name", ["data", "wrapped"])
def test_an_events_id_does_not_depend_on_its_place_in_a_batch(name: str) -> None:
    events = [{**EVENT, "id": f"ce-{number}", "data": {"title": f"Ferry {number}"}} for number in (1, 2)]
    batch = events if name == "data" else {"records": [{"value": event} for event in events]}
    found = items(batch)
    assert [item.place for item in found] == [1, 2]
    ids = [derive_id("", "/velm/desk", f"ce-{number}", None) for number in (1, 2)]
    assert [item.headline and item.headline.id for item in found] == ids
    assert [item.headline and item.headline.id for item in items([events[1]])] == ids[1:]
    rows = [{**ROW, "after": {**ARTICLE, "id": number}} for number in (7, 8)]
    assert [item.headline and item.headline.id for item in items(rows)] == [derive_id("", "n", n, None) for n in "78"]


def test_the_place_counts_within_one_events_data() -> None:
    event = {**EVENT, "data": [{"title": "a"}, {"title": "b"}]}
    alone = [item.headline and item.headline.id for item in items(event)]
    assert alone == [derive_id("", "/velm/desk", f"ce-1\n{number}", None) for number in (1, 2)]
    found = items([{**event, "id": "ce-0"}, event])
    assert [item.headline and item.headline.id for item in found][2:] == alone
    assert [item.place for item in found] == [1, 2, 3, 4]


@pytest.mark.parametrize("data", [ARTICLE, [ARTICLE], json.dumps(ARTICLE), {"articles": [ARTICLE]}, {"item": ARTICLE}])
def test_an_events_time_is_that_of_a_headline_without_one(data: Any) -> None:
    (item,) = items({**EVENT, "time": AT, "data": data})
    assert item.headline is not None
    assert (item.headline.published_at, item.unread) == (AT_MS, ())
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"ce-1"), ("ce_source", b"/velm/desk"), ("ce_time", AT.encode())]
    (binary,) = items(data, headers)
    assert binary.headline == item.headline
    own = {**ARTICLE, "date": "2026-09-19T20:30:00Z"}
    (item,) = items({**EVENT, "time": AT, "data": own})
    assert item.headline is not None
    assert item.headline.published_at == AT_MS - 86_400_000
