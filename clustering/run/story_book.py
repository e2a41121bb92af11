"""The stories as the last run left them, and the rows of `stories` that this run writes."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.run.known_stories import KnownStories
from clustering.run.window import Window
from clustering.stories.lineage import Event, Lineage, match
from newstide.milvus import Store, filters

Numbers = npt.NDArray[np.int64]

_EVER = -(2**62)  # before any headline
_LIST_BYTES = 60_000  # of a list in a story's row; Milvus takes 65,536 of JSON


@dataclass(frozen=True, slots=True)
class StoryBook:
    """The stories as the last finished run left them, and those of them that this run can decide about.

    A run sees the headlines of its window and no others. A story of which it sees none rests: it stays open, and its row as
    it is, until its last headline is older than the longest window of this run and of the last ones; then it closes for its
    age. A story whose last headline lies in the window and is not among the rows has lost its headlines, and closes at
    once. One whose headlines are in a run again goes on under its number.

    Attributes:
        rows: Of the stories that were open or are back: all columns, with centroids, by number.
        next_number: The first number never used.
        previous: (n,) the story that each of the run's rows was last in by a run's word, open or closed; -1 = in none yet.
        open: Numbers of the stories that were open.
        back: Numbers of those that had closed for their age, and of which a headline is among the run's rows.
        ending: Numbers of those that were open, of which none is, and which close now.
        seen_in_part: Numbers of those that have headlines, not too old to count, beyond the run's rows.
    """

    rows: pd.DataFrame
    next_number: int
    previous: Numbers
    open: frozenset[int]
    back: frozenset[int]
    ending: frozenset[int]
    seen_in_part: frozenset[int]

    @property
    def previous_open(self) -> Numbers:
        """(n,) `previous`, where that story was open or is back; else -1."""
        return np.where(np.isin(self.previous, list(self.open | self.back)), self.previous, -1)

    def known(self) -> dict[int, dict[Any, Any]]:
        """`rows` by number."""
        return {int(row["cluster_label"]): row for row in self.rows.to_dict("records")}

    def match(self, clusters: Numbers, parted: Mapping[int, int]) -> Lineage:
        """Matches clusters to the stories of which this run sees something; see `lineage.match`, also for `parted`.

        A headline in no cluster stays with its story where the run sees that story in part: whoever sees all of it decides.
        """
        seen = self.open & set(self.previous.tolist())
        lineage = match(
            self.previous,
            clusters,
            seen | self.ending,
            self.next_number,
            resting=self.back,
            seen_in_part=self.seen_in_part,
            parted=parted,
        )
        stays = (lineage.labels < 0) & np.isin(self.previous, list(self.seen_in_part & self.open))
        return replace(lineage, labels=np.where(stays, self.previous, lineage.labels))

    def unchanged(self, labels: Numbers, new: npt.NDArray[np.bool_]) -> set[int]:
        """Numbers of the stories that were open, and have the headlines that they had, no more, no fewer and no others.

        Args:
            labels: (n,) this run's story of each row, -1 = none.
            new: (n,) rows that no run has labelled before.
        """
        other = (self.previous != labels) | new
        touched = set(self.previous[other].tolist()) | set(labels[other].tolist())
        numbers, sizes = np.unique(labels[labels >= 0], return_counts=True)
        before = self.rows["size"].astype(int)
        return {
            number
            for number, size in zip(numbers.tolist(), sizes.tolist(), strict=True)
            if number in self.open and number not in touched and before.get(number) == size
        }

    @classmethod
    def read(
        cls, store: Store, known: KnownStories, frame: pd.DataFrame, window: Window, lengths: Sequence[float]
    ) -> "StoryBook":
        """Finds what concerns the next run: open stories, those that come back, and those that dissolved.

        Args:
            store: The store.
            known: Open stories, and those that dissolved since the first headline of the frame.
            frame: The run's rows, at least one.
            window: Of the run.
            lengths: Milliseconds of the windows of this run and the last ones, this one's first.
        """
        opened = known.open
        previous = _last_stories(frame, _dissolved(known.dissolved, int(frame["published_at"].min())))
        seen = set(previous[previous >= 0].tolist())
        were_open = frozenset(opened["cluster_label"].astype(int))
        carried = frame.loc[(frame["label_run"] > 0) & (frame["cluster_label"] >= 0), "cluster_label"]
        closed = store.stories_by_number(sorted(set(carried.astype(int)) - were_open), centroids=True)
        rests = (closed["successor"] < 0) & (closed["former_ids"].map(len) == 0)  # it has neither merged nor dissolved
        back = closed[rests & (closed["status"] == "closed")]
        limited = window.newest.at is not None and max(lengths) < math.inf
        oldest = int((window.newest.at or 0) - max(lengths)) if limited else _EVER
        unseen = opened[~opened["cluster_label"].isin(seen)]
        last = unseen["last_published_at"]
        # Its last headline would be among the run's rows if it were still there, or the story was taken down whole.
        gone = ((last > window.begin) & (last <= (window.newest.at or 0))) | (unseen["size"] <= 0)
        over = (last <= oldest) | gone
        numbers = frozenset(back["cluster_label"].astype(int))
        return cls(
            rows=(pd.concat([opened, back], ignore_index=True) if len(back) else opened).set_index(
                "cluster_label", drop=False
            ),
            next_number=known.next_number,
            previous=previous,
            open=were_open,
            back=numbers,
            ending=frozenset(unseen.loc[over, "cluster_label"].astype(int)),
            seen_in_part=frozenset(
                _beyond(store, window, oldest, numbers if lengths[0] > min(lengths) else frozenset())
                & (were_open | numbers)
            ),
        )


def _dissolved(stories: pd.DataFrame, since: int) -> dict[str, int]:
    """By headline's id, the number of the closed story it was in last, where no other story took it."""
    gone = stories[stories["last_published_at"] >= since]
    gone = gone.sort_values("updated_run", kind="stable")  # the last one to let go of a headline is the one
    return {
        id_: int(story) for story, ids in zip(gone["cluster_label"], gone["former_ids"], strict=True) for id_ in ids
    }


