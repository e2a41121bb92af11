"""The stories as the last run of this process left them: the next one need not read them from Milvus.

And which rows of `stories` a run has to write: those that say something else than before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from newstide.milvus import RunRow, Store, filters
from newstide.milvus.tombstones import FirstSeen

MOVED = 1e-3  # of a centroid, and of numbers that are no counts: a smaller change is not written
_OF_THE_RUN = ("cluster_label", "updated_run")  # what says nothing of the story


@dataclass(frozen=True, slots=True)
class KnownStories:
    """All that runs need of `stories`.

    Attributes:
        open: The open ones: all columns, with centroids, by number.
        dissolved: Those that closed and of which no other story took the headlines, likewise, without centroids.
        next_number: The first number never used.
    """

    open: pd.DataFrame
    dissolved: pd.DataFrame
    next_number: int

    @classmethod
    def read(cls, store: Store, since: int) -> "KnownStories":
        """From Milvus; of those that dissolved, the ones whose last headline is of this time (epoch ms) or later."""
        where = filters.all_of(filters.CLOSED, filters.WITHOUT_SUCCESSOR, filters.last_published_since(since))
        return cls(store.stories(filters.OPEN, centroids=True), store.stories(where), store.highest_label() + 1)

    def after(self, written: pd.DataFrame, next_number: int) -> "KnownStories":
        """The stories once these rows have been written, as Milvus would return them."""
        single = {
            name: written[name].astype(np.float32).astype(np.float64)
            for name in written.columns
            if written[name].dtype == np.float64
        }
        stored = written.assign(**single)
        rest = self.open[~self.open["cluster_label"].isin(written["cluster_label"])]
        still = self.dissolved[~self.dissolved["cluster_label"].isin(written["cluster_label"])]
        closed = stored[(stored["status"] == "closed") & (stored["successor"] < 0)].drop(columns="centroid")
        return KnownStories(
            _by_number(rest, stored[stored["status"] == "open"]), _by_number(still, closed), next_number
        )


@dataclass(frozen=True, slots=True)
class Remembered:
    """`KnownStories`, and what must not have happened since, so that they hold.

    Attributes:
        stories: As the run left them.
        run: The run's number.
        suffix: Of the collections.
        blocked: Keys of the tombstones there were when it began.
        as_of: When that was, by `time.monotonic`.
        since: Of the dissolved stories, those whose last headline was published then (epoch ms) or later are known.
    """

    stories: KnownStories
    run: int
    suffix: str
    blocked: frozenset[str]
    as_of: float
    since: int

    def hold(self, store: Store, last: RunRow | None, since: int, stones: FirstSeen) -> bool:
        """Whether no other run, and no take-down, has written stories meanwhile."""
        blocked = store.tombstones.current()
        return (
            last is not None
            and (last.run, store.suffix) == (self.run, self.suffix)
            and self.blocked == blocked.keys
            and not stones.lately(blocked, self.as_of)
            and self.since <= since
        )


def differing(rows: pd.DataFrame, before: Mapping[Any, Mapping[Any, Any]]) -> npt.NDArray[np.bool_]:
    """Which rows of `stories` say something that those before did not, beyond `MOVED`.

    Args:
        rows: Rows of `stories`.
        before: By number, the rows as they are in Milvus.
    """
    return np.array(
        [
            (known := before.get(int(row["cluster_label"]))) is None or _says_more(row, known)
            for row in rows.to_dict("records")
        ],
        np.bool_,
    )


def _says_more(row: Mapping[Any, Any], before: Mapping[Any, Any]) -> bool:
    for name, value in row.items():
        if name in _OF_THE_RUN:
            continue
        other = before.get(name)
        if isinstance(value, np.ndarray):
            if other is None or float(np.linalg.norm(value - other)) > MOVED:
                return True
        elif isinstance(value, float | np.floating):
            if other is None or abs(float(value) - float(other)) > MOVED:
                return True
        elif (list(value) if isinstance(value, tuple) else value) != other:
            return True
    return False


def _by_number(*parts: pd.DataFrame) -> pd.DataFrame:
    some = [part for part in parts if len(part)] or [parts[0]]
    return pd.concat(some, ignore_index=True).sort_values("cluster_label", ignore_index=True)
