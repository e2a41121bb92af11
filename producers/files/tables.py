"""Tables of text: finds the delimiter and the header, if there is one, and reads the rows by field."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from newstide.core.errors import SourceError
from newstide.core.known_names import says_utc
from newstide.core.nulls import NULLS
from newstide.core.text import shorten
from newstide.core.times import parse_time
from producers.files.columns import (
    IN_UTC,
    fill_missing,
    find_columns,
    find_known_columns,
    is_title,
    listed,
    note_times,
    spare_places,
)
from producers.files.csv_rows import DELIMITERS, NO_DELIMITER, CsvRow, Lines, ends_escaped, read_csv, split
from producers.files.encodings import Line, printable, undecodable
from producers.files.options import Item, Options
from producers.tally import Tally

_SAMPLE = 50  # lines from which the layout is found, and among which a header is looked for
_LINK = re.compile(r"https?://\S+$", re.IGNORECASE)
_TITLE_TAGS = re.compile(r"<((?:\w+_)?TITLE)>(.*?)</\1>", re.DOTALL)
_NUMBER = re.compile(r"[+-]?[\d.,]+")
_WORDS = 4  # words of a cell that is a sentence and no column's name


@dataclass(frozen=True, slots=True)
class _Layout:
    delimiter: str
    header: list[str] | None  # None: the first row is data
    before: int = 0  # rows above the header


def read_table(
    lines: Iterator[Line], file: str, options: Options, tally: Tally, *, tabs: bool = False
) -> Iterator[Item]:
    """Rows of a CSV, TSV or similar file.

    Args:
        lines: The decoded lines.
        file: The file's name, for errors.
        options: The options of reading.
        tally: Gets the columns and notes.
        tabs: Whether the file's name says that the delimiter is a tab.

    Raises:
        SourceError: The file is empty, or no column holds titles.
    """
    source = Lines(lines)
    layout = _layout(source, options, tabs)
    above: list[CsvRow] = []
    tagged = False
    if layout is None:
        raise SourceError(f"{file} is empty.", "It needs a first line that names its columns.")
    if layout.header is None:
        columns, width, tagged = _by_content(source, layout.delimiter, file, options)
        names = [str(number + 1) for number in range(width)]
        tally.note("no header: columns have numbers")
    else:
        lines_above = _taken(source, layout.before)
        row = next(read_csv(source, layout.delimiter), None)
        names = row.fields if row is not None and row.fields else layout.header
        names = [name.lstrip("\ufeff") for name in names]
        columns = find_columns(names, options.mapping, file, options.extra)
        width = len(names)
        above = _rows_above(lines_above, layout.delimiter, width)
        if layout.before:
            kept = f"{len(above):,} rows stand above it" if above else "what stands above it is left out"
            tally.note(f"the header is row {layout.before + 1}: {kept}")
    tally.names, tally.columns = names, dict(columns)
    note_times(tally)
    in_utc = says_utc(columns.get("published_at", ""))
    places = [(field, names.index(column)) for field, column in columns.items()]
    header = None if layout.header is None else names
    delimiter = layout.delimiter if header is None else _delimiter_below(source, layout.delimiter, width)
    if delimiter != layout.delimiter:
        tally.note(f"rows are delimited by {delimiter!r}, the header by {layout.delimiter!r}")
    spare = {} if header is None else spare_places(names, options.mapping)
    for row in chain(above, read_csv(source, delimiter, width)):
        if row.fault:
            yield Item(row.line, {}, shorten(row.text, 200), row.fault)
        elif not row.text.isascii() and (byte := undecodable(row.text)) is not None:
            yield Item(
                row.line, {}, printable(shorten(row.text, 200)), f"The row cannot be decoded: byte 0x{byte:02x}."
            )
        else:
            cells = row.fields
            if cells[0][:1] == "\ufeff":  # of a file that was joined to another
                cells[0] = cells[0].lstrip("\ufeff")
            count = len(cells)
            fields: dict[str, Any] = {field: cells[place] for field, place in places if place < count}
            if not NULLS.isdisjoint(fields.values()):
                fields = {field: _without_null(field, cell) for field, cell in fields.items()}
            if tagged:
                fields["title"] = _in_tags(fields.get("title", ""))
            if in_utc:
                fields[IN_UTC] = True
            if spare:
                fill_missing(fields, spare, partial(_cell, cells), options.time_format)
            if cells == header or (header is None and count > 1 and _is_header_below(cells, columns)):
                yield Item(row.line, {}, row.text, "The row repeats the header.")
            else:
                yield Item(row.line, fields, row.text)


def _taken(source: Lines, count: int) -> list[Line]:
    """The lines above the one that follows this many, counted as in the sample: whole ones that are not blank."""
    taken: list[Line] = []
    while count and (line := source.next()) is not None:
        taken.append(line)
        count -= bool(line[2] and line[1].strip())
    return taken


def _delimiter_below(source: Lines, delimiter: str, width: int) -> str:
    """The delimiter of the rows: the header's, unless that makes no row as wide as the header and another makes all so."""
    rows = [text for _, text, whole in source.ahead(_SAMPLE) if whole and text.strip()]
    if width < 2 or not rows or any(len(split(row, delimiter)) == width for row in rows):
        return delimiter
    fitting = (other for other in DELIMITERS if all(len(split(row, other)) == width for row in rows))
    return next(fitting, delimiter)


