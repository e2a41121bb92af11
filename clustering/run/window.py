"""Step one of a run: which rows it is about, fixed before anything else is looked at."""

import time
from dataclasses import dataclass
from datetime import timedelta

import pandas as pd

from newstide.core.errors import RunFailed
from newstide.milvus import RunRow, Store, filters
from newstide.milvus.tombstones import TAKEN_DOWN_WITHIN

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
_READ_ANYWAY = 3600.0  # seconds after which all rows are read from Milvus again, whatever is known of them


@dataclass(frozen=True, slots=True)
class Window:
    """The rows of one run.

    Attributes:
        where: The Milvus filter that holds for exactly these rows.
        begin: They are published later, epoch ms.
        newest: The latest publication time of all headlines, epoch ms; None where there is no headline.
        unlabelled: `COLUMNS` of those that no run has labelled yet.
        too_old: Headlines that no run has labelled and none will: they came when the window had already passed them.
    """

    where: str
    begin: int
    newest: int | None
    unlabelled: pd.DataFrame
    too_old: int


@dataclass(frozen=True, slots=True)
class Labelled:
    """The rows of a run as it left them: the next one need not read them from Milvus again, which takes Lite seconds.

    Attributes:
        rows: `COLUMNS`.
        run: Its number.
        suffix: Of the collections.
        blocked: Keys of the tombstones there were before the run read what was new.
        as_of: When it did, epoch ms.
        read_at: When all of them were last read from Milvus, by `time.monotonic`.
    """

    rows: pd.DataFrame
    run: int
    suffix: str
    blocked: frozenset[str]
    as_of: int
    read_at: float

    def hold(self, store: Store, last: RunRow | None) -> bool:
        """Whether nobody has changed or removed any of them since, as far as newstide does such things."""
        blocked = store.tombstones.current()
        return (
            last is not None
            and (last.run, store.suffix) == (self.run, self.suffix)
            and self.blocked == blocked.keys
            and all(stone.created_at < self.as_of - TAKEN_DOWN_WITHIN for stone in blocked.tombstones)
            and time.monotonic() - self.read_at < _READ_ANYWAY
        )


def fix_window(store: Store, length: timedelta | None, last: RunRow | None, now: int) -> Window:
    """The window: rows published within `length` before the newest headline, and ingested before `now`.

    Event time, so that a replay of old news behaves like a live day. Rows that no run has labelled are read here: a newer
    headline than the last run's newest is among them.

    Args:
        store: The store.
        length: Of the window, or None for all rows.
        last: The last run, whose newest headline bounds the search for a newer one.
        now: Epoch milliseconds; later rows are left to the next run.
    """
    store.settle()
    milliseconds = None if length is None else int(length.total_seconds() * 1000)
    known = None if last is None else last.counts.get("newest")
    newest = store.newest_published_at() if known is None else int(known)
    ingested = filters.ingested_before(now)
    if newest is None:
        return Window(ingested, -1, None, pd.DataFrame(columns=list(COLUMNS)), 0)
    after = "" if milliseconds is None else filters.published_after(newest - milliseconds)
    new = store.headlines(filters.all_of(after, ingested, filters.PROVISIONAL), COLUMNS)
    if len(new):
        newest = max(newest, int(new["published_at"].max()))
    if milliseconds is None:
        return Window(ingested, -1, newest, new, 0)
    begin = newest - milliseconds
    within, before = filters.published_after(begin), filters.published_until(begin)
    too_old = store.count_headlines(filters.all_of(before, ingested, filters.PROVISIONAL))
    return Window(
        filters.all_of(within, ingested), begin, newest, new[new["published_at"].astype(int) > begin], too_old
    )


def read_window(store: Store, window: Window, known: Labelled | None = None) -> pd.DataFrame:
    """The window's rows, `COLUMNS`, ascending by id.

    Args:
        store: The store.
        window: From `fix_window`.
        known: The last run's rows, where they hold; None to read them.

    Raises:
        RunFailed: Iteration and count do not agree on how many there are, again and again.
    """
    if known is not None:
        rows = _together(window.unlabelled, known.rows[known.rows["published_at"].astype(int) > window.begin])
        if store.is_lite or len(rows) == store.count_headlines(window.where):  # Lite counts by reading all of them
            return rows
    seen, expected = 0, store.count_headlines(window.where)
    for _ in range(_ATTEMPTS):
        rows = _together(window.unlabelled, store.headlines(filters.all_of(window.where, filters.LABELLED), COLUMNS))
        seen = len(rows)
        if seen == expected:
            return rows
        expected = store.count_headlines(window.where)
    raise RunFailed(
        f"Milvus iterates {seen} rows of the window and counts {expected}.",
        "Rows may be being deleted at this moment; the next run tries again.",
    )


def _together(unlabelled: pd.DataFrame, labelled: pd.DataFrame) -> pd.DataFrame:
    parts = [part for part in (unlabelled, labelled) if len(part)] or [unlabelled]
    return pd.concat(parts, ignore_index=True).drop_duplicates("id").sort_values("id", ignore_index=True)
