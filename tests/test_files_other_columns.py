"""What real exports hold besides: second columns of a field, shared ids, long cells, containers with a title."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from newstide.core.headline import derive_id, from_fields
from producers.files.check import Check, check_files
from producers.files.options import Options
from producers.files.reader import read_files
from producers.rows import Row
from tests.harness.reading import write


def checked(path: Path, **options: Any) -> Check:
    (check,) = check_files([path], Options(**options))
    return check


def rows(path: Path) -> list[Row]:
    return [row for row in read_files([path]) if isinstance(row, Row)]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_where_a_fields_first_column_is_empty_the_next_one_counts(kind: str, tmp_path: Path) -> None:
    records = [
        {"title": "Ferry sails", "url": "", "link": "https://v.example/1", "published_at": "", "date": "2026-01-02"},
        {"title": "Mill burns", "url": "https://v.example/2", "link": "https://v.example/3", "published_at": "2026-01-03",
         "date": ""},
    ]  # fmt: skip
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        write(path, "\n".join(",".join(row) for row in [list(records[0]), *(list(one.values()) for one in records)]))
    elif kind == "jsonl":
        write(path, "".join(json.dumps({name: value or None for name, value in one.items()}) + "\n" for one in records))
    else:
        pq.write_table(pa.Table.from_pylist(records), path)
    found = rows(path)
    assert [row.headline.url for row in found] == ["https://v.example/1", "https://v.example/2"]
    assert [row.headline.id for row in found] == [derive_id(row.headline.url, "", "", None) for row in found]
    assert all(row.published for row in found)


@pytest.mark.parametrize("first", ["N/A", "-", "[Removed]", "&nbsp;", "https://v.example/1", "\u200b"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_the_first_title_that_is_one_once_it_is_cleaned_counts(kind: str, first: str, tmp_path: Path) -> None:
    record, path = {"title": first, "headline": "Ferry sails"}, tmp_path / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([record]), path)
    else:
        write(path, json.dumps(record) if kind == "jsonl" else f"title,headline\n{first},Ferry sails\n")
    assert [row.headline.title for row in rows(path)] == ["Ferry sails"]


def test_a_web_address_goes_before_a_uri_of_another_scheme(tmp_path: Path) -> None:
    record = {"headline": {"main": "Ferry sails"}, "web_url": "https://v.example/1", "uri": "vt://article/1"}
    (row,) = rows(write(tmp_path / "a.jsonl", json.dumps(record)))
    assert row.headline.url == "https://v.example/1"


@pytest.mark.parametrize("link", ["n/a", "#", "-", "/news", "javascript:void(0)", "www.v.example/"])
def test_headlines_with_one_link_that_names_no_page_have_ids_of_their_own(link: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"title,url\nFerry sails,{link}\nMill burns,{link}\nFerry sails,{link}\n")
    found = rows(path)
    assert len({row.headline.id for row in found}) == len(found) == 2
    assert found[1].headline.id == derive_id("", "", "Mill burns", None), "as the consumer calls it"
    assert checked(path).tally.twice == 1


def test_an_own_id_that_several_titles_have_is_the_firsts_alone_and_that_is_counted(tmp_path: Path) -> None:
    crawl = "123e4567-e89b-12d3-a456-426614174000"
    tally = checked(write(tmp_path / "a.csv", f"uuid,title\n{crawl},Ferry sails\n{crawl},Mill burns\n")).tally
    assert (tally.given, tally.own_ids) == (2, 1)
    assert [found.count for what, found in tally.left_out.items()] == [1]
    first, second = rows(tmp_path / "a.csv")
    assert (first.headline.id, second.headline.id) == (crawl, derive_id("", "", "Mill burns", None))


def test_a_cell_of_many_lines_is_one_cell(tmp_path: Path) -> None:
    text = "\n".join(f"Line {number} of the transcript" for number in range(5_000))
    path = write(tmp_path / "a.csv", f'title,text\nFerry sails,short\nLong one,"{text}"\nMill burns,short\n')
    assert [row.headline.title for row in rows(path)] == ["Ferry sails", "Long one", "Mill burns"]


def test_a_header_below_empty_rows_of_a_spreadsheet_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "Report,,\n,,\n\ntitle,date,source\nFerry sails,2026-01-01,Velm\n")
    assert [row.headline.title for row in rows(path)] == ["Ferry sails"]


def test_the_names_of_a_repeated_header_are_no_times(tmp_path: Path) -> None:
    part = "title,date\n" + "".join(f"Ferry {{0}} {number},2026-01-0{number}\n" for number in range(1, 9))
    check = checked(write(tmp_path / "a.csv", "".join(part.format(number) for number in range(3))), max_rejected=0.5)
    assert check.error is None
    assert (check.tally.given, check.tally.rejected, check.dated) == (24, 2, 24)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"title": "Reading list", "items": [{"title": "Ferry sails"}, {"title": "Mill burns"}]}, "items"),
        (
            {"data": {"title": "Front page", "articles": [{"title": "Ferry sails"}, {"title": "Mill burns"}]}},
            "data.articles",
        ),
    ],
)
def test_a_document_that_is_one_headline_says_how_its_array_is_read(document: Any, path: str, tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", json.dumps(document))
    check = checked(file)
    assert check.tally.given == 1
    assert f"--records {path} reads the 2 in it" in check.describe().replace("\n", " ")
    assert [headline.title for headline, _ in checked(file, records=path).first] == ["Ferry sails", "Mill burns"]


def test_a_check_says_that_a_file_holds_no_rows(tmp_path: Path) -> None:
    assert "it holds no rows." in checked(write(tmp_path / "a.csv", "title,date\n")).describe()


def test_an_error_that_nobody_foresaw_costs_its_own_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain = from_fields

    def broken(fields: dict[str, Any], *arguments: Any) -> Any:
        if "Mill" in fields["title"]:
            raise RecursionError("too deep")
        return plain(fields, *arguments)

    monkeypatch.setattr("producers.files.reader.from_fields", broken)
    tally = checked(write(tmp_path / "a.csv", "title\nFerry sails\nMill burns\nDam holds\n"), max_rejected=0.5).tally
    assert (tally.read, tally.given, tally.rejected) == (3, 2, 1)
    assert list(tally.reasons) == ["An unexpected error: RecursionError: too deep"]
