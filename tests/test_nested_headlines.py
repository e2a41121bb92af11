"""Headlines under names that nobody knows, and in the texts of queues: read at both entrances, or refused."""

import base64
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.harness.reading import read, rejects, rows, told, write
from tests.test_messages import ARTICLE, items, titles
from tests.test_messages_wrapped import AT, AT_MS, DELETED, ROW, A, B, both_ways

TEXT = json.dumps(A)
PACKED = base64.b64encode(TEXT.encode()).decode()
ZIPPED = base64.b64encode(gzip.compress(TEXT.encode())).decode()

KNOWN: dict[str, Any] = {
    "EventBridge": lambda inner: {"version": "0", "id": "e-1", "account": "1", "resources": [], "detail": inner},
    "entry": lambda inner: {"entry": inner},
    "content": lambda inner: {"kind": "news", "content": inner},
    "GeoJSON": lambda inner: {"type": "Feature", "geometry": None, "properties": inner},
    "YouTube": lambda inner: {"kind": "k", "snippet": inner},
    "CDC": lambda inner: {"old": {"title": "Before"}, "new": inner},
    "beside keywords": lambda inner: {"detail": inner, "keywords": [{"title": "ferries"}], "locales": [{"title": "x"}]},
}
UNKNOWN: dict[str, Any] = {
    "any": lambda inner: {"kind": "news", "zettel": inner},
    "three deep": lambda inner: {"a": {"b": {"c": inner}}, "n": 1},
    "beside others": lambda inner: {
        "author": {"title": "Dr"},
        "leadPhoto": {"title": "Dam", "url": "x"},
        "hit": inner,
        "n": 1,
    },
    "beside keywords": lambda inner: {"zettel": inner, "keywords": [{"title": "ferries"}], "n": 1},
}

QUEUES: dict[str, Any] = {
    "SQS, received": lambda text: {"MessageId": "1", "ReceiptHandle": "aGFuZGxlaGFuZGxlaGFuZGxl", "Body": text},
    "SQS, to a function": lambda text: {"Records": [{"messageId": "1", "body": text, "eventSource": "aws:sqs"}]},
    "Kinesis": lambda text: {"Records": [{"kinesis": {"partitionKey": "p", "data": text}, "eventVersion": "1.0"}]},
    "Pub/Sub": lambda text: {"message": {"data": text, "messageId": "1", "attributes": {}}, "subscription": "s"},
    "EventBridge, through a queue": lambda text: {"Records": [{"body": json.dumps({"v": 1, "detail": text})}]},
    "a list of texts": lambda text: {"messages": [text]},
    "Connect": lambda text: {"schema": {"type": "bytes"}, "payload": text},
    "Kafka REST": lambda text: {"records": [{"key": None, "value": text}]},
    "fluentd": lambda text: {"log": f"{text}\n", "stream": "stdout"},
}


@pytest.mark.parametrize("wrapper", [*KNOWN.values(), *UNKNOWN.values()], ids=[*KNOWN, *UNKNOWN])
def test_a_headline_in_another_object_is_read(wrapper: Any, tmp_path: Path) -> None:
    (expected,) = both_ways(A, tmp_path / "a.jsonl")
    assert both_ways(wrapper(A), tmp_path / "a.jsonl") == [expected]
    assert titles({"rows": [wrapper(A), wrapper(B)]}) == [A["title"], B["title"]]


def test_a_title_alone_is_read_under_a_known_name_only(tmp_path: Path) -> None:
    for wrapper in KNOWN.values():
        assert [one[1] for one in both_ways(wrapper({"title": "One"}), tmp_path / "a.jsonl")] == ["One"]
    for wrapper in list(UNKNOWN.values())[:3]:
        assert "title" in items(wrapper({"title": "One"}))[0].fault


def test_source_language_and_time_around_it_fill_what_it_lacks(tmp_path: Path) -> None:
    inner = {"title": "One", "url": "https://v.example/1"}
    around = {"time": AT, "source": "Velm", "zettel": {"lang": "de", "kind": 1}}
    for name in ("detail", "karte"):
        message = {**around, "zettel": {**around["zettel"], name: inner}}  # type: ignore[dict-item]
        ((_, title, url, source, language),) = both_ways(message, tmp_path / "a.jsonl")
        assert (title, url, source, language) == ("One", inner["url"], "Velm", "de")
        assert items(message)[0].headline.published_at == AT_MS  # type: ignore[union-attr]
    packed = items({"time": AT, "source": "Velm", "language": "de", "body": json.dumps({"title": "One"})})[0].headline
    assert packed is not None
    assert (packed.source, packed.language, packed.published_at) == ("Velm", "de", AT_MS)


