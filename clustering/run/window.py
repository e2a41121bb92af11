"""Step one of a run: fixes the rows that the run clusters, before it reads anything else."""

import math
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pandas as pd
from pydantic import ValidationError

from clustering.run.newest import Newest
from newstide.core import logs
from newstide.core.errors import RunFailed
from newstide.core.settings import ClusteringSettings
from newstide.milvus import Blocklist, RunRow, Store, Tombstone, filters
from newstide.milvus.tombstones import FirstSeen

COLUMNS = (
    "id",
    "title",
    "source",
    "url",
    "language",
    "published_at",
    "cluster_label",
    "label_probability",
    "label_run",
)
_ATTEMPTS = 3
_EVER = -(2**62)  # before any headline
_MOST_TOO_OLD = 10_000  # unlabelled rows that are older than the window and are read all the same
_PARTS = 24  # of the rows that are known: one after another is read again
_PART_AFTER = 150.0  # seconds, so that within an hour each row is compared with Milvus


log = logs.get("reclusterer")


@dataclass(frozen=True, slots=True)
class Window:
    """The rows of one run: those that are there when it begins. What arrives later is left to the next.

    Attributes:
        where: The Milvus filter that holds for these rows, and for those that arrive later.
        begin: They are published later, epoch ms.
        newest: What is known of the newest headline.
        unlabelled: `COLUMNS` of those that no run has labelled yet.
        too_old: Headlines that no run has labelled or will label: they arrived after the window had passed their time.
    """

    where: str
    begin: int
    newest: Newest
    unlabelled: pd.DataFrame
    too_old: int


@dataclass(frozen=True, slots=True)
class Labelled:
    """The rows of the last run: the next run need not read them from Milvus again, which takes Milvus Lite seconds.

    Attributes:
        rows: `COLUMNS`.
        run: The run's number.
        suffix: Of the collections.
        as_of: When it began to read, by `time.monotonic`.
        begin: Of the window: rows that are older are not among these.
        checked_at: When a part of them was last read again, by `time.monotonic`.
        part: Which of `_PARTS` is the next to be read again.
    """

    rows: pd.DataFrame
    run: int
    suffix: str
    as_of: float
    begin: int
    checked_at: float
    part: int = 0

    def still(self, store: Store, last: RunRow | None, begin: int, stones: FirstSeen) -> "Labelled | None":
        """What is left of them, where they are all that are labelled and published after `begin`; else None.

        Rows that were taken down meanwhile are left out. A part of the others, by turns, is compared with Milvus.
        """
        if last is None or (last.run, store.suffix) != (self.run, self.suffix) or self.begin > begin:
            return None
        return self._without(stones.lately(store.tombstones.current(), self.as_of))._compared(store)

    def _without(self, stones: Sequence[Tombstone]) -> "Labelled":
        if not stones:
            return self
        recent, rows = Blocklist.of(stones), self.rows
        gone = [
            recent.blocks(id_=id_, url=url, source=source)
            for id_, url, source in zip(rows["id"], rows["url"], rows["source"], strict=True)
        ]
        return replace(self, rows=rows[~np.array(gone, np.bool_)])

    def _compared(self, store: Store) -> "Labelled | None":
        """With the parts that are due read again; None where Milvus has something else: someone else changed it."""
        now = time.monotonic()
        due = min(_PARTS, int((now - self.checked_at) / _PART_AFTER))
        if not due:
            return self
        parts = [(self.part + number) % _PARTS for number in range(due)]
        chosen = [zlib.crc32(id_.encode()) % _PARTS in parts for id_ in self.rows["id"]]
        known = self.rows[np.array(chosen, np.bool_)].reset_index(drop=True)
        if not _alike(store.headlines_by_id(known["id"].tolist(), COLUMNS), known):
            log.warning("rows in Milvus are not as the last run left them; all are read again")
            return None
        return replace(self, checked_at=now, part=(self.part + due) % _PARTS)


def _alike(found: pd.DataFrame, known: pd.DataFrame) -> bool:
    return len(found) == len(known) and all(
        np.allclose(found[name].astype(float), known[name].astype(float), atol=1e-6)
        if name == "label_probability"
        else found[name].tolist() == known[name].tolist()
        for name in COLUMNS
    )