def _rows_above(lines: list[Line], delimiter: str, width: int) -> list[CsvRow]:
    """The rows above the header that are as wide as it is, as a sorted or joined file has them; other lines are notes.

    A row with one cell alone, or behind a #, may be either: it is refused, so that it is counted.
    """
    rows = []
    for row in read_csv(Lines(lines), delimiter):
        alone = sum(map(bool, map(str.strip, row.fields))) < 2
        if row.fault or (len(row.fields) == width and not alone and not row.text.startswith("#")):
            rows.append(row)
        elif len(row.fields) == width:
            rows.append(row._replace(fault="The row stands above the header, and looks like a note."))
    return rows


def _is_header_below(cells: list[str], columns: Mapping[str, str]) -> bool:
    """Whether a row of a table without a header on top is one: a sorted or joined file may have it anywhere."""
    place = int(columns["title"]) - 1
    return place < len(cells) and is_title(cells[place].strip('"\ufeff')) and _is_header(cells)


def _cell(cells: list[str], field: str, place: int) -> str:
    """A row's cell; empty where the row is too short to have it."""
    return _without_null(field, cells[place]) if place < len(cells) else ""


def _without_null(field: str, cell: str) -> str:
    """The cell; empty where it is a null. A title keeps it, so that the row is refused for what it has."""
    return "" if cell in NULLS and field != "title" else cell


def read_lines(lines: Iterator[Line], tally: Tally) -> Iterator[Item]:
    """One headline a line."""
    tally.columns = {"title": "the line"}
    for number, text, whole in lines:
        if not text.strip():
            continue
        byte = undecodable(text)
        if not whole:
            yield Item(number, {}, shorten(text, 200), "The line is too long.")
        elif byte is not None:
            yield Item(number, {}, printable(shorten(text, 200)), f"The row cannot be decoded: byte 0x{byte:02x}.")
        else:
            yield Item(number, {"title": text}, text)


def is_table(text: str) -> bool:
    """Whether a line of a plain text file is the header of a table: it names titles and one field more."""
    return any(_is_header(split(text, delimiter)) for delimiter in DELIMITERS if delimiter in text)


def _layout(source: Lines, options: Options, tabs: bool) -> _Layout | None:
    sample = _joined([text for _, text, whole in source.ahead(_SAMPLE) if whole and text.strip()])
    if not sample:
        return None
    first = sample[0]
    if (told := re.fullmatch(r'"?sep=(.)"?\s*', first)) and len(sample) > 1:  # Excel names the delimiter so
        while (line := source.next()) is not None and not line[1].startswith(("sep=", '"sep=')):
            pass
        return _Layout(told[1], None if options.header is False else split(sample[1], told[1]))
    given = ["\t"] if tabs else [delimiter for delimiter in DELIMITERS if delimiter in first]
    delimiter = max(given, key=first.count) if given else NO_DELIMITER
    if options.header is not False:
        for candidate in sorted([*given, NO_DELIMITER], key=lambda sign: sign != delimiter):
            header = split(first, candidate)
            if _names_titles(header, options) or options.header:
                return _Layout(candidate, header)
    if options.header is None and (below := _below_preamble(sample)) is not None:
        return below
    if options.header is None and not any(map(_is_data, split(first, delimiter))):
        return _Layout(delimiter, split(first, delimiter))  # a header that names no titles
    return _Layout("\t" if tabs else _delimiter_of_rows(sample), None)


def _joined(lines: list[str]) -> list[str]:
    """The lines, each of whose ends is escaped together with the next: a row of MySQL's that holds a line break."""
    joined: list[str] = []
    for line in lines:
        if joined and "\t" in joined[-1] and ends_escaped(joined[-1]):
            joined[-1] = joined[-1].rstrip("\r\n") + " " + line
        else:
            joined.append(line)
    return joined


def _below_preamble(sample: list[str]) -> _Layout | None:
    """The layout of a table whose header stands below lines of notes; None where no line among the first is a header."""
    for number, text in enumerate(sample[1:], 1):
        for delimiter in DELIMITERS:
            if delimiter in text and _is_header(header := split(text, delimiter)):
                return _Layout(delimiter, header, number)
    return None


