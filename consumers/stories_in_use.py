"""The open stories that arriving headlines are compared with: read in the background once a run has finished."""

import time
import zlib
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from datetime import timedelta

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from consumers.assignment import Members, OpenStories, Vectors, near_enough, representatives
from newstide.core.language_means import Means, centre, no_means
from newstide.milvus import LanguageMean, RunRow, Store, filters

_LOOK_EVERY = 2.0  # seconds between two checks whether a run has finished
_PARTS = 24  # of the members: one after another is looked for in Milvus, since headlines may be removed
_PART_AFTER = 150.0  # seconds, so that each member is looked for within an hour
_COLUMNS = ("id", "cluster_label", "label_probability", "published_at", "language")
_SPAN = TypeAdapter(timedelta)


class StoriesInUse:
    """The open stories of the last finished run, replaced by those of a newer run once they have been read.

    Args:
        store: The store that holds the stories.
        reading: Runs the reading in the background.
    """

    def __init__(self, store: Store, reading: Executor) -> None:
        self._store = store
        self._executor = reading
        self._reading: Future[OpenStories | None] | None = None
        self._stories: OpenStories | None = None
        self._run = -1
        self._checked = float("-inf")
        self._looked, self._part = time.monotonic(), 0
        self._open = pd.DataFrame()
        self._members = pd.DataFrame(columns=[*_COLUMNS, "vector"])

    def current(self) -> OpenStories:
        """The stories of the last finished run, or of the run before while those are read; waits only the first time."""
        now = time.monotonic()
        if self._reading is None and now - self._checked > _LOOK_EVERY:
            self._checked = now
            self._reading = self._executor.submit(self._read)
        if self._reading is not None and (self._stories is None or self._reading.done()):
            reading, self._reading = self._reading, None
            self._stories = reading.result() or self._stories
        return self._stories or OpenStories.none(self._store.dim)

    def _read(self) -> OpenStories | None:
        """The stories of a newer run than that in use; None where there is no newer run, or while a run is writing."""
        last = self._store.last_run()
        run = 0 if last is None else last.run
        if run == self._run:
            return None
        if last is None:
            self._run = run
            return OpenStories.none(self._store.dim)
        changed = self._store.stories(
            filters.updated_since(self._run) if self._run > 0 else filters.OPEN, centroids=True
        )
        means = self._store.means()
        if max([*changed["updated_run"], *(mean.run for mean in means)], default=0) > run:
            return None
        stories = changed
        if len(self._open):
            stories = pd.concat([self._open[~self._open["cluster_label"].isin(changed["cluster_label"])], changed])
        # After a change of model no headline joins a story until a run has seen the new vectors.
        stories = stories[(stories["status"] == "open") & (stories["reach"] <= 1)]
        self._open = stories = stories.sort_values("cluster_label", ignore_index=True)
        self._follow(stories)
        found = open_stories(last, stories, means_of(last, means, self._store.dim), self._members, self._store.dim)
        self._run = run
        return found

    def _follow(self, stories: pd.DataFrame) -> None:
        """Updates the members: reads only rows that runs have labelled since, and vectors that are not in memory."""
        known, lessened = self._still_there()
        oldest = int(stories["last_published_at"].min()) if len(stories) else 0
        where = filters.labelled_since(self._run if len(known) else 0, oldest)
        changed = self._store.headlines(where, list(_COLUMNS))
        if lessened and len(known):
            again = self._store.headlines(filters.in_stories(lessened), list(_COLUMNS))
            changed = pd.concat([changed, again]).drop_duplicates("id", ignore_index=True)
        parts = [part for part in (known[~known["id"].isin(changed["id"])], changed) if len(part)] or [changed]
        frame = pd.concat(parts, ignore_index=True)
        frame = frame[frame["cluster_label"].isin(stories["cluster_label"])]
        chosen = frame.iloc[
            representatives(
                frame["cluster_label"].to_numpy(np.int64),
                frame["published_at"].to_numpy(np.int64),
                frame["label_probability"].to_numpy(np.float64),
            )
        ]
        vectors = dict(zip(self._members["id"], self._members["vector"], strict=True))
        missing = [id_ for id_ in chosen["id"] if id_ not in vectors]
        read = self._store.headlines_by_id(missing, ["id", "embedding"])
        vectors.update(zip(read["id"], read["embedding"], strict=True))
        chosen = chosen[chosen["id"].isin(vectors.keys())]  # the other rows were removed meanwhile
        self._members = chosen.assign(vector=[vectors[id_] for id_ in chosen["id"]]).reset_index(drop=True)

    def _still_there(self) -> tuple[pd.DataFrame, list[int]]:
        """The members, without those of the parts that are due that Milvus has no more; and the stories of these."""
        now = time.monotonic()
        due = min(_PARTS, int((now - self._looked) / _PART_AFTER))
        if not due:
            return self._members, []
        parts = [(self._part + number) % _PARTS for number in range(due)]
        self._looked, self._part = now, (self._part + due) % _PARTS
        due_now = [zlib.crc32(id_.encode()) % _PARTS in parts for id_ in self._members["id"]]
        asked = self._members[np.array(due_now, np.bool_)]  # a list that is empty would choose no columns
        gone = asked[~asked["id"].isin(self._store.known_ids(asked["id"].tolist()))]
        left = self._members[~self._members["id"].isin(gone["id"])]
        return left, sorted({int(story) for story in gone["cluster_label"]})


def open_stories(last: RunRow, stories: pd.DataFrame, means: Means, members: pd.DataFrame, dim: int) -> OpenStories:
    """Builds the open stories that arriving headlines are compared with, from Milvus' rows.

    Args:
        last: The run that wrote the stories.
        stories: The open stories, with `cluster_label` (ascending) and `centroid`.
        means: The means by which that run centred.
        members: Headlines that stand for stories: `cluster_label`, `published_at`, `language` and `vector`, as stored.
        dim: The dimensions of the vectors.
    """
    numbers = stories["cluster_label"].to_numpy(np.int64)
    vectors = _rows(members["vector"].tolist(), dim)
    return OpenStories(
        numbers,
        _rows(stories["centroid"].tolist(), dim),
        Members.of(
            numbers,
            members["cluster_label"].to_numpy(np.int64),
            centre(vectors, members["language"].tolist(), means),
            members["published_at"].to_numpy(np.int64),
        ),
        means,
        _near_enough(last),
        float(last.parameters.get("time_weight", 0.0)),
        _SPAN.validate_python(last.parameters.get("time_scale", "P7D")).total_seconds() * 1000,
    )


def means_of(last: RunRow, means: Sequence[LanguageMean], dim: int) -> Means:
    """The means by which a run centred; no means where the run did not centre."""
    if last.parameters.get("tutorial", False) or not last.parameters.get("centre", True):
        return no_means(dim)
    return Means(last.mean, {mean.language: (mean.mean, mean.count) for mean in means})


def _near_enough(last: RunRow) -> float:
    """The least similarity by the run's figures; a run of an earlier version has its theta alone, for a mean near 0."""
    deviations = float(last.parameters.get("deviations") or 2.0)
    pairs = last.counts.get("random_pairs", {"mean": 0.0, "deviation": last.theta / deviations})
    return near_enough(float(pairs["mean"]), float(pairs["deviation"]), int(last.counts.get("rows", 0)))


def _rows(vectors: Sequence[Vectors], dim: int) -> Vectors:
    return np.stack(vectors) if len(vectors) else np.empty((0, dim), np.float32)
