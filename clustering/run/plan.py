"""Step six of a run: stories, labels, events and the run itself are written.

All that a run is going to write is decided first, as a `Plan`, and kept in Milvus before anything else is touched. Then
it is carried out: `stories`, the rows whose label changed, events, means, the row in `runs` that makes the run count, and
the page. A run that is cut off anywhere in between is finished from its plan, word for word, whatever has come in since;
one that is cut off before has left no trace.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from clustering.run.lease import MayWrite
from clustering.stories.lineage import Event
from newstide.core.errors import PlanDamaged
from newstide.core.plain import plain
from newstide.core.settings import KafkaSettings
from newstide.core.text import iso_time
from newstide.kafka.producer import Sender
from newstide.milvus import LanguageMean, RunRow, Store, StoryEvent

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
        """What `encode` made.

        Raises:
            PlanDamaged: The text is no plan of this version.
        """
        try:
            found = _Written.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise PlanDamaged(f"The plan of an interrupted run cannot be read: {place}: {first['msg']}.") from None
        stories = pd.DataFrame(
            [
                story.model_dump() | {"first_seen_at": story.first_seen_at or found.row.finished_at}
                for story in found.stories
            ],
            columns=list(_Story.model_fields),
        )
        return cls(
            row=RunRow(**found.row.model_dump()),
            model=found.model,
            where=found.where,
            ids=found.ids,
            labels=np.array(found.labels, np.int64),
            probabilities=np.array(found.probabilities, np.float32),
            stories=stories,
            events=tuple(found.events),
            means=[LanguageMean(**mean.model_dump()) for mean in found.means],
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
    events = story_events(plan)
    store.events.put(events)
    if events:
        sender = Sender(kafka)
        try:
            send_events(sender, kafka.events_topic, events, str(plan.row.counts.get("quiet", "")))
        finally:
            sender.close()
    lease.require()
    store.upsert_means(plan.means)
    store.insert_run(replace(plan.row, finished_at=now))


def story_events(plan: Plan) -> list[StoryEvent]:
    """The run's events with what is known of their stories as it decided."""
    stories = {int(story["cluster_label"]): story for story in plan.stories.to_dict("records")}
    row = plan.row
    found = []
    for event in plan.events:
        story = stories.get(event.story, {})
        found.append(
            StoryEvent(
                **asdict(event) | {"previous_titles": dict(event.previous_titles)},
                id=f"{row.run}/{event.story}/{event.kind}",
                run=row.run,
                at=row.finished_at,
                newest_at=int(row.counts.get("newest") or row.finished_at),
                title=story.get("title", ""),
                importance=round(float(story.get("importance", 0.0)), 4),
                languages=story.get("languages", []),
                sources=story.get("sources", []),
            )
        )
    return found


def send_events(sender: Sender, topic: str, events: Sequence[StoryEvent], quiet: str = "") -> None:
    """Sends the run's events and waits until Kafka has them; `quiet` says why the run is to alert nobody, where it is.

    Raises:
        DeliveryError: Kafka does not acknowledge the events.
    """
    for event in events:
        value = asdict(event) | {"at": iso_time(event.at), "newest_at": iso_time(event.newest_at), "quiet": quiet}
        content = json.dumps(value, ensure_ascii=False, default=plain).encode()
        sender.send(topic, key=str(event.story).encode(), value=content)
    sender.flush()


def _encoded(vector: npt.ArrayLike) -> str:
    return base64.b64encode(np.asarray(vector, np.float32).tobytes()).decode()


def _vector(text: Any) -> npt.NDArray[np.float32]:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"no vector ({error})") from None


_Int = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Vector = Annotated[Any, BeforeValidator(_vector)]


class _Part(BaseModel):
    """A part of a plan as `encode` writes it: its fields, of their types, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Row(_Part):
    run: Annotated[_Int, Field(ge=1)]
    mean: _Vector
    theta: FiniteFloat
    started_at: _Int
    finished_at: _Int
    status: str
    parameters: dict[str, Any]
    counts: dict[str, Any]
    durations: dict[str, FiniteFloat]


class _Story(_Part):
    cluster_label: Annotated[_Int, Field(ge=0)]
    title: str
    titles: dict[str, str] = {}
    challenged: list[str] = []
    importance: FiniteFloat = 0.0
    first_seen_at: _Int | None = None
    keywords: list[str]
    languages: list[str]
    sources: list[str]
    size: _Int
    previous_size: _Int
    first_published_at: _Int
    last_published_at: _Int
    reach: FiniteFloat
    status: Literal["open", "closed"]
    parents: list[_Int]
    successor: _Int
    former_ids: list[str]
    created_run: _Int
    updated_run: _Int
    centroid: _Vector


class _Mean(_Part):
    language: str
    mean: _Vector
    count: _Int
    run: _Int


class _Written(_Part):
    """A plan as it lies in Milvus."""

    row: _Row
    model: str
    where: str
    ids: list[str]
    labels: list[_Int]
    probabilities: list[FiniteFloat]
    stories: list[_Story]
    events: list[Event]
    means: list[_Mean]

    @model_validator(mode="after")
    def _is_of_one_length(self) -> Self:
        if not len(self.ids) == len(self.labels) == len(self.probabilities):
            raise ValueError("ids, labels and probabilities are not as many")
        missing = {"rows", "new", "changed", "too_old", "stories", "noise"} - self.row.counts.keys()
        if missing or not self.row.counts["rows"]:
            raise ValueError(f"the counts lack {', '.join(sorted(missing)) or 'rows'}")
        return self
