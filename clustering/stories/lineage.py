"""Lineage: which cluster of this run is which story of the last, and what happened to the others.

Clusters are matched to stories over the rows that both runs saw, by greedy maximum Jaccard overlap. A story's number
survives in the best match; what merged, split, was born, closed or came back is an event. Nothing depends on the order
of rows.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from clustering.arguments import require_same_length, require_whole
from clustering.arrays import Labels
from clustering.pairs import counted_pairs

Kind = Literal["born", "reopened", "grown", "merged", "split", "closed", "retitled"]

LEAST_OVERLAP = 0.1  # Jaccard, of a story that survives
SUPPLY = 0.3  # of the shared rows, and at least two of them, for a part in a merge or split
SUPPLY_ROWS = 2  # half of a story of two is one headline that went elsewhere
GROWTH = 1 / 3  # of the size before, and at least three rows
GROWTH_ROWS = 3


@dataclass(frozen=True, slots=True)
class Event:
    """One change of a story.

    Attributes:
        kind: What happened.
        story: The story's number.
        size: Rows now; 0 when closed.
        previous_size: Rows of the window that carried the number before.
        parents: Of a story that was born: those it was split from, or whose rows it takes back. Of one that has grown: the
            closed stories whose rows it takes back. Of one that merged: those that went into it.
        children: Of a story that split: the stories born of it.
        successor: Of a story that closed: the one that it merged into or that took its rows; else -1.
        previous_titles: Of a story that was retitled: (language, title) of the titles that were replaced.
    """

    kind: Kind
    story: int
    size: int
    previous_size: int
    parents: tuple[int, ...] = ()
    children: tuple[int, ...] = ()
    successor: int = -1
    previous_titles: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Lineage:
    """What became of clusters and stories.

    Attributes:
        labels: (n,) story number of each row, -1 = noise.
        story_of_cluster: (clusters,) story number of each cluster.
        events: In order of kind and story.
        next_number: The first number that was never used.
    """

    labels: Labels
    story_of_cluster: Labels
    events: tuple[Event, ...]
    next_number: int


def match(
    previous: Labels,
    clusters: Labels,
    open_stories: Iterable[int],
    next_number: int,
    *,
    resting: Iterable[int] = (),
    seen_in_part: Iterable[int] = (),
    parted: Mapping[int, int] | None = None,
) -> Lineage:
    """Matches clusters to stories.

    Where stories merge into a cluster, it goes on as the largest of those that it holds most of; where a story splits, it
    goes on in the cluster that holds most of it; else number and cluster go together by greedy maximum Jaccard overlap.

    Args:
        previous: (n,) the story number each row got in the last run, open or closed; -1 for noise and for new rows.
            Rows of open stories are the shared ones.
        clusters: (n,) this run's clusters 0, 1, ...; -1 = noise.
        open_stories: Numbers of the stories that were open; those without a row in the window close.
        next_number: The first number that was never used.
        resting: Numbers of stories that had closed for their age alone and of which rows are back. They are matched as if
            they were open; those that go on are `reopened`.
        seen_in_part: Numbers of stories that have headlines beyond these rows: no story ends by what a part of it does.
        parted: By cluster in which no story may go on, since most of it is new: the story that it was parted from.

    Rows are to come in an order of their own, as ascending ids: it numbers the stories that are born.

    Raises:
        InvalidGraph: There is not one cluster per story of a row, or `next_number` is in use.
    """
    require_same_length("stories of rows", previous, "clusters of rows", clusters)
    had_closed, lasting = set(resting), set(seen_in_part)
    were_open = {int(story) for story in open_stories} | had_closed
    require_whole("next_number", next_number, max({int(np.max(previous, initial=-1)), *were_open}) + 1)
    shares = _shares(previous, clusters, were_open)
    merged = _merged(shares)
    holders = shares.holders()
    split = _split(shares, holders)
    for cluster, story in (parted or {}).items():
        _add_part(split, shares, story, cluster)
    survivor = _survivors(shares, holders, merged, split, frozenset(parted or ()))

    count = len(shares.cluster_size)
    story_of_cluster = np.full(count, -1, np.int64)
    for cluster, story in survivor.items():
        story_of_cluster[cluster] = story
    for cluster in np.argsort(shares.first_row, kind="stable"):
        if story_of_cluster[cluster] < 0:
            story_of_cluster[cluster] = next_number
            next_number += 1

    events = (
        *_born(story_of_cluster, shares, survivor, split),
        *_reopened(shares, survivor, had_closed),
        *_grown(shares, survivor),
        *_merges(story_of_cluster, shares, survivor, merged, lasting),
        *_splits(story_of_cluster, shares, survivor, split),
        *_closed(story_of_cluster, shares, survivor, merged, were_open - lasting, parted or {}),
    )
    labels = np.where(clusters >= 0, story_of_cluster[np.maximum(clusters, 0)] if count else -1, -1)
    return Lineage(labels.astype(np.int64), story_of_cluster, events, next_number)


def label_stability(previous: Labels, labels: Labels, open_stories: Iterable[int]) -> float | None:
    """The share of rows that were in an open story and still carry its number; one that is noise now does not.

    Args:
        previous: (n,) the story number each row got in the last run; -1 for noise and for new rows.
        labels: (n,) the story number each row gets now.
        open_stories: Numbers of the stories that were open.

    Returns:
        0 to 1; None where no row was in an open story, as in a first run.

    Raises:
        InvalidGraph: There is not one label of each run per row.
    """
    require_same_length("labels before", previous, "labels now", labels)
    was = np.isin(previous, list(open_stories))
    return float((labels == previous)[was].mean()) if was.any() else None


@dataclass(frozen=True, slots=True)
class _Shares:
    """Who holds what.

    Attributes:
        held: By (cluster, open story), in order: the rows they share.
        taken_back: By cluster: the closed stories whose rows it takes, 30 % of each at least.
        story_size: By story: rows of the window that carried its number.
        cluster_size: (clusters,) rows.
        shared_size: (clusters,) rows that were in an open story.
        first_row: (clusters,)
    """

    held: dict[tuple[int, int], int]
    taken_back: dict[int, tuple[int, ...]]
    story_size: dict[int, int]
    cluster_size: Labels
    shared_size: Labels
    first_row: Labels

    def by_cluster(self) -> dict[int, dict[int, int]]:
        """Rows held, by story, by cluster."""
        grouped: defaultdict[int, dict[int, int]] = defaultdict(dict)
        for (cluster, story), rows in self.held.items():
            grouped[cluster][story] = rows
        return grouped

    def by_story(self) -> dict[int, dict[int, int]]:
        """Rows held, by cluster, by story."""
        grouped: defaultdict[int, dict[int, int]] = defaultdict(dict)
        for (cluster, story), rows in self.held.items():
            grouped[story][cluster] = rows
        return grouped

    def holders(self) -> dict[int, list[int]]:
        """By story: the clusters that hold rows of it, the one with most first; of equals the largest, then the first."""
        return {
            story: sorted(held, key=lambda at: (-held[at], -self.cluster_size[at], self.first_row[at]))
            for story, held in self.by_story().items()
        }


def _shares(previous: Labels, clusters: Labels, were_open: set[int]) -> _Shares:
    count = int(clusters.max(initial=-1)) + 1
    inside = np.flatnonzero(clusters >= 0)
    first_row = np.full(count, -1, np.int64)
    first_row[clusters[inside[::-1]]] = inside[::-1]
    stories, sizes = np.unique(previous[previous >= 0], return_counts=True)
    story_size = dict(zip(stories.tolist(), sizes.tolist(), strict=True))

    both = (previous >= 0) & (clusters >= 0)
    pairs = counted_pairs(clusters[both], previous[both])
    held: dict[tuple[int, int], int] = {}
    taken_back: defaultdict[int, list[int]] = defaultdict(list)
    shared_size = np.zeros(count, np.int64)
    for cluster, story, shared in zip(*(part.tolist() for part in pairs), strict=True):
        if story in were_open:
            held[cluster, story] = shared
            shared_size[cluster] += shared
        elif shared >= SUPPLY * story_size[story]:
            taken_back[cluster].append(story)
    return _Shares(
        held,
        {cluster: tuple(stories) for cluster, stories in taken_back.items()},
        story_size,
        np.bincount(clusters[inside], minlength=count),
        shared_size,
        first_row,
    )


def _is_part(rows: int, whole: int) -> bool:
    return rows >= max(SUPPLY_ROWS, SUPPLY * whole)


def _merged(shares: _Shares) -> dict[int, list[int]]:
    """Clusters to which two or more stories each supply 30 % of the shared rows; the stories, largest first."""
    merged = {}
    for cluster, by_story in shares.by_cluster().items():
        parts = [story for story, rows in by_story.items() if _is_part(rows, int(shares.shared_size[cluster]))]
        if len(parts) >= 2:
            merged[cluster] = sorted(parts, key=lambda story: (-shares.story_size[story], story))
    return merged


def _split(shares: _Shares, holders: Mapping[int, Sequence[int]]) -> dict[int, list[int]]:
    """Stories of whose shared rows two or more clusters each hold 30 %; the clusters, the one with most of it first."""
    split = {}
    for story, clusters in holders.items():
        parts = [cluster for cluster in clusters if _is_part(shares.held[cluster, story], shares.story_size[story])]
        if len(parts) >= 2:
            split[story] = parts
    return split


def _add_part(split: dict[int, list[int]], shares: _Shares, story: int, newborn: int) -> None:
    """Tells that a cluster was parted from a story, which goes on elsewhere or, where that is nowhere, ends in it."""
    others = {at: rows for at, rows in shares.by_story().get(story, {}).items() if at != newborn}
    first = sorted(others, key=lambda at: (-others[at], shares.first_row[at]))[:1]
    known = [at for at in split.get(story, first) if at != newborn]
    split[story] = [*known, newborn]


def _survivors(
    shares: _Shares,
    holders: Mapping[int, Sequence[int]],
    merged: Mapping[int, Sequence[int]],
    split: Mapping[int, Sequence[int]],
    newborn: frozenset[int],
) -> dict[int, int]:
    """Cluster to story; in a newborn cluster none goes on."""
    goes_on = {at: next((one for one in parts if holders[one][0] == at), -1) for at, parts in merged.items()}

    def claim(cluster: int, story: int, rows: int) -> tuple[bool, float, int, int, int]:
        """What is ranked: pairs that merging and splitting ask for, then those most alike, in a total order."""
        in_merge, in_split = cluster in merged, story in split
        asked = (in_merge or in_split) and (
            (not in_merge or goes_on[cluster] == story) and (not in_split or split[story][0] == cluster)
        )
        jaccard = rows / (int(shares.shared_size[cluster]) + shares.story_size[story] - rows)
        return not asked, -jaccard, -rows, story, int(shares.first_row[cluster])

    survivor: dict[int, int] = {}
    gone_on: set[int] = set()
    ranked = sorted(
        (claim(cluster, story, rows), cluster, story)
        for (cluster, story), rows in shares.held.items()
        if cluster not in newborn
    )
    for (_, negative_jaccard, *_), cluster, story in ranked:
        if -negative_jaccard >= LEAST_OVERLAP and cluster not in survivor and story not in gone_on:
            survivor[cluster] = story
            gone_on.add(story)
    return survivor


def _born(
    story_of_cluster: Labels, shares: _Shares, survivor: Mapping[int, int], split: Mapping[int, Sequence[int]]
) -> list[Event]:
    """Clusters that no story goes on in; their parents: what they were split from, and closed stories' rows they take."""
    split_from: defaultdict[int, list[int]] = defaultdict(list)
    for story, clusters in split.items():
        for cluster in clusters:
            split_from[cluster].append(story)
    born = [
        Event(
            "born",
            int(story),
            int(shares.cluster_size[cluster]),
            0,
            parents=tuple(sorted({*split_from[cluster], *shares.taken_back.get(cluster, ())})),
        )
        for cluster, story in enumerate(story_of_cluster)
        if cluster not in survivor
    ]
    return sorted(born, key=lambda event: event.story)


