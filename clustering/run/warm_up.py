"""Compiles what a run needs beside something else that takes time: Kafka's start, the first embeddings.

Compiled code is kept on disk, so that on a machine that has made a run this only loads it, which a run would do anyway.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from threading import Event, Thread

import numpy as np
import pandas as pd

from clustering.arrays import Labels, Vectors
from clustering.map.bounded import lay_out_some
from clustering.map.warm_up import compiling_map
from clustering.neighbours import ExactSearcher, update_graph
from clustering.stories.clusters import cluster_rows
from clustering.stories.naming import name_stories
from newstide.core import logs
from newstide.core.settings import Settings

_ROWS, _STORIES, _DIM = 64, 8, 16
_NEW = 8
_LOOK = 0.2  # seconds between two looks at `stop`

log = logs.get("reclusterer")


@contextmanager
def warming_up(settings: Settings) -> Iterator[None]:
    """Warms up in a thread while the block runs; the block's end waits for the step that the thread is at.

    On a machine that has drawn no map yet, another process compiles the map's part meanwhile.
    """
    stop = Event()
    with compiling_map(settings.layout) if settings.pages.enabled else nullcontext(_at_once) as map_ready:
        thread = Thread(target=_quietly, args=(settings, stop, map_ready), name="warm-up")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _at_once(_seconds: float) -> bool:
    """Nothing is compiled elsewhere."""
    return True


def warm_up(settings: Settings, stop: Event | None = None, map_ready: Callable[[float], bool] = _at_once) -> None:
    """Makes a graph of few rows, stories and a map, and again with some new ones, as two runs would.

    Args:
        settings: Those of the runs to come: which functions are compiled depends on them.
        stop: Ends it before its next step.
        map_ready: Waits at most so many seconds, and returns whether no other process compiles the map's part any more.
    """
    rng = np.random.default_rng(settings.clustering.seed)
    around = np.repeat(rng.standard_normal((_STORIES, _DIM)), _ROWS // _STORIES, axis=0)
    around += 0.3 * rng.standard_normal(around.shape)
    vectors: Vectors = (around / np.linalg.norm(around, axis=1, keepdims=True)).astype(np.float32)
    ids = [f"{row:04d}" for row in range(_ROWS)]
    headlines = pd.DataFrame(
        {
            "id": ids,
            "title": [f"title {row // 2 if row < _NEW else row}" for row in range(_ROWS)],  # some are copies
            "source": "",
            "language": "",
            "published_at": np.arange(_ROWS, dtype=np.int64) * 60_000,
        }
    )
    chosen = settings.clustering
    graph = layout = None
    previous: Labels | None = None
    for rows in (_ROWS - _NEW, _ROWS):
        graph, _ = update_graph(
            graph,
            ids[:rows],
            lambda some: vectors[[int(name) for name in some]],
            ExactSearcher(chosen.memory_mb),
            k=chosen.graph_neighbours,
            spare=chosen.spare_neighbours,
        )
        if stop is not None and stop.is_set():
            return
        part = headlines.iloc[:rows]
        clusters = cluster_rows(graph, part, chosen, previous=previous)
        name_stories(clusters.labels, clusters.centred, part, clusters.threshold.theta)
        previous = np.concatenate([clusters.labels, np.full(_NEW, -1, np.int64)])
        while not ((stop is not None and stop.is_set()) or map_ready(_LOOK)):
            pass
        if stop is not None and stop.is_set():
            return
        if settings.pages.enabled:
            drawn = np.arange(rows if layout is None else _ROWS - _NEW // 2)  # a new row is laid out, another placed
            layout = lay_out_some(graph, drawn, layout, settings=settings.layout).layout


def _quietly(settings: Settings, stop: Event, map_ready: Callable[[float], bool]) -> None:
    """What fails here fails in a run, too, which says so."""
    try:
        warm_up(settings, stop, map_ready)
    except Exception as error:  # noqa: BLE001
        log.debug("the warm-up failed", reason=str(error))
