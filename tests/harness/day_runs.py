"""The bundled day clustered in six runs, each with a sixth more of its time, by the steps of production."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustering.arrays import Labels, Vectors
from clustering.neighbours import NeighbourGraph
from clustering.stories.clusters import cluster_rows
from clustering.stories.lineage import Event, match
from newstide.core.settings import ClusteringSettings
from newstide_app.replay import update_exact_graph


@dataclass(frozen=True)
class DayRun:
    """One run: the rows that it sees, their story numbers before and after it, and what became of the stories."""

    inside: Labels
    before: Labels
    after: Labels
    events: tuple[Event, ...]


def in_six_runs(rows: pd.DataFrame, vectors: Vectors, settings: ClusteringSettings) -> Iterator[DayRun]:
    """Yields one run after another; the graph and both thetas are kept from run to run."""
    times = rows["published_at"].to_numpy(np.int64)
    labels = np.full(len(rows), -1, np.int64)
    graph: NeighbourGraph | None = None
    thetas: tuple[float | None, float | None] = (None, None)
    next_number = 0
    for until in np.quantile(times, np.arange(1, 7) / 6):
        inside = np.flatnonzero(times <= until)
        part = rows.iloc[inside].reset_index(drop=True)
        graph = update_exact_graph(graph, part["id"], rows["id"], vectors, settings)
        before = labels[inside]
        clusters = cluster_rows(
            graph, part, settings, known_theta=thetas[0], known_smoothed_theta=thetas[1], previous=before
        )
        thetas = clusters.threshold.theta, clusters.smoothed_threshold.theta
        lineage = match(before, clusters.labels, np.unique(before[before >= 0]).tolist(), next_number)
        next_number = lineage.next_number
        labels[inside] = lineage.labels
        yield DayRun(inside, before, lineage.labels, lineage.events)
