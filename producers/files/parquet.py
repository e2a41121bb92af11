"""Parquet: times of every unit and zone, nested columns by path, and cells whose faults concern their row alone."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from newstide.core.errors import SourceError
from newstide.core.field_values import at_path, value_of
from newstide.core.instants import Instant
from newstide.core.known_names import says_utc
from newstide.core.text import shorten
from producers.files.columns import (
    IN_UTC,
    Place,
    fill_missing,
    find_columns,
    find_known_columns,
    note_times,
    spare_places,
)
from producers.files.containers import DAMAGE, Opened, require_plausible, seekable
from producers.files.documents import read_records
from producers.files.options import Item, Options
from producers.tally import Tally

_BATCH = 1_000  # rows
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DAY = 86_400_000


class _Undecodable:
    """A cell whose bytes are not UTF-8."""

    def __init__(self, value: bytes) -> None:
        self.value = value


def read_parquet(found: Opened, file: str, options: Options, tally: Tally) -> Iterator[Item]:
    """Rows of a Parquet file, numbered from 1.

    Raises:
        SourceError: The file is damaged or encrypted, or no column holds titles; rows before the damage were yielded.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0

    def counted(rows: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[tuple[int, dict[str, Any]]]:
        nonlocal number
        for row in rows:
            number = row[0]
            yield row

    try:
        with seekable(found) as stream:
            table = pq.ParquetFile(stream, memory_map=False)
            schema = table.schema_arrow
            if _is_of_records(schema, options):
                rows = counted(_rows(table, schema.names, file, stream))
                yield from read_records(map(_as_document, rows), file, options, tally)
                return
            names = list(_paths(schema))
            columns = find_columns(names, options.mapping, file, options.extra)
            tally.names, tally.columns = names, dict(columns)
            note_times(tally)
            spare = {
                field: [place._replace(at=schema.names[place.at]) for place in places]
                for field, places in spare_places(schema.names, options.mapping).items()
            }
            tops = {column if column in schema.names else column.split(".")[0] for column in columns.values()}
            needed = sorted(tops.union(place.at for places in spare.values() for place in places))
            for row, record in counted(_rows(table, needed, file, stream)):
                yield _item(row, record, columns, spare, options.time_format)
    except (pa.ArrowException, *DAMAGE, MemoryError, KeyError) as error:
        if "encrypt" in str(error).lower() or "decrypt" in str(error).lower():
            raise SourceError(f"{file} is an encrypted Parquet file.", "Write it without encryption.") from None
        raise SourceError(
            f"{file} cannot be read as Parquet after row {number:,}: {shorten(str(error), 200)}",
            "Is the file complete?",
        ) from None


def _is_of_records(schema: Any, options: Options) -> bool:
    """Whether the rows are read as JSON's objects are: titles stand in no column, and may stand within one."""
    import pyarrow as pa

    nested = any(pa.types.is_nested(field.type) for field in schema)
    return nested and not options.mapping and "title" not in find_known_columns(schema.names, {})


def _rows(table: Any, needed: list[str], file: str, stream: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their numbers, from 1."""
    size, came, number = stream.seek(0, 2), 0, 0
    for batch in table.iter_batches(_BATCH, columns=needed):
        came += batch.nbytes
        require_plausible(file, size, came)
        cells = {name: _cells(batch.column(batch.schema.names.index(name))) for name in needed}
        for row in range(batch.num_rows):
            number += 1
            yield number, {name: cells[name][row] for name in needed}


def _as_document(row: tuple[int, dict[str, Any]]) -> tuple[int, Any]:
    """A row as a JSON document; the refused row where a cell in it cannot be decoded."""
    number, record = row
    bad = next(_undecodable(record), None)
    if bad is None:
        return row
    return number, Item(
        number, {}, shorten(repr(bad), 200), f"The row cannot be decoded: it holds {shorten(repr(bad))}."
    )


def _undecodable(value: Any) -> Iterator[bytes]:
    if isinstance(value, _Undecodable):
        yield value.value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _undecodable(inner)


def _item(
    number: int,
    record: Mapping[str, Any],
    columns: Mapping[str, str],
    spare: Mapping[str, list[Place]],
    time_format: str | None,
) -> Item:
    fields = {}
    for field, column in columns.items():
        value = at_path(record, column)
        if isinstance(value, _Undecodable):
            reason = f"The row cannot be decoded: its {column!r} is {shorten(repr(value.value))}."
            return Item(number, {}, shorten(repr(value.value), 200), reason)
        fields[field] = _value(field, value)
    if says_utc(columns.get("published_at", "")):
        fields[IN_UTC] = True
    fill_missing(fields, spare, lambda field, name: _value(field, record[name]), time_format)
    return Item(number, fields, record)


def _value(field: str, value: Any) -> Any:
    return value if isinstance(value, str | Instant) else value_of(field, value)


def _paths(schema: Any) -> Iterator[str]:
    """The names of columns, then the dotted paths of fields that are nested in them."""
    import pyarrow as pa

    yield from schema.names
    waiting = [(field.name, field.type) for field in schema]
    while waiting:
        path, kind = waiting.pop(0)
        while pa.types.is_list(kind) or pa.types.is_large_list(kind):
            kind = kind.value_type
        if pa.types.is_struct(kind):
            for inner in kind:
                yield f"{path}.{inner.name}"
                waiting.append((f"{path}.{inner.name}", inner.type))


def _cells(column: Any) -> list[Any]:
    """The values of a column, each read by itself, so that a bad one does not affect others."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        values = _cells(column.dictionary)
        return [None if place is None else values[place] for place in column.indices.to_pylist()]
    if pa.types.is_timestamp(kind):
        per = _PER_SECOND[kind.unit]
        whole = column.cast(pa.int64()).to_pylist()
        return [None if value is None else Instant(value * 1_000 // per, kind.tz is not None) for value in whole]
    if pa.types.is_date32(kind):
        return [
            None if day is None else Instant(day * _DAY, False, True) for day in column.cast(pa.int32()).to_pylist()
        ]
    if pa.types.is_date64(kind):
        whole = column.cast(pa.int64()).to_pylist()
        return [None if value is None else Instant(value, False, value % _DAY == 0) for value in whole]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        binary = pa.large_binary() if pa.types.is_large_string(kind) else pa.binary()
        return list(map(_text, column.cast(binary).to_pylist()))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return list(map(_text, column.to_pylist()))
    if pa.types.is_struct(kind):
        inner = {field.name: _cells(part) for field, part in zip(kind, column.flatten(), strict=True)}
        return [{name: values[row] for name, values in inner.items()} for row in range(len(column))]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        values = _cells(column.values)
        ends = column.offsets.to_pylist()
        valid = column.is_valid().to_pylist()
        return [values[ends[row] : ends[row + 1]] if valid[row] else None for row in range(len(column))]
    if pa.types.is_map(kind):
        return [None if pairs is None else dict(pairs) for pairs in column.to_pylist()]
    if pa.types.is_time32(kind):
        column = column.cast(pa.int32())
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        per = _PER_SECOND[kind.unit]
        return [None if value is None else _hours(value / per) for value in column.cast(pa.int64()).to_pylist()]
    return list(column.to_pylist())


def _hours(seconds: float) -> str:
    """A time of day or a duration as `10:00:00`: a text that no reader of times takes for a moment."""
    whole = math.floor(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def _text(value: bytes | None) -> Any:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return _Undecodable(value or b"")
