"""A label on arrival: a headline gets the number of the story that its nearest headline is in, if that is near enough.

A search of all headlines would keep ingest waiting. So a few members stand for each open story, its newest and its most
central headlines, and only members of the stories with the nearest centroids are looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from newstide.core.language_means import Means, centre

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

_DEVIATIONS = (
    3.25  # standard deviations above the mean similarity of random pairs; docs/quality.md compares other values
)
_FEW = 50  # headlines: the similarities of so few say nothing of other headlines that may arrive
_SAME_TOPIC = 0.325  # `_DEVIATIONS` above the mean in windows of thousands, measured with three models and sets
_NEWEST = 8  # members of a story: its newest headlines
_MOST_CENTRAL = 8  # members of a story: those with the highest membership
_PRODUCTS = 4_000_000  # of headlines and stories at once: 16 MB
_CANDIDATES = 10  # stories whose members an arriving headline is compared with


@dataclass(frozen=True, slots=True)
class Members:
    """The headlines that stand for the open stories.

    Attributes:
        story: (m,) ascending: the place of each member's story among the open stories.
        vectors: (m, dim) unit rows in clustering space.
        times_ms: (m,) epoch milliseconds.
    """

    story: Labels
    vectors: Vectors
    times_ms: Labels

    @classmethod
    def of(cls, numbers: Labels, labels: Labels, vectors: Vectors, times_ms: Labels) -> Self:
        """Sorts members by story. Of their labels (m,), only those in `numbers` (ascending) count."""
        place = np.searchsorted(numbers, labels)
        known = np.flatnonzero(np.isin(labels, numbers))
        order = known[np.argsort(place[known], kind="stable")]
        return cls(place[order], np.ascontiguousarray(vectors[order]), times_ms[order])


@dataclass(frozen=True, slots=True)
class OpenStories:
    """What an arriving headline is compared with: the open stories as the last run left them.

    Attributes:
        numbers: (stories,) ascending.
        centroids: (stories, dim) unit rows in clustering space.
        members: The headlines that stand for them.
        means: The means by which an arriving headline is centred; None before the first run.
        near_enough: The least similarity to a member at which a headline gets the member's story.
        time_weight: The share of similarity that a member loses at an infinite distance in time, as in the run.
        time_scale_ms: The distance in time at which a member loses 1 - 1/e of that share.
    """

    numbers: Labels
    centroids: Vectors
    members: Members
    means: Means | None
    near_enough: float
    time_weight: float = 0.0
    time_scale_ms: float = 1.0

    @classmethod
    def none(cls, dim: int) -> Self:
        """No stories: the state before the first run."""
        nothing, no_rows = np.empty(0, np.int64), np.empty((0, dim), np.float32)
        return cls(nothing, no_rows, Members(nothing, no_rows, nothing), None, 1.0)


def assign(
    vectors: Vectors, languages: Sequence[str], times_ms: Labels, stories: OpenStories
) -> tuple[Labels, npt.NDArray[np.float32]]:
    """Provisional labels.

    Args:
        vectors: (n, dim) unit rows as the model made them.
        languages: (n,) BCP 47 tags.
        times_ms: (n,) epoch milliseconds.
        stories: The open stories.

    Returns:
        (n,) story numbers, -1 = no member of a story is near enough; and (n,) probabilities, from 0 where the nearest
        member has the least similarity that suffices, to 1 where it has the same vector.
    """
    labels = np.full(len(vectors), -1, np.int64)
    probabilities = np.zeros(len(vectors), np.float32)
    members = stories.members
    if not len(members.story) or stories.means is None or not len(vectors):
        return labels, probabilities
    centred = centre(vectors, languages, stories.means)
    starts = np.searchsorted(members.story, np.arange(len(stories.numbers) + 1))
    block = max(1, _PRODUCTS // len(stories.numbers))
    candidates = np.concatenate(
        [
            _largest(centred[start : start + block] @ stories.centroids.T, _CANDIDATES)
            for start in range(0, len(centred), block)
        ]
    )
    for row, some in enumerate(candidates):
        places = np.concatenate([np.arange(starts[story], starts[story + 1]) for story in some])
        if not len(places):
            continue
        apart = np.abs(members.times_ms[places] - times_ms[row]) / stories.time_scale_ms
        similarities = members.vectors[places] @ centred[row] + stories.time_weight * (np.exp(-apart) - 1)
        nearest = int(similarities.argmax())
        if similarities[nearest] >= stories.near_enough:
            labels[row] = stories.numbers[members.story[places[nearest]]]
            room = max(1 - stories.near_enough, 1e-6)
            probabilities[row] = np.clip((similarities[nearest] - stories.near_enough) / room, 0, 1)
    return labels, probabilities


def near_enough(mean: float, deviation: float, rows: int) -> float:
    """The least similarity to a member at which a headline gets the member's story.

    Args:
        mean: The mean similarity of random pairs of the run's window.
        deviation: The standard deviation of that similarity.
        rows: The number of headlines in that window.
    """
    level = mean + _DEVIATIONS * deviation
    return max(level, _SAME_TOPIC) if rows < _FEW else level


def representatives(labels: Labels, times_ms: Labels, firmness: npt.NDArray[np.floating]) -> Labels:
    """The rows that stand for their story: its newest, and of the others those with the highest membership.

    Args:
        labels: (n,) story numbers, -1 = noise.
        times_ms: (n,) epoch milliseconds.
        firmness: (n,) the membership of each row in its story.

    Returns:
        (m,) rows, ascending; at most 16 a story.
    """
    rows = np.flatnonzero(labels >= 0)
    by_time = rows[np.lexsort((rows, -times_ms[rows], labels[rows]))]
    new = _place_in_story(labels[by_time]) < _NEWEST
    others = by_time[~new]
    by_firmness = others[np.lexsort((others, -firmness[others], labels[others]))]
    central = by_firmness[_place_in_story(labels[by_firmness]) < _MOST_CENTRAL]
    return np.sort(np.concatenate([by_time[new], central]))


def _largest(values: npt.NDArray[np.float32], count: int) -> Labels:
    """(n, at most count) columns of the largest values of each row, in any order."""
    if values.shape[1] <= count:
        return np.tile(np.arange(values.shape[1]), (len(values), 1))
    return np.argpartition(-values, count - 1, axis=1)[:, :count]


def _place_in_story(labels: Labels) -> Labels:
    """(n,) each row's place in its story, from 0; the rows must be sorted by story."""
    places = np.arange(len(labels))
    first = np.r_[True, labels[1:] != labels[:-1]] if len(labels) else np.empty(0, np.bool_)
    return places - np.maximum.accumulate(np.where(first, places, 0))
