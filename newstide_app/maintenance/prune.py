"""Deletes headlines older than `keep` after a person has looked at them: a run deletes no large share by itself."""

import time
from dataclasses import dataclass
from typing import Any

from clustering.run.retention import Due, delete_due, find_due
from newstide.core.errors import SettingsError
from newstide.core.settings import Settings
from newstide.core.text import iso_time
from newstide.milvus import Store, filters, open_store

_SHOWN = 5  # headlines listed before they go


@dataclass(frozen=True, slots=True)
class Prunable:
    """What would go.

    Attributes:
        due: How many headlines, and before when.
        newest: When the newest headline was published, from which `keep` is counted, epoch ms.
        sample: Some of those that are due, the first by id: `title`, `source`, `published_at`.
    """

    due: Due
    newest: int
    sample: list[dict[str, Any]]

    def describe(self) -> str:
        """How many headlines would go, and the time from which their age counts."""
        return (
            f"{self.due.headlines:,} of {self.due.of:,} headlines, published until {iso_time(self.due.before)}. "
            f"The newest headline is of {iso_time(self.newest)}, and this machine's clock says {iso_time(_now())}"
        )


def look_up(settings: Settings) -> Prunable | None:
    """The headlines that are due now; None where there are none.

    Raises:
        SettingsError: `keep` is not set, or is shorter than the window.
        EmptyStore: Nothing has been ingested yet.
    """
    if settings.keep is None:
        raise SettingsError(
            "keep is not set: newstide keeps headlines for ever.", "Say how long: `newstide prune --keep 90d`."
        )
    store = open_store(settings.milvus, None)
    try:
        due = find_due(store, settings, _now())
        last = store.last_run()
        if due is None or last is None or not due.headlines:
            return None
        return Prunable(due, int(last.counts["newest"]), _sample(store, due))
    finally:
        store.close()


def prune(settings: Settings, found: Prunable) -> int:
    """Deletes the headlines that were shown; returns how many. The next run clears stories and pages of that time."""
    store = open_store(settings.milvus, None)
    try:
        return delete_due(store, found.due)
    finally:
        store.close()


def _sample(store: Store, due: Due) -> list[dict[str, Any]]:
    columns = ["id", "title", "source", "published_at"]
    frames = store.iterate_headlines(filters.published_until(due.before), columns, batch_size=_SHOWN)
    rows = next(frames)
    return [
        {"published_at": iso_time(int(at)), "title": title, "source": source}
        for at, title, source in zip(rows["published_at"], rows["title"], rows["source"], strict=True)
    ]


def _now() -> int:
    return int(time.time() * 1000)
