"""From rows to clusters: step three of a run, the same for the reclusterer and for `newstide evaluate`."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.arrays import Indices, Labels, Vectors
from clustering.neighbours.graph import NeighbourGraph
from clustering.stories.copies import lists_of_points, points_of, stories_of_points
from clustering.stories.newcomers import Pairs, Parted, part_newcomers
from clustering.stories.reattach import reattached
from clustering.stories.selection import belonging, select_calibrated
from clustering.stories.similarity import Threshold, collapse_titles, random_pair_threshold, reweigh, to_distance
from clustering.stories.smoothing import smoothed
from clustering.time_damping import TimeDamping
from clustering.tree import build_hierarchy
from clustering.tree.hdbscan_labels import library_clusters
from newstide.core.errors import InvalidGraph
from newstide.core.language_means import Means, centre, language_means, no_means
from newstide.core.settings import ClusteringSettings

_DAY = 86_400_000  # milliseconds


@dataclass(frozen=True, slots=True)
class Clusters:
    """The clusters of a window.

    Attributes:
        labels: (n,) cluster of each row, -1 = noise.
        probabilities: (n,) how firmly each row belongs to its cluster (`selection.Selected`); a row that stays with its
            story by inertia is measured like the others, copies alone together are 1.
        centred: (n, dim) unit rows in clustering space.
        means: What they were centred by: those of the points.
        threshold: theta of the centred rows, and how alike random pairs of them are: what arrivals are measured by.
        smoothed_threshold: The same of the rows that the clusters were chosen by, smoothed over their neighbours.
        points: Rows once copies are collapsed.
        point: (n,) which of them each row is; None where copies are not collapsed.
        parted: Which clusters are new beside an old story, and which stories still stand apart.
    """

    labels: Labels
    probabilities: Vectors
    centred: Vectors
    means: Means
    threshold: Threshold
    smoothed_threshold: Threshold
    points: int
    point: Labels | None
    parted: Parted


def cluster_rows(
    graph: NeighbourGraph,
    headlines: pd.DataFrame,
    settings: ClusteringSettings,
    *,
    readable: npt.NDArray[np.bool_] | None = None,
    known_theta: float | None = None,
    known_smoothed_theta: float | None = None,
    previous: Labels | None = None,
    apart: Pairs = (),
    overwrite: bool = False,
) -> Clusters:
    """Clusters headlines that have a neighbour graph.

    Rows are centred, copies of a title become one point, and the calibrated selection sees the points smoothed over their
    neighbours. What leaves the clustering, as centroids do, is of the centred rows: an arrival has no other vector.

    Args:
        graph: Of the headlines, with their stored vectors.
        headlines: (n) rows with `id`, `title`, `language` (BCP 47, empty where unknown) and `published_at` (epoch ms), in
            the order of the graph's rows, which is ascending by id.
        settings: Each step is one of them.
        readable: (n,) whether the model can read a title; None: all. The others, whose vectors say only that, are in no
            cluster, mean or theta; copies of one of them are a cluster all the same. The tutorial knows no such thing.
        known_theta: Of the last run's centred rows: kept unless it has drifted by more than `theta_drift`.
        known_smoothed_theta: Of its smoothed rows; likewise.
        previous: (n,) the last run's story of each row, -1 = none: clusters stay as they were where that is as good,
            and what is new is parted from what is old (`newcomers.part_newcomers`; calibrated selection only).
        apart: Pairs of stories that have stood apart until now.
        overwrite: Whether the graph's vectors may be centred where they stand, which spares an array of their size.

    Raises:
        InvalidGraph: The headlines are not the graph's, or stand in another order; there is not one story per headline; or
            the lists are too short for the settings.
    """
    n = len(graph.ids)
    _require_rows_of(graph, headlines, previous)
    if settings.tutorial:
        return _as_the_tutorial(graph, settings)
    if readable is not None and not readable.all():
        thetas = (known_theta, known_smoothed_theta)
        return _beside_unreadable(readable, graph, headlines, settings, thetas, previous, apart, overwrite)
    vectors = graph.vectors
    if n < 2:
        none = np.full(n, -1, np.int64)
        threshold = Threshold(1.0, 0.0, 0.0)
        means = no_means(vectors.shape[1])
        return Clusters(
            none, np.zeros(n, np.float32), vectors, means, threshold, threshold, n, None, Parted(none, apart=apart)
        )
    languages = headlines["language"].tolist()
    times_ms = headlines["published_at"].to_numpy(np.int64)
    rows = point = np.arange(n)
    if settings.deduplicate:
        rows, point = points_of(headlines["title"].tolist(), times_ms)
    lists = lists_of_points(graph, rows, point, settings.memory_mb)
    means = language_means(vectors, languages, rows) if settings.centre else no_means(vectors.shape[1])
    centred = centre(vectors, languages, means, overwrite=overwrite) if settings.centre else vectors
    order = None if graph.cells is None else np.argsort(graph.cells.of_row[rows], kind="stable")
    damping = TimeDamping(times_ms[rows] / _DAY, settings.time_weight, settings.time_scale.total_seconds() / 86_400)
    threshold = smoothed_threshold = _threshold(centred, settings, known_theta, rows)
    if settings.smoothing and settings.selection == "calibrated":
        own = smoothed(lists, centred, threshold.theta, damping, rows, settings.smoothing, order)
        smoothed_threshold = _threshold(own, settings, known_smoothed_theta)
    else:
        own = centred if len(rows) == n else centred[rows]
    stories = None if previous is None else stories_of_points(previous, point, len(rows))
    labels, probabilities = _cluster_points(lists, own, damping, smoothed_threshold.theta, stories, settings, order)
    labels, probabilities = _give_to_copies(labels, probabilities, point, settings.min_cluster_size)
    parted = Parted(labels, apart=apart)
    if stories is not None and settings.selection == "calibrated":
        parted = part_newcomers(labels, stories[point], centred, threshold.theta, apart)
        probabilities = _measured_again(probabilities, labels, parted.labels, centred, threshold.theta)
    same = point if settings.deduplicate else None
    thresholds = (threshold, smoothed_threshold)
    return Clusters(parted.labels, probabilities, centred, means, *thresholds, len(rows), same, parted)


def _require_rows_of(graph: NeighbourGraph, headlines: pd.DataFrame, previous: Labels | None) -> None:
    """Raises: InvalidGraph. In another order, titles, times and stories would belong to other headlines' vectors."""
    n = len(graph.ids)
    if len(headlines) != n or (previous is not None and len(previous) != n):
        given = len(headlines) if len(headlines) != n else len(previous if previous is not None else ())
        what = "headlines" if len(headlines) != n else "stories of the last run"
        raise InvalidGraph(f"{given} {what} for a graph of {n} rows.", "Give one per row of the graph.")
    other = np.flatnonzero(headlines["id"].to_numpy(object) != graph.ids)
    if len(other):
        row = int(other[0])
        raise InvalidGraph(
            f"Row {row} of the graph is {graph.ids[row]!r}, row {row} of the headlines {headlines['id'].iloc[row]!r}.",
            "Give the graph's headlines, ascending by id.",
        )


