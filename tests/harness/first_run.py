"""A pipeline of its own, as its first run left it."""

import json
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from newstide.core.headline import Headline
from newstide.core.settings import ClusteringSettings, KafkaSettings, MilvusSettings, Settings
from newstide.embedding import ModelCard
from newstide.kafka.consumer import records_of
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.topics import ensure_topics
from newstide.milvus import HeadlineRow, RunRow, open_store
from newstide.milvus.local_server import LocalMilvus
from tests.harness.newsroom import PLAIN_MAP

DIM = 32
CARD = ModelCard("test-model", DIM, "0123456789abcdef" * 4)
WORDS = {0: "harbour", 1: "election", 2: "volcano", 3: "marathon"}
RNG = np.random.default_rng(5)
SPREAD = RNG.normal(size=(400, DIM))


def headline(number: int, axis: int | None, label: int, run: int = 1) -> HeadlineRow:
    """The headline of that number, near one of the axes, near its opposite (~axis), or anywhere."""
    vector = SPREAD[number] * (1.0 if axis is None else 0.03)
    if axis is not None:
        vector = vector + (np.eye(DIM)[axis] if axis >= 0 else -np.eye(DIM)[~axis])
    title = f"{WORDS.get(axis if axis is not None else -1, 'other')} report {number}"
    row = Headline(f"h{number:03}", title, 1_000_000 + number, source=f"Paper {number % 3}", language="en")
    unit: npt.NDArray[np.float32] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return HeadlineRow(row, unit, int(time.time() * 1000), label, 0.5 if run else 0.0, run)


def as_a_first_run_left_it() -> tuple[list[HeadlineRow], pd.DataFrame]:
    """Stories 7 and 8 are about one thing, 9 about two; 5 grows and takes back what 4 let go of; 6 falls apart."""
    of = [(0, 7)] * 6 + [(0, 8)] * 4 + [(1, 9)] * 5 + [(2, 9)] * 4 + [(3, 5)] * 4 + [(3, -1)] * 3 + [(9, 6), (~9, 6)]
    rows = [headline(number, axis, label) for number, (axis, label) in enumerate(of)]
    rows += [headline(number, 3, -1, run=0) for number in range(50, 54)]
    rows += [headline(number, None, -1) for number in range(100, 180)]
    former = {4: ["h023", "h024", "h025"]}
    stories = [
        {
            "cluster_label": number,
            "centroid": np.eye(DIM, dtype=np.float32)[number],
            "title": f"Story {number}",
            "titles": {"en": f"Story {number}"},
            "challenged": [],
            "importance": 1.5,
            "first_seen_at": 3,
            "keywords": ["word"],
            "languages": ["en"],
            "sources": ["Paper 0"],
            "size": max(2, sum(label == number for _, label in of)),
            "previous_size": 0,
            "first_published_at": 900_000 + number,
            "last_published_at": 1_000_100,
            "reach": 0.9,
            "status": "closed" if number in former else "open",
            "parents": [3] if number == 9 else [],
            "successor": -1,
            "former_ids": former.get(number, []),
            "created_run": 1,
            "updated_run": 1,
        }
        for number in range(4, 10)
    ]
    return rows, pd.DataFrame(stories)


# With these a small set of stories has events of every kind, whatever the defaults are.
EVERY_EVENT: dict[str, Any] = {"smoothing": 1.0, "size_exponent": 1.25, "deviations": 2.0, "inertia": 0.1}


class Place:
    """A pipeline of its own after its first run."""

    def __init__(self, kafka: LocalKafka, milvus: LocalMilvus, folder: Path) -> None:
        mark = uuid.uuid4().hex[:8]
        self.settings = Settings(
            data_dir=folder / mark,
            kafka=KafkaSettings(
                bootstrap_servers=kafka.bootstrap_servers,
                topic=f"headlines-{mark}",
                events_topic=f"story-events-{mark}",
                dead_letter_topic=f"dead-{mark}",
                lease_topic=f"lease-{mark}",
            ),
            milvus=MilvusSettings(uri=milvus.uri, prefix=f"r{mark}_"),
            clustering=ClusteringSettings(window=None, **EVERY_EVENT),
            layout=PLAIN_MAP,
        )
        ensure_topics(self.settings.kafka)
        rows, stories = as_a_first_run_left_it()
        with_store = open_store(self.settings.milvus, CARD)
        try:
            with_store.insert_headlines(rows)
            with_store.upsert_stories(stories)
            with_store.insert_run(RunRow(1, np.zeros(DIM, np.float32), 0.5, 1, 2, counts={"newest": 1_000_000}))
        finally:
            with_store.close()

    def more_headlines(self) -> None:
        """Four that belong to stories there are."""
        store = open_store(self.settings.milvus, CARD)
        store.insert_headlines([headline(number, axis, -1, 0) for number, axis in enumerate((0, 1, 2, 3), 300)])
        store.close()

    def state(self) -> dict[str, Any]:
        """What users see: stories, labels, and the events on the topic, whatever the time at which they were sent."""
        store = open_store(self.settings.milvus, None)
        try:
            stories = store.stories().drop(columns="first_seen_at").to_dict("records")  # by the clock
            labels = store.headlines("", ["id", "cluster_label", "label_probability", "label_run"]).to_dict("records")
            left_over = store.unfinished.read()
            runs = store.runs()[["run", "theta", "counts"]].to_dict("records")
        finally:
            store.close()
        assert left_over is None
        return {"stories": stories, "labels": labels, "events": self.events(), "runs": runs}

    def events(self) -> dict[str, dict[str, Any]]:
        """By id; one that is there twice is the same both times, but for when it was sent by a run that was no decided."""
        kafka = self.settings.kafka
        sent = [json.loads(record.value) for record in records_of(kafka, kafka.events_topic)]
        found: dict[str, dict[str, Any]] = {}
        for event in sent:
            assert found.setdefault(event["id"], event) == event
        return {id_: {name: value for name, value in event.items() if name != "at"} for id_, event in found.items()}