def test_the_names_that_a_producer_sets_count_around_it() -> None:
    names = {"source": "haus", "published_at": "wann", "language": "spr"}
    around = {"haus": "Velm", "wann": AT, "spr": "de"}
    for held in ({"detail": {"title": "One"}}, {"zettel": {"title": "One", "url": "x"}}, {"body": '{"title": "One"}'}):
        (item,) = items({**around, **held}, fields=names)
        assert item.headline is not None
        assert (item.headline.source, item.headline.published_at, item.headline.language) == ("Velm", AT_MS, "de")


@pytest.mark.parametrize(
    "message",
    [
        {"url": "https://v.example/1", "zettel": A},
        {"link": {"href": "https://v.example/1"}, "zettel": A},
        {"body": "A text of its own.", "extra": A},
        {"title": None, "zettel": A},
        *({"n": 1, name: A} for name in ("author", "heroImage", "featured_image", "leadPhoto", "chat", "parentPost")),
        *(
            {"n": 1, name: A}
            for name in ("nextStory", "pageCategory", "siteInfo", "primarySection", "old_val", "before")
        ),
        *({name: A} for name in ("author", "leadPhoto", "siteInfo", "previous")),
        {"author": json.dumps(A), "n": 1},
        {"url": "https://v.example/1", "text": "Long", "zettel": json.dumps(A)},
        {"meta": PACKED, "n": 1},
        {"update_id": 1, "channel_post": {"chat": {"id": -100, "title": "Velm news"}, "caption": "Mill sold"}},
    ],
)
def test_a_title_that_may_be_anothers_is_not_taken(message: Any, tmp_path: Path) -> None:
    (item,) = items(message)
    assert (item.headline, item.raw) == (None, message)
    told = read(write(tmp_path / "a.jsonl", json.dumps({"title": "One"}) + "\n" + json.dumps(message)))
    assert len(rows(told)) == 1
    assert len(rejects(told)) == 1


def test_titles_at_several_places_are_refused_by_their_places() -> None:
    for message in (
        {"zettel": A, "karte": B, "n": 1},
        {"zettel": json.dumps(A), "karte": json.dumps(B)},
        {"a": [A], "b": [B], "n": 1},
    ):
        (item,) = items(message)
        assert item.headline is None
        assert "several places" in item.fault
        assert "`zettel`" in item.fault or "`a`, `b`" in item.fault


OLD = {"title": "Gone", "url": "https://v.example/1"}


@pytest.mark.parametrize(
    "deleted",
    [
        {"before": OLD, "after": None},
        {"before": {"row": OLD}, "after": None},
        {"table": "t", "op_type": "D", "before": OLD},
        {"old_val": OLD, "new_val": None},
        {"type": "DELETE", "record": None, "old_record": OLD},
        {"eventType": "DELETE", "new": {}, "old": OLD},
        {"post": {"current": {}, "previous": OLD}},
        {"action": "delete", "deleted": OLD},
        {"action": "removed", "data": OLD},
        {"eventName": "REMOVE", "dynamodb": {"OldImage": {"title": {"S": "Gone"}}}},
        {"modType": "DELETE", "mods": [{"oldValuesJson": json.dumps(OLD), "newValuesJson": "{}"}]},
        {"message": {"data": OLD, "headers": {"operation": "DELETE"}}},
        {"metadata": {"OperationName": "DELETE"}, "data": OLD},
    ],
)
def test_a_deleted_row_is_a_tombstone_however_it_is_told(deleted: Any) -> None:
    assert items(deleted) == []
    assert titles([deleted, A]) == [A["title"]]
    assert titles({"records": [deleted, {"detail": A}]}) == [A["title"]]


@pytest.mark.parametrize(("old", "new"), [("old", "new"), ("old_val", "new_val"), ("previous", "current")])
def test_of_a_changed_row_what_it_is_now_counts(old: str, new: str) -> None:
    assert titles({old: OLD, new: A}) == [A["title"]]
    assert titles({"post": {old: OLD, new: A}, "n": 1}) == [A["title"]]


@pytest.mark.parametrize("envelope", [ROW, {"schema": {}, "payload": ARTICLE}])
def test_an_envelope_under_an_unknown_name_is_opened(envelope: Any) -> None:
    assert titles({"detail": envelope, "time": AT}) == [ARTICLE["title"]]
    assert items({"detail": DELETED, "time": AT}) == []


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("text", [TEXT, PACKED, ZIPPED, PACKED[:40] + "\n" + PACKED[40:]])
def test_the_body_of_a_queues_message_is_read(queue: str, text: str) -> None:
    (item,) = items(QUEUES[queue](text))
    (plain,) = items(A)
    assert item.headline == plain.headline


