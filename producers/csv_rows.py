"""CSV rows with the line they start on, where one stray quote costs one row and not the rest of the file."""

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_DELIMITERS = ",;\t|"
_MAX_LINES = 1_000  # of one row: with more, its quote was never closed
_UNCLOSED = "A quote that opens in this row is not closed."


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row: the line it starts on (from 1), its fields, its text; or what is wrong with it."""

    line: int
    fields: tuple[str, ...]
    text: str
    fault: str = ""


def read_csv(lines: Iterable[tuple[int, str, bool]], *, tabs: bool = False) -> Iterator[CsvRow]:
    """Rows of a CSV file, the header first; empty lines are left out.

    The standard library's parser does the parsing; here stands what it lacks. A row whose quote is not closed is faulty
    in its first line alone: the following lines are read again as rows of their own. It shows by the end of the file,
    by text behind the quote that seems to close it, or by more fields than the header has.

    Args:
        lines: Number, text with its line end, and whether the text is whole.
        tabs: The delimiter is a tab; else it is found in the header.
    """
    source = _Lines(lines)
    csv.field_size_limit(max(csv.field_size_limit(), 16 * 1024 * 1024))
    delimiter = "\t" if tabs else ""
    width = 0
    while (taken := source.next()) is not None:
        number, text, whole = taken
        if not whole:
            yield CsvRow(number, (), text, "The line is too long.")
            continue
        if not text.strip():
            continue
        delimiter = delimiter or max(_DELIMITERS, key=text.count)
        fields, more, fault = _parse(text, delimiter, source)
        if width and len(fields) > width and any(field.strip() for field in fields[width:]):
            fault = fault or f"The row has {len(fields)} fields, the header {width}: is a delimiter not quoted?"
        if fault:
            source.give_back(more)
            yield CsvRow(number, (), text, fault)
            continue
        width = width or len(fields)
        yield CsvRow(number, tuple(fields), text + "".join(line for _, line, _ in more))


class _Lines:
    """Lines that can be given back."""

    def __init__(self, lines: Iterable[tuple[int, str, bool]]) -> None:
        self._source = iter(lines)
        self._waiting: deque[tuple[int, str, bool]] = deque()

    def next(self) -> tuple[int, str, bool] | None:
        return self._waiting.popleft() if self._waiting else next(self._source, None)

    def give_back(self, lines: Iterable[tuple[int, str, bool]]) -> None:
        self._waiting.extendleft(reversed(list(lines)))


def _parse(first: str, delimiter: str, source: _Lines) -> tuple[list[str], list[tuple[int, str, bool]], str]:
    """The fields of the row that starts with this line, the further lines it takes, and what is wrong with it."""
    more: list[tuple[int, str, bool]] = []
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


def _strict(first: str, more: list[tuple[int, str, bool]], delimiter: str) -> bool:
    """Whether a row of several lines obeys the rules; two stray quotes in different rows do not."""
    try:
        next(csv.reader([first, *(line for _, line, _ in more)], delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    return True
