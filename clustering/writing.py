"""Step six of a run: stories, labels, events and the run itself, in the order that lets a killed run be repaired.

First `stories`, then the rows whose label changed, then events, then the row in `runs` that makes the run count. Until
that last row is there, the next run takes the number again: what a killed run had written of `stories` is taken for
unannounced, and its events are sent again under the same ids.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.lineage import Event, Lineage
from newstide.broker import Sender
from newstide.centring import Means
from newstide.headline import iso_time
from newstide.store import LanguageMean, Store

Numbers = npt.NDArray[np.int64]

_FORMER_BYTES = 60_000  # of ids kept of a story that dissolved; Milvus takes 65,536 of JSON


@dataclass(frozen=True, slots=True)
class StoryBook:
    """The stories as the last finished run left them.

    Attributes:
        rows: All columns, with centroids.
        open: Numbers of the stories that were open.
        dissolved: By headline's id, the number of the closed story it was in last, where no other story took it.
        unannounced: Numbers that a killed run gave; they are kept where their rows carry them, and born again.
        next_number: The first number never used.
    """

    rows: pd.DataFrame
    open: frozenset[int]
    dissolved: Mapping[str, int]
    unannounced: frozenset[int]
    next_number: int

    @classmethod
    def read(cls, store: Store, last_run: int, since: int) -> "StoryBook":
        """Reads what concerns the next run: open stories, those that dissolved, and what a killed run left unfinished.

        Args:
            store: The store.
            last_run: The last finished run.
            since: Publication time (epoch ms) of the window's oldest headline.
        """
        rows = store.stories(f'status == "open" or updated_run > {last_run}', centroids=True)
        born_since = rows["created_run"] > last_run
        gone = store.stories(f'status == "closed" and successor == -1 and last_published_at >= {since}')
        gone = gone.sort_values("updated_run", kind="stable")  # the last one to let go of a headline is the one
        dissolved = {
            id_: int(story) for story, ids in zip(gone["cluster_label"], gone["former_ids"], strict=True) for id_ in ids
        }
        return cls(
            rows.set_index("cluster_label", drop=False),
            frozenset(rows.loc[~born_since, "cluster_label"].astype(int)),
            dissolved,
            frozenset(rows.loc[born_since, "cluster_label"].astype(int)),
            store.highest_label() + 1,
        )

    def last_stories(self, rows: pd.DataFrame) -> Numbers:
        """(n,) the story that each row of the window was last in by a run's word, open or closed; -1 = in none yet."""
        labelled = np.where(rows["label_run"] > 0, rows["cluster_label"], -1).astype(np.int64)
        if not self.dissolved:
            return labelled
        remembered = rows["id"].map(self.dissolved).fillna(-1).to_numpy(np.int64)
        return np.where((labelled < 0) & (rows["label_run"] > 0), remembered, labelled)


def announced(lineage: Lineage, book: StoryBook) -> tuple[Event, ...]:
    """The run's events: what a killed run had begun is born now, or forgotten where it no longer is."""
    living = set(lineage.story_of_cluster.tolist()) & book.unannounced
    events = [event for event in lineage.events if event.story not in book.unannounced]
    sizes = dict(zip(*np.unique(lineage.labels, return_counts=True), strict=True))
    events += [Event("born", story, int(sizes[story]), 0) for story in sorted(living)]
    return tuple(events)


def story_rows(
    names: pd.DataFrame,
    ids: Sequence[str],
    lineage: Lineage,
    events: tuple[Event, ...],
    book: StoryBook,
    previous: Numbers,
    run: int,
) -> pd.DataFrame:
    """The rows of `stories` to write: all that are open now, and those that closed.

    Args:
        names: Of the open stories.
        ids: (n,) of the window's headlines.
        lineage: What became of clusters and stories.
        events: As announced.
        book: The stories before.
        previous: (n,) `book.last_stories`.
        run: The run's number.
    """
    before = dict(zip(*np.unique(previous[previous >= 0], return_counts=True), strict=True))
    born = {event.story: list(event.parents) for event in events if event.kind == "born"}
    numbers = names["cluster_label"].astype(int).tolist()
    known = book.rows.to_dict("index")
    parents = [born[at] if at in born else list(known[at]["parents"]) for at in numbers]
    new = names.assign(
        previous_size=[int(before.get(number, 0)) for number in numbers],
        status="open",
        parents=pd.Series(parents, dtype=object),
        successor=-1,
        former_ids=pd.Series([[] for _ in numbers], dtype=object),
        created_run=[run if at in born else int(known[at]["created_run"]) for at in numbers],
        updated_run=run,
    )
    successor = {event.story: event.successor for event in lineage.events if event.kind == "closed"}
    closed = book.rows[book.rows["cluster_label"].isin(list(successor))].reset_index(drop=True)
    closed = closed.assign(
        status="closed",
        successor=[successor[number] for number in closed["cluster_label"]],
        former_ids=pd.Series(
            [_former_ids(ids, (previous == number) & (lineage.labels < 0)) for number in closed["cluster_label"]],
            dtype=object,
        ),
        updated_run=run,
    )
    written = [frame for frame in (new, closed) if len(frame)]
    return pd.concat(written, ignore_index=True) if written else new


def _former_ids(ids: Sequence[str], inside: npt.NDArray[np.bool_]) -> list[str]:
    """The ids of these rows, as many as a story's row has room for."""
    found = [ids[row] for row in np.flatnonzero(inside).tolist()]
    room = np.cumsum([len(json.dumps(id_)) + 2 for id_ in found]) <= _FORMER_BYTES
    return found[: np.count_nonzero(room)]


def changed_rows(rows: pd.DataFrame, labels: Numbers) -> npt.NDArray[np.bool_]:
    """Which rows have to be written: their label changed, or no run has labelled them yet."""
    changed: npt.NDArray[np.bool_] = (rows["cluster_label"].to_numpy(np.int64) != labels) | (
        rows["label_run"].to_numpy(np.int64) == 0
    )
    return changed


def send_events(
    sender: Sender, topic: str, events: tuple[Event, ...], titles: Mapping[int, str], run: int, now: int
) -> None:
    """Sends the run's events and waits until Kafka has them.

    Raises:
        DeliveryError: It does not acknowledge them.
    """
    for event in events:
        value = {
            "id": f"{run}/{event.story}/{event.kind}",
            "run": run,
            "at": iso_time(now),
            **asdict(event),
            "title": titles.get(event.story, ""),
        }
        sender.send(topic, key=str(event.story).encode(), value=json.dumps(value, ensure_ascii=False).encode())
    sender.flush()


def language_rows(means: Means, run: int) -> list[LanguageMean]:
    """The rows of `means`."""
    return [LanguageMean(language, mean, count, run) for language, (mean, count) in means.by_language.items()]
