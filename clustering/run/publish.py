"""Step seven of a run: the map, and the page that shows it. The run counts even where neither can be made."""

import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from clustering.arrays import Labels
from clustering.map.bounded import Map, lay_out_some
from clustering.map.layout import load_layout, save_layout
from clustering.pages.colours import chosen_rows
from clustering.pages.folder import page_path
from clustering.pages.footer import run_facts
from clustering.pages.index_page import write_index
from clustering.pages.run_page import Snapshot, write_snapshot
from clustering.run.graph import CurrentGraph
from clustering.run.plan import Plan
from clustering.run.story_pages import write_changed_stories
from clustering.run.workplace import Workplace, now_ms
from newstide.core import logs
from newstide.core.settings import Settings
from newstide.milvus import StoryEvent

_TOLD = 7 * 86_400_000  # ms: what happened to stories in so long a time stands on the page

log = logs.get("reclusterer")


def publish(
    place: Workplace,
    current: CurrentGraph,
    rows: pd.DataFrame,
    plan: Plan,
    seconds: Mapping[str, float],
    stories: pd.DataFrame,
) -> Path | None:
    """Lays the map out and writes the page; where that fails, the last page stays, and the failure is logged and noted.

    Args:
        place: Of the run.
        current: The graph of its rows.
        rows: The run's rows as it labelled them, in the graph's order.
        plan: What it wrote.
        seconds: What its steps took until now.
        stories: All open stories as they are from the run on, with centroids.

    Returns:
        The page, or None where none was written: the disk is full, say, or `pages.enabled` is false.
    """
    if not place.settings.pages.enabled:
        return None
    try:
        return _drawn(place, current, rows, plan, seconds, stories)
    except OSError as error:
        log.error("the page could not be written; the last one stays in place", reason=str(error))
    except Exception:
        log.exception("the page could not be made; the last one stays in place")
    place.memory.unwritten[page_of(place.settings, plan.row.run)] = time.monotonic()
    return None


def page_of(settings: Settings, run: int) -> Path:
    """Where a run's page lies."""
    return page_path(settings.snapshots_dir, run)


def _drawn(
    place: Workplace,
    current: CurrentGraph,
    rows: pd.DataFrame,
    plan: Plan,
    seconds: Mapping[str, float],
    opened: pd.DataFrame,
) -> Path:
    started = time.perf_counter()
    settings, card = place.settings, place.store.card
    path = settings.data_dir / "cache" / "layout.npz"
    drawn = chosen_rows(rows, settings.pages.max_points)
    found = laid_out(path, current, drawn, card.fingerprint, settings)
    layout, positions = found.layout, found.positions
    kinds: dict[int, list[str]] = {}
    for event in plan.events:
        kinds.setdefault(event.story, []).append(event.kind)
    stories = _shown_stories(place, rows, plan, opened)
    since = plan.row.finished_at - _TOLD
    told = _told(place, since)
    snapshot = Snapshot(
        run=plan.row.run,
        finished_at=now_ms(),
        headlines=rows.assign(x=positions[:, 0], y=positions[:, 1]),
        stories=stories.assign(
            events=pd.Series([kinds.get(int(at), []) for at in stories["cluster_label"]], dtype=object)
        ),
        changes=told,
        wanted=settings.pages.title_languages,
        facts=run_facts(plan.row, card.name, layout, settings, sum(seconds.values()) + time.perf_counter() - started),
    )
    save_layout(path, layout)
    page = write_snapshot(settings.snapshots_dir, snapshot, max_points=settings.pages.max_points)
    write_index(settings.snapshots_dir)
    write_changed_stories(place, rows, plan, opened, told, since)
    return page


def _told(place: Workplace, since: int) -> list[StoryEvent]:
    """What happened to stories since then (epoch ms), oldest first; Milvus is asked for what is later than is remembered."""
    events, known = place.store.events, place.memory.told
    found = [*known, *events.after_run(known[-1].run)] if known else events.since(since)
    place.memory.told = [event for event in found if event.at >= since]
    return place.memory.told


def _shown_stories(place: Workplace, rows: pd.DataFrame, plan: Plan, opened: pd.DataFrame) -> pd.DataFrame:
    """The stories that the run wrote, and those of which it saw headlines and wrote nothing."""
    labels = rows["cluster_label"]
    others = set(labels[labels >= 0].astype(int)) - set(plan.stories["cluster_label"])
    same = opened[opened["cluster_label"].isin(others)]
    missing = sorted(others - set(same["cluster_label"]))
    parts = [plan.stories.drop(columns="centroid"), same.drop(columns="centroid")]
    if missing:
        parts.append(place.store.stories_by_number(missing))
    some = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(some, ignore_index=True).sort_values("cluster_label", ignore_index=True)


def laid_out(path: Path, current: CurrentGraph, drawn: Labels, weights: str, settings: Settings) -> Map:
    """The map, started from the one at `path`; `drawn` are the rows that the page wants to draw."""
    graph, before = current.graph, load_layout(path)
    found = lay_out_some(graph, drawn, before, settings=settings.layout, weights=weights, vectors_of=current.vectors_of)
    layout = found.layout
    log.info(
        "laid out the map",
        rows=len(graph.ids),
        laid_out=len(layout.ids),
        fresh=layout.fresh,
        moved=None if layout.moved is None else round(layout.moved, 4),
        neighbours=layout.neighbours,
        asked=settings.layout.neighbours,
        listed=settings.clustering.graph_neighbours,
    )
    return found