def _reopened(shares: _Shares, survivor: Mapping[int, int], had_closed: set[int]) -> list[Event]:
    """Stories that had closed for their age and go on, since headlines of theirs are back."""
    back = ((story, cluster) for cluster, story in survivor.items() if story in had_closed)
    return [
        Event("reopened", story, int(shares.cluster_size[cluster]), shares.story_size[story])
        for story, cluster in sorted(back)
    ]


def _grown(shares: _Shares, survivor: Mapping[int, int]) -> list[Event]:
    """Stories that are larger by a third and by three at least, or that take back what closed stories let go of."""
    grown = []
    for cluster, story in survivor.items():
        size, before = int(shares.cluster_size[cluster]), shares.story_size[story]
        parents = shares.taken_back.get(cluster, ())
        if parents or size - before >= max(GROWTH_ROWS, GROWTH * before):
            grown.append(Event("grown", story, size, before, parents=parents))
    return sorted(grown, key=lambda event: event.story)


def _merges(
    story_of_cluster: Labels,
    shares: _Shares,
    survivor: Mapping[int, int],
    merged: Mapping[int, Sequence[int]],
    lasting: set[int],
) -> list[Event]:
    """Clusters that two or more stories went into, of which at least one ends there."""
    events = []
    for cluster, parts in merged.items():
        gone = tuple(sorted(set(parts) - set(survivor.values()) - lasting))
        if gone:
            story = int(story_of_cluster[cluster])
            before = shares.story_size.get(story, 0)
            events.append(Event("merged", story, int(shares.cluster_size[cluster]), before, parents=gone))
    return sorted(events, key=lambda event: event.story)


