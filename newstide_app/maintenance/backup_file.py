"""A backup as a file: its layout, what is said of it, and its rows, each of which is checked as it is read."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from newstide.core.errors import BackupDamaged, SchemaMismatch
from newstide.core.headline import Limits
from newstide.core.text import shorten
from newstide.milvus import schema
from newstide_app.maintenance.backup_checks import Checks

FORMAT = "1"  # of the file
BATCH = 2_048  # rows in a row group; Lite sends four times as many at once
ORDER_BACK = ("tombstones", "events", "stories", "headlines", "means", "runs")  # runs last: they make the labels count
_MOST_DIMENSIONS = 32_768  # that Milvus takes
_LONGEST = 200  # characters of a name in the foot
_WAY_OUT = "Restore another backup, one that newstide made."


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup holds, or what was done with it; `rows` counts by collection."""

    file: str
    model: str
    made_at: str
    rows: Mapping[str, int]
    bytes: int
    done: str
    seconds: float
    written: Mapping[str, int] = field(default_factory=dict)  # by restoring
    left_out: int = 0  # headlines that were there already
    taken_down: int = 0  # headlines that a tombstone blocks
    mended: Mapping[str, int] = field(default_factory=dict)  # values, by `collection.column`, as in a message
    hint: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def describe(self) -> str:
        """For people."""
        rows = ", ".join(f"{count:,} {kind}" for kind, count in self.rows.items())
        text = f"{self.done} {self.file}: {rows}; {self.model}, {self.bytes / 1e6:,.1f} MB, {self.seconds:.1f} s."
        if self.mended:
            mended = ", ".join(f"{count:,} {name}" for name, count in sorted(self.mended.items()))
            text += f" Values cleaned as those of a message: {mended}."
        if self.written:
            text += (
                f" Headlines written: {self.written.get('headlines', 0):,}; there already: {self.left_out:,}; "
                f"taken down since: {self.taken_down:,}."
            )
        return f"{text} {self.hint}".strip()


def layout_of(dim: int) -> pa.Schema:
    """The columns of a backup of vectors with these dimensions."""
    numbers = ("published_at", "ingested_at", "cluster_label", "label_run")
    types = {name: pa.int64() for name in numbers} | {"label_probability": pa.float32()}
    return pa.schema(
        [
            ("collection", pa.string()),
            *((name, types.get(name, pa.string())) for name in schema.columns("headlines")),
            ("vector", pa.list_(pa.float32(), dim)),
            ("row", pa.string()),
        ]
    )


