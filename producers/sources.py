"""Headlines from files and standard input: CSV, JSON lines and Parquet, plain or gzipped, row by row.

Rows stream: memory does not grow with the file. A bad row becomes a `Rejected` with its line and reason, and the rows
after it go on; a file that cannot be read (any further) raises a `SourceError` that names the place.
"""

import gzip
import json
import math
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import IO, Any, Literal

from newstide.core.errors import InvalidHeadline, SourceError
from newstide.core.headline import DEFAULTS, Limits, from_fields
from newstide.core.text import shorten
from producers.columns import find_columns, find_known_columns, no_title
from producers.csv_rows import CsvRow, read_csv
from producers.lines import numbered_lines
from producers.rows import Rejected, Row
from producers.times import parse_file_time

Format = Literal["csv", "jsonl", "parquet"]

_SUFFIXES: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_MAX_ARRAY = 256 * 1024 * 1024  # bytes of a JSON array, which cannot be read piece by piece
_HOPELESS = 1_000  # records without a title before a file is given up
_PARQUET_BATCH = 1_000  # rows


def read_files(
    paths: Sequence[str | Path],
    mapping: Mapping[str, str] | None = None,
    *,
    file_format: str | None = None,
    assume_zone: tzinfo = UTC,
    now: Callable[[], float] = time.time,
    limits: Limits = DEFAULTS,
) -> Iterator[Row | Rejected]:
    """Reads files one after another.

    Args:
        paths: Files; `-` is standard input.
        mapping: Field of a headline to column, where the common names do not fit.
        file_format: `csv`, `jsonl` or `parquet`; by default from the file's name, else from its first bytes.
        assume_zone: What times without a zone are in.
        now: The time, epoch seconds.
        limits: Of a headline.

    Raises:
        SourceError: A file is missing, damaged, or has no titles; rows before the damage have been yielded.
        SettingsError: The mapping names a field that headlines do not have.
    """
    if file_format not in (None, "csv", "jsonl", "parquet"):
        raise SourceError(f"There is no format {file_format!r}.", "Formats are csv, jsonl and parquet.")
    build = _Builder(mapping or {}, assume_zone, now, limits)
    for path in paths:
        name = "standard input" if str(path) == "-" else str(path)
        with _opened(path, name) as stream:
            chosen = file_format or _format_of(str(path), stream)
            if chosen == "parquet":
                yield from _parquet(stream, name, build)
            elif chosen == "jsonl":
                yield from _json(stream, name, build)
            else:
                yield from _csv(stream, name, build)


@dataclass(frozen=True, slots=True)
class _Builder:
    """Makes a headline of a record, or says why not."""

    mapping: Mapping[str, str]
    zone: tzinfo
    now: Callable[[], float]
    limits: Limits

    def __call__(self, record: Mapping[str, Any], columns: Mapping[str, str], file: str, line: int) -> Row | Rejected:
        try:
            fields = {field: _value(record.get(column)) for field, column in columns.items()}
            published_at = parse_file_time(fields.get("published_at"), self.zone)
            fields["published_at"] = published_at
            decoded = from_fields(fields, int(self.now() * 1000), self.limits)
        except InvalidHeadline as error:
            return Rejected(file, line, error.message, _text_of(record))
        return Row(decoded.headline, published_at is not None and not decoded.ahead, file, line)


def _csv(stream: IO[bytes], file: str, build: _Builder) -> Iterator[Row | Rejected]:
    header: list[str] | None = None
    columns: dict[str, str] = {}
    for row in read_csv(_lines(stream, file), tabs=file.endswith((".tsv", ".tsv.gz"))):
        if row.fault:
            yield Rejected(file, row.line, row.fault, shorten(row.text, 200))
        elif header is None:
            header = list(row.fields)
            columns = find_columns(header, build.mapping, file)
        elif (bad := _not_utf8(row)) is not None:
            yield Rejected(file, row.line, bad, shorten(row.text, 200).encode("utf-8", "replace").decode())
        else:
            yield build(dict(zip(header, row.fields, strict=False)), columns, file, row.line)
    if header is None:
        raise SourceError(f"{file} is empty.", "It needs a first line that names its columns.")


def _not_utf8(row: CsvRow) -> str | None:
    for field in row.fields:
        if not field.isascii():
            try:
                field.encode()
            except UnicodeEncodeError as error:
                return f"The row is not UTF-8: byte 0x{ord(field[error.start]) - 0xDC00:02x}."
    return None


def _json(stream: IO[bytes], file: str, build: _Builder) -> Iterator[Row | Rejected]:
    records = _array(stream, file) if _first_character(stream, file) == b"[" else _json_lines(stream, file)
    seen: dict[tuple[str, ...], dict[str, str]] = {}
    titled = False
    tried = 0
    for line, record in records:
        if isinstance(record, Rejected):
            yield record
            continue
        keys = tuple(record)
        if keys not in seen:
            if len(seen) > 10_000:  # records with keys of their own each: no layout to remember
                seen.clear()
            seen[keys] = find_known_columns(keys, build.mapping)
        titled = titled or "title" in seen[keys]
        tried += 1
        if not titled and tried == _HOPELESS:
            raise no_title(dict.fromkeys(key for keys in seen for key in keys), file)
        yield build(record, seen[keys], file, line)
    if tried and not titled:
        raise no_title(dict.fromkeys(key for keys in seen for key in keys), file)


