"""Values that a table's programs wrote as texts, rounded, or for nothing: the same in files and in messages."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from newstide.core.errors import InvalidHeadline, SourceError
from newstide.core.headline import from_fields
from newstide.core.text import iso_time
from newstide.core.times import Fault, parse_time
from producers.rows import Rejected, Row
from tests.harness.reading import read, rejects, rows, told, write
from tests.test_messages import items

URL = "https://v.example/1"


def everywhere(tmp_path: Path, record: dict[str, Any]) -> list[Any]:
    """The headline of a record by CSV, JSON lines, Parquet and message; None where it is refused."""
    names = ",".join(record)
    cells = ",".join('"' + str(value).replace('"', '""') + '"' for value in record.values())
    pq.write_table(pa.table({name: [value] for name, value in record.items()}), tmp_path / "a.parquet")
    files = [
        write(tmp_path / "a.csv", f"{names}\n{cells}\n"),
        write(tmp_path / "a.jsonl", json.dumps(record)),
        tmp_path / "a.parquet",
    ]
    found: list[Row | Rejected] = [one for file in files for one in read(file)]
    (message,) = items(record)
    return [one.headline if isinstance(one, Row) else None for one in found] + [message.headline]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("{'main': 'Mill shuts', 'kicker': None}", "Mill shuts"),
        ("{'rendered': 'Mill shuts'}", "Mill shuts"),
        ('{"rendered": "Mill shuts", "protected": false}', "Mill shuts"),
        ("['Mill shuts']", "Mill shuts"),
        ('["Mill shuts"]', "Mill shuts"),
        ("[{'text': 'Mill shuts'}]", "Mill shuts"),
        ("{'en': 'Mill shuts'}", "Mill shuts"),
        ("[Video] Mill shuts", "[Video] Mill shuts"),
        ("[Video]", "[Video]"),
        ("{sic}", "{sic}"),
        ("{'Mill shuts'}", "{'Mill shuts'}"),
        ("{'id': 1}", "{'id': 1}"),
        ("[1984]", "[1984]"),
        ("[Mill] shuts [again]", "[Mill] shuts [again]"),
        ("{Mill: shuts}", "{Mill: shuts}"),
        ("['Mill shuts', 'Mill opens']", None),
        ("{'main': None}", None),
        ("[]", None),
    ],
)
def test_a_title_that_is_an_object_as_text_is_what_it_names(tmp_path: Path, text: str, title: str | None) -> None:
    found = everywhere(tmp_path, {"headline": text, "web_url": URL})
    assert [one and one.title for one in found] == [title] * 4
    assert len({one and one.id for one in found}) == 1


@pytest.mark.parametrize(
    ("field", "text", "read_as"),
    [
        ("description", "{'rendered': 'Since May'}", "Since May"),
        ("description", "['Since May', 'For good']", "Since May\nFor good"),
        ("description", "[1] Since May [2]", "[1] Since May [2]"),
        ("description", "[]", ""),
        ("source", "['Velm']", "Velm"),
        ("source", "[{'id': None, 'name': 'Velm'}]", "Velm"),
        ("source", "[Velm]", "[Velm]"),
        ("url", "['https://v.example/1']", URL),
        ("url", "{'href': 'https://v.example/1'}", URL),
        ("url", "https://v.example/1, https://v.example/2", URL),
        ("url", "https://v.example/1 https://v.example/2", URL),
        ("url", "https://a.example/https://v.example/2", "https://a.example/https://v.example/2"),
    ],
)
def test_other_values_are_read_from_such_texts_as_well(tmp_path: Path, field: str, text: str, read_as: str) -> None:
    found = everywhere(tmp_path, {"title": "Mill shuts", field: text})
    assert [getattr(one, field) for one in found] == [read_as] * 4
    assert len({one.id for one in found}) == 1


NULLS = ["nan", "None", "N/A", "<NA>", "NULL", "\\N", "-", "none", "(null)", "undefined", "#REF!", "NaT", "nil"]


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("field", ["source", "description", "url", "language", "id"])
def test_what_programs_write_for_nothing_is_nothing_everywhere(tmp_path: Path, field: str, null: str) -> None:
    found = everywhere(tmp_path, {"title": "Mill shuts", "source": "Velm", field: null})
    bare = everywhere(tmp_path, {"title": "Mill shuts", **({} if field == "source" else {"source": "Velm"})})
    assert [(one.id, getattr(one, field)) for one in found if field != "id"] == [
        (one.id, getattr(one, field)) for one in bare if field != "id"
    ]
    assert {one.id for one in found} == {bare[0].id}
    _, tally = told(write(tmp_path / "b.jsonl", json.dumps({"title": "Mill shuts", field: null})))
    assert tally.left_out == {}


def test_another_names_value_counts_before_a_null(tmp_path: Path) -> None:
    found = everywhere(
        tmp_path, {"title": "Mill shuts", "source": "None", "publisher": "Velm", "url": "nan", "link": URL}
    )
    assert [(one.source, one.url) for one in found] == [("Velm", URL)] * 4


def test_decimal_ids_keep_their_digits(tmp_path: Path) -> None:
    ids = [1579000000000000001, 1579000000000000101]
    for kind in (pa.decimal128(38, 0), pa.decimal128(38, 2), pa.int64(), pa.uint64()):
        values = pa.array([Decimal(one) for one in ids] if pa.types.is_decimal(kind) else ids, kind)
        pq.write_table(pa.table({"title": ["Mill shuts", "Mill opens"], "id": values}), tmp_path / "a.parquet")
        assert [row.headline.id for row in rows(read(tmp_path / "a.parquet"))] == list(map(str, ids)), kind


def test_decimal_times_are_times(tmp_path: Path) -> None:
    for text in ("1791763200", "1791763200.0", "1791763200000"):
        values = pa.array([Decimal(text)], pa.decimal128(38, 1))
        pq.write_table(pa.table({"title": ["Mill shuts"], "date": values}), tmp_path / "a.parquet")
        (row,) = rows(read(tmp_path / "a.parquet"))
        assert iso_time(row.headline.published_at) == "2026-10-12T00:00:00Z"


@pytest.mark.parametrize("number", ["1579000000000000001.0", "1579000000000000001E0", "1.579e18"])
def test_an_id_that_lost_its_last_digits_is_left_out_and_counted(tmp_path: Path, number: str) -> None:
    items, tally = told(write(tmp_path / "a.jsonl", f'{{"title": "Mill shuts", "url": "{URL}", "id": {number}}}'))
    (row,) = rows(items)
    assert row.headline.id == everywhere(tmp_path, {"title": "Mill shuts", "url": URL})[0].id
    assert [found.count for found in tally.left_out.values()] == [1]


@pytest.mark.parametrize(
    ("id_", "reason"),
    [
        ("https://v.example/" + "%D0%BC" * 30, "id of more than 128 bytes"),
        ("tag:v.example,2026:" + "м" * 60, "id of more than 128 bytes"),
        ("https://v.example/", "id that is a whole site's address"),
        ("17", "id that may be a row's number"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_an_id_that_cannot_be_one_costs_no_headline(tmp_path: Path, id_: str, reason: str, kind: str) -> None:
    record = {"guid": id_, "title": "Mill shuts", "link": URL}
    content = json.dumps(record) if kind == "jsonl" else f'guid,title,link\n"{id_}",Mill shuts,{URL}\n'
    found, tally = told(write(tmp_path / f"a.{kind}", content))
    assert [row.headline.id for row in rows(found)] == [everywhere(tmp_path, {"title": "Mill shuts", "url": URL})[0].id]
    assert {what: one.count for what, one in tally.left_out.items()} == {reason: 1}


def test_an_id_that_the_user_insists_on_is_refused_where_it_is_too_long(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", f"guid,title\n{'x' * 129},Mill shuts\n")
    assert "128 are allowed" in rejects(read(file, mapping={"id": "guid"}))[0].reason


@pytest.mark.parametrize(
    "text",
    ["1.7918E+12", "1.79E+12", "1.79E+09", "1.79577e9", "1.795774e+09", "1.79E+18", "1.79e15", "2.0261E+13", "4.6E+04",
     "2.0261127E+13", "1.7958E9"],
)  # fmt: skip
def test_a_number_whose_digits_do_not_reach_the_second_is_no_time(tmp_path: Path, text: str) -> None:
    parsed = parse_time(text, serial=True)
    assert parsed is not None
    assert parsed.fault is Fault.UNREADABLE
    with pytest.raises(SourceError, match="times that cannot be read"):
        read(write(tmp_path / "a.csv", f"title,date\nMill shuts,{text}\n"))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1.7957736e9", "2026-11-27T10:00:00Z"),
        ("1.795773605e9", "2026-11-27T10:00:05Z"),
        ("1.7957736E+12", "2026-11-27T10:00:00Z"),
        ("1.795773605E+12", "2026-11-27T10:00:05Z"),
        ("1.795773605123e12", "2026-11-27T10:00:05.123Z"),
        ("1795773600e0", "2026-11-27T10:00:00Z"),
        ("1.7957736000000000e18", "2026-11-27T10:00:00Z"),
        ("2.0261127E+07", "2026-11-27T00:00:00Z"),
        ("4.6353E+04", "2026-11-27T00:00:00Z"),
        ("4.63535E+04", "2026-11-27T12:00:00Z"),
    ],
)
def test_a_number_whose_digits_reach_the_second_is_a_time(text: str, moment: str) -> None:
    parsed = parse_time(text, serial=True)
    assert parsed is not None
    assert parsed.milliseconds is not None
    assert iso_time(parsed.milliseconds) == moment


def test_a_null_in_a_column_that_is_wanted_besides_a_headlines_fields_is_missing(tmp_path: Path) -> None:
    """As the column of stories that `newstide evaluate` reads: `NULL` is no story."""
    items = rows(read(write(tmp_path / "a.csv", "title,story\nOne,NULL\nTwo,7\n"), extra=("story",)))
    assert [row.extra["story"] for row in items if row.extra] == ["", "7"]


@pytest.mark.parametrize("value", [0, False, 1.5])
def test_a_description_that_is_no_text_is_refused_by_its_kind(value: object) -> None:
    with pytest.raises(InvalidHeadline, match="description is a JSON"):
        from_fields({"title": "One", "description": value}, 0)
