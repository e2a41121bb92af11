"""One run, in order: rows, graph, clusters, lineage, names, write, map.

Milvus holds everything that counts. The graph and the layout on disk are caches that a run rebuilds when they are missing or
damaged; a run that is killed while it writes is finished before the next begins, as it was decided.
"""

import time
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.run.graph import CurrentGraph, current_graph
from clustering.run.known_stories import KnownStories, Remembered, differing
from clustering.run.lease import ALONE, MayWrite
from clustering.run.newest import Newest, find_newest
from clustering.run.old_tombstones import note, recall
from clustering.run.plan import Plan, carry_out
from clustering.run.publish import page_of, publish
from clustering.run.repair import finish_what_was_cut_off
from clustering.run.report import RunReport, count_by_kind, finished
from clustering.run.retention import clear_old, enforce_tombstones, thin_old_pages
from clustering.run.story_book import StoryBook, retitled, story_rows
from clustering.run.window import (
    Labelled,
    Window,
    fix_window,
    read_fresh,
    read_window,
    window_lengths,
    without_blocked,
)
from clustering.run.workplace import Memory, Workplace, now_ms, timed
from clustering.stories.clusters import Clusters, cluster_rows
from clustering.stories.lineage import Lineage, label_stability
from clustering.stories.naming import name_stories
from clustering.stories.newcomers import pairs_apart
from newstide.core import logs
from newstide.core.errors import EmptyStore
from newstide.core.language_means import Means, language_means, no_means
from newstide.core.settings import Settings
from newstide.core.text import iso_time
from newstide.embedding.scripts import unreadable_scripts
from newstide.milvus import LanguageMean, RunRow, filters, open_store

__all__ = ["Memory", "RunReport", "recluster"]

_PAGE_AGAIN_AFTER = 3600.0  # seconds from a page that could not be written to a run for its sake alone
_RECENT = 10  # runs whose windows and thresholds count for this one

log = logs.get("reclusterer")


