"""Step six of a run: stories, labels, events and the run itself are written.

All that a run is going to write is decided first, as a `Plan`, and kept in Milvus before anything else is touched. Then
it is carried out: `stories`, the rows whose label changed, events, means, the row in `runs` that makes the run count, and
the page. A run that is cut off anywhere in between is finished from its plan, word for word, whatever has come in since;
one that is cut off before has left no trace.
"""

import base64
import json
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.run.lease import MayWrite
from clustering.stories.lineage import Event
from newstide.core.plain import plain
from newstide.core.settings import KafkaSettings
from newstide.core.text import iso_time
from newstide.kafka.producer import Sender
from newstide.milvus import LanguageMean, RunRow, Store

Numbers = npt.NDArray[np.int64]


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
            "row": asdict(self.row) | {"mean": _encoded(self.row.mean)},
            "model": self.model,
            "where": self.where,
            "ids": self.ids,
            "labels": self.labels.tolist(),
            "probabilities": self.probabilities.tolist(),
            "stories": [story | {"centroid": _encoded(story["centroid"])} for story in self.stories.to_dict("records")],
            "events": [asdict(event) for event in self.events],
            "means": [asdict(mean) | {"mean": _encoded(mean.mean)} for mean in self.means],
        }
        return json.dumps(content, ensure_ascii=False, default=plain).encode()

    @classmethod
    def decode(cls, content: bytes) -> "Plan":
        """What `encode` made."""
        found = json.loads(content)
        stories = pd.DataFrame(found["stories"], columns=found["stories"][0].keys() if found["stories"] else None)
        if len(stories):
            stories["centroid"] = pd.Series([_vector(text) for text in stories["centroid"]], dtype=object)
        tuples = ("parents", "children")
        return cls(
            row=RunRow(**{**found["row"], "mean": _vector(found["row"]["mean"])}),
            model=found["model"],
            where=found["where"],
            ids=found["ids"],
            labels=np.array(found["labels"], np.int64),
            probabilities=np.array(found["probabilities"], np.float32),
            stories=stories,
            events=tuple(Event(**event | {name: tuple(event[name]) for name in tuples}) for event in found["events"]),
            means=[LanguageMean(**mean | {"mean": _vector(mean["mean"])}) for mean in found["means"]],
        )


def carry_out(plan: Plan, store: Store, kafka: KafkaSettings, now: int, lease: MayWrite) -> None:
    """Writes all of it, again where some of it is written already; the row in `runs` last.

    The lease, which the caller has asked for, is asked for again before labels are written and before the run counts: this
    process may have stood still for so long that another has taken over.

    Raises:
        DeliveryError: Kafka does not acknowledge the events.
        RunFailed: Another reclusterer holds the lease by now.
    """
    run = plan.row.run
    store.upsert_stories(plan.stories)
    lease.require()
    store.write_labels(plan.ids, plan.labels, plan.probabilities, run)
    if plan.events:
        sender = Sender(kafka)
        try:
            send_events(sender, kafka.events_topic, plan)
        finally:
            sender.close()
    lease.require()
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


def _encoded(vector: npt.ArrayLike) -> str:
    return base64.b64encode(np.asarray(vector, np.float32).tobytes()).decode()


def _vector(text: str) -> npt.NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), np.float32)
