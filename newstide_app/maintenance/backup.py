"""`newstide backup` and `newstide restore`: everything in Milvus as one Parquet file, and back.

A row of the file is a row of a collection, named in `collection`. Headlines have a column for each field, so that any
Parquet reader can use them; of the others the fields stand as JSON in `row`. Vectors stand in `vector`. The foot says
which version and model they are of and how many rows there are, and each page of the file has a checksum. Both ways a
few thousand rows are in memory at a time.

Services may go on. Runs are read first and stories last, as a run writes them the other way round: what a run wrote
meanwhile looks like a run that was killed, which the next one repairs.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from newstide.core import logs
from newstide.core.errors import BackupDamaged, BrokerUnavailable, NewstideError, SchemaMismatch
from newstide.core.files import replacing, sweep_half_written
from newstide.core.plain import plain
from newstide.core.settings import Settings
from newstide.core.text import iso_time
from newstide.embedding.base import ModelCard
from newstide.milvus import HeadlineRow, LanguageMean, RunRow, Store, StoryEvent, Tombstone, open_store, schema
from newstide.milvus.collection import chunks
from newstide_app.maintenance.numbers_left import require_numbers_left
from newstide_app.maintenance.reembed import writers_at_work

_FORMAT = "1"  # of the file
_BATCH = 2_048  # rows in a row group; Lite sends four times as many at once
_ORDER = ("runs", "means", "headlines", "stories", "events", "tombstones")
_BACK = ("tombstones", "events", "stories", "headlines", "means", "runs")  # runs last: they make the labels count
_WITHOUT_VECTOR = ("events", "tombstones")

log = logs.get("restore")


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
    hint: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def describe(self) -> str:
        """For people."""
        rows = ", ".join(f"{count:,} {kind}" for kind, count in self.rows.items())
        text = f"{self.done} {self.file}: {rows}; {self.model}, {self.bytes / 1e6:,.1f} MB, {self.seconds:.1f} s."
        if self.written:
            text += (
                f" Headlines written: {self.written.get('headlines', 0):,}; there already: {self.left_out:,}; "
                f"taken down since: {self.taken_down:,}."
            )
        return f"{text} {self.hint}".strip()


def back_up(settings: Settings, file: Path) -> BackupReport:
    """Writes a backup beside the last one, and then replaces that.

    Raises:
        EmptyStore: There is nothing to back up.
        NewstideError: The file cannot be written.
    """
    started = time.perf_counter()
    sweep_half_written(file.parent)  # a killed backup may hold what has been taken down since
    store = open_store(settings.milvus, None, older=True)
    now = iso_time(int(time.time() * 1000))
    rows: Counter[str] = Counter()
    groups: list[str] = []
    try:
        layout = _layout(store.dim)
        with (
            replacing(file) as content,
            pq.ParquetWriter(content, layout, compression="zstd", write_page_checksum=True) as writer,
        ):
            for kind in _ORDER:
                for table in _tables(store, kind, layout):
                    writer.write_table(table)
                    rows[kind] += len(table)
                    groups.append(kind)
            writer.add_key_value_metadata(
                {
                    "newstide.backup": _FORMAT,
                    "newstide.made_at": now,
                    "newstide.rows": json.dumps({kind: rows[kind] for kind in _ORDER}),
                    "newstide.groups": json.dumps(groups),
                    **schema.properties(store.card),
                }
            )
    except OSError as error:
        raise NewstideError(
            f"The backup {file} cannot be written: {error}.", "Make room, or choose another folder."
        ) from error
    finally:
        store.close()
    counts = {kind: rows[kind] for kind in _ORDER}
    size = file.stat().st_size
    return BackupReport(str(file), store.card.name, now, counts, size, "Backed up to", time.perf_counter() - started)


def check_file(file: Path) -> BackupReport:
    """Reads a whole backup and checks every page of it; touches nothing.

    Raises:
        BackupDamaged, SchemaMismatch: It is damaged, no backup, or of another version.
    """
    started = time.perf_counter()
    with _Backup(file) as backup:
        for kind in _BACK:
            for _ in backup.frames(kind):
                pass
        return backup.report("Is in order:", started)


def restore(settings: Settings, file: Path, *, apart: bool = False) -> BackupReport:
    """Brings a backup into collections that are empty, or hold part of it already, as after a restore that was cut off.

    Headlines that are there stay as they are; what was taken down there stays away.

    Args:
        settings: Where Milvus and Kafka are.
        file: The backup.
        apart: Whether the collections are others than the group's consumers and reclusterers write to.

    Raises:
        BackupDamaged, SchemaMismatch: The file is damaged, no backup, or of another version.
        ModelMismatch: The collections hold another model's vectors.
        NewstideError: They hold runs that the backup does not know, or somebody is at work on them.
    """
    started = time.perf_counter()
    with _Backup(file) as backup:
        for kind in _BACK:  # before anything is written
            for _ in backup.frames(kind):
                pass
        if not apart:
            _require_nobody_at_work(settings)
        store = open_store(settings.milvus, backup.card)
        try:
            _require_no_other_runs(store, backup, settings)
            counts = _write(store, backup)
        finally:
            store.close()
        hint = ""
        if settings.embedding.model not in (None, backup.card.name):
            hint = f"Set NEWSTIDE_EMBEDDING_MODEL={backup.card.name} for the services."
        return backup.report(
            "Restored",
            started,
            written={kind: counts[kind] for kind in _BACK},
            left_out=counts["left out"],
            taken_down=counts["taken down"],
            hint=hint,
        )


def _write(store: Store, backup: "_Backup") -> Counter[str]:
    counts: Counter[str] = Counter()
    for frame in backup.frames("tombstones"):
        store.tombstones.add([Tombstone(**row) for row in _objects(frame)])
        counts["tombstones"] += len(frame)
    for frame in backup.frames("events"):
        store.events.put([StoryEvent(**row) for row in _objects(frame)])
        counts["events"] += len(frame)
    finished = {int(row["run"]): int(row["finished_at"]) for frame in backup.frames("runs") for row in _objects(frame)}
    for frame in backup.frames("stories"):
        store.upsert_stories(schema.as_of_this_version(pd.DataFrame(_objects(frame, "centroid")), finished))
        counts["stories"] += len(frame)
    for frame in backup.frames("headlines"):
        known = store.known_ids(frame["id"].tolist())
        rows = [HeadlineRow.read(row, row["vector"]) for row in frame.to_dict("records") if row["id"] not in known]
        wanted = [row for row in rows if not store.tombstones.blocks(row.headline)]
        counts["headlines"] += store.insert_headlines(wanted, again=True)
        counts["left out"] += len(known)
        counts["taken down"] += len(rows) - len(wanted)
    store.settle()
    for frame in backup.frames("means"):
        store.upsert_means([LanguageMean(**row) for row in _objects(frame, "mean")])
        counts["means"] += len(frame)
    for frame in backup.frames("runs"):
        store.insert_runs([RunRow(**row) for row in _objects(frame, "mean")])
        counts["runs"] += len(frame)
    last = store.last_run()
    if last is not None:  # the next run sees as changes what happened after the backup: it is to alert nobody
        store.insert_run(replace(last, counts={**last.counts, "restored": True}))
    return counts


def _require_nobody_at_work(settings: Settings) -> None:
    """Refuses while a consumer could write a headline twice, or a run use up numbers. Without Kafka neither writes."""
    try:
        at_work = writers_at_work(settings.kafka)
    except BrokerUnavailable as error:
        log.warning(
            "Kafka cannot be asked whether consumers or reclusterers are at work; restoring all the same",
            reason=str(error),
        )
        return
    if at_work:
        raise NewstideError(
            f"{' and '.join(at_work).capitalize()} at work on the collections with prefix {settings.milvus.prefix!r}.",
            "Stop consumers and reclusterers, or restore into collections of their own with --prefix NAME_.",
        )


def _require_no_other_runs(store: Store, backup: "_Backup", settings: Settings) -> None:
    there = store.runs()
    known = {(row["run"], row["started_at"]) for frame in backup.frames("runs") for row in _objects(frame)}
    other = [int(row["run"]) for row in there.to_dict("records") if (row["run"], row["started_at"]) not in known]
    if other:
        raise NewstideError(
            f"The collections with prefix {settings.milvus.prefix!r} have runs that the backup does not know "
            f"(run {max(other)}): story numbers would be given twice.",
            "Restore into collections of their own with --prefix NAME_.",
        )


class _Backup:
    """A backup opened for reading, with its metadata checked."""

    def __init__(self, file: Path) -> None:
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
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._parquet.close()
            raise BackupDamaged(f"The foot of {file} cannot be read: {error!r:.80}.", "Take another backup.") from None
        except BaseException:
            self._parquet.close()
            raise

    def _read_foot(self) -> None:
        said = {name.decode(): text.decode() for name, text in (self._parquet.metadata.metadata or {}).items()}
        version = said.get("newstide.backup")
        if version is None:
            raise BackupDamaged(
                f"{self.file} is a Parquet file, but no backup of newstide.", "`newstide backup` makes one."
            )
        if version != _FORMAT or said["newstide.schema"] not in schema.READABLE:
            raise SchemaMismatch(
                f"{self.file} is a backup of version {version} with schema {said['newstide.schema']}; this newstide reads "
                f"version {_FORMAT} with schema {' or '.join(schema.READABLE)}.",
                "Restore it with the newstide that made it.",
            )
        self.card = ModelCard(said["newstide.model"], int(said["newstide.dimension"]), said["newstide.fingerprint"])
        self.made_at = said["newstide.made_at"]
        self.rows: dict[str, int] = json.loads(said["newstide.rows"])
        self._groups: list[str] = json.loads(said["newstide.groups"])
        found: Counter[str] = Counter()
        metadata = self._parquet.metadata
        if metadata.num_row_groups == len(self._groups):
            for place, kind in enumerate(self._groups):
                found[kind] += metadata.row_group(place).num_rows
        if dict(found) != {kind: count for kind, count in self.rows.items() if count}:
            raise BackupDamaged(f"{self.file} holds {metadata.num_rows:,} rows, not those its foot names: {self.rows}.")

    def frames(self, kind: str) -> Iterator[pd.DataFrame]:
        """The rows of one collection, a group at a time.

        Raises:
            BackupDamaged: A page fails its checksum.
        """
        for place, own in enumerate(self._groups):
            if own != kind:
                continue
            try:
                table = self._parquet.read_row_group(place)
            except (OSError, pa.ArrowException) as error:
                raise BackupDamaged(
                    f"{self.file} is damaged in row group {place} ({kind}): {_line(error)}.", "Take another backup."
                ) from error
            where = f"{self.file}, row group {place} ({kind})"
            try:
                frame = _frame(table, kind, self.card.dim)
                require_numbers_left(frame, kind, where)
            except (ValueError, TypeError, LookupError, AttributeError, pa.ArrowException) as error:
                raise BackupDamaged(f"{where} cannot be read: {_line(error)}.", "Take another backup.") from error
            yield frame

    def report(self, done: str, started: float, **more: Any) -> BackupReport:
        """What was done with the file."""
        return BackupReport(
            str(self.file),
            self.card.name,
            self.made_at,
            self.rows,
            self.file.stat().st_size,
            done,
            time.perf_counter() - started,
            **more,
        )

    def __enter__(self) -> "_Backup":
        return self

    def __exit__(self, *_: object) -> None:
        self._parquet.close()


def _layout(dim: int) -> pa.Schema:
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


def _tables(store: Store, kind: str, layout: pa.Schema) -> Iterator[pa.Table]:
    """A collection's rows as tables of the file's layout."""
    if kind in _WITHOUT_VECTOR:
        batches = (
            chunks(list(store.tombstones.all()), _BATCH) if kind == "tombstones" else store.events.batches(size=_BATCH)
        )
        for batch in batches:
            rows = [json.dumps(asdict(one), ensure_ascii=False, default=plain) for one in batch]
            yield _table(kind, layout, len(rows), {"row": pa.array(rows, pa.string())})
        return
    vector = schema.VECTOR[kind]
    for frame in store.frames(kind, batch_size=_BATCH):
        flat = np.concatenate(list(frame[vector])).astype(np.float32)
        columns = {"vector": pa.FixedSizeListArray.from_arrays(pa.array(flat), store.dim)}
        if kind == "headlines":
            columns |= {name: pa.array(frame[name], layout.field(name).type) for name in schema.columns("headlines")}
        else:
            others = frame.drop(columns=vector).to_dict("records")
            columns["row"] = pa.array(
                [json.dumps(row, ensure_ascii=False, default=plain) for row in others], pa.string()
            )
        yield _table(kind, layout, len(frame), columns)


def _table(kind: str, layout: pa.Schema, rows: int, columns: Mapping[str, Any]) -> pa.Table:
    given = {"collection": pa.array([kind] * rows, pa.string()), **columns}
    return pa.table([given.get(part.name, pa.nulls(rows, part.type)) for part in layout], schema=layout)


def _frame(table: pa.Table, kind: str, dim: int) -> pd.DataFrame:
    """Rows of one collection: headlines as they are, of the others `row` and `vector`."""
    columns = schema.columns("headlines") if kind == "headlines" else ["row"]
    frame: pd.DataFrame = table.select(columns).to_pandas()
    if kind not in _WITHOUT_VECTOR:
        flat = table.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
        frame["vector"] = pd.Series(list(flat.reshape(-1, dim)), dtype=object)
    return frame


def _objects(frame: pd.DataFrame, vector: str = "") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [json.loads(row) for row in frame["row"]]
    if vector:
        for row, values in zip(rows, frame["vector"], strict=True):
            row[vector] = values
    return rows


def _line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
