"""What a message may hold, and how it is read; no server is needed."""

import base64
import gzip
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_tests
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from consumers.messages import Item, MessageReader
from consumers.tally import Tally
from newstide.core.errors import SettingsError
from newstide.core.headline import Headline, derive_id
from newstide.core.settings import ConsumerSettings, LimitSettings, Settings, as_environment
from newstide_app.services.metrics import ConsumerMetrics
from producers.files import read_files
from producers.rows import Row

NOW = 1_790_000_000_000


@dataclass
class Record:
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    timestamp: int = NOW
    topic: str = "headlines"
    partition: int = 0
    offset: int = 0


def items(value: Any, headers: list[tuple[str, bytes]] | None = None, **consumer: Any) -> list[Item]:
    content = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    reader = MessageReader(ConsumerSettings(**consumer), LimitSettings())
    return list(reader.items(Record(content, headers or []), NOW))


def headline(value: Any, **options: Any) -> Headline:
    (item,) = items(value, **options)
    assert item.headline is not None, item.fault
    return item.headline


def titles(value: Any, **options: Any) -> list[str]:
    return [item.headline.title if item.headline else f"! {item.fault}" for item in items(value, **options)]


def fault(value: Any, **options: Any) -> str:
    (item,) = items(value, **options)
    assert item.headline is None
    return item.fault


ARTICLE = {"title": "Pell harbour dredged"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"headline": "Pell harbour dredged"}, {"title": "Pell harbour dredged"}),
        ({"headline": {"main": "Pell harbour dredged"}}, {"title": "Pell harbour dredged"}),
        ({**ARTICLE, "source": {"id": None, "name": "Velm Courier"}}, {"source": "Velm Courier"}),
        ({**ARTICLE, "publisher": "Velm Courier"}, {"source": "Velm Courier"}),
        ({**ARTICLE, "link": "https://k.example/1"}, {"url": "https://k.example/1"}),
        ({**ARTICLE, "link": {"href": "https://k.example/1"}}, {"url": "https://k.example/1"}),
        ({**ARTICLE, "summary": "Mud."}, {"description": "Mud."}),
        ({**ARTICLE, "publishedAt": "2026-09-20T20:30:00Z"}, {"published_at": 1_789_936_200_000}),
        ({**ARTICLE, "pubDate": "2026-09-20T20:30:00Z"}, {"published_at": 1_789_936_200_000}),
        ({**ARTICLE, "lang": "DE"}, {"language": "de"}),
    ],
)
def test_a_field_is_found_under_the_names_that_files_have(fields: Any, expected: dict[str, Any]) -> None:
    found = headline(fields)
    assert {name: getattr(found, name) for name in expected} == expected
    assert found.title == "Pell harbour dredged"


def test_the_contracts_own_name_wins_over_another() -> None:
    assert headline({"headline": "Other", "title": "Pell"}).title == "Pell"
    assert headline({"title": "", "headline": "Other"}).title == "Other"


def test_a_producers_own_names_are_told_by_the_settings() -> None:
    message = {"Ueberschrift": "Hafen wird tiefer", "desk": {"name": "Velm"}, "title": "not this"}
    found = headline(message, fields={"title": "Ueberschrift", "source": "desk.name"})
    assert (found.title, found.source) == ("Hafen wird tiefer", "Velm")


def test_names_of_fields_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings.load(consumer={"fields": {"title": "Ueberschrift"}, "timezone": "Europe/Berlin"})
    for name, value in as_environment(given).items():
        monkeypatch.setenv(name, value)
    assert Settings.load().consumer == given.consumer
    with pytest.raises(SettingsError, match="no time zone 'Europe/Velm'"):
        Settings.load(consumer={"timezone": "Europe/Velm"})
    with pytest.raises(SettingsError, match="fields"):
        Settings.load(consumer={"fields": {"headline": "x"}})


EVENT = {"specversion": "1.0", "type": "news", "source": "/velm/desk", "id": "ce-1"}


