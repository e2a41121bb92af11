"""docs/sending.md: what its tables say is read is read so."""

import re
from pathlib import Path

import pytest

from newstide.core.errors import SourceError
from newstide.core.text import clean, iso_time
from newstide.core.times import Zone, parse_time
from newstide.core.zones import ABBREVIATIONS
from producers.feeds import parse_feed
from tests.harness.feed_site import NOW
from tests.harness.reading import read, rows, titles, told, write

PAGE = (Path(__file__).parents[1] / "docs" / "sending.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The cells of the table whose head row starts so."""
    lines = PAGE.partition(f"\n| {heading} |")[2].split("\n")[2:]
    rows = []
    for line in lines:
        if not line.startswith("| "):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    assert rows
    return rows


def code(cell: str) -> str:
    found = re.match(r"`([^`]*)`", cell)
    assert found, cell
    return found[1]


@pytest.mark.parametrize(("layout", "example", "read"), table("layout"))
def test_each_layout_of_a_time_is_read_as_the_page_says(layout: str, example: str, read: str) -> None:
    parsed = parse_time(code(example))
    assert parsed is not None, layout
    assert parsed.milliseconds is not None, layout
    assert iso_time(parsed.milliseconds) == code(read)
    assert (parsed.zone is Zone.MISSING) == read.endswith(", no zone")


@pytest.mark.parametrize(("text", "fault"), table("what is no time"))
def test_what_is_no_time_is_none_for_the_reason_on_the_page(text: str, fault: str) -> None:
    parsed = parse_time(code(text))
    assert parsed is not None
    assert parsed.fault == fault


def test_the_page_lists_every_abbreviation_of_a_zone() -> None:
    listed = {}
    for offset, names in table("from UTC"):
        hours, minutes = offset[1:].split(":")
        sign = -1 if offset[0] == "-" else 1
        listed.update(dict.fromkeys(names.split(", "), sign * (int(hours) * 60 + int(minutes))))
    assert listed == ABBREVIATIONS


@pytest.mark.parametrize(("text", "cleaned"), table("text"))
def test_texts_are_cleaned_as_the_page_says(text: str, cleaned: str) -> None:
    assert clean(code(text)) == code(cleaned)


def written(cell: str) -> bytes:
    """The bytes of a code cell, whose backslashes are Python's."""
    return code(cell).encode().decode("unicode_escape").encode("latin-1")


@pytest.mark.parametrize(("layout", "name", "content", "expected"), table("layout | name"))
def test_each_layout_of_a_file_is_read_as_the_page_says(
    tmp_path: Path, layout: str, name: str, content: str, expected: str
) -> None:
    assert titles(write(tmp_path / code(name), written(content))) == code(expected).split("; "), layout


@pytest.mark.parametrize(("what", "start", "way_out"), table("what is not read"))
def test_what_is_no_table_is_named_as_the_page_says(tmp_path: Path, what: str, start: str, way_out: str) -> None:
    with pytest.raises(SourceError, match=rf"a\.csv is {re.escape(what)}") as caught:
        read(write(tmp_path / "a.csv", written(start) + b"\n" + bytes(600)))
    assert way_out in caught.value.way_out


@pytest.mark.parametrize(("inner", "expected"), table("an entry of a feed"))
def test_an_entry_of_a_feed_is_read_as_the_page_says(inner: str, expected: str) -> None:
    prefixes = (
        'xmlns:a="http://www.w3.org/2005/Atom" xmlns:m="http://search.yahoo.com/mrss/" '
        'xmlns:d="http://purl.org/dc/elements/1.1/"'
    )
    feed = f'<rss version="2.0" {prefixes}><channel><title>Velm</title><item>{code(inner)}</item></channel></rss>'
    listing = parse_feed(feed.encode(), "https://v.example/feed/rss", NOW)
    heads = [row.headline for row in listing.rows]
    read = [f"`{one.title}`, " + (f"`{one.url}`" if one.url else "no link") for one in heads]
    counted = ", counted" if listing.left_out else ""
    assert [one + counted for one in read] == ([] if expected == "refused" else [expected])
    assert len(listing.rejected) == (expected == "refused")


@pytest.mark.parametrize(("encoding", "how"), table("encoding"))
def test_each_encoding_is_found_as_the_page_says(tmp_path: Path, encoding: str, how: str) -> None:
    title = {
        "cp1251": "Мэр открыл новый мост через реку",
        "gb18030": "市长辞职，新桥今天开通",
        "shift_jis": "市長が辞任した、新しい橋が開通",
    }.get(code(encoding), "Le préfet a démissionné à Velm, déjà")
    file = write(tmp_path / "a.csv", f'title,source\n"{title}",Velm\n'.encode(code(encoding)))
    items, tally = told(file)
    assert [row.headline.title for row in rows(items)] == [title]
    assert any("guessed" in note for note in tally.notes) == how.startswith("guessed")
