"""A label on arrival: a headline gets the number of the open story within whose reach it lies."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from newstide.core.language_means import Means, centre, no_means
from newstide.milvus import LanguageMean, RunRow, Store, filters

Vectors = npt.NDArray[np.float32]

_LOOK_EVERY = 2.0  # seconds between looks for a newer run's stories


@dataclass(frozen=True, slots=True)
class OpenStories:
    """What a headline is compared with: the open stories as the last run left them.

    Attributes:
        numbers: (stories,) their numbers.
        centroids: (stories, dim) unit rows in clustering space.
        reach: (stories,) the smallest similarity to the centroid of a headline that belongs.
        means: What an arriving headline is centred by; None before the first run.
    """

    numbers: npt.NDArray[np.int64]
    centroids: Vectors
    reach: npt.NDArray[np.float32]
    means: Means | None

    @classmethod
    def none(cls, dim: int) -> Self:
        """What there is before the first run."""
        return cls(np.empty(0, np.int64), np.empty((0, dim), np.float32), np.empty(0, np.float32), None)

    @classmethod
    def load(cls, store: Store) -> Self | None:
        """Reads them from Milvus; None while a run is writing, when some are of that run and others of the last."""
        last = store.last_run()
        finished = 0 if last is None else last.run
        stories = store.stories(filters.OPEN, centroids=True)
        means = store.means()
        if max([*stories["updated_run"], *(mean.run for mean in means)], default=0) > finished:
            return None
        return cls(
            stories["cluster_label"].to_numpy(np.int64),
            np.stack(list(stories["centroid"])) if len(stories) else np.empty((0, store.dim), np.float32),
            stories["reach"].to_numpy(np.float32),
            None if last is None else _means(last, means, store.dim),
        )


class StoriesInUse:
    """The open stories of the last finished run, looked up again when a newer one has finished.

    Args:
        store: Where they are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stories: OpenStories | None = None
        self._run = -1
        self._checked = float("-inf")

    def current(self) -> OpenStories:
        """As of now, or a moment ago."""
        now = time.monotonic()
        if self._stories is None or now - self._checked > _LOOK_EVERY:
            self._checked = now
            last = self._store.last_run()
            run = 0 if last is None else last.run
            if run != self._run and (found := OpenStories.load(self._store)) is not None:
                self._stories, self._run = found, run
            self._stories = self._stories or OpenStories.none(self._store.dim)
        return self._stories


def _means(last: RunRow, means: Sequence[LanguageMean], dim: int) -> Means:
    """What the last run centred by: nothing, where it was told not to."""
    if last.parameters.get("tutorial", False) or not last.parameters.get("centre", True):
        return no_means(dim)
    return Means(last.mean, {mean.language: (mean.mean, mean.count) for mean in means})


def assign(
    vectors: Vectors, languages: Sequence[str], stories: OpenStories
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Provisional labels.

    Args:
        vectors: (n, dim) unit rows as the model made them.
        languages: (n,) BCP 47 tags.
        stories: The open ones.

    Returns:
        (n,) story numbers, -1 = within no story's reach; and (n,) how far within, 0 at the edge to 1 at the centroid.
    """
    labels = np.full(len(vectors), -1, np.int64)
    probabilities = np.zeros(len(vectors), np.float32)
    if not len(stories.numbers) or stories.means is None or not len(vectors):
        return labels, probabilities
    similarities = centre(vectors, languages, stories.means) @ stories.centroids.T
    within = np.where(similarities >= stories.reach, similarities, -np.inf)
    best = within.argmax(axis=1)
    rows = np.flatnonzero(np.isfinite(within[np.arange(len(vectors)), best]))
    labels[rows] = stories.numbers[best[rows]]
    reach = stories.reach[best[rows]]
    room = np.maximum(1 - reach, 1e-6)
    probabilities[rows] = np.clip((similarities[rows, best[rows]] - reach) / room, 0, 1)
    return labels, probabilities