@pytest.mark.parametrize(
    "message",
    [
        {**EVENT, "data": ARTICLE},
        {**EVENT, "data": json.dumps(ARTICLE)},
        {**EVENT, "data_base64": base64.b64encode(json.dumps(ARTICLE).encode()).decode()},
        {"schema": {"type": "struct"}, "payload": ARTICLE},
        {"schema": {}, "payload": {"before": None, "after": ARTICLE, "op": "c"}},
        {"before": None, "after": ARTICLE, "op": "u", "source": {"db": "news", "table": "item"}, "ts_ms": 1},
        {"schema": {}, "payload": {**EVENT, "data": ARTICLE}},
        {"status": "ok", "totalResults": 1, "articles": [ARTICLE]},
        {"status": "ok", "articles": [{**ARTICLE, "tags": [{"title": "harbours"}]}]},
        {**EVENT, "data_base64": base64.b64encode(gzip.compress(json.dumps(ARTICLE).encode(), mtime=0)).decode()},
        {"_index": "news", "_id": "7", "_source": {**ARTICLE, "tags": [{"title": "harbours"}]}},
        {"topic": "t", "key": "k", "value": ARTICLE},
        {"payload": {"article": ARTICLE}, "headers": {}},
        {"message": json.dumps(ARTICLE), "host": {"name": "h"}},
        {"database": "d", "table": "t", "type": "insert", "data": ARTICLE},
        {"title": None, "headline": "Pell harbour dredged"},
        {"title": " ", "headline": "Pell harbour dredged"},
        {"title": {"x": 1}, "headline": ["Pell harbour dredged"]},
        {**EVENT, "data": None, "data_base64": base64.b64encode(json.dumps(ARTICLE).encode()).decode()},
        {"took": 1, "hits": {"total": 1, "hits": [{"_source": ARTICLE}]}},
        {"records": [{"value": ARTICLE}]},
        {"groups": [{"articles": []}, {"articles": [ARTICLE]}]},
        {"title": {"string": "Pell harbour dredged"}, "url": {"string": "https://k.example/1"}},
        {"title": {"0": "Pell harbour dredged"}, "source": {"0": "Velm Courier"}},
        {"columns": ["title"], "index": [0], "data": [["Pell harbour dredged"]]},
        {"version": "https://jsonfeed.org/version/1.1", "title": "Velm Courier", "items": [ARTICLE]},
        [ARTICLE],
        json.dumps(ARTICLE),
        json.dumps(json.dumps(ARTICLE)),
        b"\xef\xbb\xbf" + json.dumps(ARTICLE).encode(),
        *(json.dumps(ARTICLE).encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be")),
        b"\xef\xbb\xbf\xef\xbb\xbf" + json.dumps(ARTICLE).encode() + b"\n\0",
        b'{"title": "Pell\tharbour\ndredged"}',
        gzip.compress(json.dumps(ARTICLE).encode(), mtime=0),  # without the hour, of which the test's name would tell
        gzip.compress(b'{"title": "Pell ', mtime=0) + gzip.compress(b'harbour dredged"}', mtime=0),
        b"\0\0\0\0\x07" + json.dumps(ARTICLE).encode(),
        b'\x1e{"title": "Pell harbour dredged"}\n',
        b'{"title": "Pell harbour dredged", "description": NaN, "score": -Infinity}',
    ],
)
def test_a_headline_is_read_however_it_is_wrapped(message: Any) -> None:
    assert titles(message) == ["Pell harbour dredged"]


def test_a_cloud_event_in_binary_mode_has_its_envelope_in_the_headers() -> None:
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"ce-1"), ("ce_source", b"/velm/desk")]
    (bare,) = items({**EVENT, "data": ARTICLE})
    (binary,) = items(ARTICLE, headers)
    assert bare.headline == binary.headline


def test_the_id_is_the_headlines_own_then_its_urls_then_of_the_envelope_and_the_place_in_an_array() -> None:
    own = "0123456789abcdef0123"
    url = "https://k.example/1"
    assert headline({**EVENT, "data": {**ARTICLE, "id": own, "url": url}}).id == own
    assert headline({**EVENT, "data": {**ARTICLE, "id": "7", "url": url}}).id == derive_id(url, "", "", None)
    of_event = derive_id("", "/velm/desk", "ce-1", None)
    assert headline({**EVENT, "data": {**ARTICLE, "id": "7"}}).id == of_event
    first, second = (item.headline for item in items({**EVENT, "data": [ARTICLE, ARTICLE]}))
    assert first
    assert second
    assert len({first.id, second.id, of_event}) == 3
    assert first.id == derive_id("", "/velm/desk", "ce-1\n1", None)
    row = {"after": {**ARTICLE, "id": 7}, "op": "c", "source": {"db": "news", "table": "item"}}
    assert headline(row).id == derive_id("", "news.item", "7", None)
    assert items(row)[0].unread == ("id",)


