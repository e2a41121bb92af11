"""Tables as other programs leave them: sorted, joined, with blanks before quotes, with the nulls of data bases."""

from pathlib import Path

import pytest

from newstide.core.headline import derive_id
from tests.harness.reading import read, rejects, rows, titles, told, write

HEADER = "title,date,source"
ROWS = [f"{name} freezes early,2026-10-0{day},Velm" for day, name in enumerate(["Anvil", "Marrow", "Pell"], 1)]


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_rows_above_the_header_are_rows_as_a_sorted_file_has_them(tmp_path: Path, place: int, delimiter: str) -> None:
    lines = [line.replace(",", delimiter) for line in [*ROWS[:place], HEADER, *ROWS[place:]]]
    items, tally = told(write(tmp_path / "a.csv", "\n".join(lines)))
    assert [row.headline.title for row in rows(items)] == [
        "Anvil freezes early",
        "Marrow freezes early",
        "Pell freezes early",
    ]
    assert all(row.published and row.headline.source == "Velm" for row in rows(items))
    assert (tally.read, tally.rejected) == (3, 0)


@pytest.mark.parametrize("count", [30, 300])
def test_rows_far_above_the_header_are_rows_and_the_header_is_none(tmp_path: Path, count: int) -> None:
    lines = [f"Anvil {number} freezes early,2026-10-01,https://v.example/{number}" for number in range(count)]
    items, tally = told(
        write(tmp_path / "a.csv", "\n".join([*lines, "title,date,url", *lines[:1], "Last,2026-10-01,"]))
    )
    assert [row.headline.title for row in rows(items)] == [*(line.partition(",")[0] for line in lines), "Last"]
    assert all(row.published for row in rows(items))
    assert tally.read == tally.given + tally.rejected + tally.twice


def test_what_may_be_a_note_above_the_header_is_refused_and_counted(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.csv", f"Report,,\n# of October, by Velm, in full\n,,\nOf October\n\n{HEADER}\n{ROWS[0]}\n"
    )
    items, tally = told(file)
    assert [row.headline.title for row in rows(items)] == ["Anvil freezes early"]
    assert [row.reason for row in rejects(items)] == ["The row stands above the header, and looks like a note."] * 2
    assert (tally.read, tally.given, tally.rejected) == (3, 1, 2)


def test_a_quoted_row_of_several_lines_above_the_header_is_one_row(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", f'"Anvil, as\nit freezes",2026-10-01,Velm\n{HEADER}\n{ROWS[1]}\n')
    assert titles(file) == ["Anvil, as it freezes", "Marrow freezes early"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('1, "Marrow lake freezes", "Velm"', ("Marrow lake freezes", "Velm")),
        ('1,  "Marrow lake freezes",Velm', ("Marrow lake freezes", "Velm")),
        ('"1", "Marrow, lake freezes", "Velm"', ("Marrow, lake freezes", "Velm")),
        ('1, "He said ""freeze""", "Velm"', ('He said "freeze"', "Velm")),
        ('1, "Marrow" lake freezes, Velm', ('"Marrow" lake freezes', "Velm")),
        ('1,Marrow "the lake" freezes,Velm', ('Marrow "the lake" freezes', "Velm")),
        ('1,"Marrow, ""the lake"" freezes",Velm', ('Marrow, "the lake" freezes', "Velm")),
    ],
)  # fmt: skip
def test_quotes_behind_a_blank_are_the_cells_quotes(tmp_path: Path, line: str, expected: tuple[str, str]) -> None:
    for header in ("id,title,source", 'id, "title", "source"', "id,title,source,date"):
        (row,) = rows(read(write(tmp_path / "a.csv", f"{header}\n{line}\n")))
        assert (row.headline.title, row.headline.source) == expected
        assert row.headline.id == derive_id("", expected[1], expected[0], None)


def test_a_mark_before_quotes_where_files_were_joined_is_no_part_of_the_cell(tmp_path: Path) -> None:
    part = '\ufeff"title","date","source"\n"{} freezes, early","2026-10-01","Velm"\n'
    items, _ = told(
        write(tmp_path / "a.csv", part.format("Anvil") + part.format("Marrow") + '\ufeff"Pell freezes","",""\n')
    )
    assert [row.headline.title for row in rows(items)] == [
        "Anvil freezes, early",
        "Marrow freezes, early",
        "Pell freezes",
    ]
    assert [row.reason for row in rejects(items)] == ["The row repeats the header."]


@pytest.mark.parametrize("null", ["\\N", "NULL", "null", "nan", "NaN", "None", "<NA>", "N/A"])
def test_nulls_of_data_bases_are_missing_values(tmp_path: Path, null: str) -> None:
    text = f"id,title,date,source,summary,url,language\n{null},Anvil freezes,{null},{null},{null},{null},{null}\n"
    items, tally = told(write(tmp_path / "a.csv", text + f",{null},{null},Velm,,,\n"))
    (row,) = rows(items)
    assert (row.headline.source, row.headline.description, row.headline.url, row.headline.language) == ("", "", "", "")
    assert row.headline.id == derive_id("", "", "Anvil freezes", None)
    assert (tally.rejected, tally.left_out) == (1, {})


def test_a_null_gives_way_to_the_next_column_of_its_field(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "title,source,publisher,summary,text\nAnvil freezes,\\N,Velm,NULL,\\N\n")
    (row,) = rows(read(file))
    assert (row.headline.source, row.headline.description) == ("Velm", "")


def test_nulls_of_a_table_without_a_header_hide_no_column(tmp_path: Path) -> None:
    lines = ["7\tAnvil lake freezes early\t\\N\thttps://v.example/7", "8\tPell agrees at last\t2026-10-01\t\\N"]
    _, tally = told(write(tmp_path / "a.tsv", "\n".join(lines)))
    assert tally.columns == {"title": "2", "published_at": "3", "url": "4"}
