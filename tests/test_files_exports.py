"""Tables as programs export them without a header, in several files, or with escaped line breaks."""

from pathlib import Path

import pytest

from newstide.core.errors import SourceError
from producers.files import Options, read_files
from tests.harness.reading import NOW, read, rejects, rows, titles, write

LINK = "https://v.example/{}"


def gkg(number: int, extras: str) -> str:
    """A row of GDELT's knowledge graph: 27 columns behind tabs, the last of which holds tags."""
    cells = [f"20261012100000-{number}", "20261012100000", "1", "v.example", LINK.format(number), "", "",
             "TAX_FNCACT;STRIKE;", "TAX_FNCACT_WORKER,211;STRIKE,12", "1#Velm#VE#VE#46#2#VE", "", "", "", "", "",
             "-2.1,1.2,3.3,4.5,20.1,0,300", "", "wc:300,c1.1:2", "", "", "", "", "Pell Harbour,55;Velm Port,90", "", "", "",
             extras]  # fmt: skip
    assert len(cells) == 27
    return "\t".join(cells) + "\n"


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "20261012100000.gkg.csv"])
def test_the_page_title_is_read_out_of_its_tags(tmp_path: Path, name: str) -> None:
    extras = "<PAGE_LINKS>https://b.example/;https://c.example/</PAGE_LINKS><PAGE_TITLE>{}</PAGE_TITLE><PAGE_PRECISE/>"
    lines = [
        gkg(1, extras.format("Harbour strike &amp; talks")),
        gkg(2, extras.format(" Dam holds ")),
        gkg(3, "<PAGE_LINKS/>"),
    ]
    items = read(write(tmp_path / name, "".join(lines)))
    assert [(row.headline.title, row.headline.url) for row in rows(items)] == [
        ("Harbour strike & talks", LINK.format(1)),
        ("Dam holds", LINK.format(2)),
    ]
    assert [reject.reason for reject in rejects(items)] == ["The title is missing or empty."]
    assert all(row.published for row in rows(items))


@pytest.mark.parametrize("header", ["", "id\ttitle\tlink\tdate\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_escaped_line_break_is_part_of_its_value(tmp_path: Path, header: str, end: str) -> None:
    row = "{0}\t{1}\thttps://v.example/{0}\t2026-10-12 10:00:00\n"
    texts = [row.format(1, "Mill\\\nshuts early today"), row.format(2, "Dam holds all night long"),
             row.format(3, "One\\\ntwo\\\nthree four five"), row.format(4, "Ferry sails back to C:\\\\")]  # fmt: skip
    items = read(write(tmp_path / "a.tsv", (header + "".join(texts)).replace("\n", end)))
    assert [row.headline.title for row in rows(items)] == [
        "Mill shuts early today", "Dam holds all night long", "One two three four five", "Ferry sails back to C:\\\\",
    ]  # fmt: skip
    assert [row.headline.url for row in rows(items)] == [LINK.format(number) for number in (1, 2, 3, 4)]
    assert rejects(items) == []


def test_a_backslash_at_a_lines_end_joins_nothing_that_makes_no_row(tmp_path: Path) -> None:
    content = "id\ttitle\tlink\n1\tFerry sails to C:\\\n2\tDam holds\thttps://v.example/2\n"
    assert titles(write(tmp_path / "a.tsv", content)) == ["Ferry sails to C:\\", "Dam holds"]


def test_a_folder_is_named_and_its_empty_files_end_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(SourceError, match="is a folder") as caught:
        read(folder)
    assert str(folder / "*") in caught.value.way_out
    files = [
        write(folder / name, text)
        for name, text in [("_SUCCESS", ""), ("part-0", ""), ("part-1", "title\nDam holds\n")]
    ]
    with pytest.raises(SourceError, match="is a folder") as caught:
        read(folder)
    assert str(folder / "part-*") in caught.value.way_out
    found = rows(read_files(files, now=lambda: NOW, options=Options()))
    assert [row.headline.title for row in found] == ["Dam holds"]
