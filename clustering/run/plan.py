"""Step six of a run: stories, labels, events and the run itself.

All that a run is going to write is decided first, as a `Plan`, and kept in Milvus before anything else is touched. Then
it is carried out: `stories`, the rows whose label changed, events, means, the row in `runs` that makes the run count, and
the page. A run that is cut off anywhere in between is finished from its plan, word for word, whatever has come in since;
one that is cut off before has left no trace.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.run.lease import Lease, require_lease
from clustering.stories.lineage import Event, Lineage
from newstide.core.language_means import Means
from newstide.core.settings import KafkaSettings
from newstide.core.text import iso_time
from newstide.kafka.producer import Sender
from newstide.milvus import LanguageMean, RunRow, Store

Numbers = npt.NDArray[np.int64]

_LIST_BYTES = 60_000  # of a list in a story's row; Milvus takes 65,536 of JSON


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a run is going to write.

    Attributes:
        row: Of `runs`; it gets its `finished_at` when it is written.
        model: Fingerprint of the model whose vectors it holds.
        where: The filter of its window.
        ids: (rows,) of the headlines to label.
        labels: (rows,)
        probabilities: (rows,)
        stories: Whole rows of `stories`.
        events: In the order they are sent.
        means: Rows of `means`.
    """

    row: RunRow
    model: str
    where: str
    ids: list[str]
    labels: Numbers
    probabilities: npt.NDArray[np.float32]
    stories: pd.DataFrame
    events: tuple[Event, ...]
    means: list[LanguageMean]

    def encode(self) -> bytes:
        """As JSON in UTF-8; vectors as base64 of their single-precision numbers."""
        content = {
            "row": asdict(self.row),
            "model": self.model,
            "where": self.where,
            "ids": self.ids,
            "labels": self.labels.tolist(),
            "probabilities": self.probabilities.tolist(),
            "stories": self.stories.to_dict("records"),
            "events": [asdict(event) for event in self.events],
            "means": [asdict(mean) for mean in self.means],
        }
        return json.dumps(content, ensure_ascii=False, default=_plain).encode()

    @classmethod
    def decode(cls, content: bytes) -> "Plan":
        """What `encode` made."""
        found = json.loads(content)
        stories = pd.DataFrame(found["stories"], columns=found["stories"][0].keys() if found["stories"] else None)
        if len(stories):
            stories["centroid"] = pd.Series([_vector(text) for text in stories["centroid"]], dtype=object)
        tuples = ("parents", "children")
        return cls(
            RunRow(**{**found["row"], "mean": _vector(found["row"]["mean"])}),
            found["model"],
            found["where"],
            found["ids"],
            np.array(found["labels"], np.int64),
            np.array(found["probabilities"], np.float32),
            stories,
            tuple(Event(**event | {name: tuple(event[name]) for name in tuples}) for event in found["events"]),
            [LanguageMean(**mean | {"mean": _vector(mean["mean"])}) for mean in found["means"]],
        )


def carry_out(plan: Plan, store: Store, kafka: KafkaSettings, now: int, lease: Lease | None) -> None:
    """Writes all of it, again where some of it is written already; the row in `runs` last.

    The lease, which the caller has asked for, is asked for again before labels are written and before the run counts: this
    process may have stood still for so long that another has taken over.

    Raises:
        DeliveryError: Kafka does not acknowledge the events.
        RunFailed: Another reclusterer holds the lease by now.
    """
    run = plan.row.run
    store.upsert_stories(plan.stories)
    require_lease(lease)
    store.write_labels(plan.ids, plan.labels, plan.probabilities, run)
    if plan.events:
        sender = Sender(kafka)
        try:
            send_events(sender, kafka.events_topic, plan)
        finally:
            sender.close()
    require_lease(lease)
    store.upsert_means(plan.means)
    store.insert_run(replace(plan.row, finished_at=now))


def send_events(sender: Sender, topic: str, plan: Plan) -> None:
    """Sends the run's events and waits until Kafka has them.

    Raises:
        DeliveryError: It does not acknowledge them.
    """
    titles = dict(zip(plan.stories.get("cluster_label", []), plan.stories.get("title", []), strict=True))
    for event in plan.events:
        value = {
            "id": f"{plan.row.run}/{event.story}/{event.kind}",
            "run": plan.row.run,
            "at": iso_time(plan.row.finished_at),
            **asdict(event),
            "title": titles.get(event.story, ""),
        }
        sender.send(topic, key=str(event.story).encode(), value=json.dumps(value, ensure_ascii=False).encode())
    sender.flush()


@dataclass(frozen=True, slots=True)
class StoryBook:
    """The stories as the last finished run left them.

    Attributes:
        rows: Of the stories that were open: all columns, with centroids.
        dissolved: By headline's id, the number of the closed story it was in last, where no other story took it.
        next_number: The first number never used.
    """

    rows: pd.DataFrame
    dissolved: Mapping[str, int]
    next_number: int

    @property
    def open(self) -> frozenset[int]:
        """Numbers of the stories that were open."""
        return frozenset(self.rows["cluster_label"].astype(int))

    @classmethod
    def read(cls, store: Store, since: int) -> "StoryBook":
        """Reads what concerns the next run: open stories and those that dissolved.

        Args:
            store: The store.
            since: Publication time (epoch ms) of the window's oldest headline.
        """
        rows = store.stories('status == "open"', centroids=True)
        gone = store.stories(f'status == "closed" and successor == -1 and last_published_at >= {since}')
        gone = gone.sort_values("updated_run", kind="stable")  # the last one to let go of a headline is the one
        dissolved = {
            id_: int(story) for story, ids in zip(gone["cluster_label"], gone["former_ids"], strict=True) for id_ in ids
        }
        return cls(rows.set_index("cluster_label", drop=False), dissolved, store.highest_label() + 1)

    def last_stories(self, rows: pd.DataFrame) -> Numbers:
        """(n,) the story that each row of the window was last in by a run's word, open or closed; -1 = in none yet."""
        labelled = np.where(rows["label_run"] > 0, rows["cluster_label"], -1).astype(np.int64)
        if not self.dissolved:
            return labelled
        remembered = rows["id"].map(self.dissolved).fillna(-1).to_numpy(np.int64)
        return np.where((labelled < 0) & (rows["label_run"] > 0), remembered, labelled)


def story_rows(
    names: pd.DataFrame,
    ids: Sequence[str],
    lineage: Lineage,
    book: StoryBook,
    previous: Numbers,
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
        previous: (n,) `book.last_stories`.
        run: The run's number.
    """
    before = dict(zip(*np.unique(previous[previous >= 0], return_counts=True), strict=True))
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
                _fitting([ids[row] for row in np.flatnonzero((previous == number) & (lineage.labels < 0)).tolist()])
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


def changed_rows(rows: pd.DataFrame, labels: Numbers) -> npt.NDArray[np.bool_]:
    """Which rows have to be written: their label changed, or no run has labelled them yet."""
    changed: npt.NDArray[np.bool_] = (rows["cluster_label"].to_numpy(np.int64) != labels) | (
        rows["label_run"].to_numpy(np.int64) == 0
    )
    return changed


def language_rows(means: Means, run: int) -> list[LanguageMean]:
    """The rows of `means`."""
    return [LanguageMean(language, mean, count, run) for language, (mean, count) in means.by_language.items()]


def _plain(value: Any) -> Any:
    """What JSON has no word for: vectors, and numbers of numpy's."""
    if isinstance(value, np.ndarray):
        return base64.b64encode(np.asarray(value, np.float32).tobytes()).decode()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} in a plan")


def _vector(text: str) -> npt.NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), np.float32)
