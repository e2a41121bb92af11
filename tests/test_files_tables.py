"""Tables of text: headers found and missing, delimiters, one column, one headline a line, ids told apart, times."""

import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from newstide.core.errors import SettingsError, SourceError
from newstide.core.headline import derive_id
from newstide.core.ids import id_of_link_and_title
from producers.files.seen import Before, Seen
from tests.harness.reading import read, rejects, rows, titles, told, write

UUID = "5f0c1a2b-0000-4000-8000-00aa11bb22cc"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a"])
def test_one_column_has_no_delimiter(tmp_path: Path, name: str) -> None:
    lines = ["Velm mill rebuilt after fire", "Pell harbour dredged, deeper; by far", "Orvane | ferry sails"]
    header = [] if name == "a.txt" else ["headline"]
    assert titles(write(tmp_path / name, "\n".join([*header, *lines]))) == lines


def test_lines_can_be_told_and_a_text_file_with_a_header_is_a_table(tmp_path: Path) -> None:
    assert titles(write(tmp_path / "a.csv", "title\nOne thing\n"), file_format="lines") == ["title", "One thing"]
    (row,) = rows(read(write(tmp_path / "a.txt", "title\tsource\nOne\tVelm\n")))
    assert (row.headline.title, row.headline.source) == ("One", "Velm")


def test_a_missing_header_is_found_and_columns_by_what_stands_in_them(tmp_path: Path) -> None:
    text = "".join(
        f"N1000{number}\tnews\t{title}\tDeeper by two metres since Tuesday.\thttps://p.example/{number}\t2026-10-0{number}\t[]\n"
        for number, title in enumerate(["Pell harbour dredged, at last", "Marrow lake freezes early"], 1)
    )
    items, tally = told(write(tmp_path / "a.tsv", text))
    assert [row.headline.title for row in rows(items)] == ["Pell harbour dredged, at last", "Marrow lake freezes early"]
    assert rows(items)[0].headline.url == "https://p.example/1"
    assert rows(items)[0].headline.published_at == ms("2026-10-01")
    assert tally.columns == {"url": "5", "published_at": "6", "title": "3", "description": "4"}
    assert titles(tmp_path / "a.tsv", header=False, mapping={"title": "2"}) == ["news", "news"]
    with pytest.raises(SourceError, match="no column '9'") as caught:
        read(tmp_path / "a.tsv", header=False, mapping={"title": "9"})
    assert "from 1 to 7" in caught.value.way_out


def test_headlines_without_a_header_keep_their_commas(tmp_path: Path) -> None:
    lines = [
        "Velm, mill rebuilt after fire",
        "Pell harbour, dredged deeper by far",
        "Orvane ferry, long awaited, sails",
    ]
    assert titles(write(tmp_path / "a.csv", "\n".join(lines))) == lines


def test_a_header_can_be_insisted_on(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "What was printed on the page,date\nMarrow lake freezes early,2026-10-01\n")
    assert titles(file, header=True, mapping={"title": "What was printed on the page"}) == ["Marrow lake freezes early"]


SPECTRUM = {
    "quotes": ('title,b\n"say ""ha"" twice",1\n', ['say "ha" twice']),
    "comma in quotes": ('title,b\n"one, two",1\n', ["one, two"]),
    "newline in quotes": ('title,b\r\n"one\r\ntwo",1\r\n', ["one two"]),
    "empty cells": ('title,b\none,""\ntwo,\n', ["one", "two"]),
    "json in a cell": ('b,title\n"{""k"": [1, 2]}",one\n', ["one"]),
    "old Mac line ends": ("title,b\rone,1\rtwo,2\r", ["one", "two"]),
    "blanks before quotes": ('title, b\n"one, two", "x, y"\n', ["one, two"]),
    "backslashed quotes": ('title,b\n"one \\"two\\", three",1\n', ['one "two", three']),
    "Excel's hint": ("sep=;\ntitle;b\none, two;1\n", ["one, two"]),
    "Excel's hint in quotes": ('"sep=;"\ntitle;b\none, two;1\n', ["one, two"]),
    "backslashed quotes that close nothing": ('title,b\n"he said \\"one\\"",1\n', ['he said "one"']),
    "notes above the header": ("# of the archive\n# in October\ntitle,source\none,two\n", ["one"]),
    "a name above the header": ("Headlines of October\n\ntitle;source\none;two\n", ["one"]),
    "titles in two columns": ("title,headline\n,one\ntwo,other\n  ,three\n", ["one", "two", "three"]),
    "a mark in the middle": ("title,b\none,1\n\ufefftwo,2\n", ["one", "two"]),
    "no last line end": ("title,b\none,1", ["one"]),
    "more columns than cells": ("title,b,c\none\n", ["one"]),
    "a quoted header": ('"title","b"\n"one","1"\n', ["one"]),
    "tabs": ("b\ttitle\n1\tone, two\n", ["one, two"]),
    "nothing but delimiters": ("title,b\n,\none,1\n , \n", ["one"]),
    "a header alone": ("title,b\n", []),
}