def test_a_messages_own_id_counts_as_it_stands() -> None:
    assert headline({**ARTICLE, "id": 7}).id == "7"
    assert headline({**ARTICLE, "id": "seven"}).id == "seven"
    assert headline({**ARTICLE, "guid": "seven"}).id != "seven", "another name's counts by its form"
    assert headline({**ARTICLE, "guid": "urn:seven:7"}).id == "urn:seven:7"


def test_several_objects_are_so_many_headlines_with_their_places() -> None:
    found = items(b'{"title": "a"}\n{"title": "b"}{"title": ""}\nnonsense')
    assert [(item.place, item.headline and item.headline.title) for item in found] == [
        (1, "a"),
        (2, "b"),
        (3, None),
        (4, None),
    ]
    assert found[3].raw == "nonsense"
    assert "not JSON" in found[3].fault
    assert titles([ARTICLE, 7, [{"title": "b"}]]) == [
        "Pell harbour dredged",
        "! The element is a JSON int, not an object.",
        "b",
    ]


def test_a_line_that_is_no_json_costs_no_other_line() -> None:
    found = items(b'{oops}\n{"title": "a"}\n{"title": "b"\n{"title": "c"}\n[1,\n2\n{"title": "d"}\n{"title')
    assert [(item.place, item.headline and item.headline.title) for item in found] == [
        (1, None),
        (2, "a"),
        (3, None),
        (4, "c"),
        (5, None),
        (6, "d"),
        (7, None),
    ]
    assert [item.raw for item in found if item.headline is None] == [
        "{oops}\n",
        '{"title": "b"\n',
        "[1,\n2\n",
        '{"title',
    ]
    assert "not JSON" in fault(b'{"articles": [\n{"title": "a"},\n{"ti'), "what a broken document holds is no headline"
    assert len(items(b'{"title": "a"}\n' + b"{x\n" * 20_000)) < 200, "a message of noise is not searched for ever"


@pytest.mark.parametrize(
    "value",
    [
        None,
        b'{"before": {"id": 1}, "after": null, "op": "d"}',
        b'{"schema": 1, "payload": null}',
        b'{"id": 7, "title": "x", "__deleted": "true"}',
        b'{"database": "d", "table": "t", "type": "DELETE", "data": [{"title": "x"}]}',
    ],
)
def test_a_tombstone_holds_nothing(value: bytes | None) -> None:
    assert items(value) == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\0\0\0\0\x07\x1eKR6 avro title\x02", "prefix of a schema registry (schema 7): it is Avro or Protobuf"),
        (b"", "not JSON"),
        (b"[]", "The array is empty"),
        (b"7", "JSON int, not an object"),
        (b'{"title": "\xff"}', "not UTF-8: byte 11 is 0xff"),
        (b"{'title': 'repr'}", "not JSON"),
        (gzip.compress(b"x" * 100_000, mtime=0), "unpacks to more than the 65,536 bytes"),
        (gzip.compress(b'{"title": "x"}', mtime=0)[:-9], "gzip that"),
        (b'{"title": 7}', "title is a JSON int, not a string: 7"),
        (b"x" * 70_000, "has 70,000 bytes; 65,536 are allowed"),
        (b'{"title": "x", "deep": ' + b"[" * 3_000 + b"]" * 3_000 + b"}", "nested more than 3,000 levels deep"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(value: bytes, reason: str) -> None:
    assert reason in fault(value)


@pytest.mark.parametrize(
    "unknown",
    [
        "9" * 10_000,
        "[" * 2_999 + "]" * 2_999,
        '{"a":' * 2_999 + "1" + "}" * 2_999,
        '"' + "[" * 5_000 + '"',
        '{"title": {"title": ["x"]}}',
        "NaN",
        "1e999",
    ],
)
def test_unknown_fields_never_refuse_a_headline(unknown: str) -> None:
    message = f'{{"note": {unknown}, "title": "Quay crane moves"}}'.encode()
    assert titles(message) == ["Quay crane moves"]
    assert items(message)[0].unknown == ("note",)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"published_at": "soon"}, "published_at"),
        ({"published_at": ["2026"]}, "published_at"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": 7}, "url"),
        ({"source": {"x": 1}}, "source"),
        ({"source": True}, "source"),
        ({"published_at": {"x": 1}}, "published_at"),
        ({"language": "of the hills"}, "language"),
        ({"description": {"x": 1}}, "description"),
        ({"id": "x" * 129}, "id"),
        ({"id": [1]}, "id"),
    ],
)
def test_what_cannot_be_read_of_a_headline_is_left_out_and_counted(fields: dict[str, Any], name: str) -> None:
    (item,) = items({**ARTICLE, **fields})
    assert item.headline is not None
    assert item.headline.title == "Pell harbour dredged"
    assert name in item.unread