def _beside_unreadable(
    readable: npt.NDArray[np.bool_],
    graph: NeighbourGraph,
    headlines: pd.DataFrame,
    settings: ClusteringSettings,
    thetas: tuple[float | None, float | None],
    previous: Labels | None,
    apart: Pairs,
    overwrite: bool,
) -> Clusters:
    """The readable rows as if there were no others, and the copies among the others."""
    rows, others = np.flatnonzero(readable), np.flatnonzero(~readable)
    found = cluster_rows(
        _part(graph, rows),
        headlines.iloc[rows],
        settings,
        known_theta=thetas[0],
        known_smoothed_theta=thetas[1],
        previous=None if previous is None else previous[rows],
        apart=apart,
        overwrite=True,  # they are copies
    )
    strange = headlines.iloc[others]
    first, copy = collapse_titles(strange["title"].tolist())
    none = np.full(len(first), -1, np.int64)
    copied, certain = _give_to_copies(none, np.zeros(len(first), np.float32), copy, settings.min_cluster_size)
    labels, probabilities = np.full(len(readable), -1, np.int64), np.zeros(len(readable), np.float32)
    labels[rows], probabilities[rows] = found.labels, found.probabilities
    labels[others] = np.where(copied >= 0, copied + found.labels.max(initial=-1) + 1, -1)
    probabilities[others] = certain
    centred = graph.vectors if overwrite else np.array(graph.vectors)
    centred[rows] = found.centred
    if settings.centre:
        centred[others] = centre(graph.vectors[others], strange["language"].tolist(), found.means)
    point = None
    if found.point is not None:
        point = np.empty(len(readable), np.int64)
        point[rows], point[others] = found.point, found.points + copy
    return replace(
        found,
        labels=labels,
        probabilities=probabilities,
        centred=centred,
        points=found.points + len(first),
        point=point,
    )


