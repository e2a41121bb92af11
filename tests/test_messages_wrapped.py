"""Envelopes within other objects: what they hold is read as if the envelope came alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from newstide.core.headline import derive_id
from tests.harness.reading import read, rejects, rows, write
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


A = {"title": "Quarrel over Brindle dam", "url": "https://v.example/1", "publishedAt": AT, "source": "Velm"}
B = {**A, "title": "Marrow lake freezes", "url": "https://v.example/2"}


def both_ways(message: Any, path: Path) -> list[tuple[str, str, str, str, str]]:
    """Id, title, link, source, language and time of each headline, which are the same in a message and in a file."""
    found = [item.headline for item in items(message)]
    told = [row.headline for row in rows(read(write(path, json.dumps(message) + "\n")))]
    shown = [(one.id, one.title, one.url, one.source, one.language) for one in found if one is not None]
    assert shown == [(one.id, one.title, one.url, one.source, one.language) for one in told]
    assert len(shown) == len(found)
    return shown


@pytest.mark.parametrize("name", ["headline", "heading", "title", "newsHeadline"])
@pytest.mark.parametrize("inner", [A, [A], {**A, "description": "Short."}])
def test_a_headline_under_a_titles_name_keeps_its_values(name: str, inner: Any, tmp_path: Path) -> None:
    (expected,) = both_ways(A, tmp_path / "a.jsonl")
    for message in ({"event": "headline.created", name: inner}, {name: inner, "count": 1}, {name: inner}):
        assert both_ways(message, tmp_path / "a.jsonl") == [expected]
        assert items(message)[0].headline.published_at == AT_MS  # type: ignore[union-attr]


def test_a_batch_of_one_is_read_as_a_batch_of_two(tmp_path: Path) -> None:
    two = both_ways({"headlines": [A, B], "count": 2}, tmp_path / "a.jsonl")
    assert both_ways({"headlines": [A], "count": 1}, tmp_path / "a.jsonl") == two[:1]
    assert len(two) == 2


@pytest.mark.parametrize(
    "title", [{"main": "One", "kicker": None}, {"rendered": "One"}, {"#text": "One", "lang": "en"}]
)
def test_a_titles_own_object_wraps_no_headline(title: Any, tmp_path: Path) -> None:
    ((_, read_as, url, *_),) = both_ways({"headline": title, "url": "https://v.example/1"}, tmp_path / "a.jsonl")
    assert (read_as, url) == ("One", "https://v.example/1")


@pytest.mark.parametrize("name", ["message", "data", "payload", "value", "Message"])
@pytest.mark.parametrize(
    "text",
    ["\n".join(map(json.dumps, (A, B))), json.dumps([A, B]), json.dumps(A) + json.dumps(B), json.dumps([[A], B])],
)
def test_each_document_in_a_wrapping_text_is_a_headline(name: str, text: str) -> None:
    found = items({"timestamp": AT, name: text})
    assert [item.headline and item.headline.url for item in found] == [A["url"], B["url"]]
    assert [item.place for item in found] == [1, 2]


def test_what_cannot_be_read_in_a_wrapping_text_is_refused_alone() -> None:
    found = titles({"timestamp": AT, "message": json.dumps(A) + "\n{oops}\n" + json.dumps(B)})
    assert [found[0], found[2]] == [A["title"], B["title"]]
    assert "not JSON" in found[1]


@pytest.mark.parametrize(
    "path", [lambda inner: {"articles": inner}, lambda inner: {"response": {"page": 1, "docs": inner}}]
)
def test_source_language_and_time_beside_an_array_fill_what_its_elements_lack(path: Any, tmp_path: Path) -> None:
    around = {"source": "Velm", "language": "de", "date": AT, "id": "00112233445566ff", "url": "https://v.example/all"}
    message = {**around, **path([{"title": "One"}, {"title": "Two", "lang": "fr", "publisher": "Pell"}])}
    found = both_ways(message, tmp_path / "a.jsonl")
    assert [one[2:] for one in found] == [("", "Velm", "de"), ("", "Pell", "fr")]
    assert len({one[0] for one in found}) == 2
    assert [item.headline and item.headline.published_at for item in items(message)] == [AT_MS, AT_MS]
    untimed = items({"time": 0.03, "source": {"x": 1}, **path([{"title": "One"}])})
    assert untimed[0].unread == (), "what cannot be read fills nothing"


def test_dynamodbs_typed_values_are_one_headline(tmp_path: Path) -> None:
    typed = {
        "title": {"S": "One"},
        "url": {"S": "https://v.example/1"},
        "published_at": {"N": "1789936200"},
        "read": {"BOOL": True},
        "source": {"M": {"name": {"S": "Velm"}}},
    }
    ((_, title, url, source, _),) = both_ways(typed, tmp_path / "a.jsonl")
    assert (title, url, source) == ("One", "https://v.example/1", "Velm")
    assert items(typed)[0].headline.published_at == AT_MS  # type: ignore[union-attr]


@pytest.mark.parametrize("date", [{"date": {"iso": AT}}, {"summary": {"en": "Short.", "de": "Kurz."}}])
def test_a_title_in_several_languages_is_one_headline(date: Any, tmp_path: Path) -> None:
    assert [one[1] for one in both_ways({"title": {"en": "One", "de": "Eins"}, **date}, tmp_path / "a.jsonl")] == [
        "One"
    ]


def test_what_json_api_includes_belongs_to_its_data(tmp_path: Path) -> None:
    message = {"data": [{"type": "a", "attributes": A}], "included": [{"type": "b", "attributes": {"title": "Desk"}}]}
    assert [one[1] for one in both_ways(message, tmp_path / "a.jsonl")] == [A["title"]]


def test_a_byte_order_mark_may_follow_a_registrys_prefix() -> None:
    text = json.dumps(ARTICLE).encode()
    assert titles(b"\0\0\0\0\x07\xef\xbb\xbf" + text) == titles(b"\0\0\0\0\x07" + text) == [TITLE]
    assert "prefix of a schema registry" in titles(b"\0\0\0\0\x07\xef\xbb\xbfavro")[0]


@pytest.mark.parametrize("before", [0, 1, 30])
@pytest.mark.parametrize("wrapper", ["_source", "data"])
def test_a_wrapped_record_without_a_title_is_refused_alone(wrapper: str, before: int, tmp_path: Path) -> None:
    untitled = {"title": None, "media": [{"title": "photo of a pier"}], "related": [{"title": "Older"}]}
    lines = [*({"title": f"Ferry {number}"} for number in range(before)), untitled, {"title": "Pell agrees"}]
    file = write(tmp_path / "a.jsonl", "".join(json.dumps({wrapper: line}) + "\n" for line in lines))
    found = read(file)
    assert len(rows(found)) == before + 1
    assert [reject.line for reject in rejects(found)] == [before + 1]