def _splits(
    story_of_cluster: Labels, shares: _Shares, survivor: Mapping[int, int], split: Mapping[int, Sequence[int]]
) -> list[Event]:
    """Stories that go on, and of which others were born."""
    cluster_of = {story: cluster for cluster, story in survivor.items()}
    events = []
    for story, clusters in split.items():
        children = tuple(sorted(int(story_of_cluster[cluster]) for cluster in clusters if cluster not in survivor))
        if story in cluster_of and children:
            size = int(shares.cluster_size[cluster_of[story]])
            events.append(Event("split", story, size, shares.story_size[story], children=children))
    return sorted(events, key=lambda event: event.story)


def _closed(
    story_of_cluster: Labels,
    shares: _Shares,
    survivor: Mapping[int, int],
    merged: Mapping[int, Sequence[int]],
    were_open: set[int],
    parted: Mapping[int, int],
) -> list[Event]:
    """Stories that go on nowhere.

    The successor is the story they merged into, else the one whose new headlines outnumber what is left of them, else the
    one that took most of their rows, 30 % at least, as a small story does that is swallowed by a large one.
    """
    merged_into: defaultdict[int, list[int]] = defaultdict(list)
    for cluster, parts in merged.items():
        for story in parts:
            merged_into[story].append(cluster)
    by_story = shares.by_story()
    events: list[Event] = []
    for story in sorted(were_open - set(survivor.values())):
        before = shares.story_size.get(story, 0)
        taken = by_story.get(story, {})
        takers = (
            merged_into.get(story)
            or [cluster for cluster in taken if parted.get(cluster) == story]
            or [cluster for cluster, rows in taken.items() if rows >= SUPPLY * before]
        )
        most = min(takers, key=lambda cluster: (-taken[cluster], shares.first_row[cluster]), default=None)
        successor = -1 if most is None else int(story_of_cluster[most])
        events.append(Event("closed", story, 0, before, successor=successor))
    return events
