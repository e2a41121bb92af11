"""Consumers in threads and in processes of their own, and what they are given to read."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from consumers.group import join_group
from consumers.loop import ingest
from consumers.tally import Tally
from newstide.core.headline import Headline, encode
from newstide.core.settings import Settings, as_environment
from newstide.embedding import Embedder
from newstide.kafka.consumer import records_of
from newstide.kafka.producer import Sender
from newstide.milvus import open_store
from tests.harness.hashing import Hashing


@dataclass
class Worker:
    """A consumer in a thread of its own; `tally` once it has ended."""

    settings: Settings
    embedder: Embedder
    options: dict[str, Any]

    def __post_init__(self) -> None:
        self.stop = threading.Event()
        self.tally = Tally()
        self.seen = Tally()
        self.consumer = join_group(self.settings.kafka, **self.options)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        store, sender = open_store(self.settings.milvus, self.embedder.card), Sender(self.settings.kafka)
        try:
            self.tally = ingest(
                self.consumer,
                sender,
                store,
                self.embedder,
                self.settings,
                stop=self.stop,
                on_beat=lambda tally: setattr(self, "seen", tally),
            )
        finally:
            self.consumer.close(autocommit=False)
            sender.close()
            store.close()

    def end(self) -> Tally:
        self.stop.set()
        return self.join()

    def join(self, seconds: float = 60) -> Tally:
        self.thread.join(seconds)
        assert not self.thread.is_alive()
        return self.tally


class Measured(Hashing):
    """Takes its time for each text, and notes how many it is given at once."""

    def __init__(self, seconds_each: float = 0.0) -> None:
        super().__init__()
        self.seconds_each = seconds_each
        self.given: list[int] = []
        self.at_once: list[int] = []  # calls in progress, at the beginning of each
        self._inside = 0

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self._inside += 1
        self.at_once.append(self._inside)
        self.given.append(len(texts))
        time.sleep(self.seconds_each * len(texts))
        self._inside -= 1
        return super().encode(texts)


def headline(number: int, **fields: Any) -> Headline:
    return Headline(
        **{"id": f"h{number:06d}", "title": f"Headline {number}", "published_at": 1_700_000_000_000, **fields}
    )


def send(settings: Settings, values: Sequence[tuple[bytes | None, bytes | None]]) -> None:
    sender = Sender(settings.kafka)
    for key, value in values:
        sender.send(settings.kafka.topic, key=key, value=value)
    sender.flush()
    sender.close()


def good(numbers: range) -> list[tuple[bytes | None, bytes | None]]:
    return [(str(number).encode(), encode(headline(number))) for number in numbers]


def reasons(settings: Settings) -> list[str]:
    letters = records_of(settings.kafka, settings.kafka.dead_letter_topic)
    return [dict(letter.headers)["reason"].decode() for letter in letters]


def wait_for(what: str, condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)


@dataclass
class Killable:
    process: subprocess.Popen[bytes]
    log: Path


def killable(settings: Settings) -> Killable:
    """A consumer with the cheap model as a process, to be killed."""
    code = """
import threading
from tests.harness.hashing import Hashing
from consumers.group import Handover, join_group
from consumers.loop import ingest
from newstide.kafka.producer import Sender
from newstide.core.settings import Settings
from newstide.milvus import open_store
settings = Settings.load()
consumer = join_group(settings.kafka, session_timeout_ms=6_000, heartbeat_interval_ms=500)
def beat(_tally):
    if consumer.assignment():
        print("assigned", flush=True)
ingest(consumer, Sender(settings.kafka), open_store(settings.milvus, Hashing.card), Hashing(0.02), settings,
       stop=threading.Event(), on_beat=beat)
"""
    log = settings.data_dir / "killable.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[2],
            env={**os.environ, **as_environment(settings)},
            stdout=output,
            stderr=output,
        )
    return Killable(process, log)
