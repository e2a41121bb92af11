"""What a run removes: headlines that were taken down meanwhile, and headlines and pages that are too old."""

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from clustering.pages.folder import page_path
from clustering.pages.redaction import clean_pages
from clustering.pages.story_redaction import drop_old_from_story_pages
from clustering.pages.thinning import drop_pages, oldest_on, thin_pages
from clustering.run.lease import MayWrite
from newstide.core import logs
from newstide.core.files import replace_text
from newstide.core.settings import Settings, require_keep_covers_window
from newstide.milvus import Blocklist, RunRow, Store, StoryEvent, filters, remove_headlines
from newstide.milvus.collection import chunks
from newstide.milvus.removal import COLUMNS

_BATCH = 5_000  # rows
_STORIES = 1_000  # whose events are deleted at once
_RECENT = 10  # runs for which a newest headline is not believed that was suddenly later by more than `keep`
_FEW = 1_000  # headlines that may go whatever their share is: a small collection is soon made anew

log = logs.get("reclusterer")


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was removed for its age.

    Attributes:
        headlines: How many.
        stories: Numbers of those of which only the descent stays.
        pages: How many.
        refused: How many headlines are due and stayed, since they are so many.
        before: Events of runs whose newest headline was published then (epoch ms) or earlier are gone; None: no event is.
    """

    headlines: int = 0
    stories: frozenset[int] = frozenset()
    pages: int = 0
    refused: int = 0
    before: int | None = None

    def left_of(self, events: list[StoryEvent]) -> list[StoryEvent]:
        """Those of these events that are still in Milvus."""
        if self.before is None:
            return events
        return [event for event in events if event.newest_at > self.before and event.story not in self.stories]


@dataclass(frozen=True, slots=True)
class Due:
    """The headlines that are older than `keep`.

    Attributes:
        before: Published then or earlier, epoch ms.
        headlines: How many are.
        of: How many headlines there are.
        too_many: Whether they are so large a share that no run deletes them: a clock or a setting may be wrong.
    """

    before: int
    headlines: int
    of: int
    too_many: bool


def find_due(store: Store, settings: Settings, now: int) -> Due | None:
    """What is older than `keep`, counted from the newest headline as the last run saw it, or from now where that is earlier.

    Args:
        store: The store.
        settings: `keep` and `keep_at_most`.
        now: By this machine's clock, epoch ms.

    Returns:
        None where everything is kept, or no run has been made.

    Raises:
        SettingsError: `keep` is shorter than the window.
    """
    if settings.keep is None:
        return None
    require_keep_covers_window(settings)
    last = store.last_run()
    if last is None or last.counts.get("newest") is None:
        return None
    newest = last.counts["newest"]
    before = min(int(newest), now) - int(settings.keep.total_seconds() * 1000)
    headlines = store.count_headlines(filters.published_until(before))
    of = store.count_headlines()
    # A headline and a run of one wrong clock agree with each other: what dates all the others is not believed at once.
    jumped = _longest_step(store, last) > settings.keep.total_seconds() * 1000
    return Due(before, headlines, of, headlines > settings.keep_at_most * of and (headlines > _FEW or jumped))


def _longest_step(store: Store, last: RunRow) -> int:
    """Milliseconds by which the newest headline was later than in the run before, at most, within the last runs."""
    recent = [counts["newest"] for counts in store.runs(after=last.run - _RECENT)["counts"] if counts.get("newest")]
    return max((later - earlier for earlier, later in pairwise(recent)), default=0)


def delete_due(store: Store, due: Due) -> int:
    """Deletes the headlines that are due, however many; returns how many it deleted."""
    headlines = 0
    for frame in store.iterate_headlines(filters.published_until(due.before), ["id"], batch_size=_BATCH):
        store.delete_headlines(frame["id"].tolist())
        headlines += len(frame)
    if headlines:
        store.settle()
    return headlines


def enforce_tombstones(store: Store, settings: Settings, lease: MayWrite) -> int:
    """Takes down, before a run, what slipped through: rows on their way when they were blocked, and pages that lie here.

    `newstide forget` does it at once where it runs. A row that a consumer wrote later is one that no run has labelled, and
    stays so until it is removed here: a run leaves out what is blocked (`without_blocked`). Pages are cleaned by the
    tombstones that a file in the data folder does not name yet. No clock is asked. The lease is asked before anything is
    removed.

    Returns:
        How many headlines were removed.
    """
    blocked = store.tombstones.now()
    done = settings.data_dir / "taken-down"
    known = _read(done)
    news = Blocklist.of([stone for stone in blocked.tombstones if stone.key not in known])
    if not blocked.keys:
        return 0
    unlabelled = store.iterate_headlines(filters.PROVISIONAL, COLUMNS, batch_size=_BATCH)
    slipped = [frame[[blocked.blocks_row(row) for row in frame.to_dict("records")]] for frame in unlabelled]
    rows = pd.concat([*slipped, pd.DataFrame(columns=list(COLUMNS))], ignore_index=True)
    if rows.empty and not news.keys:
        return 0
    lease.require()
    stories = remove_headlines(store, rows, news if rows.empty else blocked)
    try:
        pages = clean_pages(settings.snapshots_dir, news.hides, news.hides_title) if news.keys else []
        done.parent.mkdir(parents=True, exist_ok=True)
        replace_text(done, "".join(f"{key}\n" for key in sorted(blocked.keys)))
    except OSError as error:
        log.warning(
            "headlines that were taken down could not be removed from pages; the next run tries again",
            reason=str(error),
        )
        return len(rows)
    log.info("taken down", tombstones=len(news.keys), headlines=len(rows), stories=stories, pages=len(pages))
    return len(rows)


def clear_old(store: Store, settings: Settings, lease: MayWrite) -> Cleared:
    """Removes, after a run, what is older than `keep`; see `find_due`. Where that is too large a share, nothing is removed.

    Rows go; of stories that closed before, the number, the times and the descent stay, so that no number is used twice,
    but no word; and pages whose window begins before it go, but for the latest.

    Args:
        store: The store.
        settings: `keep`, the window, and where the pages lie.
        lease: Asked before anything is removed.

    Raises:
        SettingsError: `keep` is shorter than the window.
    """
    due = find_due(store, settings, int(time.time() * 1000))
    if due is None:
        return Cleared()
    if due.too_many:
        return Cleared(refused=due.headlines)
    lease.require()
    headlines = delete_due(store, due) if due.headlines else 0
    before = due.before
    stripped = _strip_stories(store, before)
    pages: list[int] = []
    try:
        pages = _old_pages(store, settings.snapshots_dir, before)
        drop_pages(settings.snapshots_dir, pages)
        drop_old_from_story_pages(settings.snapshots_dir, before, stripped)
    except OSError as error:
        log.warning("old pages could not be removed; the next run tries again", reason=str(error))
    if headlines or stripped or pages:
        log.info(
            "removed headlines and pages that are too old", headlines=headlines, stories=len(stripped), pages=len(pages)
        )
    return Cleared(headlines, frozenset(stripped), len(pages), before=before)


def thin_old_pages(settings: Settings) -> int:
    """Keeps one old page an hour, later one a day; returns how many it deleted. The next run tries again after a failure."""
    pages = settings.pages
    try:
        gone = thin_pages(settings.snapshots_dir, pages.keep_all, pages.keep_hourly)
    except OSError as error:
        log.warning("old pages could not be thinned; the next run tries again", reason=str(error))
        return 0
    if gone:
        log.info("thinned old pages", pages=len(gone))
    return len(gone)


def _strip_stories(store: Store, before: int) -> set[int]:
    """Takes every word out of stories that closed before, and forgets what happened to any before then; returns which."""
    old = store.stories(
        filters.all_of(filters.CLOSED, filters.last_published_until(before), filters.WITH_TITLE), centroids=True
    )
    if len(old):
        empty: pd.Series[list[str]] = pd.Series([[] for _ in range(len(old))], dtype=object)
        none: Any = pd.Series([{} for _ in range(len(old))], dtype=object)
        lists = dict.fromkeys(("challenged", "keywords", "sources", "languages", "former_ids"), empty)
        store.upsert_stories(old.assign(title="", titles=none, **lists))
        for some in chunks(old["cluster_label"].astype(int).tolist(), _STORIES):
            store.events.delete(filters.of_stories(some))
    store.events.delete(filters.seen_until(before))
    return set(old["cluster_label"].astype(int))


def _old_pages(store: Store, directory: Path, before: int) -> list[int]:
    """Runs whose pages hold something from before then; the last run's is the one that people look at."""
    last = store.last_run()
    latest = -1 if last is None else last.run
    there = sorted(int(path.stem[4:]) for path in directory.glob("run-*.html") if path.stem[4:].isdigit())
    old = []
    for run in there:
        if run == latest:
            continue
        oldest = oldest_on(page_path(directory, run))
        if oldest is not None and oldest > before:
            break  # windows only move on
        old.append(run)
    return old


def _read(file: Path) -> frozenset[str]:
    """The keys of the tombstones by which the pages here are cleaned already."""
    try:
        return frozenset(file.read_text().split("\n"))
    except (OSError, ValueError):
        return frozenset()