@pytest.mark.parametrize("kind", SPECTRUM)
def test_csv_as_programs_write_it(tmp_path: Path, kind: str) -> None:
    text, expected = SPECTRUM[kind]
    items, tally = told(write(tmp_path / "a.csv", text))
    assert [row.headline.title for row in rows(items)] == expected
    assert (tally.rejected, tally.read) == (0, len(expected))


def test_a_header_that_comes_again_and_a_ruled_line_are_no_headlines(tmp_path: Path) -> None:
    joined = write(tmp_path / "a.csv", "\ufefftitle,source\none,x\n\ufefftitle,source\ntitle,source\ntwo,y\n")
    assert titles(joined) == ["one", "two"]
    assert [row.reason for row in rejects(read(joined))] == ["The row repeats the header."] * 2
    drawn = write(tmp_path / "b.csv", "| title | source |\n|---|:--|\n| one | x |\n")
    assert titles(drawn) == ["one"]
    assert "'---' stands for a missing title" in rejects(read(drawn))[0].reason


NAUGHTY = [
    "undefined behaviour",
    "'; DROP TABLE news; --",
    "<INTC.O> rises",
    "../../etc/passwd",
    "Ω≈ç√∫˜µ≤≥÷",
    "田中さんにあげて下さい",
    "الكل في المجمو عة",
    "𝕿𝖍𝖊 quick fox",
    "1/0",
    "=cmd|' /C calc'!A0",
    "{{7*7}} %s %d $HOME",
    "👾 🙇 💁 landed",
]


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".tsv"])
def test_naughty_strings_come_through(tmp_path: Path, suffix: str) -> None:
    header = "" if suffix == ".txt" else "title\n"
    assert titles(write(tmp_path / f"a{suffix}", header + "".join(f"{title}\n" for title in NAUGHTY))) == NAUGHTY


