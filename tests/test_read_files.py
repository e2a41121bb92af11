"""Files of headlines: layouts found, times understood, bad rows named, good ones kept."""

import csv
import gzip
import io
import json
import sys
import tracemalloc
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from newstide.core.errors import SettingsError, SourceError
from newstide.core.headline import decode, derive_id, encode
from newstide.core.text import clean, is_no_title
from newstide.core.times import parse_zone
from producers.files import read_files
from producers.rows import Rejected, Row
from producers.tally import Tally

NOW = 1_791_892_800.0  # 2026-10-13T12:00:00Z


def read(path: Path | str, **options: Any) -> list[Row | Rejected]:
    return list(read_files([path], now=lambda: NOW, **options))


def test_an_item_that_an_earlier_file_of_the_command_had_is_counted_as_the_same_and_sent_once(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text(
        "title,url\nOne,https://a.example/1\nTwo of one link,https://a.example/1\nThree,https://a.example/3\n"
    )
    second.write_text(
        "title,url\nOne,https://a.example/1\nTwo of one link,https://a.example/1\nFour,https://a.example/3\n"
    )
    alone = [row.headline.id for row in rows(read(second))]
    tallies: list[Tally] = []
    both = rows(read_files([first, second], now=lambda: NOW, tallies=tallies))
    assert [row.headline.title for row in both] == ["One", "Two of one link", "Three", "Four"]
    assert [(tally.given, tally.twice, tally.read) for tally in tallies] == [(3, 0, 3), (1, 2, 3)]
    assert both[3].headline.id == alone[2]  # the files before change no id


def rows(items: Iterable[Row | Rejected]) -> list[Row]:
    return [item for item in items if isinstance(item, Row)]


def rejects(items: Iterable[Row | Rejected]) -> list[Rejected]:
    return [item for item in items if isinstance(item, Rejected)]


def read_until_error(path: Path) -> tuple[list[Row | Rejected], SourceError]:
    taken: list[Row | Rejected] = []
    source = read_files([path])
    while True:
        try:
            taken.append(next(source))
        except SourceError as error:
            return taken, error


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_tutorials_file_just_works(tmp_path: Path) -> None:
    file = write(
        tmp_path / "news_data_dedup.csv",
        'title,description\nRates held,The bank waits.\n"Storm, then calm",\n',
    )
    first, second = rows(read(file))
    assert (first.headline.title, first.headline.description) == ("Rates held", "The bank waits.")
    assert (second.headline.title, second.headline.description) == ("Storm, then calm", "")
    assert not first.published
    assert first.headline.id == derive_id("", "", "Rates held", None)
    assert "published_at" not in json.loads(encode(first.headline, published=first.published))


@pytest.mark.parametrize(
    "header",
    [
        "id,title,summary,publisher,link,pubDate,lang",
        "UUID,Headline,Abstract,Outlet,URL,Published At,Language",
        "guid,head_line,text,site,url,publish_date,language",
        "article-id,news_title,body,source,article url,timestamp,locale",
    ],
)
def test_common_layouts_are_found_by_themselves(tmp_path: Path, header: str) -> None:
    file = write(
        tmp_path / "a.csv", f"{header}\n00112233445566ff,T,D,S,https://s.example/1,2026-10-13T09:00:00+02:00,pt-BR\n"
    )
    (row,) = rows(read(file))
    headline = row.headline
    assert (headline.id, headline.title, headline.description, headline.source) == ("00112233445566ff", "T", "D", "S")
    assert (headline.url, headline.language) == ("https://s.example/1", "pt-BR")
    assert headline.published_at == int(datetime(2026, 10, 13, 7, tzinfo=UTC).timestamp() * 1000)
    assert row.published


def test_columns_can_be_named(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "Überschrift,title,Quelle\nEcht,Falsch,Blatt\n")
    (row,) = rows(read(file, mapping={"title": "Überschrift", "source": "Quelle"}))
    assert (row.headline.title, row.headline.source, row.headline.description) == ("Echt", "Blatt", "")


def test_wrong_names_are_said_with_the_columns_there_are(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "Überschrift,Datum\nA,B\n")
    with pytest.raises(SourceError, match=r"a\.csv has no column of titles; it has 'Überschrift', 'Datum'") as caught:
        read(file)
    assert "--column title=" in caught.value.way_out
    with pytest.raises(SourceError, match="no column 'Titel'; it has 'Überschrift'"):
        read(file, mapping={"title": "Titel"})
    with pytest.raises(SettingsError, match="no field 'titel'"):
        read(file, mapping={"titel": "Überschrift"})


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    file = write(
        tmp_path / "a.csv",
        delimiter.join(["id", "title", "source"]) + "\n" + delimiter.join(["1" * 15, "T", "S"]) + "\n",
    )
    (row,) = rows(read(file))
    assert (row.headline.id, row.headline.title, row.headline.source) == ("1" * 15, "T", "S")


def test_lines_of_rejected_rows_are_those_an_editor_shows(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.csv",
        "title,description\n"  # 1
        '"One",\n'  # 2
        '"Two","over\nthree\nlines"\n'  # 3-5
        ",no title\n"  # 6
        "\n"  # 7
        f"{'x' * 2001},\n"  # 8
        '"Three","a\r\nb"\r\n'  # 9-10
        '  ,\n"",""\n',  # 11, 12: nothing but delimiters is no row
    )
    items = read(file)
    assert [row.headline.title for row in rows(items)] == ["One", "Two", "Three"]
    assert [row.line for row in rows(items)] == [2, 3, 9]
    assert [(reject.line, reject.reason[:30]) for reject in rejects(items)] == [
        (6, "The title is missing or empty."),
        (8, "The title has 2,001 characters"),
    ]
    assert all(reject.file == str(file) and reject.text for reject in rejects(items))


@pytest.mark.parametrize(
    "damaged",
    ['2,"never closed,S', '2,"closed" too late",S,more', "2,an unquoted, comma,S"],
)
def test_a_damaged_row_costs_itself_alone(tmp_path: Path, damaged: str) -> None:
    file = write(tmp_path / "a.csv", f'x,title,source\n1,One,S\n{damaged}\n3,"Three",S\n4,"Four ""quoted""",S\n')
    items = read(file)
    assert [row.line for row in rows(items)] == [2, 4, 5]
    assert rows(items)[-1].headline.title == 'Four "quoted"'
    assert rejects(items)[0].line == 3


def test_two_hundred_broken_lines_among_a_thousand(tmp_path: Path) -> None:
    broken = ["not json", "[1, 2]", "{}", '{"title": ""}', '{"title": 7}', '{"title": {}}']
    lines = [
        broken[number // 5 % len(broken)] if number % 5 == 0 else json.dumps({"title": f"Headline {number}"})
        for number in range(1000)
    ]
    items = read(write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert len(rows(items)) == 800
    assert [reject.line for reject in rejects(items)] == [number + 1 for number in range(0, 1000, 5)]
    assert all(reject.reason for reject in rejects(items))


def test_bytes_that_are_no_utf8_cost_their_row(tmp_path: Path) -> None:
    csv_file = write(tmp_path / "a.csv", b"title\nOne\nCaf\xe9\nThree\nCaf\xc3\xa9 in \xc3\x8ele\n")
    json_file = write(
        tmp_path / "a.jsonl",
        b'{"title": "One"}\n{"title": "Caf\xe9"}\n{"title": "Three"}\n{"title": "Caf\xc3\xa9 in \xc3\x8ele"}\n',
    )
    for file in (csv_file, json_file):
        items = read(file)
        assert [row.headline.title for row in rows(items)] == ["One", "Three", "Café in Île"]
        (reject,) = rejects(items)
        line = 3 if file == csv_file else 2
        assert reject.line == line
        assert "cannot be decoded: byte 0xe9" in reject.reason
        reject.text.encode()  # can be written to a file


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_no_part_of_the_first_column(tmp_path: Path, encoding: str) -> None:
    file = write(tmp_path / "a.csv", "title,source\nÜber Nacht,S\n".encode(encoding))
    assert rows(read(file))[0].headline.title == "Über Nacht"


def test_json_objects_on_lines_in_an_array_and_nested_sources(tmp_path: Path) -> None:
    records = [
        {"headline": "One", "source": {"id": None, "name": "The Meridian"}, "description": float("nan")},
        {"title": "Two", "published": 1_791_889_200},
    ]
    lines = write(tmp_path / "a.ndjson", "\n".join(map(json.dumps, records)))
    array = write(tmp_path / "b.json", json.dumps([*records, 5], indent=1))
    for file in (lines, array):
        first, second = rows(read(file))
        assert (first.headline.source, first.headline.description) == ("The Meridian", "")
        assert second.headline.published_at == 1_791_889_200_000
    assert rejects(read(array))[0].line == 3


def test_records_without_any_titles_are_no_file_of_headlines(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", '{"price": 1}\n{"cost": 2}\n')
    with pytest.raises(SourceError, match="no column of titles; it has 'price', 'cost'"):
        read(file)
    endless = write(tmp_path / "b.jsonl", '{"price": 1}\n' * 5000)
    assert len(read_until_error(endless)[0]) < 1000


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=100)
    return path


def test_parquet_with_its_own_types(tmp_path: Path) -> None:
    file = parquet(
        tmp_path / "a.parquet",
        Title=["One", None, "Three", "Four"],
        published=pa.array([datetime(2026, 10, 13, 9), None, None, datetime(1999, 1, 1)], pa.timestamp("ns")),
        id=pa.array([10**15, 2, None, 4]),
        unused=[b"x" * 10] * 4,
    )
    items = read(file, assume_zone=ZoneInfo("Europe/Berlin"))
    assert [row.headline.title for row in rows(items)] == ["One", "Three", "Four"]
    assert rows(items)[0].headline.published_at == int(datetime(2026, 10, 13, 7, tzinfo=UTC).timestamp() * 1000)
    assert [row.published for row in rows(items)] == [True, False, True]
    assert rows(items)[0].headline.id == str(10**15)
    assert (rejects(items)[0].line, rejects(items)[0].reason) == (2, "The title is missing or empty.")


def test_a_truncated_parquet_names_the_file(tmp_path: Path) -> None:
    file = parquet(tmp_path / "a.parquet", title=[f"Headline {number}" for number in range(1000)])
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(SourceError, match=r"a\.parquet cannot be read as Parquet after row 0"):
        read(file)


def test_a_parquet_damaged_midway_gives_what_comes_before(tmp_path: Path) -> None:
    titles = [f"Headline {number} {'x' * (number % 50)}" for number in range(10_000)]
    file = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"title": titles}),
        file,
        row_group_size=2000,
        compression="none",
        use_dictionary=False,
    )
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = b"\xff" * 4000
    file.write_bytes(content)
    taken, error = read_until_error(file)
    assert 0 < len(taken) < 10_000
    assert rows(taken) == taken
    assert f"a.parquet cannot be read as Parquet after row {len(taken):,}" in error.message


