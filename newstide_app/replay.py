"""Replays a labelled file by time: each headline is labelled on arrival, and a run clusters at every interval."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.neighbours import ExactSearcher, NeighbourGraph, update_graph
from clustering.stories.clusters import Clusters, cluster_rows
from clustering.stories.lineage import match
from clustering.stories.naming import name_stories
from clustering.stories.newcomers import Pairs, pairs_apart
from consumers.assignment import Members, OpenStories, assign, near_enough, representatives
from newstide.core.settings import ClusteringSettings, Settings

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay gave each row.

    Attributes:
        arrival: (n,) labels on arrival, -1 = none.
        next_run: (n,) labels after the first run that saw the row.
        last: (n,) labels after the last run that saw it.
        churn: The mean share of rows seen before whose label a run changed.
        runs: How many there were.
    """

    arrival: Labels
    next_run: Labels
    last: Labels
    churn: float
    runs: int

    def arrivals(self, truth: Sequence[str]) -> dict[str, float]:
        """How far labels on arrival can be believed; `truth` (n,) are the true stories, empty where unknown.

        `labelled`: share of rows with one. Of these labels, `kept`: share that the next run keeps, and `right`: share whose
        story turned out to be the headline's, that is, whose rows at the last run are mostly of the headline's true story.
        """
        given = self.arrival >= 0
        table = pd.DataFrame({"label": self.last, "truth": list(truth)})
        table = table[(table["label"] >= 0) & (table["truth"] != "")]
        mostly = table.groupby("label")["truth"].agg(lambda stories: stories.mode().iloc[0]).to_dict()
        right = [
            mostly.get(label) == story
            for label, story in zip(self.arrival, truth, strict=True)
            if label >= 0 and story != ""
        ]
        return {
            "labelled": float(given.mean()) if len(given) else 0.0,
            "right": float(np.mean(right)) if right else 0.0,
            "kept": float((self.arrival == self.next_run)[given].mean()) if given.any() else 0.0,
        }


def replay_rows(
    rows: pd.DataFrame,
    vectors: npt.NDArray[np.float32],
    readable: npt.NDArray[np.bool_],
    settings: Settings,
    every: timedelta,
) -> Replayed:
    """Feeds rows by time, with a run every so often, window and times as live.

    Args:
        rows: As `read_labelled` gives them.
        vectors: (n, dim) of these rows.
        readable: (n,) whether the model can read the title.
        settings: Window and clustering.
        every: Between two runs, in event time.
    """
    times = rows["published_at"].to_numpy(np.int64)
    languages = rows["language"].to_numpy(object)
    step = int(every.total_seconds() * 1000)
    window = settings.clustering.window
    length = None if window is None else int(window.total_seconds() * 1000)
    arrival, first, labels = (np.full(len(rows), -1, np.int64) for _ in range(3))
    stories = OpenStories.none(vectors.shape[1])
    graph: NeighbourGraph | None = None
    theta: float | None = None
    smoothed_theta: float | None = None
    apart: Pairs = ()
    next_number, runs = 0, 0
    changes: list[float] = []
    known = np.zeros(len(rows), np.bool_)  # by a run
    for tick in range(int(times.min()) // step * step + step, int(times.max()) + step + 1, step):
        arrived = np.flatnonzero((times >= tick - step) & (times < tick))
        if not len(arrived):
            continue
        given, _ = assign(vectors[arrived], languages[arrived].tolist(), times[arrived], stories)
        arrival[arrived] = np.where(readable[arrived], given, -1)
        seen = times < tick
        inside = np.flatnonzero(seen if length is None else seen & (times > times[seen].max() - length))
        part = rows.iloc[inside].reset_index(drop=True)
        graph = update_exact_graph(graph, part["id"], rows["id"], vectors, settings.clustering)
        before = labels[inside]
        living = np.where(np.isin(before, stories.numbers), before, -1)
        clusters = cluster_rows(
            graph,
            part,
            settings.clustering,
            known_theta=theta,
            known_smoothed_theta=smoothed_theta,
            previous=living,
            readable=readable[inside],
            apart=apart,
        )
        theta, smoothed_theta = clusters.threshold.theta, clusters.smoothed_threshold.theta
        lineage = match(before, clusters.labels, stories.numbers.tolist(), next_number, parted=clusters.parted.born)
        next_number, apart = lineage.next_number, pairs_apart(clusters.parted, lineage)
        runs += 1
        if known[inside].any():
            changes.append(float((before != lineage.labels)[known[inside]].mean()))
        labels[inside] = lineage.labels
        first[arrived] = labels[arrived]
        known[inside] = True
        stories = _stories_after(lineage.labels, clusters, part, settings.clustering)
    return Replayed(arrival, first, labels, float(np.mean(changes)) if changes else 0.0, runs)


def _stories_after(labels: Labels, clusters: Clusters, rows: pd.DataFrame, settings: ClusteringSettings) -> OpenStories:
    """The open stories that a run leaves to arrivals; as the consumer reads them from Milvus."""
    threshold = clusters.threshold
    names = name_stories(labels, clusters.centred, rows, threshold.theta)
    numbers = names["cluster_label"].to_numpy(np.int64)
    times = rows["published_at"].to_numpy(np.int64)
    chosen = representatives(labels, times, clusters.probabilities)
    return OpenStories(
        numbers,
        np.stack(list(names["centroid"])) if len(names) else np.empty((0, clusters.centred.shape[1]), np.float32),
        Members.of(numbers, labels[chosen], clusters.centred[chosen], times[chosen]),
        clusters.means,
        near_enough(threshold.mean, threshold.deviation, len(rows)),
        settings.time_weight,
        settings.time_scale.total_seconds() * 1000,
    )


def update_exact_graph(
    previous: NeighbourGraph | None,
    ids: Iterable[str],
    all_ids: Iterable[str],
    vectors: npt.NDArray[np.float32],
    settings: ClusteringSettings,
) -> NeighbourGraph:
    """The graph over `ids`, from the last run's, as a run keeps it; `vectors` are those of `all_ids`, row by row."""
    row = {id_: number for number, id_ in enumerate(all_ids)}
    graph, _ = update_graph(
        previous,
        list(ids),
        lambda some: vectors[[row[id_] for id_ in some]],
        ExactSearcher(settings.memory_mb),
        k=settings.graph_neighbours,
        spare=settings.spare_neighbours,
    )
    return graph
