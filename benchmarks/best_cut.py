"""The ceiling of a choice of clusters: the cut of the default's own tree that one would choose who knew the labels.

Where it is near the default's score, model or tree is the limit; where it is far above, the choice of clusters is.
"""

from collections import Counter

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.neighbours import ExactSearcher, update_graph
from clustering.stories.copies import lists_of_points, points_of
from clustering.stories.similarity import random_pair_threshold, reweigh, to_distance
from clustering.stories.smoothing import smoothed
from clustering.time_damping import TimeDamping
from clustering.tree import build_hierarchy
from newstide.core.language_means import centre, language_means
from newstide.core.settings import ClusteringSettings

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

_DAY = 86_400_000  # milliseconds


def best_cut(rows: pd.DataFrame, vectors: Vectors, settings: ClusteringSettings, *, use_time: bool) -> Labels:
    """(n,) the clusters, -1 = none, of the default's tree by which the sum of the headlines' own F1 is largest.

    A headline's own F1 is of its precision and recall in B-cubed. No choice of clusters from this tree has a larger sum.
    """
    used = settings if use_time else settings.model_copy(update={"time_weight": 0.0})
    parent, point = _tree(rows, vectors, used)
    truth = np.unique(rows["story_id"].to_numpy(str), return_inverse=True)[1]
    return chosen_by_labels(parent, point, truth)


def chosen_by_labels(parent: npt.NDArray[np.int32], point: Labels, truth: Labels) -> Labels:
    """(n,) the best cut of a dendrogram.

    Args:
        parent: (nodes,) of each node, larger than the node's own number; the root's is -1; the first nodes are the points.
        point: (n,) each row's point.
        truth: (n,) each row's true story.
    """
    total = np.bincount(truth)
    inside: list[Counter[int]] = [Counter() for _ in parent]
    for row, story in zip(point.tolist(), truth.tolist(), strict=True):
        inside[row][story] += 1
    best = np.zeros(len(parent))
    whole = np.zeros(len(parent), np.bool_)
    points = int(point.max()) + 1
    for node, above in enumerate(parent.tolist()):
        stories = inside[node]
        size = stories.total()
        own = sum(count * 2 * count / (size + total[story]) for story, count in stories.items())
        whole[node] = node < points or own >= best[node]
        best[node] = max(own, best[node])
        if above >= 0:
            best[above] += best[node]
            inside[above].update(stories)
        inside[node] = Counter()
    cluster = np.full(len(parent), -1, np.int64)
    for node in range(len(parent) - 1, -1, -1):
        above = parent[node]
        if above >= 0 and cluster[above] >= 0:
            cluster[node] = cluster[above]
        elif whole[node]:
            cluster[node] = node
    labels = cluster[point]
    alone = np.bincount(labels, minlength=len(parent))[labels] == 1
    return np.where(alone, -1, labels)


def _tree(rows: pd.DataFrame, vectors: Vectors, settings: ClusteringSettings) -> tuple[npt.NDArray[np.int32], Labels]:
    """The dendrogram of the default's points, and each row's point."""
    ids, languages = rows["id"].tolist(), rows["language"].tolist()
    times = rows["published_at"].to_numpy(np.int64)
    graph, _ = update_graph(None, ids, lambda _: vectors, ExactSearcher(), k=settings.graph_neighbours, spare=0)
    first, point = points_of(rows["title"].tolist(), times)
    own = centre(vectors, languages, language_means(vectors[first], [languages[row] for row in first]))[first]
    lists = lists_of_points(graph, first, point, settings.memory_mb)
    damping = TimeDamping(times[first] / _DAY, settings.time_weight, settings.time_scale.total_seconds() / 86_400)
    if settings.smoothing:
        theta = random_pair_threshold(own, settings.deviations, settings.seed).theta
        own = smoothed(lists, own, theta, damping, strength=settings.smoothing)
    distances = to_distance(reweigh(lists, own, damping))
    hierarchy = build_hierarchy(lists, distances, min_samples=settings.min_samples, vectors=own, damping=damping)
    return hierarchy.parent, point
