"""`newstide backup`: everything in Milvus as one Parquet file, which `backup_file` reads and `restore` brings back.

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
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from newstide.core.errors import NewstideError
from newstide.core.files import replacing, sweep_half_written
from newstide.core.plain import plain
from newstide.core.settings import Settings
from newstide.core.text import iso_time
from newstide.milvus import Store, open_store, schema
from newstide.milvus.collection import chunks
from newstide_app.maintenance.backup_file import BATCH, FORMAT, BackupReport, layout_of

_ORDER = ("runs", "means", "headlines", "stories", "events", "tombstones")


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
        layout = layout_of(store.dim)
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
                    "newstide.backup": FORMAT,
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


def _tables(store: Store, kind: str, layout: pa.Schema) -> Iterator[pa.Table]:
    """A collection's rows as tables of the file's layout."""
    if kind not in schema.COLLECTIONS:
        batches = (
            chunks(list(store.tombstones.all()), BATCH) if kind == "tombstones" else store.events.batches(size=BATCH)
        )
        for batch in batches:
            rows = [json.dumps(asdict(one), ensure_ascii=False, default=plain) for one in batch]
            yield _table(kind, layout, len(rows), {"row": pa.array(rows, pa.string())})
        return
    vector = schema.VECTOR[kind]
    for frame in store.frames(kind, batch_size=BATCH):
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
