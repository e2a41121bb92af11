"""Headlines from files and standard input, row by row.

Rows stream: memory does not grow with the file, except by 16 bytes a row that find repeated rows. A bad row becomes a
`Rejected` with its line and reason, and the rows after it go on; a file that cannot be read (any further) raises a
`SourceError` that names the place.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

from newstide.core.errors import InvalidHeadline, SourceError
from newstide.core.headline import DEFAULTS, MAX_ID_BYTES, Headline, Limits, derive_id, from_fields
from newstide.core.ids import id_of_link_and_title, names_a_site, stands_alone
from newstide.core.json_texts import BLANK
from newstide.core.nulls import LONGEST_NULL, NULLS
from newstide.core.text import clean_plain, shorten
from newstide.core.unforeseen import unforeseen
from producers.files.containers import DAMAGE, Opened, damaged, opened
from producers.files.dates import Dates
from producers.files.documents import read_document, read_json_lines
from producers.files.encodings import printable, text_lines, whole_text
from producers.files.json_values import is_lines
from producers.files.options import Item, Options
from producers.files.other_texts import require_headlines
from producers.files.parquet import read_parquet
from producers.files.seen import Before, Seen
from producers.files.tables import is_table, read_lines, read_table
from producers.rows import Rejected, Row
from producers.tally import Tally

_SUFFIXES: Mapping[str, str] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".psv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".txt": "lines",
}
_TEXTS = ("description", "source", "url", "language")
_CALLED = {"url": "link"}
_OBJECTS = re.compile(r'(?:\[\s*)?\{\s*"(?:[^"\\]|\\.)*"\s*:')  # begins an object, or an array of objects
_LINE_END = re.compile(r"\r\n?|\n")
_LOOK = 1 << 16  # first bytes that show the format


def read_files(
    paths: Sequence[str | Path],
    mapping: Mapping[str, str] | None = None,
    *,
    file_format: str | None = None,
    assume_zone: tzinfo = UTC,
    now: Callable[[], float] = time.time,
    limits: Limits = DEFAULTS,
    options: Options | None = None,
    tallies: list[Tally] | None = None,
) -> Iterator[Row | Rejected]:
    """Reads files one after another.

    Args:
        paths: Files; `-` is standard input.
        mapping: Field of a headline to column, where the common names do not fit.
        file_format: One of `producers.files.options.FORMATS`; by default from the file's first bytes and its name.
        assume_zone: The time zone of times that name no zone.
        now: Returns the current time, epoch seconds.
        limits: The limits of a headline's values.
        options: All options of reading; they replace `mapping`, `file_format` and `assume_zone`.
        tallies: Gets a tally for each file, which counts while the rows are taken. A row that repeats an earlier one
            of these files is counted there, and not yielded.

    Raises:
        SourceError: A file is missing or damaged, is no table of headlines, or too many of its times cannot be read.
            Rows before the damage were yielded.
        SettingsError: An option is invalid.
    """
    chosen = options or Options(mapping=mapping or {}, file_format=file_format, zone=assume_zone)
    before = Seen()
    for number, path in enumerate(paths, 1):
        name = "standard input" if str(path) == "-" else str(path)
        tally = Tally(name)
        if tallies is not None:
            tallies.append(tally)
        if len(paths) > 1 and _is_empty(path):  # Spark leaves such files beside those with rows
            tally.nothing = "it is empty."
            continue
        build = _Builder(chosen, now, limits, tally, before)
        yield from _read_file(path, name, chosen, tally, build)
        if number < len(paths):
            before.absorb(build.seen)


def _is_empty(path: str | Path) -> bool:
    try:
        return str(path) != "-" and Path(path).is_file() and Path(path).stat().st_size == 0
    except (OSError, ValueError):
        return False


def _read_file(
    path: str | Path, name: str, options: Options, tally: Tally, build: "_Builder"
) -> Iterator[Row | Rejected]:
    with opened(path, name) as found:
        for packing in found.packing:
            tally.note(f"packed with {packing}")
        try:
            items = _items(found, name, options, tally)
            dates = Dates(name, options, tally, build.latest)
            for item in dates.looked_ahead(items):
                try:
                    row = build(item, dates)
                except SourceError:
                    raise
                except Exception as error:  # noqa: BLE001 - it costs its row alone
                    row = build.rejected(item, unforeseen(error))
                if row is not None:
                    yield row
        except DAMAGE as error:
            raise damaged(name, error) from None


def _items(found: Opened, file: str, options: Options, tally: Tally) -> Iterator[Item]:
    """The rows of an opened file, by its format."""
    start = found.stream.head(_LOOK)
    chosen = options.file_format or _format_of(found.name, start, options.encoding)
    if chosen == "parquet" or start.startswith((b"PAR1", b"PARE")):
        if start[:4] not in (b"PAR1", b"PARE"):
            raise SourceError(
                f"{file} cannot be read as Parquet: its first bytes are not those of a Parquet file.",
                "Check that the file is complete.",
            )
        tally.note("Parquet")
        return read_parquet(found, file, options, tally)
    if chosen != "csv" and len(start) < _LOOK and not _text(start, options.encoding).strip(BLANK):
        raise SourceError(f"{file} is empty.", "It needs one headline at least.")
    if chosen == "document":
        tally.note("JSON")
        return read_document(found.stream, file, options, tally)
    if chosen in ("csv", "lines") and options.file_format is None and not found.name.lower().endswith(".txt"):
        text = _text(start, options.encoding)
        require_headlines(text, found.name, file, table=is_table(_first_line(text)))
    lines = text_lines(found.stream, file, options.encoding, tally.note)
    if chosen == "jsonl":
        tally.note("JSON lines")
        return read_json_lines(lines, file, options, tally)
    if chosen == "lines":
        tally.note("a headline a line")
        return read_lines(lines, tally)
    tally.note("CSV")
    return read_table(lines, file, options, tally, tabs=found.name.lower().endswith((".tsv", ".tab")))


def _text(start: bytes, encoding: str | None) -> str:
    return whole_text(start, encoding, lambda _note: None)


def _format_of(name: str, start: bytes, encoding: str | None) -> str:
    suffix = Path(name).suffix.lower()
    text = _text(start, encoding).lstrip(BLANK)
    first = _first_line(text)
    kind = _SUFFIXES.get(suffix, "parquet" if suffix in (".parquet", ".pq") else "")
    if kind == "jsonl" or (text.startswith(("{", "[")) and _begins_json(first, kind)):
        return "jsonl" if is_lines(first) and kind != "document" else "document"
    if kind == "lines" and is_table(first):
        return "csv"
    return kind or "csv"


def _first_line(text: str) -> str:
    return _LINE_END.split(text.lstrip(BLANK), maxsplit=1)[0]


def _begins_json(first: str, kind: str) -> bool:
    """Whether a first line that opens a bracket begins JSON, whatever the file's name says."""
    text = first.strip()
    return (
        kind in ("", "document")
        or text in ("{", "[", "[{")
        or _OBJECTS.match(text) is not None
        or (text.startswith("{") and is_lines(text))
    )


