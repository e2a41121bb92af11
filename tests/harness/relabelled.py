"""A set of headlines clustered but for a hundredth of it, then the whole, as the next run would do."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from clustering.arrays import Labels, Vectors
from clustering.stories.clusters import cluster_rows
from clustering.stories.lineage import match
from newstide.core.settings import ClusteringSettings
from newstide_app.replay import update_exact_graph


def relabelled(
    rows: pd.DataFrame,
    vectors: Vectors,
    settings: ClusteringSettings,
    draw: int,
    later: Sequence[ClusteringSettings] = (),
) -> Iterator[tuple[Labels, Labels]]:
    """Yields the labels of the first run and those of the next, both (len(rows),) and -1 where there is none.

    Args:
        rows: The headlines.
        vectors: (len(rows), dim) their embeddings.
        settings: Of the first run.
        draw: Seed of the hundredth that comes later.
        later: Settings of the next run, one after another; by default, those of the first.
    """
    n = len(rows)
    known = np.sort(np.random.default_rng(draw).choice(n, round(n / 1.01), replace=False))
    ids = rows["id"].to_numpy(object)
    graph = update_exact_graph(None, ids[known], ids, vectors, settings)
    first = cluster_rows(graph, rows.iloc[known], settings)
    before = np.full(n, -1, np.int64)
    before[known] = first.labels
    stories = np.unique(first.labels[first.labels >= 0]).tolist()
    everything = update_exact_graph(graph, ids, ids, vectors, settings)
    for changed in later or [settings]:
        second = cluster_rows(
            everything,
            rows,
            changed,
            known_theta=first.threshold.theta,
            known_smoothed_theta=first.smoothed_threshold.theta,
            previous=before,
        )
        yield before, match(before, second.labels, stories, max(stories) + 1).labels