def recluster(
    settings: Settings, *, lease: MayWrite = ALONE, force: bool = False, memory: Memory | None = None
) -> RunReport:
    """Makes one run.

    Args:
        settings: With the addresses of Kafka and Milvus.
        lease: Asked before anything is written, so that of two reclusterers only one writes.
        force: Run even when nothing is new.
        memory: Of the process, where it makes more than one.

    Raises:
        NewstideError: The run could not finish; the last good labels and page stay in place.
    """
    try:
        store = open_store(settings.milvus, None)
    except EmptyStore:  # no consumer has been here yet
        return RunReport("no headlines", 0)
    try:
        place = Workplace(store, settings, lease, memory or Memory())
        cut_off = finish_what_was_cut_off(place)
        enforce_tombstones(store, settings, lease)
        report = _Run(place).make(force=force and cut_off is None)
        if cut_off is not None and report.status != "finished":
            report = cut_off
        told, place.memory.told = place.memory.told, []  # to be read, where what follows is cut short
        cleared = clear_old(store, settings, lease)
        place.memory.told = cleared.left_of(told)
        if place.memory.is_news("refused", cleared.refused):
            log.error(
                "no headline was deleted for its age, since so many are due; `newstide prune` shows and deletes them",
                due=cleared.refused,
            )
        thin_old_pages(settings)
        return replace(report, due=cleared.refused)
    finally:
        store.close()


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows that a run clusters, and what is known of them.

    Attributes:
        window: The window's bounds, and what is new in it.
        frame: The window's rows, ascending by id.
        readable: (n,) which of their titles the model can read.
        unreadable: How many it cannot, by script.
        blocked: Keys of the tombstones there were before they were read.
        checked: When a part of them was last compared with Milvus, by `time.monotonic`, and which part is the next.
    """

    window: Window
    frame: pd.DataFrame
    readable: npt.NDArray[np.bool_]
    unreadable: Counter[str]
    blocked: frozenset[str]
    checked: tuple[float, int]


class _Run:
    """A run that is being made: `make` is the list of its steps."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._store, self._settings, self._memory = place.store, place.settings, place.memory
        self._started, self._began = now_ms(), time.monotonic()
        self._seconds: dict[str, float] = {}
        self._last = self._store.last_run()
        self._last_run = 0 if self._last is None else self._last.run
        self._run = self._last_run + 1
        self._parameters = self._settings.clustering.model_dump(mode="json")
        self._old_tombstones = self._settings.data_dir / "cache" / "old-tombstones"
        self._recent = self._store.runs(after=self._last_run - _RECENT)
        self._lengths = window_lengths(self._settings.clustering.window, self._recent)

    def make(self, *, force: bool) -> RunReport:
        """Makes the run, unless there are no rows, or no new ones."""
        with timed(self._seconds, "rows"):
            rows = self._fix_rows(force=force)
        if isinstance(rows, RunReport):
            return rows
        with timed(self._seconds, "graph"):
            current = current_graph(self._place, rows.window.where, rows.frame, self._run)
        known = self._known_stories(rows)
        book = StoryBook.read(self._store, known, rows.frame, rows.window, self._lengths)
        with timed(self._seconds, "clusters"):
            clusters = self._find_clusters(rows, current, book)
        with timed(self._seconds, "lineage"):
            lineage = book.match(clusters.labels, clusters.parted.born)
        with timed(self._seconds, "names"):
            going_on = np.where(np.isin(lineage.labels, lineage.story_of_cluster), lineage.labels, -1)
            names = name_stories(
                going_on,
                clusters.centred,
                rows.frame,
                clusters.threshold.theta,
                before=book.known(),
                newest=rows.window.newest.at,
                unchanged=self._unchanged(rows, book, going_on),
                words=self._memory.words,
                point=clusters.point,
            )
        with timed(self._seconds, "write"):
            plan = self._decide(rows, current, book, clusters, lineage, names)
            self._write(plan)
        labelled = _labelled(rows.frame, plan, lineage, clusters)
        known = known.after(plan.stories, lineage.next_number)
        with timed(self._seconds, "map"):
            page = publish(self._place, current, labelled, plan, self._seconds, known.open)
        self._close(rows, labelled, known)
        return finished(plan, self._seconds, page, current.searcher, current.report)

    def _fix_rows(self, *, force: bool) -> _Rows | RunReport:
        """Step one: the rows, or the report that says why there is no run."""
        tombstones = self._store.tombstones.current()
        recall(self._old_tombstones, self._memory.stones, tombstones, self._last)
        labelled = self._memory.labelled
        last_began = float("-inf") if labelled is None else labelled.as_of
        self._lately_taken_down = bool(self._memory.stones.lately(tombstones, last_began))
        self._store.settle()
        ahead = int(self._settings.limits.ahead.total_seconds() * 1000)
        fresh = read_fresh(self._store, self._last)
        times = None if fresh is None else fresh["published_at"].to_numpy(np.int64)
        newest = find_newest(self._store, self._last, self._started, ahead, times)
        self._say_of(newest)
        window = fix_window(self._store, self._settings.clustering.window, newest, fresh)
        window = without_blocked(window, self._store.tombstones.now())
        known = None if labelled is None else labelled.still(self._store, self._last, window.begin, self._memory.stones)
        frame = None if known is None else read_window(self._store, window, known)
        if not force and self._nothing_new(window, frame):
            return RunReport(
                "nothing new",
                self._last_run,
                too_old=window.too_old,
                ahead=newest.ahead,
                clock_behind=newest.clock_behind,
            )
        if frame is None:
            frame = read_window(self._store, window)
        if frame.empty:
            return RunReport("no headlines", self._last_run)
        self._memory.labelled = None  # until this run has finished: it is going to write labels
        readable, unreadable = unreadable_scripts(frame["title"].tolist(), self._store.card)
        checked = (time.monotonic(), 0) if known is None else (known.checked_at, known.part)
        return _Rows(window, frame, readable, unreadable, tombstones.keys, checked)

    def _nothing_new(self, window: Window, frame: pd.DataFrame | None) -> bool:
        last = self._last
        if last is None or len(window.unlabelled) or last.parameters != self._parameters:
            return False
        where = filters.all_of(window.where, filters.LABELLED)
        count = self._store.count_headlines(where) if frame is None else len(frame)
        if (count, window.newest.at) != (last.counts.get("rows"), last.counts.get("newest")):
            return False
        if not self._settings.pages.enabled:
            return True
        page = page_of(self._settings, last.run)
        tried = self._memory.unwritten.get(page, float("-inf"))
        return page.exists() or time.monotonic() - tried < _PAGE_AGAIN_AFTER

    def _why_quiet(self) -> str:
        """Why this run is to alert nobody: what changed since the last is more than the news; empty where it is not."""
        if self._last is None:
            return "first run"
        if self._last.counts.get("restored"):
            return "restored"
        if "model" in self._last.parameters:  # as `newstide reembed` leaves it
            return "another model"
        return "" if self._last.parameters == self._parameters else "other settings"

    def _say_of(self, newest: Newest) -> None:
        """Logs the headlines that are ahead of the clock, once for as long as their number stays the same."""
        if self._memory.is_news("ahead", (newest.ahead, newest.clock_behind) if newest.ahead else None):
            what = (
                "this machine's clock is behind most headlines; the window ends where the last run's did"
                if newest.clock_behind
                else "headlines are dated ahead of this machine's clock; they move no window"
            )
            log.warning(what, headlines=newest.ahead, clock=iso_time(self._started))

    def _known_stories(self, rows: _Rows) -> KnownStories:
        """The stories as the last run left them: remembered, or from Milvus, as what happened to them is then."""
        since = int(rows.frame["published_at"].min())
        remembered, self._memory.stories = self._memory.stories, None
        if remembered is not None and remembered.hold(self._store, self._last, since, self._memory.stones):
            return remembered.stories
        self._memory.told = []
        return KnownStories.read(self._store, since)

    def _measured_before(self, rows: int) -> dict[Hashable, Any] | None:
        """The last run with these parameters and at least half as many headlines: a smaller run measures theta badly."""
        for run in self._recent.sort_values("run", ascending=False).to_dict("records"):
            if run["parameters"] == self._parameters and 2 * int(run["counts"].get("rows", 0)) >= rows:
                return run
        return None

    def _find_clusters(self, rows: _Rows, current: CurrentGraph, book: StoryBook) -> Clusters:
        """Step three: edges weighed, tree built, clusters chosen."""
        before = self._measured_before(len(rows.frame))
        return cluster_rows(
            current.graph,
            rows.frame,
            self._settings.clustering,
            readable=rows.readable,
            known_theta=None if before is None else before["theta"],
            known_smoothed_theta=None if before is None else before["counts"].get("smoothed_theta"),
            previous=book.previous_open,
            apart=tuple(map(tuple, self._last.counts.get("apart", ()))) if self._last else (),
            overwrite=current.folder is not None
            and len(rows.frame) > self._settings.pages.max_points,  # the map needs all
        )

    def _unchanged(self, rows: _Rows, book: StoryBook, labels: npt.NDArray[np.int64]) -> set[int]:
        """The stories that have the very headlines that they had; none where some were taken down since the last run."""
        if self._last is None or self._lately_taken_down:
            return set()
        return book.unchanged(labels, rows.frame["label_run"].to_numpy(np.int64) == 0)

    def _decide(
        self,
        rows: _Rows,
        current: CurrentGraph,
        book: StoryBook,
        clusters: Clusters,
        lineage: Lineage,
        names: pd.DataFrame,
    ) -> Plan:
        """Step six, first half: the plan, which holds all that the run is going to write."""
        means = clusters.means
        if not means.by_language:
            means = _means(current.graph.vectors, rows)
        changed = _changed(rows.frame, lineage.labels)
        events, now = (*lineage.events, *retitled(names, book)), now_ms()
        stories = story_rows(names, rows.frame["id"].tolist(), lineage, book, self._run, now)
        told = stories["cluster_label"].isin([event.story for event in events]).to_numpy()
        written = told | differing(stories, book.known())
        counts: dict[str, Any] = {
            "rows": len(rows.frame),
            "newest": rows.window.newest.at,
            "ahead": rows.window.newest.ahead,
            "clock_behind": rows.window.newest.clock_behind,
            "new": len(rows.window.unlabelled),
            "too_old": rows.window.too_old,
            "changed": int(changed.sum()),
            "points": clusters.points,
            "smoothed_theta": clusters.smoothed_threshold.theta,
            "stories": len(names),
            "noise": int((lineage.labels < 0).sum()),
            "unreadable": dict(rows.unreadable),
            "kept": label_stability(book.previous, lineage.labels, book.open),
            "random_pairs": {"mean": clusters.threshold.mean, "deviation": clusters.threshold.deviation},
            "apart": pairs_apart(clusters.parted, lineage),
            "arrivals": _arrivals(rows.frame, lineage.labels),
            "quiet": self._why_quiet(),
            **count_by_kind(events),
        }
        return Plan(
            row=RunRow(
                run=self._run,
                mean=means.overall,
                theta=clusters.threshold.theta,
                started_at=self._started,
                finished_at=now,
                parameters=self._parameters,
                counts=counts,
                durations=dict(self._seconds),
            ),
            model=self._store.card.fingerprint,
            where=rows.window.where,
            ids=rows.frame.loc[changed, "id"].tolist(),
            labels=lineage.labels[changed],
            probabilities=clusters.probabilities[changed],
            stories=stories[written].reset_index(drop=True),
            events=events,
            means=[
                LanguageMean(language, mean, count, self._run) for language, (mean, count) in means.by_language.items()
            ],
        )

    def _write(self, plan: Plan) -> None:
        """Step six, second half: writes the plan to the journal, and then carries it out."""
        self._place.lease.require()
        self._store.require_in_use()
        self._store.unfinished.write(plan.encode())
        carry_out(plan, self._store, self._settings.kafka, now_ms(), self._place.lease)

    def _close(self, rows: _Rows, labelled: pd.DataFrame, stories: KnownStories) -> None:
        """Clears the journal once the plan is carried out, and remembers rows and stories."""
        self._place.lease.require()
        self._store.unfinished.clear()
        note(self._old_tombstones, self._memory.stones, self._began, self._run)
        self._memory.labelled = Labelled(
            rows=labelled,
            run=self._run,
            suffix=self._store.suffix,
            as_of=self._began,
            begin=rows.window.begin,
            checked_at=rows.checked[0],
            part=rows.checked[1],
        )
        self._memory.stories = Remembered(
            stories=stories,
            run=self._run,
            suffix=self._store.suffix,
            blocked=rows.blocked,
            as_of=self._began,
            since=int(rows.frame["published_at"].min()),
        )