def _json_lines(stream: IO[bytes], file: str) -> Iterator[tuple[int, Any]]:
    for number, text, whole in _lines(stream, file):
        if not text.strip():
            continue
        if not whole:
            yield number, Rejected(file, number, "The line is too long.", shorten(text, 200))
            continue
        try:
            record = json.loads(text.encode("utf-8", "surrogateescape"))
            reason = "" if isinstance(record, dict) else f"The line is a JSON {type(record).__name__}, not an object."
        except UnicodeDecodeError as error:
            reason = f"The line is not UTF-8: byte 0x{error.object[error.start]:02x}."
        except RecursionError:
            reason = "The line's JSON is nested too deeply."
        except ValueError as error:
            reason = f"The line is not JSON: {shorten(str(error), 200)}"
        clean = shorten(text.strip(), 200).encode("utf-8", "replace").decode()
        yield number, Rejected(file, number, reason, clean) if reason else record


def _array(stream: IO[bytes], file: str) -> Iterator[tuple[int, Any]]:
    text = stream.read(_MAX_ARRAY + 1)
    if len(text) > _MAX_ARRAY:
        raise SourceError(f"{file} is a JSON array of more than 256 MiB.", "Write one object per line (JSONL).")
    try:
        records = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"{file} is no JSON array: {shorten(str(error), 200)}.", "Write one object per line."
        ) from None
    for number, record in enumerate(records, 1):
        if isinstance(record, dict):
            yield number, record
        else:
            reason = f"The element is a JSON {type(record).__name__}, not an object."
            yield number, Rejected(file, number, reason, shorten(repr(record), 200))


def _parquet(stream: IO[bytes], file: str, build: _Builder) -> Iterator[Row | Rejected]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    with _seekable(stream) as seekable:
        try:
            parquet = pq.ParquetFile(seekable)
            columns = find_columns(parquet.schema_arrow.names, build.mapping, file)
            for batch in parquet.iter_batches(_PARQUET_BATCH, columns=sorted(set(columns.values()))):
                for record in batch.to_pylist():
                    number += 1
                    yield build(record, columns, file, number)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SourceError(
                f"{file} cannot be read as Parquet after row {number:,}: {shorten(str(error), 200)}", "Is it complete?"
            ) from None


@contextmanager
def _opened(path: str | Path, name: str) -> Iterator[Any]:
    """The file's bytes, decompressed where they are gzipped; a stream that can be peeked into."""
    try:
        stream: Any = sys.stdin.buffer if str(path) == "-" else Path(path).open("rb")  # noqa: SIM115
    except OSError as error:
        raise SourceError(f"{name} cannot be opened: {error.strerror}.", "Correct the path.") from None
    try:
        yield gzip.GzipFile(fileobj=stream) if stream.peek(2)[:2] == b"\x1f\x8b" else stream
    finally:
        if str(path) != "-":
            stream.close()


def _format_of(path: str, stream: Any) -> Format:
    suffix = Path(path.removesuffix(".gz")).suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    start = _peek(stream, path)
    if start.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") else "csv"


def _first_character(stream: Any, file: str) -> bytes:
    return _peek(stream, file).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]


def _peek(stream: Any, file: str) -> bytes:
    try:
        return bytes(stream.peek(4096))
    except (EOFError, OSError, zlib.error) as error:
        raise SourceError(f"{file} is damaged: {error}.", "Is it complete?") from None


def _lines(stream: IO[bytes], file: str) -> Iterator[tuple[int, str, bool]]:
    number = 0
    try:
        for number, text, whole in numbered_lines(stream):
            yield number, text, whole
    except (EOFError, OSError, zlib.error) as error:
        raise SourceError(f"{file} is damaged after line {number:,}: {error}.", "Is it complete?") from None


@contextmanager
def _seekable(stream: Any) -> Iterator[Any]:
    """Parquet is read from its end: what cannot be sought is copied to a temporary file first."""
    if stream.seekable() and not isinstance(stream, gzip.GzipFile):
        yield stream
        return
    with tempfile.TemporaryFile() as copy:
        try:
            shutil.copyfileobj(stream, copy)
        except (EOFError, zlib.error) as error:
            raise SourceError(f"The gzipped Parquet file is damaged: {error}.", "Is it complete?") from None
        copy.seek(0)
        yield copy


def _value(value: Any) -> Any:
    """A cell as the contract wants it: NaN is missing, a nested source is its name, an identifier is text."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Mapping):
        return value.get("name") or value.get("title")
    if isinstance(value, float) and value.is_integer():  # integers beside missing ones come as floats
        return int(value)
    return value


def _text_of(record: Mapping[str, Any]) -> str:
    return shorten(json.dumps(record, ensure_ascii=False, default=str), 200).encode("utf-8", "replace").decode()