def test_gzipped_files_of_each_format_and_a_truncated_one(tmp_path: Path) -> None:
    text = "title\n" + "".join(f"Headline {number}\n" for number in range(20_000))
    file = tmp_path / "a.csv.gz"
    file.write_bytes(gzip.compress(text.encode()))
    assert len(rows(read(file))) == 20_000
    parquet(tmp_path / "b.parquet", title=["One"])
    zipped = write(tmp_path / "b.parquet.gz", gzip.compress((tmp_path / "b.parquet").read_bytes()))
    assert len(rows(read(zipped))) == 1
    file.write_bytes(file.read_bytes()[:-2000])
    taken, error = read_until_error(file)
    assert len(taken) > 1000
    assert f"a.csv.gz is damaged after line {len(taken) + 1:,}" in error.message  # the header is a line, too


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "jsonl.gz"])
def test_standard_input_is_understood_by_its_first_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "parquet":
        content = parquet(tmp_path / "a", title=["One", "Two"]).read_bytes()
    elif kind == "csv":
        content = b"title\nOne\nTwo\n"
    else:
        content = b'\n {"title": "One"}\n{"title": "Two"}\n'
        content = gzip.compress(content) if kind.endswith(".gz") else content
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(content))))
    items = read("-")
    assert [row.headline.title for row in rows(items)] == ["One", "Two"]
    assert rows(items)[0].file == "standard input"