def test_ids_count_by_their_own_form_and_others_are_left_out_and_counted(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", f"id,title,source\n1,One,S\n{UUID},Two,S\n")
    items, tally = told(file)
    assert [row.headline.id for row in rows(items)] == [derive_id("", "S", "One", None), UUID]
    assert (tally.own_ids, tally.left_out["id that may be a row's number"].count) == (1, 1)
    assert [row.headline.id for row in rows(read(file, mapping={"id": "id"}))] == ["1", UUID]


def test_files_that_number_their_rows_share_no_ids(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "id,title,source\n1,One,S\n2,Two,S\n")
    second = write(tmp_path / "b.csv", "id,title,source\n1,Three,S\n2,Four,S\n")
    assert len({row.headline.id for file in (first, second) for row in rows(read(file))}) == 4


def test_the_first_headline_of_a_link_has_its_id_and_later_ones_that_of_link_and_title(tmp_path: Path) -> None:
    link = "https://velm.example/live"
    text = f"title,url\nOne,{link}\nTwo,{link}\nONE,{link}\nTwo,{link}\nThree,https://velm.example/\nFour,https://velm.example/\n"
    items, tally = told(write(tmp_path / "a.csv", text))
    assert [row.headline.id for row in rows(items)] == [
        derive_id(link, "", "One", None),
        id_of_link_and_title(link, "Two"),
        derive_id("", "", "Three", None),
        derive_id("", "", "Four", None),
    ]
    assert (tally.given, tally.twice, tally.read) == (4, 2, 6)
    assert rows(items)[2].headline.url == "https://velm.example/"


def test_items_are_told_apart_in_few_bytes_a_row() -> None:
    count = 10_000
    tracemalloc.start()
    seen = Seen()
    assert all(seen.look(f"id {number}", "a") is Before.NEW for number in range(count))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < count * 16 * 3  # a table of pairs of 8 bytes, of whose slots a third may be taken
    assert all(seen.look(f"id {number}", "a") is Before.SAME for number in range(count))
    assert all(seen.look(f"id {number}", "b") is Before.OTHER for number in range(0, count, 97))


def test_an_unreadable_date_is_left_out_and_counted(tmp_path: Path) -> None:
    lines = [f"Headline {number},{'soon' if number == 7 else '2026-10-01'}" for number in range(100)]
    items, tally = told(write(tmp_path / "a.csv", "\n".join(["title,date", *lines])))
    assert len(rows(items)) == 100
    assert [row.headline.title for row in rows(items) if not row.published] == ["Headline 7"]
    assert tally.left_out["time"].count == 1
    assert "'soon'" in tally.left_out["time"].example


def test_nothing_is_sent_where_too_many_dates_cannot_be_read(tmp_path: Path) -> None:
    lines = [f"Headline {number},{f'day {number}' if number % 10 == 0 else '2026-10-01'}" for number in range(2_000)]
    file = write(tmp_path / "a.csv", "\n".join(["title,date", *lines]))
    with pytest.raises(SourceError, match=r"100 of the first 1,000: 'day 0', 'day 10', 'day 20'.*Nothing") as caught:
        read(file)
    assert "--time-format" in caught.value.way_out
    assert "--undated" in caught.value.way_out
    assert len(rows(read(file, undated=True))) == 2_000
    assert len(rows(read(file, max_rejected=0.2))) == 2_000


def test_an_unambiguous_date_tells_the_order_of_day_and_month(tmp_path: Path) -> None:
    for last, expected in (("31/12/2025", "2025-04-03"), ("12/31/2025", "2025-03-04")):
        items, tally = told(write(tmp_path / "a.csv", f"title,date\nOne,03/04/2025\nTwo,{last}\n"))
        assert rows(items)[0].headline.published_at == ms(expected)
        assert any(last in note for note in tally.notes)


def test_ambiguous_dates_are_unreadable_where_none_tells(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "title,date\nOne,03/04/2025\nTwo,05/06/2025\n")
    with pytest.raises(SourceError, match="cannot be read"):
        read(file)
    assert [row.published for row in rows(read(file, undated=True))] == [False, False]
    assert rows(read(file, time_format="%d/%m/%Y"))[0].headline.published_at == ms("2025-04-03")


def test_years_of_two_digits_are_read_only_where_another_row_shows_where_they_stand(tmp_path: Path) -> None:
    dates = ["20/05/04", "20/05/13", "20/12/11"]
    file = write(tmp_path / "a.csv", "\n".join(["title,date", *(f"{date} One,{date}" for date in dates)]))
    with pytest.raises(SourceError, match="3 of the first 3"):
        read(file)
    for settles, order, first in (("98/12/31", "year", "2020-05-04"), ("13/05/1998", "day", "2004-05-20")):
        items, tally = told(write(tmp_path / "b.csv", f"{file.read_text()}\nTwo,{settles}\n"))
        assert rows(items)[0].headline.published_at == ms(first)
        assert tally.notes[-1] == f"dates have the {order} first, as {settles!r} shows"


def test_nothing_is_sent_where_too_many_dates_are_ahead_of_now(tmp_path: Path) -> None:
    dates = ["2569-10-01", *["2026-10-01"] * 9]
    file = write(tmp_path / "a.csv", "\n".join(["title,date", *(f"{n} One,{date}" for n, date in enumerate(dates))]))
    with pytest.raises(SourceError, match=r"or are ahead of now, 1 of the first 10: '2569-10-01'. Nothing"):
        read(file)
    items, tally = told(file, max_rejected=0.1)
    assert [row.published for row in rows(items)] == [False] + [True] * 9
    assert tally.left_out["time ahead of now"].example.startswith("'2569-10-01' in ")


def test_times_that_name_no_zone_are_counted_and_the_zone_is_told(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "title,date\nOne,2026-10-01 10:00\nTwo,2026-10-01\nThree,2026-10-01T10:00Z\n")
    _, tally = told(file, zone=ZoneInfo("Europe/Berlin"))
    assert (tally.zoneless, tally.left_out) == (2, {})
    assert tally.told == ["CSV", "2 times name no zone and are read in Europe/Berlin"]
    assert (
        told(file, time_format="%Y-%m-%d %H:%M", undated=True)[1].told[-1] == "1 times name no zone and are read in UTC"
    )
    zoned = write(tmp_path / "b.csv", "title,date\nOne,2026-10-01 10:00 GMT\n")
    assert told(zoned)[1].told == ["CSV"]


def test_a_later_date_in_the_other_order_ends_the_file(tmp_path: Path) -> None:
    lines = [f"Headline {number},13/10/2025" for number in range(10_500)]
    file = write(tmp_path / "a.csv", "\n".join(["title,date", *lines, "Odd,10/14/2025", "After,13/10/2025"]))
    with pytest.raises(SourceError, match=r"the day first.*line 10,502: '10/14/2025'"):
        read(file)
    with pytest.raises(SourceError, match=r"two layouts: '13/10/2025' \(line 2\) and '10/14/2025' \(line 3\)"):
        read(write(tmp_path / "b.csv", "title,date\nOne,13/10/2025\nTwo,10/14/2025\n"))


def test_layout_and_zone_of_times_can_be_told(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "title,date\nOne,01.10.26 um 09 Uhr\n")
    (row,) = rows(read(file, time_format="%d.%m.%y um %H Uhr", zone=ZoneInfo("Europe/Berlin")))
    assert row.headline.published_at == ms("2026-10-01T07:00:00")
    with pytest.raises(SettingsError, match="no layout of times"):
        read(file, time_format="DD.MM.YYYY")


def test_spreadsheets_serial_days_are_days(tmp_path: Path) -> None:
    (row,) = rows(read(write(tmp_path / "a.csv", "title,date\nOne,46296.25\n")))
    assert row.headline.published_at == ms("2026-10-01T06:00:00")


def test_what_stands_for_no_time_holds_nothing_up(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "title,date\nOne,0000-00-00 00:00:00\nTwo,0001-01-01T00:00:00Z\nThree,\n")
    items, tally = told(file)
    assert [row.published for row in rows(items)] == [False, False, False]
    assert tally.left_out["time that stands for no time"].count == 2


def test_reasons_are_counted_whatever_values_they_name(tmp_path: Path) -> None:
    lines = [f"{'x' * length},S" for length in (2_001, 2_002, 2_003)]
    items, tally = told(write(tmp_path / "a.csv", "\n".join(["title,source", "One,S", ",S", *lines])))
    assert len(rejects(items)) == 4
    assert [found.count for found in tally.reasons.values()] == [1, 3]


@pytest.mark.parametrize(("above", "below"), [(",", ";"), (";", ","), (",", "\t"), ("\t", "|"), (";", "|")])
def test_rows_may_have_another_delimiter_than_their_header(tmp_path: Path, above: str, below: str) -> None:
    table = [["title", "url", "date"], ["Velm mill shuts", "https://v.example/1", "2026-10-01T07:42:00Z"]]
    table.append(['"Dam holds' + below + ' for now"', "https://v.example/2", "2026-10-02T07:42:00Z"])
    lines = [above.join(table[0]), *(below.join(row) for row in table[1:])]
    items, tally = told(write(tmp_path / "a.csv", "\n".join(lines)))
    assert [row.headline.title for row in rows(items)] == [
        "Velm mill shuts",
        " ".join(f"Dam holds{below} for now".split()),
    ]
    assert [row.headline.url for row in rows(items)] == ["https://v.example/1", "https://v.example/2"]
    assert any("rows are delimited by" in note for note in tally.told)


def test_rows_keep_the_headers_delimiter_where_one_of_them_has_it(tmp_path: Path) -> None:
    lines = ["title,url", "Mill; dam;https://v.example/1", "Ferry sails; again,https://v.example/2"]
    assert titles(write(tmp_path / "a.csv", "\n".join(lines)))[-1] == "Ferry sails; again"


@pytest.mark.parametrize(
    "cell", ['{"$date": "2026-10-01T07:42:00Z"}', "{'value': 1790840520000}", '["2026-10-01T07:42:00Z"]']
)
def test_a_cell_may_hold_its_time_as_an_object(tmp_path: Path, cell: str) -> None:
    quoted = cell.replace('"', '""')
    ((row),) = rows(read(write(tmp_path / "a.csv", f'title,published_at\nOne thing,"{quoted}"\n')))
    assert row.headline.published_at == 1_790_840_520_000
    assert row.published