def _means(vectors: npt.NDArray[np.float32], rows: _Rows) -> Means:
    """The mean of the readable rows, where the clustering made none."""
    some = np.flatnonzero(rows.readable)
    if not len(some):
        return no_means(vectors.shape[1])
    return language_means(vectors, rows.frame["language"].tolist(), some)


def _changed(rows: pd.DataFrame, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which rows have to be written: those whose label changed, and those that no run has labelled yet."""
    changed: npt.NDArray[np.bool_] = (rows["cluster_label"].to_numpy(np.int64) != labels) | (
        rows["label_run"].to_numpy(np.int64) == 0
    )
    return changed


def _arrivals(rows: pd.DataFrame, labels: npt.NDArray[np.int64]) -> dict[str, int]:
    """How many headlines had been given a story's label on arrival, and how many of these labels the run keeps."""
    given = rows["cluster_label"].to_numpy(np.int64)
    on_arrival = (rows["label_run"].to_numpy(np.int64) == 0) & (given >= 0)
    return {"labelled": int(on_arrival.sum()), "kept": int((given == labels)[on_arrival].sum())}


def _labelled(rows: pd.DataFrame, plan: Plan, lineage: Lineage, clusters: Clusters) -> pd.DataFrame:
    """The rows as they are in Milvus from now on: probability and run are those of the run that last wrote the label."""
    changed = _changed(rows, lineage.labels)
    return rows.assign(
        cluster_label=lineage.labels,
        label_probability=np.where(changed, clusters.probabilities, rows["label_probability"].to_numpy(np.float32)),
        label_run=np.where(changed, plan.row.run, rows["label_run"]),
    )