def test_files_that_cannot_be_read_at_all_are_named(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "absent.csv", "No such file or directory"),
        (tmp_path, "is a folder"),
        (write(tmp_path / "empty.csv", ""), "is empty"),
        (write(tmp_path / "a.parquet", "no parquet"), "cannot be read as Parquet"),
        (write(tmp_path / "a.json", '[{"title": "One"},'), "is no JSON document"),
    ):
        with pytest.raises(SourceError, match=reason) as caught:
            read(path)
        assert str(path) in caught.value.message
    with pytest.raises(SourceError, match="no format 'xml'"):
        read(tmp_path, file_format="xml")


def test_times_without_a_zone_can_be_told_one(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "title,date\nOne,2026-10-13 09:00\n")
    (row,) = rows(read(file, assume_zone=parse_zone("Europe/Berlin")))
    assert row.headline.published_at == int(datetime(2026, 10, 13, 7, tzinfo=UTC).timestamp() * 1000)
    with pytest.raises(SettingsError, match="'Mars/Base'"):
        parse_zone("Mars/Base")


def test_a_time_far_ahead_is_left_to_kafka(tmp_path: Path) -> None:
    dates = ["2099-01-01", *["2026-10-01"] * 30]
    items = read(write(tmp_path / "a.csv", "\n".join(["title,date", *(f"{n},{date}" for n, date in enumerate(dates))])))
    assert [row.published for row in rows(items)] == [False] + [True] * 30


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
        ),
        max_size=20,
    )
)
def test_every_row_that_csv_can_write_comes_out_once_as_row_or_reject(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    file = tmp_path_factory.mktemp("csv") / "a.csv"
    with file.open("w", newline="", encoding="utf-8") as output:
        writer = csv.writer(output, quoting=csv.QUOTE_ALL)
        writer.writerows([("title", "source"), *pairs])
    tallies: list[Tally] = []
    items = read(file, tallies=tallies)
    blank = sum(not title.strip() and not source.strip() for title, source in pairs)
    assert len(items) + tallies[0].twice + blank == len(pairs)
    assert tallies[0].read == len(pairs) - blank
    written = {clean(title) for title, _ in pairs}
    for item in items:
        if isinstance(item, Row):
            again = decode(encode(item.headline, published=item.published), int(NOW * 1000)).headline
            assert again == item.headline
            assert item.headline.title in written
        else:
            assert any(title == "" or is_no_title(title) for title in written)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for count in (1_000, 8_000):
        file = tmp_path / f"{count}.csv"
        with file.open("w") as output:
            output.write("title,description\n")
            output.writelines(f"Headline {number},{'word ' * 40}\n" for number in range(count))
        tracemalloc.start()
        assert sum(1 for _ in read_files([file])) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000 + 7_000 * 64  # of a row, 16 bytes are kept, in a table that doubles
