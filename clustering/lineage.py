"""Lineage: which cluster of this run is which story of the last, and what happened to the others.

Clusters are matched to stories over the rows that both runs saw, by greedy maximum Jaccard overlap. A story's number
survives in the best match; what merged, split, was born or closed is an event. Nothing depends on the order of rows.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Kind = Literal["born", "grown", "merged", "split", "closed"]

LEAST_OVERLAP = 0.1  # Jaccard, of a story that survives
SUPPLY = 0.3  # of the shared rows, for a part in a merge or split
GROWTH = 1 / 3  # of the size before, and at least three rows
GROWTH_ROWS = 3


@dataclass(frozen=True, slots=True)
class Event:
    """One change of a story.

    Attributes:
        kind: What happened.
        story: Its number.
        size: Rows now; 0 when closed.
        previous_size: Rows of the window that carried the number before.
        parents: Of a story that was born: those it was split from, or whose rows it takes back. Of one that merged: those
            that went into it.
        children: Of a story that split: the stories born of it.
        successor: Of a story that closed in a merge: the one that goes on; else -1.
    """

    kind: Kind
    story: int
    size: int
    previous_size: int
    parents: tuple[int, ...] = ()
    children: tuple[int, ...] = ()
    successor: int = -1


@dataclass(frozen=True, slots=True)
class Lineage:
    """What became of clusters and stories.

    Attributes:
        labels: (n,) story number of each row, -1 = noise.
        story_of_cluster: (clusters,) story number of each cluster.
        events: In order of kind and story.
        next_number: The first number that was never used.
    """

    labels: Numbers
    story_of_cluster: Numbers
    events: tuple[Event, ...]
    next_number: int


def match(previous: Numbers, clusters: Numbers, open_stories: Iterable[int], next_number: int) -> Lineage:
    """Matches clusters to stories.

    Args:
        previous: (n,) the story number each row got in the last run, open or closed; -1 for noise and for new rows.
        clusters: (n,) this run's clusters 0, 1, ...; -1 = noise.
        open_stories: Numbers of the stories that were open; those without a row in the window close.
        next_number: The first number that was never used.

    Rows are to come in an order of their own, as ascending ids: it numbers the stories that are born.
    """
    count = int(clusters.max()) + 1 if len(clusters) else 0
    were_open = {int(story) for story in open_stories}
    overlap = _overlaps(previous, clusters)
    shared_size = np.bincount(clusters[(clusters >= 0) & (previous >= 0)], minlength=count)
    stories, rows = np.unique(previous[previous >= 0], return_counts=True)
    story_size = dict(zip(stories.tolist(), rows.tolist(), strict=True))
    cluster_size = np.bincount(clusters[clusters >= 0], minlength=count)

    first_row = np.full(count, -1, np.int64)
    inside = np.flatnonzero(clusters >= 0)[::-1]
    first_row[clusters[inside]] = inside
    survivor = _survivors(overlap, shared_size, story_size, first_row, were_open)
    merged = _merged(overlap, shared_size, were_open)
    for cluster, parts in merged.items():
        # The largest of what merged goes on, even where a smaller one matched better, unless it goes on elsewhere.
        largest = max(parts, key=lambda story: (story_size[story], -story))
        holder = {story: at for at, story in survivor.items()}
        if largest not in holder:
            survivor[cluster] = largest
    split = _split(overlap, story_size, were_open)

    story_of_cluster = np.full(count, -1, np.int64)
    for cluster, story in survivor.items():
        story_of_cluster[cluster] = story
    for cluster in np.argsort(first_row, kind="stable"):
        if story_of_cluster[cluster] < 0:
            story_of_cluster[cluster] = next_number
            next_number += 1

    parents = _parents(overlap, survivor, split, were_open, count, story_size)
    events = _events(story_of_cluster, cluster_size, story_size, survivor, merged, split, parents, were_open)
    labels = np.where(clusters >= 0, story_of_cluster[np.maximum(clusters, 0)] if count else -1, -1)
    return Lineage(labels.astype(np.int64), story_of_cluster, events, next_number)


Overlap = dict[tuple[int, int], int]  # rows shared by (cluster, story)


def _overlaps(previous: Numbers, clusters: Numbers) -> Overlap:
    both = (previous >= 0) & (clusters >= 0)
    if not both.any():
        return {}
    pairs, counts = np.unique(np.stack([clusters[both], previous[both]], axis=1), axis=0, return_counts=True)
    return {(int(cluster), int(story)): int(rows) for (cluster, story), rows in zip(pairs, counts, strict=True)}


def _survivors(
    overlap: Overlap, shared_size: Numbers, story_size: Mapping[int, int], first_row: Numbers, were_open: set[int]
) -> dict[int, int]:
    """Cluster to story, by greedy maximum Jaccard over the rows that both runs saw."""
    ranked = sorted(
        (
            (-rows / (shared_size[cluster] + story_size[story] - rows), -rows, story, first_row[cluster], cluster)
            for (cluster, story), rows in overlap.items()
            if story in were_open
        )
    )
    survivor: dict[int, int] = {}
    taken: set[int] = set()
    for negative_jaccard, _, story, _, cluster in ranked:
        if -negative_jaccard >= LEAST_OVERLAP and cluster not in survivor and story not in taken:
            survivor[cluster] = story
            taken.add(story)
    return survivor


def _merged(overlap: Overlap, shared_size: Numbers, were_open: set[int]) -> dict[int, list[int]]:
    """Clusters to which two or more stories each supply 30 % of the shared rows."""
    supplied: defaultdict[int, list[int]] = defaultdict(list)
    for (cluster, story), rows in sorted(overlap.items()):
        if story in were_open and rows >= SUPPLY * shared_size[cluster]:
            supplied[cluster].append(story)
    return {cluster: stories for cluster, stories in supplied.items() if len(stories) >= 2}


def _split(overlap: Overlap, story_size: Mapping[int, int], were_open: set[int]) -> dict[int, list[int]]:
    """Stories of whose shared rows two or more clusters each hold 30 %."""
    held: defaultdict[int, list[int]] = defaultdict(list)
    for (cluster, story), rows in sorted(overlap.items()):
        if story in were_open and rows >= SUPPLY * story_size[story]:
            held[story].append(cluster)
    return {story: clusters for story, clusters in held.items() if len(clusters) >= 2}


def _parents(
    overlap: Overlap,
    survivor: Mapping[int, int],
    split: Mapping[int, list[int]],
    were_open: set[int],
    count: int,
    story_size: Mapping[int, int],
) -> dict[int, tuple[int, ...]]:
    """For each cluster that is a new story: the stories it was split from, and the closed ones whose rows it takes."""
    parents: dict[int, tuple[int, ...]] = {}
    for cluster in range(count):
        if cluster in survivor:
            continue
        from_split = {story for story, clusters in split.items() if cluster in clusters}
        taken_back = {
            story
            for (at, story), rows in overlap.items()
            if at == cluster and story not in were_open and rows >= SUPPLY * story_size[story]
        }
        parents[cluster] = tuple(sorted(from_split | taken_back))
    return parents


def _events(
    story_of_cluster: Numbers,
    cluster_size: Numbers,
    story_size: Mapping[int, int],
    survivor: Mapping[int, int],
    merged: Mapping[int, list[int]],
    split: Mapping[int, list[int]],
    parents: Mapping[int, tuple[int, ...]],
    were_open: set[int],
) -> tuple[Event, ...]:
    events: list[Event] = []
    goes_on = set(survivor.values())
    successor: dict[int, int] = {}
    for cluster, parts in merged.items():
        story = int(story_of_cluster[cluster])
        gone = tuple(part for part in parts if part not in goes_on)
        if gone:
            successor.update(dict.fromkeys(gone, story))
            before = story_size.get(story, 0)
            events.append(Event("merged", story, int(cluster_size[cluster]), before, gone))
    for cluster, story in enumerate(story_of_cluster.tolist()):
        size, before = int(cluster_size[cluster]), int(story_size.get(story, 0))
        if cluster not in survivor:
            events.append(Event("born", story, size, 0, parents[cluster]))
        elif size - before >= max(GROWTH_ROWS, GROWTH * before):
            events.append(Event("grown", story, size, before))
    for story, clusters in split.items():
        if story in goes_on:
            size = int(cluster_size[next(at for at, number in survivor.items() if number == story)])
            children = tuple(int(story_of_cluster[at]) for at in clusters if at not in survivor)
            if children:
                events.append(Event("split", story, size, int(story_size[story]), children=children))
    events.extend(
        Event("closed", story, 0, int(story_size.get(story, 0)), successor=successor.get(story, -1))
        for story in were_open - goes_on
    )
    order = ("born", "grown", "merged", "split", "closed")
    return tuple(sorted(events, key=lambda event: (order.index(event.kind), event.story)))