def test_a_value_is_read_as_in_a_file_whatever_holds_it(tmp_path: Path) -> None:
    nested: list[dict[str, Any]] = [
        {"source": ["Velm Courier", "b"]},
        {"source": [{"name": "Velm Courier"}], "description": ["One.", "Two."]},
        {"source": {"publisher": 7, "label": 7}, "url": [{"href": "https://k.example/1"}]},
        {"source": 7.0, "date": {"_seconds": 1_789_936_200}, "language": "German"},
        {"title": ["Pell harbour dredged"], "lang": "deu"},
        {"title": "", "headline": "Pell harbour dredged", "published_at": "2026-09-20"},
        {"source": True, "description": {"x": [1]}, "url": {"x": 1}},
    ]
    path = tmp_path / "a.jsonl"
    rows = []
    for one in nested:
        path.write_text(json.dumps({**ARTICLE, **one}), encoding="utf-8")
        (row,) = read_files([path], now=lambda: NOW / 1000)
        assert isinstance(row, Row)
        rows.append(row.headline)
    assert rows == [headline({**ARTICLE, **one}) for one in nested]
    assert [row.language for row in rows[3:5]] == ["de", "de"]


def test_a_time_without_a_zone_is_in_the_settings_zone() -> None:
    there = {**ARTICLE, "published_at": "2026-07-01T12:00:00"}
    assert headline(there).published_at - headline(there, timezone="Europe/Berlin").published_at == 2 * 3_600_000


def test_fields_that_are_not_understood_are_named() -> None:
    assert items({**ARTICLE, "autor": "x", "pub_datum": "y", "content": "z"})[0].unknown == ("autor", "pub_datum")


def test_messages_of_the_last_version_keep_their_ids() -> None:
    lines = map(json.loads, (Path(__file__).parent / "data" / "ids.jsonl").read_text(encoding="utf-8").splitlines())
    kept = [(line["fields"], line["id"]) for line in lines if line["kind"] == "message"]
    assert len(kept) == 500
    for fields, id_ in kept:
        assert headline(fields).id == id_, fields


quiet = settings_of_tests(deadline=None, max_examples=100)  # a busy machine is slow, which is no fault
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["title", "data", "specversion", "op", "after", "payload", "schema", "id"]), inner
        )
    ),
    max_leaves=20,
)


@quiet
@given(JSON)
def test_whatever_comes_is_a_headline_or_has_a_reason(value: Any) -> None:
    for item in items(value):
        assert bool(item.headline) != bool(item.fault)


@quiet
@given(st.binary(max_size=200))
def test_whatever_bytes_come_have_a_reason(value: bytes) -> None:
    for item in items(value):
        assert bool(item.headline) != bool(item.fault)


def test_whatever_senders_call_their_fields_the_page_of_metrics_can_be_written() -> None:
    (item,) = items(
        b'{"title": "Quay crane moves", "\\ud800": 1, "": 2, "\\"\\n": 3, "\\u0000": 4, "' + b"n" * 9_000 + b'": 5}'
    )
    tally, registry = Tally(), CollectorRegistry()
    tally.add(Tally(unknown=Counter(item.unknown)))
    ConsumerMetrics(registry).record(tally)
    assert generate_latest(registry).count(b"newstide_fields_unknown_total{") == 5


@pytest.mark.parametrize("value", ['{"$date": "2026-09-20T20:30:00Z"}', "{'value': 1789936200000}"])
def test_a_time_may_be_an_object_as_a_text(value: str) -> None:
    assert items({"title": "One", "published_at": value})[0].day == 1_789_936_200_000


def test_a_time_that_is_passed_over_for_another_name_is_counted() -> None:
    good = "2026-09-20T20:30:00Z"
    (item,) = items({"title": "One", "publishedAt": "once upon a time", "pubDate": good})
    assert (item.day, item.unread) == (1_789_936_200_000, ("published_at",))
    for aside in ({"published": "draft"}, {"time": "07:42"}, {"date": "2026-09-20"}):
        assert items({"title": "One", **aside, "pubDate": good})[0].unread == ()
