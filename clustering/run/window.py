"""Step one of a run: fixes the rows that the run clusters, before it reads anything else."""

import math
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import pandas as pd
from pydantic import ValidationError

from clustering.run.newest import Newest
from newstide.core.errors import RunFailed
from newstide.core.settings import ClusteringSettings
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
_EVER = -(2**62)  # before any headline
_READ_ANYWAY = 3600.0  # seconds after which all rows are read from Milvus again, whatever is known of them


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
        run: Its number.
        suffix: Of the collections.
        blocked: Keys of the tombstones there were before the run read what was new.
        as_of: When it did, epoch ms.
        begin: Of the window: rows that are older are not among these.
        read_at: When all of them were last read from Milvus, by `time.monotonic`.
    """

    rows: pd.DataFrame
    run: int
    suffix: str
    blocked: frozenset[str]
    as_of: int
    begin: int
    read_at: float

    def hold(self, store: Store, last: RunRow | None, begin: int) -> bool:
        """Whether they are all that are labelled and published after `begin`: newstide has changed or removed none since."""
        blocked = store.tombstones.current()
        return (
            last is not None
            and (last.run, store.suffix) == (self.run, self.suffix)
            and self.blocked == blocked.keys
            and all(stone.created_at < self.as_of - TAKEN_DOWN_WITHIN for stone in blocked.tombstones)
            and self.begin <= begin
            and time.monotonic() - self.read_at < _READ_ANYWAY
        )


def fix_window(store: Store, length: timedelta | None, newest: Newest) -> Window:
    """The window: rows published within `length` before the newest headline.

    Event time, so that a replay of old news behaves like a live day. Which rows are there, their ids tell, which are read
    once, and no clock: consumers write rows that no run has labelled, and of those the ones that are read here are the
    run's; labelled rows only a run writes.

    Args:
        store: The store.
        length: Of the window, or None for all rows.
        newest: From `find_newest`.
    """
    if newest.at is None or length is None:
        return Window("", _EVER, newest, store.headlines(filters.PROVISIONAL, COLUMNS), 0)
    begin = newest.at - int(length.total_seconds() * 1000)
    where = filters.published_after(begin)
    unlabelled = store.headlines(filters.all_of(where, filters.PROVISIONAL), COLUMNS)
    too_old = store.count_headlines(filters.all_of(filters.published_until(begin), filters.PROVISIONAL))
    return Window(where, begin, newest, unlabelled, too_old)


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
    return pd.concat(parts, ignore_index=True).drop_duplicates("id").sort_values("id", ignore_index=True)