class Backup:
    """A backup opened for reading, with its foot checked.

    Args:
        file: The backup.
        limits: What a headline may claim.

    Raises:
        BackupDamaged, SchemaMismatch: The file is damaged, no backup, or of another version.
    """

    def __init__(self, file: Path, limits: Limits) -> None:
        self.file = file
        try:
            self._parquet = pq.ParquetFile(file, page_checksum_verification=True)
        except FileNotFoundError:
            raise BackupDamaged(f"There is no file {file}.") from None
        except (OSError, pa.ArrowException) as error:
            raise BackupDamaged(
                f"{file} is no whole Parquet file: {_line(error)}.",
                "Its writing may have been cut off; restore another backup.",
            ) from error
        try:
            self._read_foot()
            self._require_layout()
            now = int(time.time() * 1000)
            runs = self._checked("runs", Checks(str(file), self.card.dim, 0, limits, now), Counter())
            last = max((row["run"] for block in runs for row in block), default=0)
            self._checks = Checks(str(file), self.card.dim, last, limits, now)
        except BaseException:
            self._parquet.close()
            raise

    def check(self) -> Counter[str]:
        """Reads and checks all; returns how many values had to be mended, by `collection.column`.

        Raises:
            BackupDamaged: A page fails its checksum, a value cannot be right, or a key stands twice.
        """
        mended: Counter[str] = Counter()
        for kind in ORDER_BACK:
            blocks = self._checked(kind, self._checks, mended)
            digests = [np.array([hash(row[schema.PRIMARY[kind]]) for row in block], np.int64) for block in blocks]
            self._require_single(kind, np.sort(np.concatenate([np.empty(0, np.int64), *digests])))
        return mended

    def rows(self, kind: str) -> Iterator[list[dict[str, Any]]]:
        """The rows of one collection, some thousands at a time: its columns, and its vector where it is of a model.

        Raises:
            BackupDamaged: As of `check`.
        """
        return self._checked(kind, self._checks, Counter())

    def report(self, done: str, started: float, **more: Any) -> BackupReport:
        """What was done with the file since `started` (of `time.perf_counter`)."""
        size, seconds = self.file.stat().st_size, time.perf_counter() - started
        return BackupReport(str(self.file), self.card.name, self.made_at, self.row_counts, size, done, seconds, **more)

    def __enter__(self) -> "Backup":
        return self

    def __exit__(self, *_: object) -> None:
        self._parquet.close()

    def _read_foot(self) -> None:
        try:
            self._take_from_foot()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise BackupDamaged(f"The foot of {self.file} cannot be read: {error!r:.80}.", _WAY_OUT) from None
        counted: Counter[str] = Counter()
        metadata = self._parquet.metadata
        if metadata.num_row_groups == len(self._groups):
            for place, kind in enumerate(self._groups):
                counted[kind] += metadata.row_group(place).num_rows
        if dict(counted) != {kind: count for kind, count in self.row_counts.items() if count}:
            raise BackupDamaged(
                f"{self.file} holds {metadata.num_rows:,} rows, not those its foot names: {self.row_counts}."
            )

    def _take_from_foot(self) -> None:
        said = {name.decode(): text.decode() for name, text in (self._parquet.metadata.metadata or {}).items()}
        version = said.get("newstide.backup")
        if version is None:
            raise BackupDamaged(
                f"{self.file} is a Parquet file, but no backup of newstide.", "`newstide backup` makes one."
            )
        if version != FORMAT or said["newstide.schema"] not in schema.READABLE:
            raise SchemaMismatch(
                f"{self.file} is a backup of version {shorten(version)} with schema {shorten(said['newstide.schema'])}; "
                f"this newstide reads version {FORMAT} with schema {' or '.join(schema.READABLE)}.",
                "Restore it with the newstide that made it.",
            )
        for name in ("newstide.model", "newstide.fingerprint", "newstide.made_at"):
            if not said[name].isprintable() or len(said[name]) > _LONGEST:
                raise ValueError(f"{name} is {shorten(said[name])!r}")
        self.card = schema.card_of(said)
        if not 1 <= self.card.dim <= _MOST_DIMENSIONS:
            raise ValueError(f"newstide.dimension is {self.card.dim}")
        self.made_at = said["newstide.made_at"]
        self.row_counts: dict[str, int] = json.loads(said["newstide.rows"])
        self._groups: list[str] = json.loads(said["newstide.groups"])
        if unknown := sorted({*self.row_counts, *self._groups} - set(ORDER_BACK)):
            raise BackupDamaged(
                f"{self.file} holds rows of {shorten(repr(unknown[0]))}, which is no collection that newstide has.",
                _WAY_OUT,
            )

    def _require_layout(self) -> None:
        there = self._parquet.schema_arrow
        for wanted in layout_of(self.card.dim):
            place = there.get_field_index(wanted.name)
            found = None if place < 0 else there.field(place).type
            any_length = wanted.name == "vector" and found == pa.list_(pa.float32())
            if found != wanted.type and not any_length:
                has = "is missing" if found is None else f"is of type {found}, not {wanted.type}"
                raise BackupDamaged(f"{self.file}: the column {wanted.name} {has}.", _WAY_OUT)

    def _checked(self, kind: str, checks: Checks, mended: Counter[str]) -> Iterator[list[dict[str, Any]]]:
        first = 1
        for place, own in enumerate(self._groups):
            if own == kind:
                for rows in self._read(place, kind, first):
                    mended.update(
                        {f"{kind}.{name}": count for name, count in checks.mend_rows(kind, rows, first).items()}
                    )
                    first += len(rows)
                    yield rows

    def _read(self, place: int, kind: str, first: int) -> Iterator[list[dict[str, Any]]]:
        """The rows of a row group as they stand, `BATCH` at a time; the first of them is number `first`."""
        names = schema.columns("headlines") if kind == "headlines" else ["row"]
        vector = ["vector"] if kind in schema.COLLECTIONS else []
        try:
            for batch in self._parquet.iter_batches(BATCH, row_groups=[place], columns=["collection", *names, *vector]):
                yield [self._row(kind, one, first + number) for number, one in enumerate(_records(batch))]
                first += len(batch)
        except UnicodeDecodeError:
            number, name = _not_utf8(batch)
            raise BackupDamaged(
                f"{self.file}, row {first + number:,} of {kind}: {name} is not UTF-8.", _WAY_OUT
            ) from None
        except (OSError, pa.ArrowException) as error:
            raise BackupDamaged(
                f"{self.file} is damaged in row group {place} ({kind}): {_line(error)}.", "Take another backup."
            ) from error

    def _row(self, kind: str, record: dict[str, Any], number: int) -> dict[str, Any]:
        where = f"{self.file}, row {number:,} of {kind}"
        if (collection := record.pop("collection")) != kind:
            raise BackupDamaged(f"{where}: collection = {shorten(repr(collection))}.", _WAY_OUT)
        vector = {schema.VECTOR[kind]: record.pop("vector")} if "vector" in record else {}
        if kind == "headlines":
            for name, value in record.items():
                if value is None:
                    raise BackupDamaged(f"{where}: {name} is missing.", _WAY_OUT)
            return record | vector
        text = record["row"]
        try:
            row = _JSON.decode(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise BackupDamaged(
                f"{where}: row = {shorten(repr(text))} is no JSON: {shorten(_line(error))}.", _WAY_OUT
            ) from None
        if not isinstance(row, dict):
            raise BackupDamaged(f"{where}: row = {shorten(repr(text))} is no JSON object.", _WAY_OUT)
        return row | vector

    def _require_single(self, kind: str, digests: npt.NDArray[np.int64]) -> None:
        """Looks for a key that stands twice, by ascending digests first, so that the keys need not be in memory."""
        twice = set(digests[1:][digests[1:] == digests[:-1]].tolist())
        if not twice:
            return
        key, seen, number = schema.PRIMARY[kind], dict[Any, int](), 0
        for block in self.rows(kind):
            for row in block:
                number += 1
                if hash(row[key]) in twice and seen.setdefault(row[key], number) != number:
                    raise BackupDamaged(
                        f"{self.file}, row {number:,} of {kind}: {key} = {shorten(repr(row[key]))} "
                        f"stands in row {seen[row[key]]:,}, too.",
                        _WAY_OUT,
                    )


def _records(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Rows as dictionaries; vectors as arrays, or None."""
    columns = [
        _vectors(batch.column(name)) if name == "vector" else batch.column(name).to_pylist()
        for name in batch.schema.names
    ]
    for values in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, values, strict=True))


def _vectors(column: pa.Array) -> Iterator[Any]:
    if pa.types.is_fixed_size_list(column.type) and not column.null_count:
        return iter(column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1))
    return (one.values.to_numpy(zero_copy_only=False) if one.is_valid else None for one in column)


def _not_utf8(batch: pa.RecordBatch) -> tuple[int, str]:
    """Row and column of the first text that is not UTF-8."""
    for name in batch.schema.names:
        if pa.types.is_string(batch.schema.field(name).type):
            for number, content in enumerate(batch.column(name).cast(pa.binary()).to_pylist()):
                if content is not None and "\ufffd" in content.decode(errors="replace"):
                    return number, name
    return 0, "a text"


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_JSON = json.JSONDecoder(parse_constant=_no_constant)


def _line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
