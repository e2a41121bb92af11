"""JSON of every common layout: which array is read, which key is which field, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from newstide.core.errors import SourceError
from tests.harness.reading import read, rejects, rows, titles, told, write

A = {"title": "Pell harbour dredged", "url": "https://velm.example/a", "publishedAt": "2026-10-12T20:30:00Z"}
B = {"title": "Marrow lake freezes", "url": "https://velm.example/b", "publishedAt": "2026-10-12T20:40:00Z"}
BOTH = [A["title"], B["title"]]

LAYOUTS: dict[str, Any] = {
    "array": [A, B],
    "newsapi": {"status": "ok", "totalResults": 2, "articles": [{**A, "source": {"id": None, "name": "Velm"}}, B]},
    "guardian": {
        "response": {
            "status": "ok",
            "results": [
                {"webTitle": A["title"], "webUrl": A["url"], "tags": [{"webTitle": "Harbours"}]},
                {"webTitle": B["title"], "webUrl": B["url"], "fields": {"headline": "Other"}},
            ],
        }
    },
    "nyt": {
        "response": {
            "docs": [{"headline": {"main": item["title"], "kicker": None}, "web_url": item["url"]} for item in (A, B)]
        }
    },
    "gdelt": {"articles": [{"title": item["title"], "url": item["url"], "seendate": "20261012T203000Z"} for item in (A, B)]},
    "wordpress": [
        {"id": 7, "date": "2026-10-12T22:30:00", "date_gmt": "2026-10-12T20:30:00", "link": item["url"],
         "title": {"rendered": item["title"]}, "excerpt": {"rendered": "<p>Short.</p>"}}
        for item in (A, B)
    ],
    "pandas columns": {name: {"0": A[name], "1": B[name]} for name in A},
    "pandas split": {"columns": list(A), "index": [0, 1], "data": [list(A.values()), list(B.values())]},
    "pandas index": {"0": A, "1": B},
    "pandas table": {"schema": {"fields": [{"name": "title"}]}, "data": [A, B]},
    "columns of lists": {name: [A[name], B[name]] for name in A},
    "elasticsearch": {"hits": {"total": 2, "hits": [{"_id": "x", "_source": A}, {"_id": "y", "_source": B}]}},
    "json api": {"data": [{"type": "a", "id": "1", "attributes": A}, {"type": "a", "id": "2", "attributes": B}]},
    "listing": {"kind": "Listing", "data": {"children": [{"kind": "t3", "data": A}, {"kind": "t3", "data": B}]}},
    "by day": {"days": [{"day": 1, "articles": [A]}, {"day": 2, "articles": [B]}]},
    "deep": {"a": {"b": {"c": {"d": [A, B]}}}},
}  # fmt: skip


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_common_layouts_are_read_pretty_printed_or_not(tmp_path: Path, layout: str, indent: int | None) -> None:
    file = write(tmp_path / "a.json", json.dumps(LAYOUTS[layout], indent=indent))
    found = rows(read(file))
    assert [row.headline.title for row in found] == BOTH
    assert [row.headline.url for row in found] == [A["url"], B["url"]]


def test_each_line_may_hold_such_a_document(tmp_path: Path) -> None:
    pages: list[dict[str, Any]] = [{"articles": [A]}, {"articles": [B]}, {"articles": []}]
    file = write(tmp_path / "a.jsonl", "".join(f"{json.dumps(page)}\n" for page in pages))
    assert titles(file) == BOTH


def test_documents_one_after_another_are_read(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", json.dumps(A, indent=1) + "\n" + json.dumps(B, indent=1))
    assert titles(file) == BOTH


def test_an_object_with_a_title_is_one_headline_whatever_arrays_it_holds(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", json.dumps({**A, "related": [B], "tags": [{"title": "Harbours"}]}, indent=1))
    assert titles(file) == [A["title"]]
    lines = write(tmp_path / "a.jsonl", json.dumps({**A, "related": [B]}) + "\n" + json.dumps({"related": [A]}) + "\n")
    items = read(lines)
    assert [row.headline.title for row in rows(items)] == [A["title"]]
    assert rejects(items)[0].reason == "The title is missing or empty."


def test_several_arrays_are_named_and_one_is_chosen(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", json.dumps({"news": {"top": [A]}, "sport": [B]}))
    with pytest.raises(SourceError, match=r"several arrays with titles: 'news\.top', 'sport'") as caught:
        read(file)
    assert "--records" in caught.value.way_out
    assert titles(file, records="sport") == [B["title"]]
    assert titles(file, records="news.top") == [A["title"]]
    with pytest.raises(SourceError, match=r"no array at --records 'weather'; it has 'sport', 'news\.top'"):
        read(file, records="weather")


def test_a_name_is_no_title(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", json.dumps({"sources": [{"name": "Velm Courier", "url": "https://v.example/a"}]}))
    with pytest.raises(SourceError, match="no column of titles"):
        read(file)


def test_dotted_paths_name_columns(tmp_path: Path) -> None:
    record = {"a": {"b": {"text": "Brindle dam holds"}}, "meta": {"from": [{"label": "Velm"}]}, "c.d": "x"}
    file = write(tmp_path / "a.jsonl", json.dumps(record) + "\n")
    (row,) = rows(read(file, mapping={"title": "a.b.text", "source": "meta.from.label", "description": "c.d"}))
    assert (row.headline.title, row.headline.source, row.headline.description) == ("Brindle dam holds", "Velm", "x")
    with pytest.raises(SourceError, match=r"no column 'a\.x'"):
        read(file, mapping={"title": "a.b.text", "source": "a.x"})


def test_a_telegram_exports_first_line_is_the_title(tmp_path: Path) -> None:
    messages = [
        {"id": 1, "type": "service", "action": "create_channel", "date": "2026-10-12T10:00:00", "text": ""},
        {"id": 2, "type": "message", "date": "2026-10-12T12:24:38", "date_unixtime": "1791800678",
         "text": [{"type": "bold", "text": "Marrow lake"}, " freezes\n\nIce since ", {"type": "link", "text": "Tuesday"}]},
        {"id": 3, "type": "message", "date": "2026-10-12T12:30:00", "photo": "p.jpg", "text": ""},
    ]  # fmt: skip
    channel = {"name": "Velm News", "type": "public_channel", "id": 9, "messages": messages}
    account = {"about": "x", "chats": {"about": "y", "list": [channel]}}
    for document in (channel, account):
        items = read(write(tmp_path / "result.json", json.dumps(document, indent=1)))
        (row,) = rows(items)
        assert (row.headline.title, row.headline.description) == ("Marrow lake freezes", "Ice since Tuesday")
        assert (row.headline.source, row.headline.published_at) == ("Velm News", 1_791_800_678_000)
        assert [reject.reason for reject in rejects(items)] == ["The message has no text."]


def test_lists_and_objects_stand_for_what_they_name(tmp_path: Path) -> None:
    records = [
        {"title": "One", "source": ["Velm Courier", "Pell Post"], "date": ["2026-10-12"]},
        {"title": "Two", "description": ["first", "second"], "date": {"$date": "2026-10-12T00:00:00Z"}},
        {"title": "Three", "source": 7, "url": ["https://b.example/1"], "language": {"code": "pt-BR"}},
        {"title": "Four", "source": {}, "url": {"x": 1}, "id": {"$oid": "5f0c1a2b5f0c1a2b5f0c1a2b"}},
        {"title": ["Five"], "date": {"$date": {"$numberLong": "1791763200000"}}},
    ]
    found = [row.headline for row in rows(read(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, records)))))]
    assert [headline.title for headline in found] == ["One", "Two", "Three", "Four", "Five"]
    assert [headline.source for headline in found] == ["Velm Courier", "", "7", "", ""]
    assert (found[1].description, found[2].url, found[2].language) == ("first\nsecond", "https://b.example/1", "pt-BR")
    assert found[3].id == "5f0c1a2b5f0c1a2b5f0c1a2b"
    assert [found[place].published_at for place in (0, 1, 4)] == [1_791_763_200_000] * 3


@pytest.mark.parametrize(
    ("time", "read_as"),
    [
        ({"date": "2026-10-12 06:00:00.000000", "timezone_type": 3, "timezone": "Asia/Kolkata"}, 1_791_765_000_000),
        ({"date": "2026-10-12 06:00:00.000000", "timezone_type": 1, "timezone": "+05:30"}, 1_791_765_000_000),
        ({"dateTime": "2026-10-12T06:00:00.0000000", "timeZone": "UTC"}, 1_791_784_800_000),
        ({"@value": "2026-10-12T06:00:00", "@type": "xsd:dateTime"}, 1_791_784_800_000),
        ({"date": "2026-10-12T06:00:00Z", "timezone": "Asia/Kolkata"}, 1_791_784_800_000),
        ({"date": "2026-10-12T06:00:00", "timezone": "Mars/Olympus"}, 1_791_784_800_000),
        ({"date": "2026-10-12T06:00:00", "timezone": 3}, 1_791_784_800_000),
        ({"seconds": 1_791_784_800, "timezone": "Asia/Kolkata"}, 1_791_784_800_000),
    ],
)
def test_a_time_in_an_object_is_in_the_zone_that_stands_beside_it(tmp_path: Path, time: object, read_as: int) -> None:
    (row,) = rows(read(write(tmp_path / "a.json", json.dumps({"title": {"@value": "One"}, "date": time}))))
    assert (row.headline.title, row.headline.published_at) == ("One", read_as)


SOUND = '{"title": "Brindle dam holds"}'
BROKEN = {
    "no JSON": "{title: 1}",
    "cut": '{"title": "Marrow',
    "trailing": '{"title": "x"} x',
    "deep": "[" * 100_000,
    "deep object": '{"a":' * 100_000,
    "a string": '"title"',
    "a number": "17",
    "null": "null",
    "a list": "[1, 2]",
    "empty": "{}",
    "single quotes": "{'title': 'x'}",
    "control": '{"title": "a\u0000b"',
}
ODD = {
    "endless integer": '{"title": "Marrow lake", "views": ' + "9" * 6_000 + "}",
    "huge exponent": '{"title": "Marrow lake", "views": 1e999}',
    "lone surrogate": '{"title": "Marrow lake", "tag": "\\ud83d"}',
    "doubled key": '{"title": "x", "title": "Marrow lake"}',
    "NaN": '{"title": "Marrow lake", "views": NaN}',
    "500 levels": '{"title": "Marrow lake", "a": ' + "[" * 500 + "]" * 500 + "}",
    "empty key": '{"": 1, "title": "Marrow lake"}',
    "spaces": '\t {"title" : "Marrow lake"} \r',
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_line_costs_itself_alone(tmp_path: Path, kind: str) -> None:
    items = read(write(tmp_path / "a.jsonl", f"{SOUND}\n{BROKEN[kind]}\n" + SOUND.replace("Brindle", "Pell")))
    assert [row.line for row in rows(items)] == [1, 3]
    assert [reject.line for reject in rejects(items)] == [2]


@pytest.mark.parametrize("kind", ODD)
def test_odd_json_that_holds_a_title_is_a_headline(tmp_path: Path, kind: str) -> None:
    assert titles(write(tmp_path / "a.jsonl", f"{ODD[kind]}\n")) == ["Marrow lake"]


def test_a_broken_document_names_the_file_and_gives_nothing(tmp_path: Path) -> None:
    for content in ('[{"title": "One"},', '{\n"articles": [', "[" * 100_000, "[\n{'title': 1}]"):
        with pytest.raises(SourceError, match=r"a\.json is no JSON document"):
            read(write(tmp_path / "a.json", content))


def test_lines_whose_first_is_broken_are_lines_all_the_same(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", '{"title": "cut\n' + f"{SOUND}\n")
    items, tally = told(file)
    assert [row.line for row in rows(items)] == [2]
    assert tally.rejected == 1


def test_nothing_in_an_array_is_nothing_wrong(tmp_path: Path) -> None:
    for content in ("[]", '{"articles": []}'):
        items, tally = told(write(tmp_path / "a.json", content))
        assert rows(items) == []
        assert tally.given == 0


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_feed_in_a_file_gives_its_items_and_not_its_own_title(tmp_path: Path, indent: int | None) -> None:
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "Velm Daily",
        "language": "de",
        "items": [
            {"id": "1", "title": A["title"], "url": A["url"], "date_published": A["publishedAt"]},
            {"id": "2", "content_text": "A note without a title"},
            {"id": "3", "title": B["title"], "url": B["url"], "language": "fr"},
        ],
    }
    path = tmp_path / "feed.json"
    path.write_text(json.dumps(feed, indent=indent))
    items = read(path)
    assert [row.headline.title for row in rows(items)] == BOTH
    assert [(row.headline.source, row.headline.language) for row in rows(items)] == [
        ("Velm Daily", "de"),
        ("Velm Daily", "fr"),
    ]
    assert len(rejects(items)) == 1


def test_what_cannot_be_read_of_a_row_is_left_out_and_counted_by_its_field(tmp_path: Path) -> None:
    odd: list[dict[str, Any]] = [
        {"source": True},
        {"url": {"x": 1}},
        {"description": {"x": [1]}},
        {"published_at": {"x": 1}},
        {"language": 5},
    ]
    lines = "".join(json.dumps(one | {"title": f"Title {n}"}) + "\n" for n, one in enumerate(odd))
    items, tally = told(write(tmp_path / "a.jsonl", lines), undated=True)
    assert len(rows(items)) == len(odd)
    assert {name: found.count for name, found in tally.left_out.items()} == {
        "source": 1, "link": 1, "description": 1, "time": 1, "language": 1,
    }  # fmt: skip


def test_a_title_is_found_under_another_name_and_several_titles_are_none(tmp_path: Path) -> None:
    lines: list[Any] = [
        {"title": None, "headline": "One"},
        {"title": " ", "headline": {"main": "Two"}},
        {"title": ["Three"]},
        {"title": ["Four", "Five"], "url": ["https://v.example/4"]},
    ]
    items = read(write(tmp_path / "a.jsonl", "".join(json.dumps(line) + "\n" for line in lines)))
    assert [row.headline.title for row in rows(items)] == ["One", "Two", "Three"]
    assert "title is a JSON list" in rejects(items)[0].reason


def test_wrapped_objects_doubly_encoded_ones_and_sloppy_json_are_read(tmp_path: Path) -> None:
    wrapped = {"_index": "news", "_id": "0123456789abcdef01", "_source": {"title": "One"}}
    texts = [
        json.dumps(wrapped),
        json.dumps({"payload": {"article": {"title": "One"}}, "offset": 1}),
        json.dumps(json.dumps({"title": "One"})),
        '\ufeff{"title": "One"}',
        '{"title": "\tOne"}',
        '{"title": "One", "deep": ' + "[" * 2_900 + "]" * 2_900 + "}",
    ]
    for text in texts:
        assert titles(write(tmp_path / "a.jsonl", f"{text}\n{text}\n")) == ["One"], text[:60]
    (row,) = rows(read(write(tmp_path / "a.jsonl", json.dumps(wrapped))))
    assert row.headline.id == "0123456789abcdef01"


def test_what_stands_beside_a_wrapped_headline_is_no_row_of_its_own(tmp_path: Path) -> None:
    lines = [{"article": {"title": title}, "meta": {"page": 1}} for title in BOTH]
    items = read(write(tmp_path / "a.jsonl", "".join(json.dumps(line) + "\n" for line in lines)))
    assert [row.headline.title for row in rows(items)] == BOTH
    assert rejects(items) == []


def test_a_time_in_utc_goes_before_one_of_an_unknown_zone(tmp_path: Path) -> None:
    line = json.dumps({"title": "One", "created": 1_790_852_400, "created_utc": 1_790_848_800})
    (row,) = rows(read(write(tmp_path / "a.jsonl", f"{line}\n")))
    assert row.headline.published_at == 1_790_848_800_000