def _beyond(store: Store, window: Window, oldest: int, back: frozenset[int]) -> set[int]:
    """Stories that have headlines before the window: since `oldest`, or of any age where a wider window brings them back."""
    found: set[int] = set()
    if oldest < window.begin:
        where = filters.all_of(
            filters.published_after(oldest), filters.published_until(window.begin), filters.IN_A_STORY
        )
        found |= store.labels_of(where)
    if back:
        found |= store.labels_of(
            filters.all_of(filters.published_until(window.begin), filters.in_stories(sorted(back)))
        )
    return found


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
    now: int,
) -> pd.DataFrame:
    """The rows of `stories` as they are from this run on: of all that are open now, and those that closed.

    Size, title and the last time are the window's; a story began when the first of its headlines was published that any
    run saw, also where that has left the window. A story that takes back what a closed one let go of has it among its
    parents from then on.

    Args:
        names: Of the open stories.
        ids: (n,) of the window's headlines.
        lineage: What became of clusters and stories.
        book: The stories before.
        run: The run's number.
        now: When it decides, epoch ms: a story that is born is first seen then.
    """
    before = dict(zip(*np.unique(book.previous[book.previous >= 0], return_counts=True), strict=True))
    named = {event.story: event.parents for event in lineage.events if event.kind in ("born", "grown")}
    numbers = names["cluster_label"].astype(int).tolist()
    known = book.known()
    parents = [
        list(dict.fromkeys([*(known[at]["parents"] if at in known else ()), *named.get(at, ())])) for at in numbers
    ]
    began = [
        min(int(first), int(known[at]["first_published_at"]) if at in known else int(first))
        for at, first in zip(numbers, names["first_published_at"], strict=True)
    ]
    new = names.drop(columns="previous_titles").assign(
        titles=pd.Series([dict(_fitting(list(titles.items()))) for titles in names["titles"]], dtype=object),
        sources=pd.Series([_fitting(sources) for sources in names["sources"]], dtype=object),
        first_seen_at=[int(known[at]["first_seen_at"]) if at in known else now for at in numbers],
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


def retitled(names: pd.DataFrame, book: StoryBook) -> tuple[Event, ...]:
    """The stories of which a title was replaced."""
    before = dict(zip(*np.unique(book.previous[book.previous >= 0], return_counts=True), strict=True))
    return tuple(
        Event("retitled", int(number), int(size), int(before.get(number, 0)), previous_titles=tuple(titles.items()))
        for number, size, titles in zip(names["cluster_label"], names["size"], names["previous_titles"], strict=True)
        if titles
    )


def _fitting(values: list[Any]) -> list[Any]:
    """The first values, as many as a story's row has room for: nearly always all, which one look at the whole tells."""
    if len(json.dumps(values)) <= _LIST_BYTES:
        return values
    room = np.cumsum([len(json.dumps(value)) + 2 for value in values]) <= _LIST_BYTES
    return values[: np.count_nonzero(room)]