def test_a_notification_in_a_queue_and_several_bodies_are_read() -> None:
    notice = json.dumps({"Type": "Notification", "Message": TEXT, "Timestamp": AT})
    bodies = [notice, json.dumps([A, B]), json.dumps({"detail": B})]
    found = items({"Records": [{"messageId": "1", "body": body} for body in bodies[:2]]})
    assert [item.headline and item.headline.url for item in found] == [A["url"], A["url"], B["url"]]
    assert [item.place for item in found] == [1, 2, 3]


@pytest.mark.parametrize("text", ["[draft]", "{}", '{"count": 1}', "eyJjb3VudCI6IDF9", "{oops", "Zm9vYmFyZm9vYmFy"])
def test_a_text_without_a_headline_is_none(text: str) -> None:
    (item,) = items({"note": text, "number": 1})
    assert item.headline is None
    assert "title" in item.fault


def test_a_packed_text_may_not_unpack_to_more_than_a_message() -> None:
    bomb = base64.b64encode(gzip.compress(b'{"title": "' + b"a" * 5_000_000 + b'"}')).decode()
    (item,) = items({"detail": {"data": bomb}})
    assert item.headline is None
    assert "unpacks to more than" in item.fault


C = {**A, "title": "Match lost", "url": "https://v.example/3"}


def test_headlines_in_titled_groups_are_read_in_messages_too(tmp_path: Path) -> None:
    sections = [{"title": "World", "articles": [A, B]}, {"title": "Sport", "articles": [C]}]
    for message in (sections, {"sections": sections}):
        assert [one[1] for one in both_ways(message, tmp_path / "a.json")] == [A["title"], B["title"], "Match lost"]


EMPTY = {"title": "Sky", "articles": []}
SECTIONS: list[dict[str, Any]] = [
    EMPTY,
    {"title": "World", "articles": [A, B]},
    {"title": "Letters", "articles": []},
    {"title": "Sport", "articles": [C]},
]
AROUND = {
    "array": SECTIONS,
    "document": {"date": "2026-10-12", "sections": SECTIONS},
    "wrapped": {"data": {"sections": SECTIONS}},
    "groups within groups": [
        {"title": "All", "articles": [SECTIONS[0], SECTIONS[1]]},
        {"title": "More", "articles": SECTIONS[2:]},
    ],
}


@pytest.mark.parametrize("content", [*map(json.dumps, AROUND.values()), "\n".join(map(json.dumps, SECTIONS))])
def test_groups_without_headlines_are_no_headlines_and_are_counted_at_both_entrances(
    tmp_path: Path, content: str
) -> None:
    found, tally = told(write(tmp_path / "a.json", content))
    messages = items(content.encode())
    expected = [A["title"], B["title"], "Match lost"]
    assert [row.headline.title for row in rows(found)] == expected
    assert [one.headline.title for one in messages if one.headline] == expected
    assert (len(messages), rejects(found)) == (3, [])
    counted = Counter(name for one in messages for name in one.unread)
    assert counted == {what: one.count for what, one in tally.left_out.items()} == {"group without headlines": 2}


def test_an_empty_group_is_counted_also_where_the_first_headline_beside_it_is_refused() -> None:
    sections = [{"title": "World", "articles": [{**A, "title": "N/A"}, B]}, EMPTY]
    (refused, read_) = items(sections)
    assert refused.headline is None
    assert read_.headline is not None
    assert (refused.unread, read_.unread) == (("group without headlines",), ())


def test_a_title_beside_an_empty_array_that_no_group_shows_to_be_one_is_a_headline(tmp_path: Path) -> None:
    for message in ([EMPTY], EMPTY, [A, EMPTY], [{**A, "articles": [B]}, EMPTY]):
        assert EMPTY["title"] in [one[1] for one in both_ways(message, tmp_path / "a.json")]


def test_deleted_rows_in_a_file_are_refused_by_that_reason(tmp_path: Path) -> None:
    deleted = [{"__deleted": "true", **A}, {"type": "DELETE", "record": A}, {"old": A, "new": None}]
    found = read(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, [A, *deleted]))))
    assert [row.headline.title for row in rows(found)] == [A["title"]]
    assert rejects(found)[0].reason == "The record says that its row was deleted."
    assert len(rejects(found)) == 3
    for content in ([A, *deleted], {"records": [A, *deleted]}):
        found = read(write(tmp_path / "a.json", json.dumps(content)))
        assert [row.headline.title for row in rows(found)] == [A["title"]]
        assert len(rejects(found)) == 3
