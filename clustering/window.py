"""Step one of a run: which rows it is about, fixed before anything else is looked at."""

from dataclasses import dataclass
from datetime import timedelta

import pandas as pd

from newstide.errors import RunFailed
from newstide.store import RunRow, Store, all_of

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


@dataclass(frozen=True, slots=True)
class Window:
    """The rows of one run.

    Attributes:
        where: The Milvus filter that holds for exactly these rows.
        newest: The latest publication time of all headlines, epoch ms; None where there is no headline.
        count: Rows.
        provisional: Rows that no run has labelled yet.
        too_old: Headlines that no run has labelled and none will: they came when the window had already passed them.
    """

    where: str
    newest: int | None
    count: int
    provisional: int
    too_old: int


def fix_window(store: Store, length: timedelta | None, last: RunRow | None, now: int) -> Window:
    """The window: rows published within `length` before the newest headline, and ingested before `now`.

    Event time, so that a replay of old news behaves like a live day.

    Args:
        store: The store.
        length: Of the window, or None for all rows.
        last: The last run, whose newest headline bounds the search for a newer one.
        now: Epoch milliseconds; later rows are left to the next run.
    """
    store.settle()
    known = None if last is None else last.counts.get("newest")
    newest = store.newest_published_at(-1 if known is None else int(known))
    if newest is None and known is not None:
        newest = int(known)
    ingested = f"ingested_at < {now}"
    if newest is None:
        return Window(ingested, None, 0, 0, 0)
    within = "" if length is None else f"published_at > {newest - int(length.total_seconds() * 1000)}"
    where = all_of(within, ingested)
    count, provisional = store.count_headlines(where), store.count_headlines(all_of(where, "label_run == 0"))
    unlabelled = store.count_headlines(all_of(ingested, "label_run == 0")) if within else provisional
    return Window(where, newest, count, provisional, unlabelled - provisional)


def read_window(store: Store, window: Window) -> pd.DataFrame:
    """The window's rows, `COLUMNS`, ascending by id.

    Raises:
        RunFailed: Iteration and count do not agree on how many there are, again and again.
    """
    seen, expected = 0, window.count
    for _ in range(_ATTEMPTS):
        rows = store.headlines(window.where, COLUMNS).drop_duplicates("id")
        seen = len(rows)
        if seen == expected:
            return rows.sort_values("id", ignore_index=True)
        expected = store.count_headlines(window.where)
    raise RunFailed(
        f"Milvus iterates {seen} rows of the window and counts {expected}.",
        "Rows may be being deleted at this moment; the next run tries again.",
    )