def _part(graph: NeighbourGraph, rows: Labels) -> NeighbourGraph:
    """The graph of some of its rows, whose lists lack the others; what is missing stands at a list's end."""
    place = np.full(len(graph.ids), -1, np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    lists = graph.wide_indices[rows]  # neighbours in reserve take the places of those that are left out
    lists = np.where(lists >= 0, place[lists], np.int32(-1))
    order = np.argsort(lists < 0, axis=1, kind="stable")
    return replace(
        graph,
        ids=graph.ids[rows],
        vectors=graph.vectors[rows],
        wide_indices=np.take_along_axis(lists, order, axis=1),
        wide_similarities=np.take_along_axis(np.where(lists < 0, -1, graph.wide_similarities[rows]), order, axis=1),
        cells=None if graph.cells is None else graph.cells.carried_over(rows.astype(np.int32)),
        stored=None,
    )


def _threshold(
    vectors: Vectors, settings: ClusteringSettings, known_theta: float | None, rows: Labels | None = None
) -> Threshold:
    fresh = random_pair_threshold(vectors, settings.deviations, settings.seed, rows=rows)
    if known_theta is not None and abs(fresh.theta - known_theta) <= settings.theta_drift:
        return Threshold(known_theta, fresh.mean, fresh.deviation)
    return fresh


def _cluster_points(
    indices: Indices,
    vectors: Vectors,
    damping: TimeDamping,
    theta: float,
    previous: Labels | None,
    settings: ClusteringSettings,
    order: Labels | None,
) -> tuple[Labels, Vectors]:
    distances = to_distance(reweigh(indices, vectors, damping, order))
    hierarchy = build_hierarchy(
        indices,
        distances,
        min_samples=settings.min_samples,
        vectors=vectors,
        damping=damping,
        memory_mb=settings.memory_mb,
    )
    if settings.selection == "calibrated":
        chosen = select_calibrated(
            hierarchy.parent,
            vectors,
            theta,
            exponent=settings.size_exponent,
            min_size=settings.min_cluster_size,
            damping=damping,
            stories=previous,
            inertia=settings.inertia,
        )
        if previous is None or settings.inertia == 0:
            return chosen.labels, chosen.probabilities
        labels = reattached(
            chosen.labels,
            previous,
            vectors,
            theta,
            min_size=settings.min_cluster_size,
            damping=damping,
        )
        return labels, belonging(labels, vectors, theta)
    labels, probabilities = library_clusters(hierarchy, settings.min_cluster_size, settings.selection)
    return labels, probabilities.astype(np.float32)


def _give_to_copies(
    labels: Labels,
    probabilities: Vectors,
    point: Labels,
    min_size: int,
) -> tuple[Labels, Vectors]:
    """Copies take their point's label; as many copies as a cluster needs, in no cluster, are one of their own."""
    copies = np.bincount(point, minlength=len(labels))
    alone = np.flatnonzero((labels < 0) & (copies >= max(min_size, 2)))
    labels, probabilities = labels.copy(), probabilities.copy()
    labels[alone] = labels.max(initial=-1) + 1 + np.arange(len(alone))
    probabilities[alone] = 1.0
    return labels[point], probabilities[point]


def _measured_again(probabilities: Vectors, before: Labels, labels: Labels, centred: Vectors, theta: float) -> Vectors:
    """How firmly rows belong to clusters that were parted; all others stay as they were."""
    moved = np.flatnonzero(before != labels)
    if not len(moved):
        return probabilities
    touched = np.isin(labels, np.union1d(before[moved], labels[moved]))
    return np.where(touched, belonging(labels, centred, theta), probabilities)


def _as_the_tutorial(graph: NeighbourGraph, settings: ClusteringSettings) -> Clusters:
    from clustering.tree.tutorial import tutorial_labels

    labels, firmness = tutorial_labels(graph.indices, graph.similarities)
    probabilities = firmness.astype(np.float32)
    means = no_means(graph.vectors.shape[1])
    threshold = _threshold(graph.vectors, settings, None)
    n = len(graph.ids)
    parted = Parted(labels)
    return Clusters(labels, probabilities, graph.vectors, means, threshold, threshold, n, None, parted)
