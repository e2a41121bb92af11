"""What the benchmarks of the running whole share: services as processes, made headlines, and their steady feed."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

from newstide.core.headline import Headline, encode
from newstide.core.local_server import LocalServer, dying_with_parent, terminate
from newstide.core.settings import MonitoringSettings, Settings, as_environment
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.producer import Sender
from newstide.milvus import Store, open_store
from newstide.milvus.local_server import LocalMilvus
from producers.sample import day_file

COMMANDS = {"consumer": ["consume"], "reclusterer": ["recluster", "--every", "2s"]}
_READY = {"consumer": '"reading"', "reclusterer": '"reclustering"'}  # what their logs say: it has its partitions
_PATIENCE = 200.0  # seconds; less than a test may take, which is to say what it waited for
_TAIL = 3_000  # characters of a log that are shown
RATE = 500.0  # headlines a second, while a portion is sent


class Service:
    """`newstide COMMAND` as a process; started again whenever it is found dead."""

    def __init__(self, name: str, settings: Settings, command: Sequence[str] = ()) -> None:
        self.name = name
        self._command = command or COMMANDS[name]
        self._settings = settings
        self._log = settings.data_dir / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._start_of_log = 0
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Its process."""
        return None if self._process is None else self._process.pid

    def keep_up(self) -> None:
        """Starts it unless it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        with self._log.open("ab") as log:
            self._start_of_log = log.tell()
            self.starts += 1
            own = {name: value for name, value in os.environ.items() if not name.startswith("NEWSTIDE_")}
            self._process = subprocess.Popen(
                dying_with_parent([sys.executable, "-m", "newstide_app", *self._command]),
                env={**own, **as_environment(self._settings)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Until its log says that it is at work; started again where it gave up because another was away."""
        until(f"the {self.name} is at work", self._ready, of=self)

    def kill(self) -> None:
        """SIGKILL; raises where it was dead before."""
        assert self._process is not None
        self._process.kill()
        if (code := self._process.wait()) != -signal.SIGKILL:
            raise RuntimeError(f"The {self.name} had ended by itself, with {code}; see {self._log}.")

    def ended(self) -> bool:
        """Whether it ran, and does no more."""
        return self._process is not None and self._process.poll() is not None

    def last_words(self) -> str:
        """The end of its log."""
        return f"The end of {self._log}:\n{self._log.read_text(errors='replace')[-_TAIL:]}"

    def stop(self, within: float = 60.0) -> int:
        """SIGTERM; its exit code."""
        return 0 if self._process is None else terminate(self._process, within)

    def _ready(self) -> bool:
        self.keep_up()
        return _READY[self.name].encode() in self._log.read_bytes()[self._start_of_log :]


def endless_headlines(*, mark: str = "h") -> Iterator[Headline]:
    """The bundled day's headlines again and again, no two the same; from an hour ago on."""
    day = [json.loads(line) for line in day_file().read_text(encoding="utf-8").splitlines()]
    start = int(time.time() * 1000) - 3_600_000
    for at in count():
        one = day[at % len(day)]
        yield Headline(
            id=f"{mark}{at:08d}",
            title=f"{one['title']} ({at})",
            description=one.get("description", ""),
            source=one.get("source", ""),
            language=one.get("language", ""),
            published_at=start + at,
        )


def made_headlines(number: int, *, mark: str = "h") -> list[Headline]:
    """The first so many of them."""
    return list(islice(endless_headlines(mark=mark), number))


@contextmanager
def local_servers(folder: Path, **groups: dict[str, Any]) -> Iterator[tuple[Settings, dict[str, LocalServer]]]:
    """A Kafka and a Milvus Lite of their own, and settings for them; `groups` of settings on top."""
    base = Settings(data_dir=folder, monitoring=MonitoringSettings(port=0))
    with (
        LocalKafka(folder / "kafka", base.cache_dir, port=0) as kafka,
        LocalMilvus(folder / "milvus", port=0) as milvus,
    ):
        settings = base.updated(kafka={"bootstrap_servers": kafka.bootstrap_servers}, milvus={"uri": milvus.uri})
        yield settings.updated(**groups), {"broker": kafka, "Milvus": milvus}


class Feed:
    """Sends headlines at a steady rate, in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self.fed = 0
        self._put = 0
        self._topic = settings.kafka.topic
        self._sender = Sender(settings.kafka)
        self._waiting: queue.Queue[Headline | None] = queue.Queue()
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    @property
    def acknowledged(self) -> int:
        """Headlines that Kafka has acknowledged."""
        if self._errors:
            raise self._errors[0]
        return self._sender.acknowledged

    def put(self, some: Sequence[Headline]) -> None:
        """Headlines to send next."""
        self._put += len(some)
        for headline in some:
            self._waiting.put(headline)

    def arrived(self) -> bool:
        """Whether Kafka has acknowledged all that was put."""
        return self.acknowledged == self._put

    def close(self) -> None:
        """Sends the rest; raises where Kafka has not acknowledged something."""
        self._waiting.put(None)
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            raise TimeoutError(f"Within {_PATIENCE:.0f} s Kafka has not taken what was to be sent.")
        self._sender.close()
        if self._errors:
            raise self._errors[0]

    def _send(self) -> None:
        try:
            while (headline := self._waiting.get()) is not None:
                self.fed += 1
                self._sender.send(self._topic, key=headline.id.encode(), value=encode(headline))
                time.sleep(1 / RATE)
            self._sender.flush()
        except BaseException as error:  # noqa: BLE001 - told to the one who waits
            self._errors.append(error)


@contextmanager
def fed(settings: Settings) -> Iterator[Feed]:
    """A feed; at its end everything is acknowledged, or it raises."""
    feed = Feed(settings)
    try:
        yield feed
    finally:
        feed.close()


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """The store, closed at the end."""
    store = open_store(settings.milvus, None)
    try:
        yield store
    finally:
        store.close()


def until(
    what: str, condition: Callable[[], object], *, every: float = 0.1, of: Service | None = None, alive: bool = False
) -> None:
    """Waits until the condition holds.

    Args:
        what: Is waited for.
        condition: Asked again and again.
        every: Seconds between.
        of: The service that it depends on: what it said last is told where the wait is in vain.
        alive: Whether to give up as soon as that service is dead.

    Raises:
        TimeoutError: The condition did not come true within some minutes.
        RuntimeError: The service has ended.
    """
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        words = "" if of is None else f"\n{of.last_words()}"
        if of is not None and alive and of.ended():
            raise RuntimeError(f"The {of.name} has ended; it will not happen that {what}.{words}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"Within {_PATIENCE:.0f} s it did not happen that {what}.{words}")
        time.sleep(every)
