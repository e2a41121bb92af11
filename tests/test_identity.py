"""Stories stay themselves: on the bundled day, run by run, and on real headlines when a few more come in."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from clustering.lineage import Event, match
from clustering.neighbours import ExactSearcher, update_graph
from clustering.stories import Clusters, cluster_rows
from newstide.app.evaluation import read_labelled
from newstide.embedding import load_embedder
from newstide.settings import ClusteringSettings, Settings
from producers.sample import day_file

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def cluster(
    rows: pd.DataFrame,
    vectors: Vectors,
    settings: ClusteringSettings,
    theta: float | None = None,
    previous: Labels | None = None,
) -> Clusters:
    place = {id_: row for row, id_ in enumerate(rows["id"])}
    graph, _ = update_graph(
        None, rows["id"].tolist(), lambda some: vectors[[place[id_] for id_ in some]], ExactSearcher(), k=30, spare=0
    )
    return cluster_rows(
        graph.vectors,
        rows["title"].tolist(),
        rows["language"].tolist(),
        rows["published_at"].to_numpy(np.int64),
        graph.indices,
        graph.similarities,
        settings,
        known_theta=theta,
        previous=previous,
    )


@dataclass(frozen=True)
class Step:
    before: Labels
    after: Labels
    events: tuple[Event, ...]
    truth: npt.NDArray[np.object_]

    def about(self, number: int, *, before: bool = False) -> str:
        """The true story that most headlines of a story are of."""
        return str(Counter(self.truth[(self.before if before else self.after) == number]).most_common(1)[0][0])


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    """The bundled day in six runs, each with a sixth more of its headlines."""
    rows = read_labelled(Path(day_file()), needs_time=True)
    settings = Settings()
    vectors = load_embedder(settings.embedding).encode(
        (rows["title"] + "\n" + rows["description"]).str.strip().tolist()
    )
    times = rows["published_at"].to_numpy(np.int64)
    labels = np.full(len(rows), -1, np.int64)
    next_number, theta, made = 0, None, []
    for until in np.quantile(times, np.arange(1, 7) / 6):
        inside = np.flatnonzero(times <= until)
        before = labels[inside]
        clusters = cluster(rows.iloc[inside], vectors[inside], settings.clustering, theta, before)
        theta = clusters.threshold.theta
        lineage = match(before, clusters.labels, np.unique(labels[labels >= 0]).tolist(), next_number)
        next_number = lineage.next_number
        labels[inside] = lineage.labels
        made.append(Step(before, lineage.labels, lineage.events, rows["story_id"].to_numpy(object)[inside]))
    return made


def test_the_merges_and_splits_of_the_bundled_day_are_those_a_reader_expects(steps: list[Step]) -> None:
    told = [
        (number, event.kind, step.about(event.story), *(step.about(story, before=True) for story in event.parents))
        for number, step in enumerate(steps, 1)
        for event in step.events
        if event.kind == "merged"
    ]
    told += [
        (number, event.kind, step.about(event.story), *(step.about(story) for story in event.children))
        for number, step in enumerate(steps, 1)
        for event in step.events
        if event.kind == "split"
    ]
    assert told == [
        (6, "merged", "hurricane-odalys", "hurricane-odalys"),
    ]


def test_a_story_of_the_bundled_day_that_closes_into_another_was_about_the_same(steps: list[Step]) -> None:
    followed = [
        (step.about(event.story, before=True), step.about(event.successor))
        for step in steps
        for event in step.events
        if event.kind == "closed" and event.successor >= 0
    ]
    assert len(followed) >= 3
    assert sum(before == after for before, after in followed) >= 0.8 * len(followed)


def test_a_number_of_the_bundled_day_goes_on_with_what_it_was_about(steps: list[Step]) -> None:
    faithful = []
    for step in steps:
        for number in set(step.before.tolist()) & set(step.after.tolist()) - {-1}:
            was = set(step.truth[step.before == number])
            if len(was) == 1:  # of a cluster that is mixed from the start a reader could not say what it is about
                now = Counter(step.truth[step.after == number])
                faithful.append(now[was.pop()] == max(now.values()))
    assert len(faithful) > 150
    assert np.mean(faithful) > 0.98


def test_a_hundredth_more_headlines_leave_almost_every_label_as_it_was(real_headlines: Path) -> None:
    rows = read_labelled(real_headlines / "uci_stories.parquet", needs_time=False)
    vectors = load_embedder(Settings().embedding).encode(rows["title"].tolist())
    settings = Settings().updated(clustering={"time_weight": 0.0}).clustering
    known = np.sort(np.random.default_rng(0).choice(len(rows), round(len(rows) / 1.01), replace=False))
    first = cluster(rows.iloc[known], vectors[known], settings)
    before = np.full(len(rows), -1, np.int64)
    before[known] = first.labels
    second = cluster(rows, vectors, settings, first.threshold.theta, before)
    stories = np.unique(first.labels[first.labels >= 0])
    after = match(before, second.labels, stories.tolist(), int(stories.max()) + 1).labels
    assert (after == before)[before >= 0].mean() >= 0.995
