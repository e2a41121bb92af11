"""Step six of a run: stories, labels, events and the run itself, in the order that lets a killed run be repaired.

First `stories`, then the rows whose label changed, then events, then the row in `runs` that makes the run count. Until
that last row is there, the next run takes the number again: what a killed run had written of `stories` is taken for
unannounced, and its events are sent again under the same ids.
"""

import json
from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True)
class StoryBook:
    """The stories as the last finished run left them.

    Attributes:
        rows: All columns, with centroids.
        open: Numbers of the stories that were open.
        unannounced: Numbers that a killed run gave; they are kept where their rows carry them, and born again.
        next_number: The first number never used.
    """

    rows: pd.DataFrame
    open: frozenset[int]
    unannounced: frozenset[int]
    next_number: int

    @classmethod
    def read(cls, store: Store, last_run: int) -> "StoryBook":
        """Reads what concerns the next run: open stories, and what a run after `last_run` left unfinished."""
        rows = store.stories(f'status == "open" or updated_run > {last_run}', centroids=True)
        born_since = rows["created_run"] > last_run
        return cls(
            rows.set_index("cluster_label", drop=False),
            frozenset(rows.loc[~born_since, "cluster_label"].astype(int)),
            frozenset(rows.loc[born_since, "cluster_label"].astype(int)),
            store.highest_label() + 1,
        )


def announced(lineage: Lineage, book: StoryBook) -> tuple[Event, ...]:
    """The run's events: what a killed run had begun is born now, or forgotten where it no longer is."""
    living = set(lineage.story_of_cluster.tolist()) & book.unannounced
    events = [event for event in lineage.events if event.story not in book.unannounced]
    sizes = dict(zip(*np.unique(lineage.labels, return_counts=True), strict=True))
    events += [Event("born", story, int(sizes[story]), 0) for story in sorted(living)]
    return tuple(events)


def story_rows(
    names: pd.DataFrame, lineage: Lineage, events: tuple[Event, ...], book: StoryBook, previous: Numbers, run: int
) -> pd.DataFrame:
    """The rows of `stories` to write: all that are open now, and those that closed."""
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
        created_run=[run if at in born else int(known[at]["created_run"]) for at in numbers],
        updated_run=run,
    )
    successor = {event.story: event.successor for event in lineage.events if event.kind == "closed"}
    closed = book.rows[book.rows["cluster_label"].isin(list(successor))].reset_index(drop=True)
    closed = closed.assign(
        status="closed", successor=[successor[number] for number in closed["cluster_label"]], updated_run=run
    )
    written = [frame for frame in (new, closed) if len(frame)]
    return pd.concat(written, ignore_index=True) if written else new


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