class _Builder:
    """Makes a row a headline or rejects it, and counts the values that are left out."""

    def __init__(self, options: Options, now: Callable[[], float], limits: Limits, tally: Tally, before: Seen) -> None:
        self._now, self._limits, self._tally = now, limits, tally
        self._insisted = options.own_ids or "id" in options.mapping
        self._extra = tuple(options.extra)
        self.seen = Seen()  # of this file, within which the first headline of a link has the link's id
        self._before = before  # of the files before

    def latest(self) -> float:
        """The latest time that a headline may have now, epoch milliseconds."""
        return (self._now() + self._limits.ahead.total_seconds()) * 1000

    def __call__(self, item: Item, dates: Dates) -> Row | Rejected | None:
        if item.fault:
            return self.rejected(item, item.fault)
        fields = item.fields
        written = fields.get("published_at")
        try:
            published_at = dates.read(item)
            fields["published_at"] = published_at
            own = "id" in fields and self._own_id(fields, item.line)
            if item.raw.__class__ is not str:  # a table's cells are texts
                self._leave_out_unreadable(fields, item.line)
            decoded = from_fields(fields, int(self._now() * 1000), self._limits)
        except InvalidHeadline as error:
            return self.rejected(item, error.message)
        headline = self._told_apart(decoded.headline, own, None if decoded.ahead else published_at)
        if headline is None:
            self._tally.twice += 1
            return None
        if own and headline.id != decoded.headline.id:
            self._tally.leave_out("id that another headline has", decoded.headline.id, item.line)
            own = False
        if decoded.ahead:
            self._tally.leave_out("time ahead of now", written, item.line)
        if not headline.language and (language := fields.get("language")) and language.strip():
            self._tally.leave_out("language", language, item.line)
        if fields.get("url") and not headline.url:
            self._tally.leave_out("link", fields["url"], item.line)
        self._tally.given += 1
        self._tally.own_ids += own
        extra = self._beside(item) if self._extra else None
        return Row(headline, published_at is not None and not decoded.ahead, self._tally.name, item.line, extra)

    def _leave_out_unreadable(self, fields: dict[str, Any], line: int) -> None:
        for name in _TEXTS:
            if (value := fields.get(name)).__class__ is str:
                if len(value) <= LONGEST_NULL and value in NULLS:
                    fields[name] = None
            elif value is not None:
                self._tally.leave_out(_CALLED.get(name, name), value, line)
                fields[name] = None

    def _beside(self, item: Item) -> dict[str, Any]:
        """The wanted columns besides a headline's fields, and the id as the file has it."""
        column = self._tally.columns.get("id", "")
        given = item.raw.get(column) if isinstance(item.raw, Mapping) else item.fields.get("id")
        return {**{name: item.fields.get(name) for name in self._extra}, "id": given}

    def _own_id(self, fields: dict[str, Any], line: int) -> bool:
        """Whether a row's own id counts; an id that does not is removed from the fields."""
        given = fields.get("id")
        if given is None or given == "":
            return False
        if isinstance(given, str) and given in NULLS:
            fields["id"] = None
            return False
        fault = "" if self._insisted else _fault_of_id(given)
        if fault:
            self._tally.leave_out(fault, given, line)
            fields["id"] = None
        return not fault

    def _told_apart(self, headline: Headline, own: bool, published_at: int | None) -> Headline | None:
        """The headline with its id in this file; None where it repeats an earlier headline.

        The first headline of an id or a link has it; a later one with another title gets the id of link and title, or of
        source, title and day where it has no link. One with a link that keeps its own id is left to the consumer, which
        knows whether it is an edit; so is one whose id the user insists on.
        """
        title = headline.title.casefold()
        before = self.seen.look(headline.id, title)
        if before is Before.SAME or (self._before and self._before.holds(headline.id, title)):
            return None
        if before is Before.NEW:
            return headline
        id_ = headline.id
        if not headline.url and not (own and self._insisted):
            id_ = derive_id("", headline.source, headline.title, published_at)
        elif not own:
            id_ = id_of_link_and_title(headline.url, headline.title)
        key = f"{id_}\n{title}"
        if self.seen.look(key, title) is not Before.NEW or self._before.holds(key, title):
            return None
        return headline._replace(id=id_)

    def rejected(self, item: Item, reason: str) -> Rejected:
        """Counts a row that is refused for this reason."""
        raw = item.raw if isinstance(item.raw, str) else _text_of(item.raw)
        rejected = Rejected(self._tally.name, item.line, reason, printable(shorten(raw.strip(), 200)))
        self._tally.reject(rejected)
        return rejected


def _fault_of_id(given: Any) -> str:
    """Why a row's own id does not count; empty where it does."""
    text = str(given)
    if isinstance(given, float):
        return "id whose last digits are lost"
    if not stands_alone(text):
        return "id that may be a row's number"
    if names_a_site(text):
        return "id that is a whole site's address"
    long = 4 * len(text) > MAX_ID_BYTES and len(clean_plain(text).encode(errors="replace")) > MAX_ID_BYTES
    return f"id of more than {MAX_ID_BYTES} bytes" if long else ""


def _text_of(record: Any) -> str:
    try:
        return json.dumps(record, ensure_ascii=False, default=repr)
    except (ValueError, RecursionError, TypeError):  # too many digits, deep nesting, or keys that are no text
        return "(cannot be shown)"