def _is_header(cells: list[str]) -> bool:
    return len(find_known_columns(cells, {})) > 1 and any(map(is_title, cells))


def _names_titles(header: list[str], options: Options) -> bool:
    """Whether a row is a header: it names titles, or all that the user names."""
    if options.mapping:
        found = find_known_columns(header, options.mapping)
        if all(field in found for field in options.mapping):
            return True
    return any(map(is_title, header))


def _is_data(cell: str) -> bool:
    """Whether a cell is no name of a column: a link, a number, a time, a list, a sentence."""
    text = cell.strip()
    return bool(
        _LINK.match(text)
        or _NUMBER.fullmatch(text)
        or text in ("[]", "{}")
        or len(text.split()) >= _WORDS
        or _is_time(text)
    )


def _is_time(text: str) -> bool:
    if not any(map(str.isdigit, text)):
        return False
    time = parse_time(text, order="day")
    return time is not None and time.milliseconds is not None


def _delimiter_of_rows(sample: list[str]) -> str:
    """The delimiter of rows without a header: it gives every row as many fields, not all of them text; else none."""
    for delimiter in "\t|;,":
        rows = [split(text, delimiter) for text in sample]
        widths = {len(row) for row in rows}
        if len(widths) == 1 and widths.pop() > 1:
            plain = any(
                all(_is_data(row[place]) and not _is_sentence(row[place]) for row in rows)
                for place in range(len(rows[0]))
            )
            if delimiter in "\t|" or plain:
                return delimiter
    return NO_DELIMITER


def _is_sentence(text: str) -> bool:
    return len(text.split()) >= _WORDS and not _is_time(text.strip())


def _by_content(source: Lines, delimiter: str, file: str, options: Options) -> tuple[dict[str, str], int, bool]:
    """Columns by number for a table without a header, as the user says, else by content; how many columns it has.

    The last value says whether the titles stand between tags in their column.
    """
    rows = [split(text, delimiter) for text in _joined([text for _, text, _ in source.ahead(_SAMPLE) if text.strip()])]
    width = max(map(len, rows))
    numbers = [str(number + 1) for number in range(width)]
    found = dict(options.mapping)
    for column in options.mapping.values():
        if column not in numbers:
            raise SourceError(
                f"{file} is read without a header, and has no column {column!r}.",
                f"Name its columns by numbers from 1 to {width}: --column title=1.",
            )
    cells = {number: [row[int(number) - 1] for row in rows if len(row) >= int(number)] for number in numbers}
    cells = {
        number: [cell for cell in column if cell.strip() and cell not in NULLS] for number, column in cells.items()
    }
    free = [number for number in numbers if number not in found.values() and cells[number]]
    links = [number for number in free if all(_LINK.match(cell.strip()) for cell in cells[number])]
    times = [number for number in free if all(_is_time(cell.strip()) for cell in cells[number])]
    texts = [number for number in free if number not in (*links, *times) and _is_text(cells[number])]
    for field, candidates in (("url", links), ("published_at", times)):
        if candidates and field not in found:
            found[field] = candidates[0]
    tagged = [number for number in free if 2 * sum(map(bool, map(_in_tags, cells[number]))) > len(cells[number])]
    if tagged and "title" not in found:
        return {**found, "title": tagged[0]}, width, True
    if "title" not in found:
        if width == 1:
            texts = ["1"]
        if not 0 < len(texts) <= 2:
            first = ", ".join(f"{number} {shorten(cell, 30)!r}" for number, cell in zip(numbers, rows[0], strict=False))
            raise (
                SourceError(
                    f"{file} has no header, and which column holds titles does not show: {first}.",
                    "Name the column by its number: --no-header --column title=1.",
                )
                if texts or options.header is False
                else SourceError(
                    f"{file} has no column of titles; it has {listed(rows[0])}.",
                    "Name the column with --column title=COLUMN, or by number with --no-header --column title=1.",
                )
            )
        found["title"] = texts[0]
        if len(texts) == 2 and "description" not in found:
            found["description"] = texts[1]
    return found, width, False


def _in_tags(cell: str) -> str:
    """What stands between the tags of a title in a cell, as GDELT's has it: `<PAGE_TITLE>Mill shuts</PAGE_TITLE>`."""
    found = _TITLE_TAGS.search(cell)
    return "" if found is None else found[2].strip()


def _is_text(cells: list[str]) -> bool:
    """Whether a column holds sentences: three words or more at the median, mostly of letters.

    Six characters of a script that may write no spaces count as a word.
    """
    words = sorted(len(cell.split()) if cell.isascii() else max(len(cell.split()), len(cell) // 6) for cell in cells)
    letters = sum(sum(map(str.isalpha, cell)) for cell in cells)
    return words[len(words) // 2] >= 3 and letters > sum(map(len, cells)) / 2
