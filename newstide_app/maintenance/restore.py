"""`newstide restore`: brings a backup into Milvus, once every value of it has been checked."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from newstide.core import logs
from newstide.core.errors import BrokerUnavailable, NewstideError
from newstide.core.headline import DEFAULTS, Limits
from newstide.core.settings import Settings
from newstide.milvus import HeadlineRow, LanguageMean, RunRow, Store, StoryEvent, Tombstone, open_store, schema
from newstide_app.maintenance.backup_checks import BEFORE
from newstide_app.maintenance.backup_file import ORDER_BACK, Backup, BackupReport
from newstide_app.maintenance.reembed import writers_at_work

log = logs.get("restore")


def check_file(file: Path, limits: Limits = DEFAULTS) -> BackupReport:
    """Reads a whole backup and checks every page and every value of it; touches nothing.

    Args:
        file: The backup.
        limits: What a headline may claim, as for `restore`: the settings' group `limits`.

    Raises:
        BackupDamaged, SchemaMismatch: The file is damaged, no backup, or of another version; or a value cannot be right.
    """
    started = time.perf_counter()
    with Backup(file, limits) as backup:
        return backup.report("Is in order:", started, mended=dict(backup.check()))


def restore(settings: Settings, file: Path, *, apart: bool = False) -> BackupReport:
    """Brings a backup into collections that are empty, or hold part of it already, as after a restore that was cut off.

    Headlines that are there stay as they are; what was taken down there stays away.

    Args:
        settings: Where Milvus and Kafka are.
        file: The backup.
        apart: Whether the collections are others than the group's consumers and reclusterers write to.

    Raises:
        BackupDamaged, SchemaMismatch: As of `check_file`.
        ModelMismatch: The collections hold another model's vectors.
        NewstideError: The collections hold runs that the backup does not know, or somebody is at work on them.
    """
    started = time.perf_counter()
    with Backup(file, settings.limits) as backup:
        mended = backup.check()  # before anything is written
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
        elif settings.embedding.text not in (None, backup.card.text):
            hint = f"Set NEWSTIDE_EMBEDDING_TEXT={backup.card.text} for the services."
        return backup.report(
            "Restored",
            started,
            written={kind: counts[kind] for kind in ORDER_BACK},
            left_out=counts["left out"],
            taken_down=counts["taken down"],
            mended=dict(mended),
            hint=hint,
        )


def _write(store: Store, backup: Backup) -> Counter[str]:
    counts: Counter[str] = Counter()
    for rows in backup.rows("tombstones"):
        store.tombstones.add([Tombstone(**row) for row in rows])
        counts["tombstones"] += len(rows)
    for rows in backup.rows("events"):
        store.events.put([StoryEvent(**row) for row in rows])
        counts["events"] += len(rows)
    finished = {row["run"]: row["finished_at"] for rows in backup.rows("runs") for row in rows}
    for rows in backup.rows("stories"):
        store.upsert_stories(schema.as_of_this_version(pd.DataFrame(rows), finished))
        counts["stories"] += len(rows)
    for rows in backup.rows("headlines"):
        known = store.known_ids([row["id"] for row in rows])
        new = [row for row in rows if row["id"] not in known]
        wanted = [HeadlineRow.read(row, row["embedding"]) for row in new if not _taken_down(store, row)]
        counts["headlines"] += store.insert_headlines(wanted, again=True)
        counts["left out"] += len(known)
        counts["taken down"] += len(new) - len(wanted)
    store.settle()
    for rows in backup.rows("means"):
        store.upsert_means([LanguageMean(**row) for row in rows])
        counts["means"] += len(rows)
    for rows in backup.rows("runs"):
        store.insert_runs([RunRow(**row) for row in rows])
        counts["runs"] += len(rows)
    last = store.last_run()
    if last is not None:  # the next run sees as changes what happened after the backup: it is to alert nobody
        store.insert_run(replace(last, counts={**last.counts, "restored": True}))
    return counts


def _taken_down(store: Store, row: Mapping[str, Any]) -> bool:
    """Whether a headline was taken down, as it is or as it was before it was cleaned: tombstones may hold its digests."""
    current = store.tombstones.current()
    return current.blocks_row(row) or (BEFORE in row and current.blocks_row(row[BEFORE]))


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


def _require_no_other_runs(store: Store, backup: Backup, settings: Settings) -> None:
    there = store.runs()
    known = {(row["run"], row["started_at"]) for rows in backup.rows("runs") for row in rows}
    other = [int(row["run"]) for row in there.to_dict("records") if (row["run"], row["started_at"]) not in known]
    if other:
        raise NewstideError(
            f"The collections with prefix {settings.milvus.prefix!r} have runs that the backup does not know "
            f"(run {max(other)}): story numbers would be given twice.",
            "Restore into collections of their own with --prefix NAME_.",
        )
