"""CSV rows with the line they start on, where one stray quote costs one row and not the rest of the file."""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from producers.files.encodings import Line

DELIMITERS = ",;\t|"
NO_DELIMITER = "\x1f"  # the delimiter of a table of one column: a character that no text holds
_MAX_LINES = 20_000  # lines of one row; a longer row has a quote that was never closed
_MAX_ESCAPED = 1_000  # lines of a row whose line breaks are escaped
_ESCAPED = re.compile(r"\\\r?\n|\\\r")
_UNCLOSED = "A quote that opens in this row is not closed."


class CsvRow(NamedTuple):
    """One row: its first line (from 1), its fields and its text, or its fault."""

    line: int
    fields: list[str]
    text: str
    fault: str = ""


class Lines:
    """An iterator of lines that takes lines back."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._source = iter(lines)
        self._waiting: deque[Line] = deque()

    def __iter__(self) -> Iterator[Line]:
        """The lines, as `next` returns them."""
        waiting = self._waiting
        while True:
            if waiting:
                yield waiting.popleft()
            elif (line := next(self._source, None)) is not None:
                yield line
            else:
                return

    def next(self) -> Line | None:
        """The next line; None at the end."""
        return self._waiting.popleft() if self._waiting else next(self._source, None)

    def give_back(self, lines: Iterable[Line]) -> None:
        """Takes lines back, which `next` then returns again, in their order."""
        self._waiting.extendleft(reversed(list(lines)))

    def ahead(self, count: int) -> list[Line]:
        """The next lines, which `next` will still return."""
        taken: list[Line] = []
        while len(taken) < count and (line := self.next()) is not None:
            taken.append(line)
        self.give_back(taken)
        return taken


def read_csv(source: Lines, delimiter: str, width: int = 0) -> Iterator[CsvRow]:
    """Rows of a CSV file; empty lines, and rows of nothing but delimiters, are left out.

    The standard library's parser parses the rows; this function adds what it lacks. Of a row whose quote is not closed,
    only the first line is faulty: its other lines are read again as rows of their own. Such a row is found by the end of
    the file, by text after the quote that seems to close it, or by more fields than the header has.

    Args:
        source: The lines.
        delimiter: One character; `NO_DELIMITER`: each row is one field.
        width: Fields of the header; 0: any number.
    """
    csv.field_size_limit(max(csv.field_size_limit(), 16 * 1024 * 1024))
    nothing = f'{delimiter}" \t\r\n'
    for taken in source:
        number, text, whole = taken
        if not whole:
            yield CsvRow(number, [], text, "The line is too long.")
            continue
        if '"' not in text:  # most rows hold no quote
            fields = text.rstrip("\r\n").split(delimiter)
            escaped = (
                width > 1 and "\\" in text[-3:] and (len(fields) < width or delimiter == "\t") and ends_escaped(text)
            )
            if escaped and (row := _escaped(taken, delimiter, width, source)) is not None:
                yield row
                continue
            if not width or len(fields) <= width:
                if text.strip(nothing):
                    yield CsvRow(number, fields, text)
                continue
        row = _row(number, text, delimiter, width, source)
        if row.fault or any(map(str.strip, row.fields)):
            yield row


def ends_escaped(line: str) -> bool:
    """Whether a line's end is escaped, as MySQL writes a line break in a value: behind a backslash."""
    text = line.rstrip("\r\n")
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def split(text: str, delimiter: str) -> list[str]:
    """The fields of a row of one line, without any repair."""
    try:
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        return []


def _escaped(first: Line, delimiter: str, width: int, source: Lines) -> CsvRow | None:
    """The row whose first line's end is escaped; None where it and the lines after it make no row of the header's width."""
    number, text, _ = first
    more: list[Line] = []
    while ends_escaped(text) and len(more) < _MAX_ESCAPED and (line := source.next()) is not None:
        more.append(line)
        text += line[1]
    fields = text.rstrip("\r\n").split(delimiter)
    if len(fields) == width and all(whole for _, _, whole in more):
        return CsvRow(number, [_ESCAPED.sub("\n", field) for field in fields], text)
    source.give_back(more)
    return None


@lru_cache  # to make one takes as long as to read a row
def _strict_dialect(delimiter: str) -> Any:
    return csv.reader((), delimiter=delimiter, strict=True).dialect


def _row(number: int, text: str, delimiter: str, width: int, source: Lines) -> CsvRow:
    text = text.lstrip("\ufeff")  # of a file that was joined to another
    try:  # most rows with quotes
        fields = next(csv.reader((text,), _strict_dialect(delimiter)))
        if not width or len(fields) <= width:
            if ' "' in text and any(field.lstrip(" ")[:1] == '"' for field in fields if field[:1] == " "):
                fields = _behind_blanks(text, delimiter, width) or fields
            return CsvRow(number, fields, text)
    except csv.Error:
        if '\\"' in text and (other := _otherwise(text, delimiter, width)) is not None:
            return CsvRow(number, other, text)
    fields, more, fault = _parse(text, delimiter, source)
    if width and len(fields) > width and any(field.strip() for field in fields[width:]):
        fault = fault or f"The row has {len(fields)} fields, the header {width}: perhaps a delimiter is not quoted."
    if not fault:
        return CsvRow(number, fields, text + "".join(line for _, line, _ in more))
    source.give_back(more)
    if (other := _otherwise(text, delimiter, width)) is not None:
        return CsvRow(number, other, text)
    return CsvRow(number, [], text, fault)


def _behind_blanks(text: str, delimiter: str, width: int) -> list[str] | None:
    """The fields of a row of one line whose quotes stand behind blanks; None where such quotes are not closed."""
    try:
        fields = next(csv.reader((text,), delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error:
        return None
    return fields if not width or len(fields) <= width else None


def _otherwise(text: str, delimiter: str, width: int) -> list[str] | None:
    """The fields of a row of one line with blanks before its quotes or backslashes before quotes; None for other rows."""
    for dialect in ({"skipinitialspace": True}, {"escapechar": "\\", "doublequote": False}):
        try:
            fields = next(csv.reader([text], delimiter=delimiter, strict=True, **dialect))
        except (csv.Error, StopIteration):
            continue
        if width and len(fields) == width:
            return fields
    return None


def _parse(first: str, delimiter: str, source: Lines) -> tuple[list[str], list[Line], str]:
    """The fields of the row that starts with this line, the further lines of that row, and its fault."""
    more: list[Line] = []
    unclosed = False

    def supply() -> Iterator[str]:
        nonlocal unclosed
        yield first
        while True:
            line = source.next() if len(more) < _MAX_LINES else None
            if line is None:
                unclosed = True
                return
            more.append(line)
            yield line[1]

    try:
        fields = next(csv.reader(supply(), delimiter=delimiter))
    except csv.Error as error:
        return [], more, f"The row is not CSV: {error}."
    return fields, more, _UNCLOSED if unclosed or (more and not _strict(first, more, delimiter)) else ""


def _strict(first: str, more: list[Line], delimiter: str) -> bool:
    """Whether a row of several lines is strict CSV, which rows joined by two stray quotes are not."""
    try:
        next(csv.reader([first, *(line for _, line, _ in more)], delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    return True
