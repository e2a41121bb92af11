"""Step two of a run: the top-k graph of its rows, made from the last run's graph where that is there and undamaged."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from clustering.arrays import Labels, Vectors
from clustering.neighbours import (
    CellSearcher,
    ExactSearcher,
    GraphReport,
    MilvusSearcher,
    NeighbourGraph,
    Searcher,
    choose_searcher,
    load_graph,
    save_graph,
    update_graph,
    vector_file,
)
from clustering.run.workplace import Workplace
from newstide.core import logs
from newstide.core.errors import CacheDamaged

_COMPARED_VECTORS = 20  # of the graph's, a run, with those in Milvus

log = logs.get("reclusterer")


@dataclass(frozen=True, slots=True)
class CurrentGraph:
    """The graph of a run's rows, how it was made, and by which searcher.

    Attributes:
        graph: Of the rows.
        report: What was done.
        searcher: The searcher's name.
        folder: Where it is kept; None: it could not be kept.
    """

    graph: NeighbourGraph
    report: GraphReport
    searcher: str
    folder: Path | None

    def vectors_of(self, rows: Labels) -> Vectors:
        """(len(rows), dim) the stored vectors of rows, from the disk where they are there: those at hand may be overwritten.

        Raises:
            CacheDamaged: The file is missing, cut off or changed.
        """
        graph = self.graph
        if self.folder is None or graph.stored is None:
            return graph.vectors[rows]
        return vector_file.some(self.folder, graph.stored, graph.vectors.shape[1], rows)


def current_graph(place: Workplace, where: str, rows: pd.DataFrame, run: int) -> CurrentGraph:
    """Brings the kept graph up to date and keeps it again; builds a damaged graph anew, and logs that.

    Args:
        place: Of the run.
        where: The filter of the window, for the searches of Milvus.
        rows: The run's rows, ascending by id, with `id` and `label_run`.
        run: The run's number, which seeds the samples that are compared.
    """
    wanted, store = place.settings.clustering, place.store
    path = place.settings.data_dir / "cache" / "graph.bin"
    damage = ""
    try:
        previous = load_graph(path, store.card)
    except CacheDamaged as error:
        previous, damage = None, error.message if path.exists() else ""
    searcher = choose_searcher(
        wanted.searcher, len(rows), is_lite=store.is_lite, exact_rows=wanted.exact_rows, previous=previous
    )
    searchers: dict[str, Callable[[], Searcher]] = {
        "exact": lambda: ExactSearcher(wanted.memory_mb),
        "cells": lambda: CellSearcher(wanted.memory_mb, wanted.seed, wanted.graph_neighbours),
        "milvus": lambda: MilvusSearcher(store.search_headlines, where),
    }
    graph, report = update_graph(
        previous,
        rows["id"].tolist(),
        store.embeddings,
        searchers[searcher](),
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
    folder: Path | None = path.parent
    try:
        graph = save_graph(path, graph, store.card)
    except OSError as error:
        log.warning("the graph could not be kept; the next run builds it anew", reason=str(error))
        folder = None
    return CurrentGraph(graph, report, searcher, folder)
