"""Headlines under names that nobody knows, and in the texts of queues: read at both entrances, or refused."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.reading import read, rejects, rows, write
from tests.test_messages import ARTICLE, items, titles
from tests.test_messages_wrapped import AT, AT_MS, DELETED, ROW, A, B, both_ways

TEXT = json.dumps(A)
PACKED = base64.b64encode(TEXT.encode()).decode()
ZIPPED = base64.b64encode(gzip.compress(TEXT.encode())).decode()

UNKNOWN: dict[str, Any] = {
    "EventBridge": lambda inner: {"version": "0", "id": "e-1", "account": "1", "resources": [], "detail": inner},
    "entry": lambda inner: {"entry": inner},
    "content": lambda inner: {"kind": "news", "content": inner},
    "three deep": lambda inner: {"a": {"b": {"c": inner}}, "n": 1},
    "beside others": lambda inner: {
        "author": {"title": "Dr"},
        "image": {"title": "Dam", "url": "x"},
        "hit": inner,
        "n": 1,
    },
}

QUEUES: dict[str, Any] = {
    "SQS, received": lambda text: {"MessageId": "1", "ReceiptHandle": "aGFuZGxlaGFuZGxlaGFuZGxl", "Body": text},
    "SQS, to a function": lambda text: {"Records": [{"messageId": "1", "body": text, "eventSource": "aws:sqs"}]},
    "Kinesis": lambda text: {"Records": [{"kinesis": {"partitionKey": "p", "data": text}, "eventVersion": "1.0"}]},
    "Pub/Sub": lambda text: {"message": {"data": text, "messageId": "1", "attributes": {}}, "subscription": "s"},
    "Kafka REST": lambda text: {"records": [{"key": None, "value": text}]},
    "fluentd": lambda text: {"log": f"{text}\n", "stream": "stdout"},
}


@pytest.mark.parametrize("wrapper", UNKNOWN)
@pytest.mark.parametrize("inner", [A, {"title": "A title alone"}])
def test_a_headline_under_an_unknown_name_is_read(wrapper: str, inner: dict[str, str], tmp_path: Path) -> None:
    (expected,) = both_ways(inner, tmp_path / "a.jsonl")
    message = UNKNOWN[wrapper](inner)
    assert both_ways(message, tmp_path / "a.jsonl") == [expected]
    both = {"rows": [message, UNKNOWN[wrapper](B)]}
    assert titles(both) == [inner["title"], B["title"]]


def test_source_language_and_time_around_it_fill_what_it_lacks(tmp_path: Path) -> None:
    message = {"time": AT, "source": "Velm", "x": {"lang": "de", "detail": {"title": "One"}}}
    ((_, title, url, source, language),) = both_ways(message, tmp_path / "a.jsonl")
    assert (title, url, source, language) == ("One", "", "Velm", "de")
    assert items(message)[0].headline.published_at == AT_MS  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "message",
    [
        {"old": {"title": "One", "url": "x"}, "new": {"title": "Two"}, "count": 2},
        {"url": "https://v.example/1", "publisher_note": {"title": "Not this one"}},
        {"body": "A text of its own.", "extra": {"title": "Not this one"}},
        {"author": {"title": "Dr"}, "count": 1},
        {"feed": {"title": "The Velm"}, "count": 1},
    ],
)
def test_which_title_is_meant_is_not_guessed(message: Any, tmp_path: Path) -> None:
    (item,) = items(message)
    assert (item.headline, item.raw) == (None, message)
    told = read(write(tmp_path / "a.jsonl", json.dumps({"title": "One"}) + "\n" + json.dumps(message)))
    assert len(rows(told)) == 1
    assert len(rejects(told)) == 1


@pytest.mark.parametrize("envelope", [ROW, {"schema": {}, "payload": ARTICLE}])
def test_an_envelope_under_an_unknown_name_is_opened(envelope: Any) -> None:
    assert titles({"detail": envelope, "time": AT}) == [ARTICLE["title"]]
    assert items({"detail": DELETED, "time": AT}) == []


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("text", [TEXT, PACKED, ZIPPED, PACKED.rstrip("=").replace("+", "-").replace("/", "_")])
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
