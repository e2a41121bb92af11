"""Messages that mean harm, or that a broken program sent: none ends the consumer, costs minutes, or takes others along."""

import base64
import gzip
import json
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from consumers import messages
from newstide.core import envelopes, unforeseen
from newstide.core.headline import derive_id
from newstide.core.logs import OnceAMinute
from newstide.core.text import clean
from tests.harness.reading import titles as titles_of_file
from tests.harness.reading import write
from tests.test_messages import ARTICLE, EVENT, headline, items, titles


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
    assert said.count("an unexpected error while headlines were read") == 1
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


@pytest.mark.parametrize("deep", ["[" * 2_000, '{"a":' * 2_000, "[" * 5_000])
def test_brackets_that_are_never_closed_cost_no_other_line(deep: str) -> None:
    found = items(f'{{"title":"A"}}\n{deep}\n{{"title":"B"}}'.encode())
    assert [item.headline and item.headline.title for item in found] == ["A", None, "B"]
    assert found[1].fault


@pytest.mark.parametrize(
    "text",
    [("[" * 300 + "\n") * 200, ("[" * 250 + "\n" + "{}," * 250) * 60, "[\n" * 32_000, "[" * 64_000, '{"a":[\n' * 9_000],
)
def test_brackets_that_are_never_closed_cost_no_time(text: str) -> None:
    started = time.process_time()
    assert titles(b'{"title":"A"}\n' + (text + "\n" + text)[:65_000].encode())[0] == "A"
    assert time.process_time() - started < 3


def packed(value: Any, times: int, each: int = 1) -> Any:
    for _ in range(times):
        data = base64.b64encode(gzip.compress(json.dumps(value).encode())).decode()
        value = [{**EVENT, "data_base64": data}] * each
    return value


def test_all_that_a_message_unpacks_counts_together() -> None:
    found = items(gzip.compress(json.dumps(packed([{"title": "a"}] * 500, 2, 100)).encode()))
    assert len(found) < 5_000
    assert any("unpacks to more than the 65,536 bytes that are allowed" in item.fault for item in found)
    assert titles(packed(ARTICLE, 2)) == [ARTICLE["title"]]


def test_packings_lie_within_each_other_three_times_at_most() -> None:
    assert titles(packed(ARTICLE, 3)) == [ARTICLE["title"]]
    (told,) = titles(packed(ARTICLE, 4))
    assert "packed more than 3 times" in told


def test_a_style_that_nothing_closes_costs_no_time() -> None:
    started = time.process_time()
    for end in ("</style x", "</style", "</styles>", "</style >"):
        (item,) = items({"title": "ok", "description": "<style>" * 9_000 + end})
        assert item.headline is not None
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a<style>b</style >c<script>d</SCRIPT>e<!-- f -->g", "a c e g"),
        ("a<style>b</script>c", "a b c"),
        ("a<style>b</style x>c</style>d", "a b c d"),
        ("a<style>b</styles>c</style>d", "a d"),
        ("a<!-- b", "a<!-- b"),
        ("a<!-- <style> -->b</style>c", "a b c"),
        ("a<script>b<style>c</script>d</style>e", "a d e"),
    ],
)
def test_what_no_reader_sees_is_taken_out(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_a_table_that_would_be_far_larger_than_what_came_is_none() -> None:
    started = time.process_time()
    columns = {"title": {"a": "x"}, **{str(n): {f"k{n}": 1} for n in range(3_400)}}
    (told,) = titles(json.dumps(columns, separators=(",", ":")).encode())
    assert "title is a JSON dict, not a string" in told
    assert time.process_time() - started < 1
    assert titles({"title": {"0": "a", "1": "b"}, "source": {"1": "c"}}) == ["a", "b"]


@pytest.mark.parametrize(
    "following",
    [
        '{"title": "b"}',
        '  {"title": "b"}',
        '\t[{"title": "b"}]',
        '"{\\"title\\": \\"b\\"}"',
        '\x1e{"title": "b"}',
        '\ufeff{"title": "b"}',
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("broken", ['{"title":"A","tags":[', "{oops}", "[1,", "nonsense", '{"title": "A'])
def test_a_line_that_is_no_json_does_not_cost_the_next(broken: str, end: str, following: str) -> None:
    for more in ([], ['{"title": "c"}']):
        found = titles(end.join([broken, following, *more]).encode())
        assert found[0].startswith("! "), found
        assert found[1:] == ["b", "c"][: 1 + len(more)]


def test_what_a_broken_document_holds_is_no_headline() -> None:
    for indent in (None, 1):
        document = json.dumps({"articles": [{"title": "a"}, {"title": "b", "tags": [{"title": "c"}]}]}, indent=indent)
        found = titles(document.replace('"articles"', "oops").encode() + b'\n{"title": "d"}')
        assert found[0].startswith("! ")
        assert found[1:] == ["d"]


def test_what_is_not_read_after_many_broken_lines_is_told() -> None:
    found = items(b"{oops}\n" * 300 + b'{"title": "a"}')
    assert titles(b'{"title": "z"}\n' + b"{oops}\n" * 90 + b'{"title": "a"}')[-1] == "a"
    assert "not JSON" in found[0].fault
    found = items(b'{"title": "z"}\n' + b"{oops}\n" * 300 + b'{"title": "a"}')
    assert "what follows is not read" in found[-1].fault
    assert '{"title": "a"}' in found[-1].raw


def test_what_a_row_was_before_it_changed_is_no_headline() -> None:
    row = {"data": [{"id": "1", "title": "New title"}], "old": [{"title": "Old title"}], "type": "UPDATE"}
    assert titles({**row, "database": "n", "table": "h"}) == ["New title"]


@pytest.mark.parametrize(
    "first", ["N/A", "-", None, "[Removed]", "&nbsp;", "<br>", "\u200b", "https://velm.example/1", "\u00ad"]
)
def test_the_first_title_that_counts_once_it_is_cleaned_is_the_title(first: str | None) -> None:
    assert titles({"title": first, "headline": "Real one"}) == ["Real one"]
    assert titles({"title": "Real one", "headline": first}) == ["Real one"]


@pytest.mark.parametrize("name", ["data", "data_base64"])
def test_several_documents_in_one_text_have_places(name: str) -> None:
    text = '{"title": "a"}\n{"title": "b"}'
    data = text if name == "data" else base64.b64encode(text.encode()).decode()
    first, second = items({**EVENT, name: data})
    assert (first.place, second.place) == (1, 2)
    assert first.headline is not None
    assert second.headline is not None
    assert first.headline.id == derive_id("", "/velm/desk", "ce-1\n1", None)
    assert second.headline.id == derive_id("", "/velm/desk", "ce-1\n2", None)


def zstd(value: bytes) -> bytes:
    return bytes(pa.compress(value, codec="zstd", asbytes=True))


def test_a_value_may_be_packed_with_zstd() -> None:
    text = json.dumps(ARTICLE).encode()
    assert titles(zstd(text)) == [ARTICLE["title"]]
    assert titles({**EVENT, "data_base64": base64.b64encode(zstd(text)).decode()}) == [ARTICLE["title"]]
    assert "unpacks to more than the 65,536 bytes" in titles(zstd(b"x" * 100_000))[0]
    assert "zstd that cannot be unpacked" in titles(zstd(text)[:-5])[0]
    assert "zstd that cannot be unpacked" in titles(zstd(text)[:4] + b"\xff" * 20)[0]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"data": None}, "The event holds no data."),
        ({"data_base64": None}, "The event holds no data."),
        ({"data_base64": "%"}, "data_base64 is not base64"),
    ],
)
def test_an_event_without_data_says_so(event: Any, reason: str) -> None:
    (item,) = items({**EVENT, **event})
    assert reason in item.fault
    assert "is a JSON null" in titles([None])[0]


