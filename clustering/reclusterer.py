"""One run, in order: rows, graph, clusters, lineage, names, write, map.

Milvus is the one truth. The graph and the layout on disk are caches that a run rebuilds when they are missing or
damaged; a run that is killed anywhere is finished or repaired by the next.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.gallery import write_index
from clustering.layout import lay_out, load_layout, save_layout
from clustering.lease import Lease
from clustering.lineage import Event, match
from clustering.naming import name_stories
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
from clustering.retention import clear_old, enforce_tombstones, thin_old_pages
from clustering.snapshot import Snapshot, write_snapshot
from clustering.stories import cluster_rows
from clustering.window import Window, fix_window, read_window
from clustering.writing import StoryBook, announced, changed_rows, language_rows, send_events, story_rows
from newstide import logs
from newstide.broker import Sender
from newstide.centring import language_means
from newstide.errors import CacheDamaged
from newstide.settings import Settings
from newstide.store import RunRow, Store, open_store

log = logs.get("reclusterer")

_COMPARED_VECTORS = 20  # of the graph's, a run, with those in Milvus


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


def recluster(settings: Settings, *, lease: Lease | None = None, force: bool = False) -> RunReport:
    """Makes one run.

    Args:
        settings: With the addresses of Kafka and Milvus.
        lease: Asked before anything is written, so that of two reclusterers only one writes.
        force: Run even when nothing is new.

    Raises:
        NewstideError: The run could not finish; the last good labels and page stay in place.
    """
    store = open_store(settings.milvus, None)
    try:
        enforce_tombstones(store, settings)
        report = _run(store, settings, lease, force=force)
        clear_old(store, settings, lease)
        thin_old_pages(settings)
        return report
    finally:
        store.close()


def _run(store: Store, settings: Settings, lease: Lease | None, *, force: bool) -> RunReport:
    started = _now()
    seconds: dict[str, float] = {}
    last = store.last_run()
    last_run = 0 if last is None else last.run
    parameters = settings.clustering.model_dump(mode="json")

    with _timed(seconds, "rows"):
        window = fix_window(store, settings.clustering.window, last, started)
        if not window.count:
            return RunReport("no headlines", last_run)
        if not force and _nothing_new(window, last, parameters, settings):
            return RunReport("nothing new", last_run, too_old=window.too_old)
        rows = read_window(store, window)

    with _timed(seconds, "graph"):
        run = last_run + 1
        graph, graph_report, searcher = _up_to_date_graph(store, window, rows, settings, run)

    book = StoryBook.read(store, last_run, int(rows["published_at"].min()))
    previous = book.last_stories(rows)
    living = book.open | book.unannounced

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
            previous=np.where(np.isin(previous, list(living)), previous, -1),
        )

    with _timed(seconds, "lineage"):
        lineage = match(previous, clusters.labels, living, book.next_number)
        events = announced(lineage, book)

    with _timed(seconds, "names"):
        names = name_stories(lineage.labels, clusters.centred, rows, clusters.threshold.theta)
        stories = story_rows(names, rows["id"].tolist(), lineage, events, book, previous, run)

    with _timed(seconds, "write"):
        if lease is not None:
            lease.require()
        changed = changed_rows(rows, lineage.labels)
        store.upsert_stories(stories)
        store.write_labels(
            rows.loc[changed, "id"].tolist(), lineage.labels[changed], clusters.probabilities[changed], run
        )
        _send(settings, events, stories, run)
        means = clusters.means if clusters.means.by_language else language_means(graph.vectors, languages)
        store.upsert_means(language_rows(means, run))
        counts = {
            "rows": len(rows),
            "newest": window.newest,
            "new": window.provisional,
            "too_old": window.too_old,
            "changed": int(changed.sum()),
            "points": clusters.points,
            "stories": len(names),
            "noise": int((lineage.labels < 0).sum()),
            **_by_kind(events),
        }
        theta = clusters.threshold.theta
        store.insert_run(
            RunRow(run, means.overall, theta, started, _now(), "finished", parameters, counts, dict(seconds))
        )

    report = RunReport(
        "finished",
        run,
        rows=len(rows),
        new=window.provisional,
        changed=int(changed.sum()),
        too_old=window.too_old,
        stories=len(names),
        noise_share=round(float((lineage.labels < 0).mean()), 4),
        theta=round(theta, 4),
        searcher=searcher,
        recall=graph_report.recall,
        searched=graph_report.searched,
        rebuilt=graph_report.rebuilt,
        reason=graph_report.reason,
        events=_by_kind(events),
        seconds=seconds,
    )
    labelled = rows.assign(cluster_label=lineage.labels, label_probability=_kept(rows, changed, clusters.probabilities))
    with _timed(seconds, "map"):
        page = _publish(store, settings, graph, labelled, stories, events, report)
    return RunReport(**{**asdict(report), "page": str(page or ""), "seconds": _rounded(seconds)})


def _nothing_new(window: Window, last: RunRow | None, parameters: dict[str, Any], settings: Settings) -> bool:
    if last is None or window.provisional:
        return False
    same = (window.count, window.newest) == (last.counts.get("rows"), last.counts.get("newest"))
    return same and last.parameters == parameters and _page(settings, last.run).exists()


def _up_to_date_graph(
    store: Store, window: Window, rows: pd.DataFrame, settings: Settings, run: int
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
        ExactSearcher(wanted.memory_mb)
        if searcher == "exact"
        else MilvusSearcher(store.search_headlines, window.where),
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


def _send(settings: Settings, events: tuple[Event, ...], stories: pd.DataFrame, run: int) -> None:
    if not events:
        return
    titles = dict(zip(stories["cluster_label"].astype(int), stories["title"], strict=True))
    sender = Sender(settings.kafka)
    try:
        send_events(sender, settings.kafka.events_topic, events, titles, run, _now())
    finally:
        sender.close()


def _publish(
    store: Store,
    settings: Settings,
    graph: NeighbourGraph,
    rows: pd.DataFrame,
    stories: pd.DataFrame,
    events: tuple[Event, ...],
    report: RunReport,
) -> Path | None:
    """The map. The run counts whether it can be written or not: a full disk leaves the old page in place."""
    path = settings.data_dir / "cache" / "layout.npz"
    layout = lay_out(graph.vectors, graph.indices, graph.similarities, graph.ids, load_layout(path), settings.layout)
    kinds: dict[int, list[str]] = {}
    for event in events:
        kinds.setdefault(event.story, []).append(event.kind)
    window = settings.clustering.window
    snapshot = Snapshot(
        run=report.run,
        finished_at=_now(),
        headlines=rows.assign(x=layout.positions[:, 0], y=layout.positions[:, 1]),
        stories=stories.drop(columns="centroid").assign(
            events=pd.Series([kinds.get(int(at), []) for at in stories["cluster_label"]], dtype=object)
        ),
        facts={
            "model": store.card.name,
            "window": "everything" if window is None else _span(window.total_seconds()),
            "neighbours": settings.clustering.graph_neighbours,
            "selection": "tutorial" if settings.clustering.tutorial else settings.clustering.selection,
            "theta": report.theta,
            "map": "fitted anew" if layout.fresh else "renewed from the last",
            "map_neighbours": layout.neighbours,
            "seconds": round(sum(report.seconds.values()), 1),
        },
    )
    try:
        save_layout(path, layout)
        page = write_snapshot(settings.snapshots_dir, snapshot, max_points=settings.pages.max_points)
        write_index(settings.snapshots_dir)
    except OSError as error:
        log.error("the page could not be written; the last one stays in place", reason=str(error))
        return None
    return page


def _page(settings: Settings, run: int) -> Path:
    return settings.snapshots_dir / f"run-{run:06d}.html"


def _kept(
    rows: pd.DataFrame, changed: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Probabilities as they stand in Milvus: of the run that last wrote the label."""
    return np.where(changed, probabilities, rows["label_probability"].to_numpy(np.float32))


def _by_kind(events: tuple[Event, ...]) -> dict[str, int]:
    return dict(Counter(event.kind for event in events))


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {step: round(value, 3) for step, value in seconds.items()}


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} seconds"


def _now() -> int:
    return int(time.time() * 1000)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - started
