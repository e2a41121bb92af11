"""What every step of a run works with: the open store, the settings, the lease, and the memory of the process."""

import ctypes
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clustering.run.known_stories import Remembered
from clustering.run.lease import MayWrite
from clustering.run.window import Labelled
from clustering.stories.keywords import Words
from newstide.core.settings import Settings
from newstide.milvus import Store, StoryEvent
from newstide.milvus.tombstones import FirstSeen


@dataclass(slots=True)
class Memory:
    """What a process remembers from run to run; a run also works without it.

    Attributes:
        labelled: The last run's rows.
        stories: As the last run left them.
        stones: Since when it has known each tombstone.
        words: Of the titles of the last run's stories.
        told: What happened to stories lately, oldest first, up to some run; empty where all of it has to be read.
        unwritten: Pages that could not be written, and when that was tried.
        said: By subject, the last thing logged about a state that stays true from run to run.
    """

    labelled: Labelled | None = None
    stories: Remembered | None = None
    stones: FirstSeen = field(default_factory=FirstSeen)
    words: Words = field(default_factory=Words)
    told: list[StoryEvent] = field(default_factory=list)
    unwritten: dict[Path, float] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)

    def is_news(self, about: str, what: Any) -> bool:
        """Whether this is to be said: it is something, and not what was said of it last."""
        news = bool(what) and self.said.get(about) != what
        self.said[about] = what
        return news


@dataclass(frozen=True, slots=True)
class Workplace:
    """What the steps of a run share.

    Attributes:
        store: The store, open.
        settings: With the addresses of Kafka and Milvus.
        lease: Asked before anything is written.
        memory: Of the process.
    """

    store: Store
    settings: Settings
    lease: MayWrite
    memory: Memory


def now_ms() -> int:
    """The time by this machine's clock, epoch milliseconds."""
    return int(time.time() * 1000)


@contextmanager
def timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Notes how long a step took, and gives back the memory that it no longer needs."""
    started = time.perf_counter()
    yield
    _trim()
    seconds[step] = time.perf_counter() - started


def _trim() -> None:
    """Returns free memory to the system, which glibc would keep: of a million rows' answers, that is a gigabyte."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # other systems' libraries have none
        trim(0)