def read_fresh(store: Store, last: RunRow | None) -> pd.DataFrame | None:
    """`COLUMNS` of the rows that no run has labelled, and of those as new as the last run's newest.

    One query, since Milvus Lite walks over all rows for each. None where there was no run, or where so many unlabelled
    rows are older than its window that the window's own are better asked for.
    """
    if (
        last is None
        or (known := last.counts.get("newest")) is None
        or int(last.counts.get("too_old", 0)) > _MOST_TOO_OLD
    ):
        return None
    return store.headlines(filters.either(filters.PROVISIONAL, filters.published_since(int(known))), COLUMNS)


def fix_window(store: Store, length: timedelta | None, newest: Newest, fresh: pd.DataFrame | None = None) -> Window:
    """The window: rows published within `length` before the newest headline.

    Event time, so that a replay of old news behaves like a live day. Which rows are there, their ids tell, which are read
    once, and no clock: consumers write rows that no run has labelled, and of those the ones that are read here are the
    run's; labelled rows only a run writes.

    Args:
        store: The store.
        length: Of the window, or None for all rows.
        newest: From `find_newest`.
        fresh: From `read_fresh`.
    """
    rows = None if fresh is None else fresh[fresh["label_run"] == 0].reset_index(drop=True)
    if newest.at is None or length is None:
        return Window("", _EVER, newest, store.headlines(filters.PROVISIONAL, COLUMNS) if rows is None else rows, 0)
    begin = newest.at - int(length.total_seconds() * 1000)
    where = filters.published_after(begin)
    if rows is not None:
        inside = (rows["published_at"] > begin).to_numpy(np.bool_)
        return Window(where, begin, newest, rows[inside].reset_index(drop=True), int((~inside).sum()))
    unlabelled = store.headlines(filters.all_of(where, filters.PROVISIONAL), COLUMNS)
    too_old = store.count_headlines(filters.all_of(filters.published_until(begin), filters.PROVISIONAL))
    return Window(where, begin, newest, unlabelled, too_old)


def without_blocked(window: Window, blocked: Blocklist) -> Window:
    """The window without unlabelled rows that were taken down: they stay unlabelled, and are removed before the next run.

    Args:
        window: From `fix_window`.
        blocked: Read from Milvus after the window's rows, so that it names whatever was blocked before a row arrived.
    """
    rows = window.unlabelled
    if not blocked.keys or rows.empty:
        return window
    keep = [not blocked.blocks_row(row) for row in rows.to_dict("records")]
    return replace(window, unlabelled=rows[keep].reset_index(drop=True))


def window_lengths(length: timedelta | None, recent: pd.DataFrame) -> list[float]:
    """Milliseconds of this run's window and of those of recent runs (rows of `runs`); infinite where there is no limit."""
    lengths = [length]
    for parameters in recent["parameters"]:
        with suppress(ValidationError):  # an earlier version's
            if "window" in parameters:
                lengths.append(ClusteringSettings.model_validate({"window": parameters["window"]}).window)
    return [math.inf if one is None else one.total_seconds() * 1000 for one in lengths]


def read_window(store: Store, window: Window, known: Labelled | None = None) -> pd.DataFrame:
    """The window's rows, `COLUMNS`, ascending by id.

    Args:
        store: The store.
        window: From `fix_window`.
        known: The last run's rows, where they hold; None to read them.

    Raises:
        RunFailed: Iteration and count do not agree on how many a run has labelled, again and again.
    """
    where = filters.all_of(window.where, filters.LABELLED)
    if known is not None:
        labelled = known.rows[known.rows["published_at"].astype(int) > window.begin]
        if store.is_lite or len(labelled) == store.count_headlines(where):  # Lite counts by reading all of them
            return _together(window.unlabelled, labelled)
    seen, expected = 0, store.count_headlines(where)
    for _ in range(_ATTEMPTS):
        labelled = store.headlines(where, COLUMNS).drop_duplicates("id")
        seen = len(labelled)
        if seen == expected:
            return _together(window.unlabelled, labelled)
        expected = store.count_headlines(where)
    raise RunFailed(
        f"Milvus iterates {seen} labelled rows of the window and counts {expected}.",
        "Something may be deleting rows at this moment; the next run tries again.",
    )


def _together(unlabelled: pd.DataFrame, labelled: pd.DataFrame) -> pd.DataFrame:
    parts = [part for part in (unlabelled, labelled) if len(part)] or [unlabelled]
    return pd.concat(parts, ignore_index=True).drop_duplicates("id").sort_values("id", kind="stable", ignore_index=True)
