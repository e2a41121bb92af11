"""One run, in order: rows, graph, clusters, lineage, names, write, map.

Milvus is the one truth. The graph and the layout on disk are caches that a run rebuilds when they are missing or
damaged; a run that is killed while it writes is finished before the next begins, as it was decided.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.map.layout import Layout, lay_out, load_layout, save_layout
from clustering.neighbours import (
    ExactSearcher,
    GraphReport,
    MilvusSearcher,
    NeighbourGraph,
    choose_searcher,
    load_graph,
    save_graph,
    update_graph,
)
from clustering.pages.footer import run_facts
from clustering.pages.index_page import write_index
from clustering.pages.run_page import Snapshot, write_snapshot
from clustering.run.lease import Lease, require_lease
from clustering.run.plan import Plan, StoryBook, carry_out, changed_rows, language_rows, story_rows
from clustering.run.retention import clear_old, enforce_tombstones, thin_old_pages
from clustering.run.window import COLUMNS, Labelled, Window, fix_window, read_window
from clustering.stories.clusters import cluster_rows
from clustering.stories.lineage import Event, kept_share, match
from clustering.stories.naming import name_stories
from newstide.core import logs
from newstide.core.errors import CacheDamaged, StoreLimit
from newstide.core.language_means import language_means
from newstide.core.settings import Settings
from newstide.milvus import EmptyStore, RunRow, Store, all_of, open_store

_PAGE_AGAIN_AFTER = 3600.0  # seconds from a page that could not be written to a run for its sake alone

log = logs.get("reclusterer")

_COMPARED_VECTORS = 20  # of the graph's, a run, with those in Milvus


@dataclass(slots=True)
class Memory:
    """What a process remembers from run to run; a run does without, too.

    Attributes:
        labelled: The last run's rows.
        unwritten: Pages that could not be written, and when that was tried.
    """

    labelled: Labelled | None = None
    unwritten: dict[Path, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did. `status` says whether it ran at all; `run` is then the last run's number."""

    status: Literal["finished", "nothing new", "no headlines"]
    run: int
    rows: int = 0
    new: int = 0
    changed: int = 0
    too_old: int = 0
    stories: int = 0
    noise_share: float = 0.0
    theta: float = 0.0
    searcher: str = ""
    recall: float | None = None
    searched: int = 0
    rebuilt: bool = False
    reason: str = ""
    events: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    page: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def facts(self) -> dict[str, Any]:
        """For a log line."""
        if self.status != "finished":
            return {"status": self.status, "number": self.run}
        shown = ("rows", "new", "changed", "stories", "noise_share", *(["too_old"] if self.too_old else []))
        return {
            "number": self.run,
            **{name: getattr(self, name) for name in shown},
            **self.events,
            "seconds": round(sum(self.seconds.values()), 1),
        }

    def describe(self) -> str:
        """One sentence."""
        if self.status == "no headlines":
            return "There are no headlines yet."
        if self.status == "nothing new":
            return f"Nothing is new since run {self.run}; nothing was touched.{self._left_out()}"
        events = ", ".join(f"{count} {kind}" for kind, count in self.events.items()) or "no changes"
        return (
            f"Run {self.run}: {self.rows:,} headlines ({self.new:,} new) in {self.stories:,} stories ({events}), "
            f"{self.noise_share:.0%} in none; {sum(self.seconds.values()):.1f} s.{self._left_out()}"
        )

    def _left_out(self) -> str:
        if not self.too_old:
            return ""
        return (
            f" {self.too_old:,} headlines are older than the window, which ends with the newest headline, and are in no "
            "run: `--window none` or a longer one takes them in."
        )


