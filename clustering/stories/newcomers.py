"""New is new: headlines that outnumber a story and lie outside its reach are a story of their own, not more of the old one.

A cluster that holds most of a story goes on under the story's number. Where an event of the same kind happens, its headlines
may all fall into that cluster, and readers would find another event under a number that they follow.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from clustering.arrays import Labels, Vectors
from clustering.pairs import most_frequent
from clustering.stories.lineage import Lineage

Pairs = tuple[tuple[int, int], ...]

LEAST_LEFT = 2  # headlines with which a story goes on
LEAST_NEW = 2  # headlines of which one is born
_MOST_PAIRS = 2_000  # kept from run to run


@dataclass(frozen=True, slots=True)
class Parted:
    """Clusters once the new is parted from the old.

    Attributes:
        labels: (n,) cluster of each row, -1 = noise.
        born: By cluster in which no story may go on: the story that it was parted from.
        apart: Pairs of stories that stood apart before the run and still do.
    """

    labels: Labels
    born: Mapping[int, int] = field(default_factory=dict)
    apart: Pairs = ()


def part_newcomers(
    labels: Labels, stories: Labels, vectors: Vectors, theta: float, apart: Iterable[Sequence[int]] = ()
) -> Parted:
    """Parts clusters into what was there and what is new.

    First, stories that stand apart and lie in one cluster are parted again, while their mean similarity is below theta; the
    cluster's other rows go with the one that they are more alike to. Then, in each cluster that holds most of a story, the
    rows without a story are parted from the others where they outnumber each such story's rows, and where their centre is
    outside the reach of each: where the mean similarity of the centre, at unit length, to the story's rows is below theta
    (`naming.name_stories` gives reach). A story of which fewer than two rows are there ends in the new one.

    Args:
        labels: (n,) clusters 0, 1, ...; -1 = noise.
        stories: (n,) the open story that each row was in after the last run, -1 = none; copies of a title have the same.
        vectors: (n, dim) unit rows in clustering space.
        theta: Least mean similarity of what belongs together.
        apart: Pairs of stories that have stood apart until now.
    """
    labels = labels.copy()
    still = _part_again(labels, stories, vectors, theta, apart)
    born: dict[int, int] = {}
    order = np.argsort(labels, kind="stable")
    ascending = labels[order]
    free = int(labels.max(initial=-1)) + 1
    for cluster, there in _stories_at_home(labels, stories).items():
        rows = order[np.searchsorted(ascending, cluster) : np.searchsorted(ascending, cluster, side="right")]
        new = rows[stories[rows] < 0]
        olds = [rows[stories[rows] == story] for story in there]
        if len(new) < max(LEAST_NEW, 1 + max(map(len, olds))):
            continue
        centre = vectors[new].mean(axis=0, dtype=np.float64)
        centre /= max(float(np.linalg.norm(centre)), 1e-9)
        if any(float(centre @ vectors[old].mean(axis=0, dtype=np.float64)) >= theta for old in olds):
            continue
        story = there[int(np.argmax([len(old) for old in olds]))]
        newborn = cluster
        if max(map(len, olds)) >= LEAST_LEFT:
            newborn = free
            free += 1
            labels[new] = newborn
        born[newborn] = story
    return Parted(labels, born, still)


def pairs_apart(parted: Parted, lineage: Lineage) -> Pairs:
    """Pairs [old, born] of stories for the next run to keep apart: this run's, and those from before that both go on."""
    over = {event.story for event in lineage.events if event.kind == "closed"}
    new = ((story, int(lineage.story_of_cluster[cluster])) for cluster, story in parted.born.items())
    return tuple(pair for pair in (*parted.apart, *new) if not over & set(pair))[-_MOST_PAIRS:]


def _part_again(
    labels: Labels, stories: Labels, vectors: Vectors, theta: float, apart: Iterable[Sequence[int]]
) -> Pairs:
    """Parts `labels` in place; the pairs that still stand apart."""
    order = np.argsort(stories, kind="stable")
    ascending = stories[order]
    still = []
    for old, born in apart:
        groups = [order[slice(*np.searchsorted(ascending, (story, story + 1)))] for story in (old, born)]
        if not all(map(len, groups)):  # nothing can be said of a story that is out of sight
            still.append((old, born))
            continue
        means = np.stack([vectors[rows].mean(axis=0, dtype=np.float64) for rows in groups])
        if means[0] @ means[1] >= theta:
            continue
        still.append((old, born))
        home, other = (_home(labels[rows]) for rows in groups)
        if home < 0 or home != other:
            continue
        inside = np.flatnonzero(labels == home)
        goes = (vectors[inside] @ (means[1] - means[0])) > 0
        goes[stories[inside] == old], goes[stories[inside] == born] = False, True
        if min(np.count_nonzero(goes), np.count_nonzero(~goes)) >= LEAST_LEFT:
            labels[inside[goes]] = int(labels.max()) + 1
    return tuple(still)


def _home(clusters: Labels) -> int:
    """The cluster with most of these rows, of equals the first; -1 where none is in any."""
    inside = clusters[clusters >= 0]
    return int(np.bincount(inside).argmax()) if len(inside) else -1


def _stories_at_home(labels: Labels, stories: Labels) -> dict[int, list[int]]:
    """By cluster: the stories of which it holds most; both ascending."""
    both = (labels >= 0) & (stories >= 0)
    found, clusters = most_frequent(stories[both], labels[both])
    homes: dict[int, list[int]] = {}
    for place in np.lexsort((found, clusters)).tolist():
        homes.setdefault(int(clusters[place]), []).append(int(found[place]))
    return homes