COLLECTED = {
    "url": "https://api.example/v1/feed",
    "timestamp": 1_795_773_600_000,
    "source": "collector",
    "language": "de",
    "id": "00112233445566ff",
}
OWN = {
    "title": "Dam holds",
    "link": "https://v.example/1",
    "publisher": "Velm",
    "created_at": "2026-11-20T10:00:00Z",
    "lang": "en",
}


@pytest.mark.parametrize("wrapper", ["payload", "data", "_source", "fullDocument", "Message"])
def test_a_headlines_own_values_go_before_those_of_what_wraps_it(wrapper: str) -> None:
    at = 1_790_000_000_000 - 86_400_000
    own = {**OWN, "created_at": at}
    expected = headline(own)
    assert (expected.url, expected.source, expected.language) == ("https://v.example/1", "Velm", "en")
    assert headline({**COLLECTED, wrapper: own}) == expected
    assert headline({**COLLECTED, wrapper: json.dumps(own)}) == expected
    assert headline({**COLLECTED, wrapper: {"article": own, "url": "https://other.example/2"}}) == expected


def test_what_wraps_a_headline_fills_what_it_lacks() -> None:
    found = headline({"source": "collector", "lang": "de", "payload": {"title": "Dam holds", "publisher": ""}})
    assert (found.source, found.language) == ("collector", "de")
    found = headline({"source": "collector", "id": "7", "payload": {"title": "Dam holds", "lang": None}})
    assert found.id == derive_id("", "collector", "7", None)
    assert headline({**COLLECTED, "url": "", "payload": {"title": "Dam holds"}}).id == COLLECTED["id"]


@pytest.mark.parametrize(
    "message",
    [
        {"rss": {"channel": {"title": "Velm", "item": [{"title": "One"}, {"title": "Two"}]}}},
        {"channel": {"title": "Velm", "items": [{"title": "One"}, {"title": "Two"}]}},
        {"feed": {"title": "Velm", "entry": [{"title": "One"}, {"title": "Two"}]}},
        {"feed": {"title": {"#text": "Velm"}, "entry": [{"title": "One"}, {"title": "Two"}]}},
    ],
)
def test_the_entries_of_a_feed_are_the_headlines(message: Any, tmp_path: Path) -> None:
    found = items(message)
    assert [item.headline and item.headline.title for item in found] == ["One", "Two"]
    assert [item.headline and item.headline.source for item in found] == ["Velm", "Velm"]
    assert titles_of_file(write(tmp_path / "a.json", json.dumps(message))) == ["One", "Two"]
    assert titles({"title": "Main", **message}) == ["Main"]


@pytest.mark.parametrize(
    "message",
    [
        {"data": ARTICLE, "metadata": {"operation": "delete", "record-type": "data"}},
        {"operationType": "delete", "documentKey": {"_id": "7"}, "ns": {"db": "n", "coll": "h"}},
    ],
)
def test_a_row_that_was_deleted_is_a_tombstone(message: Any) -> None:
    assert items(message) == []