def recluster(
    settings: Settings, *, lease: Lease | None = None, force: bool = False, memory: Memory | None = None
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
    memory = memory or Memory()
    try:
        store = open_store(settings.milvus, None)
    except EmptyStore:  # no consumer has been here yet
        return RunReport("no headlines", 0)
    try:
        cut_off = _finish_what_was_cut_off(store, settings, lease, memory)
        if enforce_tombstones(store, settings, lease):
            memory.labelled = None
        report = _run(store, settings, lease, memory, force=force and cut_off is None)
        if cut_off is not None and report.status != "finished":
            report = cut_off
        clear_old(store, settings, lease)
        thin_old_pages(settings)
        return report
    finally:
        store.close()


def _run(store: Store, settings: Settings, lease: Lease | None, memory: Memory, *, force: bool) -> RunReport:
    started = _now()
    seconds: dict[str, float] = {}
    last = store.last_run()
    last_run = 0 if last is None else last.run
    parameters = settings.clustering.model_dump(mode="json")

    with _timed(seconds, "rows"):
        blocked = store.tombstones.current().keys
        known = memory.labelled if memory.labelled is not None and memory.labelled.hold(store, last) else None
        window = fix_window(store, settings.clustering.window, last, started)
        rows = None if known is None else read_window(store, window, known)
        if not force and _nothing_new(store, window, rows, last, parameters, settings, memory):
            return RunReport("nothing new", last_run, too_old=window.too_old)
        if rows is None:
            rows = read_window(store, window)
        if rows.empty:
            return RunReport("no headlines", last_run)
        memory.labelled = None  # until this run has finished: it is going to write labels
        read_at = time.monotonic() if known is None else known.read_at

    with _timed(seconds, "graph"):
        run = last_run + 1
        graph, graph_report, searcher = _up_to_date_graph(store, window.where, rows, settings, run)

    book = StoryBook.read(store, int(rows["published_at"].min()))
    previous = book.last_stories(rows)

    with _timed(seconds, "clusters"):
        languages = rows["language"].tolist()
        clusters = cluster_rows(
            graph.vectors,
            rows["title"].tolist(),
            languages,
            rows["published_at"].to_numpy(np.int64),
            graph.indices,
            graph.similarities,
            settings.clustering,
            known_theta=last.theta if last is not None and last.parameters == parameters else None,
            previous=np.where(np.isin(previous, list(book.open)), previous, -1),
        )

    with _timed(seconds, "lineage"):
        lineage = match(previous, clusters.labels, book.open, book.next_number)

    with _timed(seconds, "names"):
        names = name_stories(lineage.labels, clusters.centred, rows, clusters.threshold.theta)

    with _timed(seconds, "write"):
        changed = changed_rows(rows, lineage.labels)
        means = clusters.means if clusters.means.by_language else language_means(graph.vectors, languages)
        counts = {
            "rows": len(rows),
            "newest": window.newest,
            "new": len(window.unlabelled),
            "too_old": window.too_old,
            "changed": int(changed.sum()),
            "points": clusters.points,
            "stories": len(names),
            "noise": int((lineage.labels < 0).sum()),
            "kept": kept_share(previous, lineage.labels, book.open),
            **_by_kind(lineage.events),
        }
        plan = Plan(
            RunRow(
                run,
                means.overall,
                clusters.threshold.theta,
                started,
                _now(),
                "finished",
                parameters,
                counts,
                dict(seconds),
            ),
            store.card.fingerprint,
            window.where,
            rows.loc[changed, "id"].tolist(),
            lineage.labels[changed],
            clusters.probabilities[changed],
            story_rows(names, rows["id"].tolist(), lineage, book, previous, run),
            lineage.events,
            language_rows(means, run),
        )
        require_lease(lease)
        store.require_in_use()
        store.unfinished.write(plan.encode())
        carry_out(plan, store, settings.kafka, _now(), lease)

    labelled = rows.assign(
        cluster_label=lineage.labels,
        label_probability=_kept(rows, changed, clusters.probabilities),
        label_run=np.where(changed, run, rows["label_run"]),
    )
    with _timed(seconds, "map"):
        page = _publish(store, settings, graph, labelled, plan, seconds, memory)
    require_lease(lease)
    store.unfinished.clear()
    memory.labelled = Labelled(labelled, run, store.suffix, blocked, started, read_at)
    return _report(plan, seconds, page, searcher, graph_report)


def _finish_what_was_cut_off(store: Store, settings: Settings, lease: Lease | None, memory: Memory) -> RunReport | None:
    """Carries out the plan of a run that was killed while it did, or before its page was there."""
    content = store.unfinished.read()
    if content is None:
        return None
    try:
        plan = Plan.decode(content)
    except (ValueError, KeyError, TypeError) as error:
        log.warning("a run that another version was cut off in is forgotten", reason=repr(error))
        store.unfinished.clear()
        return None
    last = store.last_run()
    run = plan.row.run
    written = last is not None and (last.run, last.started_at) == (run, plan.row.started_at)
    if not written and (run != (0 if last is None else last.run) + 1 or plan.model != store.card.fingerprint):
        log.warning("a run that was cut off is forgotten: what it was about is no longer there", number=run)
        store.unfinished.clear()
        return None
    seconds = dict(plan.row.durations)
    require_lease(lease)
    try:
        with _timed(seconds, "write"):
            if not written:
                carry_out(plan, store, settings.kafka, _now(), lease)
    except StoreLimit as error:
        log.warning("a run that was cut off is forgotten: Milvus refuses it", number=run, reason=str(error))
        store.unfinished.clear()
        return None
    with _timed(seconds, "map"):
        rows = store.headlines(all_of(plan.where, "label_run > 0"), COLUMNS).drop_duplicates("id")
        rows = rows.sort_values("id", ignore_index=True)
        page, searcher, graph_report = None, "", None
        if len(rows):
            graph, graph_report, searcher = _up_to_date_graph(store, plan.where, rows, settings, run)
            page = _publish(store, settings, graph, rows, plan, seconds, memory)
    require_lease(lease)
    store.unfinished.clear()
    log.info("finished a run that was cut off", number=run)
    return _report(plan, seconds, page, searcher, graph_report)


def _report(
    plan: Plan, seconds: dict[str, float], page: Path | None, searcher: str, graph: GraphReport | None
) -> RunReport:
    counts = plan.row.counts
    return RunReport(
        "finished",
        plan.row.run,
        rows=counts["rows"],
        new=counts["new"],
        changed=counts["changed"],
        too_old=counts["too_old"],
        stories=counts["stories"],
        noise_share=round(counts["noise"] / counts["rows"], 4),
        theta=round(plan.row.theta, 4),
        searcher=searcher,
        recall=None if graph is None else graph.recall,
        searched=0 if graph is None else graph.searched,
        rebuilt=graph is not None and graph.rebuilt,
        reason="" if graph is None else graph.reason,
        events=_by_kind(plan.events),
        seconds=_rounded(seconds),
        page=str(page or ""),
    )


def _nothing_new(
    store: Store,
    window: Window,
    rows: pd.DataFrame | None,
    last: RunRow | None,
    parameters: dict[str, Any],
    settings: Settings,
    memory: Memory,
) -> bool:
    if last is None or len(window.unlabelled) or last.parameters != parameters:
        return False
    count = store.count_headlines(window.where) if rows is None else len(rows)
    if (count, window.newest) != (last.counts.get("rows"), last.counts.get("newest")):
        return False
    page = _page(settings, last.run)
    return page.exists() or time.monotonic() - memory.unwritten.get(page, float("-inf")) < _PAGE_AGAIN_AFTER


def _up_to_date_graph(
    store: Store, where: str, rows: pd.DataFrame, settings: Settings, run: int
) -> tuple[NeighbourGraph, GraphReport, str]:
    wanted = settings.clustering
    path = settings.data_dir / "cache" / "graph.bin"
    damage = ""
    try:
        previous = load_graph(path, store.card)
    except CacheDamaged as error:
        previous, damage = None, error.message if path.exists() else ""
    searcher = choose_searcher(wanted.searcher, len(rows), is_lite=store.is_lite, exact_rows=wanted.exact_rows)
    graph, report = update_graph(
        previous,
        rows["id"].tolist(),
        store.embeddings,
        ExactSearcher(wanted.memory_mb) if searcher == "exact" else MilvusSearcher(store.search_headlines, where),
        k=wanted.graph_neighbours,
        spare=wanted.spare_neighbours,
        doubted=set(rows.loc[rows["label_run"] == 0, "id"]),  # may have been removed, and come again with another text
        vector_sample=_COMPARED_VECTORS,
        recall_sample=wanted.recall_sample,
        recall_floor=wanted.recall_floor,
        seed=wanted.seed + run,
    )
    if damage:
        report = replace(report, reason=damage)
    if report.rebuilt and (damage or run > 1):
        log.warning("the graph was built anew", reason=report.reason, searched=report.searched)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_graph(path, graph, store.card)
    except OSError as error:
        log.warning("the graph could not be kept; the next run builds it anew", reason=str(error))
    return graph, report, searcher


def _publish(
    store: Store,
    settings: Settings,
    graph: NeighbourGraph,
    rows: pd.DataFrame,
    plan: Plan,
    seconds: dict[str, float],
    memory: Memory,
) -> Path | None:
    """The map. The run counts whether it can be made or not: a full disk, say, leaves the old page in place.

    `seconds` is what the run's steps took before.
    """
    try:
        return _drawn(store, settings, graph, rows, plan, seconds)
    except OSError as error:
        log.error("the page could not be written; the last one stays in place", reason=str(error))
    except Exception:
        log.exception("the page could not be made; the last one stays in place")
    memory.unwritten[_page(settings, plan.row.run)] = time.monotonic()
    return None


def _drawn(
    store: Store, settings: Settings, graph: NeighbourGraph, rows: pd.DataFrame, plan: Plan, seconds: dict[str, float]
) -> Path:
    started = time.perf_counter()
    path = settings.data_dir / "cache" / "layout.npz"
    layout = _laid_out(path, graph, store.card.fingerprint, settings)
    kinds: dict[int, list[str]] = {}
    for event in plan.events:
        kinds.setdefault(event.story, []).append(event.kind)
    snapshot = Snapshot(
        run=plan.row.run,
        finished_at=_now(),
        headlines=rows.assign(x=layout.positions[:, 0], y=layout.positions[:, 1]),
        stories=plan.stories.drop(columns="centroid").assign(
            events=pd.Series([kinds.get(int(at), []) for at in plan.stories["cluster_label"]], dtype=object)
        ),
        facts=run_facts(
            plan.row, store.card.name, layout, settings, sum(seconds.values()) + time.perf_counter() - started
        ),
    )
    save_layout(path, layout)
    page = write_snapshot(settings.snapshots_dir, snapshot, max_points=settings.pages.max_points)
    write_index(settings.snapshots_dir)
    return page


def _laid_out(path: Path, graph: NeighbourGraph, weights: str, settings: Settings) -> Layout:
    """The map, started from the one at `path`."""
    layout = lay_out(
        graph.vectors, graph.indices, graph.similarities, graph.ids, load_layout(path), settings.layout, weights
    )
    log.info(
        "laid out the map",
        rows=len(layout.ids),
        fresh=layout.fresh,
        moved=None if layout.moved is None else round(layout.moved, 4),
        neighbours=layout.neighbours,
        asked=settings.layout.neighbours,
        listed=settings.clustering.graph_neighbours,
    )
    return layout


def _page(settings: Settings, run: int) -> Path:
    return settings.snapshots_dir / f"run-{run:06d}.html"


def _kept(
    rows: pd.DataFrame, changed: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Probabilities as they stand in Milvus: of the run that last wrote the label."""
    return np.where(changed, probabilities, rows["label_probability"].to_numpy(np.float32))


def _by_kind(events: Sequence[Event]) -> dict[str, int]:
    return dict(Counter(event.kind for event in events))


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {step: round(value, 3) for step, value in seconds.items()}


def _now() -> int:
    return int(time.time() * 1000)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - started
