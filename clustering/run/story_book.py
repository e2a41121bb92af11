"""What the last run left of the stories, and what this one makes of their rows in Milvus."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.stories.lineage import Lineage
from newstide.milvus import Store, filters

Numbers = npt.NDArray[np.int64]

_LIST_BYTES = 60_000  # of a list in a story's row; Milvus takes 65,536 of JSON


@dataclass(frozen=True, slots=True)
class StoryBook:
    """The stories as the last finished run left them.

    Attributes:
        rows: Of the stories that were open: all columns, with centroids.
        next_number: The first number never used.
        previous: (n,) the story that each of the run's rows was last in by a run's word, open or closed; -1 = in none yet.
    """

    rows: pd.DataFrame
    next_number: int
    previous: Numbers

    @property
    def open(self) -> frozenset[int]:
        """Numbers of the stories that were open."""
        return frozenset(self.rows["cluster_label"].astype(int))

    @property
    def previous_open(self) -> Numbers:
        """(n,) `previous`, where that story was open; else -1."""
        return np.where(np.isin(self.previous, list(self.open)), self.previous, -1)

    @classmethod
    def read(cls, store: Store, frame: pd.DataFrame) -> "StoryBook":
        """Reads what concerns the next run: open stories and those that dissolved.

        Args:
            store: The store.
            frame: The run's rows, at least one.
        """
        rows = store.stories(filters.OPEN, centroids=True)
        since = filters.last_published_since(int(frame["published_at"].min()))
        gone = store.stories(filters.all_of(filters.CLOSED, filters.WITHOUT_SUCCESSOR, since))
        gone = gone.sort_values("updated_run", kind="stable")  # the last one to let go of a headline is the one
        dissolved = {
            id_: int(story) for story, ids in zip(gone["cluster_label"], gone["former_ids"], strict=True) for id_ in ids
        }
        previous = _last_stories(frame, dissolved)
        return cls(rows.set_index("cluster_label", drop=False), store.highest_label() + 1, previous)


def _last_stories(frame: pd.DataFrame, dissolved: Mapping[str, int]) -> Numbers:
    """`StoryBook.previous`; `dissolved` tells by id in which closed story a headline was that no other story took."""
    labelled = np.where(frame["label_run"] > 0, frame["cluster_label"], -1).astype(np.int64)
    if not dissolved:
        return labelled
    remembered = frame["id"].map(dissolved).fillna(-1).to_numpy(np.int64)
    return np.where((labelled < 0) & (frame["label_run"] > 0), remembered, labelled)


def story_rows(
    names: pd.DataFrame,
    ids: Sequence[str],
    lineage: Lineage,
    book: StoryBook,
    run: int,
) -> pd.DataFrame:
    """The rows of `stories` to write: all that are open now, and those that closed.

    Size, title and the last time are the window's; a story began when the first of its headlines was published that any
    run saw, also where that has left the window. A story that takes back what a closed one let go of has it among its
    parents from then on.

    Args:
        names: Of the open stories.
        ids: (n,) of the window's headlines.
        lineage: What became of clusters and stories.
        book: The stories before.
        run: The run's number.
    """
    before = dict(zip(*np.unique(book.previous[book.previous >= 0], return_counts=True), strict=True))
    named = {event.story: event.parents for event in lineage.events if event.kind in ("born", "grown")}
    numbers = names["cluster_label"].astype(int).tolist()
    known = book.rows.to_dict("index")
    parents = [
        list(dict.fromkeys([*(known[at]["parents"] if at in known else ()), *named.get(at, ())])) for at in numbers
    ]
    began = [
        min(int(first), int(known[at]["first_published_at"]) if at in known else int(first))
        for at, first in zip(numbers, names["first_published_at"], strict=True)
    ]
    new = names.assign(
        sources=pd.Series([_fitting(sources) for sources in names["sources"]], dtype=object),
        first_published_at=began,
        previous_size=[int(before.get(number, 0)) for number in numbers],
        status="open",
        parents=pd.Series([_fitting(ancestors) for ancestors in parents], dtype=object),
        successor=-1,
        former_ids=pd.Series([[] for _ in numbers], dtype=object),
        created_run=[int(known[at]["created_run"]) if at in known else run for at in numbers],
        updated_run=run,
    )
    successor = {event.story: event.successor for event in lineage.events if event.kind == "closed"}
    closed = book.rows[book.rows["cluster_label"].isin(list(successor))].reset_index(drop=True)
    closed = closed.assign(
        status="closed",
        successor=[successor[number] for number in closed["cluster_label"]],
        former_ids=pd.Series(
            [
                _fitting(
                    [ids[row] for row in np.flatnonzero((book.previous == number) & (lineage.labels < 0)).tolist()]
                )
                for number in closed["cluster_label"]
            ],
            dtype=object,
        ),
        updated_run=run,
    )
    written = [frame for frame in (new, closed) if len(frame)]
    return pd.concat(written, ignore_index=True) if written else new


def _fitting(values: list[Any]) -> list[Any]:
    """The first values, as many as a story's row has room for."""
    room = np.cumsum([len(json.dumps(value)) + 2 for value in values]) <= _LIST_BYTES
    return values[: np.count_nonzero(room)]
