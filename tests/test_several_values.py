"""Where several names hold one field, the value counts that can be read, and of times the exact one."""

import json
from pathlib import Path
from typing import Any

import pytest

from newstide.core.errors import SourceError
from newstide.core.text import iso_time
from tests.harness.reading import read, rows, told, write
from tests.test_messages import items

DAY, FULL = "2026-08-27", "2026-08-27T10:00:00Z"
EXACT: list[tuple[dict[str, Any], str]] = [
    ({"date": DAY, "time": "10:00:00", "dateTime": FULL}, FULL),
    ({"date": DAY, "timestamp": 1_787_824_800}, FULL),
    ({"date": DAY, "timestamp": "1787824800000"}, FULL),
    ({"published": "27 August 2026", "created_at": "2026-08-27T12:00:00+02:00"}, FULL),
    ({"date": DAY, "time": "18:30"}, "2026-08-27T18:30:00Z"),
    ({"date": DAY, "time": "6:30 PM"}, "2026-08-27T18:30:00Z"),
    ({"pubDate": "27 August 2026", "publish_time": "18:30:00+02:00"}, "2026-08-27T16:30:00Z"),
    ({"date": "20260827", "time": "T10:00:00Z"}, FULL),
    ({"date": DAY, "created_at": "2026-09-02T10:00:00Z"}, "2026-08-27T00:00:00Z"),
    ({"date": DAY, "time": "soon"}, "2026-08-27T00:00:00Z"),
    ({"date": FULL, "time": "18:30"}, FULL),
    ({"date": FULL, "created_at": "2026-08-27T11:00:00Z"}, FULL),
]
READABLE: list[tuple[dict[str, Any], str, Any]] = [
    *(({"published": one, "created_at": FULL}, "published_at", FULL) for one in (True, False, 1, "1", "draft", "no")),
    ({"time": 5, "created_at": FULL}, "published_at", FULL),
    ({"url": "/a/1", "link": "https://v.example/1"}, "url", "https://v.example/1"),
    ({"url": {"x": 1}, "link": "https://v.example/1"}, "url", "https://v.example/1"),
    ({"source": True, "publisher": "Velm"}, "source", "Velm"),
    ({"language": "of the hills", "lang": "de"}, "language", "de"),
]


def as_message(record: dict[str, Any]) -> Any:
    (item,) = items({"title": "Marrow lake freezes", **record})
    assert item.unread == ()
    return item.headline


def as_row(record: dict[str, Any], path: Path) -> Any:
    names = ["title", *record]
    content = json.dumps({"title": "Marrow lake freezes", **record})
    if path.suffix == ".csv":
        content = ",".join(names) + "\n" + ",".join(["Marrow lake freezes", *map(str, record.values())])
    (row,) = rows(read(write(path, content + "\n")))
    assert row.published or "published_at" not in str(record)
    return row.headline


@pytest.mark.parametrize(("record", "expected"), EXACT)
def test_the_exact_time_counts_before_a_day_alone(record: dict[str, Any], expected: str, tmp_path: Path) -> None:
    found = [as_message(record), as_row(record, tmp_path / "a.jsonl"), as_row(record, tmp_path / "a.csv")]
    assert [iso_time(one.published_at) for one in found] == [expected] * 3


@pytest.mark.parametrize(("record", "field", "expected"), READABLE)
def test_a_value_that_can_be_read_counts_before_one_that_cannot(
    record: dict[str, Any], field: str, expected: Any, tmp_path: Path
) -> None:
    found = [as_message(record), as_row(record, tmp_path / "a.jsonl")]
    if not any(isinstance(value, dict | bool) for value in record.values()):
        found.append(as_row(record, tmp_path / "a.csv"))
    values = [getattr(one, field) for one in found]
    assert [iso_time(value) if field == "published_at" else value for value in values] == [expected] * len(found)


@pytest.mark.parametrize("cells", [("1", "0"), ("true", "false"), ("yes", "no")])
def test_a_column_that_says_yes_or_no_holds_no_times(cells: tuple[str, str], tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", f"id,title,published\n1,Marrow lake,{cells[0]}\n2,Pell agrees,{cells[1]}\n")
    found, tally = told(file)
    assert [row.published for row in rows(found)] == [False, False]
    assert "time" not in tally.left_out
    lines = "id,title,published,created_at\n1,Marrow lake,1,2026-08-27 10:00:00\n2,Pell agrees,0,\n"
    both = rows(read(write(file, lines)))
    assert [row.published for row in both] == [True, False]
    assert iso_time(both[0].headline.published_at) == FULL


def test_an_unreadable_time_beside_a_column_that_says_yes_or_no_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "title,published,created_at\nMarrow lake,1,whenever\n")
    with pytest.raises(SourceError, match=r"times that cannot be read .* 'whenever'"):
        told(file)


def test_a_layout_that_the_user_names_is_kept(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "title,date,created_at\nMarrow lake,27082026-1000,2026-08-28T11:00:00Z\n")
    (row,) = rows(read(file, time_format="%d%m%Y-%H%M"))
    assert iso_time(row.headline.published_at) == FULL


@pytest.mark.parametrize(
    ("cell", "source"),
    [
        ("{'id': None, 'name': 'Velm'}", "Velm"),
        ('{"id":null,"name":"Velm"}', "Velm"),
        ("[{'name': 'Velm', 'url': 'https://v.example/'}]", "Velm"),
        ("{'id': None, 'name': \"Velm's\"}", "Velm's"),
        ("{Velm}", "{Velm}"),
        ("[Velm]", "[Velm]"),
        ("{'id': None, 'name': None}", ""),
        ("{" * 900, "{" * 256),
    ],
)
def test_a_source_that_is_an_object_as_text_is_what_it_names(cell: str, source: str, tmp_path: Path) -> None:
    (item,) = items({"title": "Marrow lake freezes", "source": cell})
    quoted = cell.replace('"', '""')
    (row,) = rows(read(write(tmp_path / "a.csv", f'title,source\nMarrow lake freezes,"{quoted}"\n')))
    assert item.headline is not None
    assert (item.headline.source, row.headline.source) == (source, source)
