"""`newstide up`: the local Kafka and Milvus where none are configured, and the services, each a process of its own.

Every service is the very command that production runs by itself; the supervisor starts them, restarts what dies, and
stops them in the right order.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self

from newstide.core import logs
from newstide.core.errors import NewstideError
from newstide.core.local_server import dying_with_parent, free_port, terminate
from newstide.core.settings import Settings, as_environment
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.topics import ensure_topics
from newstide.milvus.local_server import LocalMilvus
from newstide_app.services.endpoints import Endpoints, read_endpoints, remove_endpoints, write_endpoints

_STOP_WITHIN = 15.0  # seconds for a service to finish its batch
_LONGEST_WAIT = 60.0  # seconds before a service that keeps dying is started again

log = logs.get("supervisor")


class LocalServices:
    """The local Kafka and Milvus Lite, where none are configured, and the topics; a context manager.

    Attributes:
        settings: With the addresses in use.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = ExitStack()
        self._started: dict[str, LocalKafka | LocalMilvus] = {}

    def __enter__(self) -> Self:
        """Starts what is missing.

        Raises:
            NewstideError: Another newstide runs on the same data folder, or a service does not come up.
        """
        settings = self.settings
        require_unused(settings.data_dir)
        with self._stack as stack:
            if settings.kafka.bootstrap_servers is None:
                heap = settings.kafka.local_heap_mb
                kafka = LocalKafka(
                    settings.data_dir / "kafka", settings.cache_dir, port=settings.kafka.local_port, heap_mb=heap
                )
                self._started["Kafka"] = stack.enter_context(kafka)
                settings = settings.updated(kafka={"bootstrap_servers": kafka.bootstrap_servers})
            if settings.milvus.uri is None:
                milvus = LocalMilvus(settings.data_dir / "milvus", port=settings.milvus.local_port)
                self._started["Milvus"] = stack.enter_context(milvus)
                settings = settings.updated(milvus={"uri": milvus.uri})
            self.settings = settings
            ensure_topics(settings.kafka)
            publish_endpoints(settings)
            stack.callback(remove_endpoints, settings.data_dir)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops what was started here."""
        self._stack.close()

    def mend(self) -> None:
        """Starts again what has died; its data is on disk, and its clients wait for it."""
        for name, local in self._started.items():
            if not local.alive():
                log.error("a local service ended; starting it again", service=name)
                local.start()


def require_unused(data_dir: Path) -> None:
    """Raises `NewstideError` where another newstide runs on the folder."""
    running = read_endpoints(data_dir)
    if running is not None and running.pid != os.getpid():
        raise NewstideError(
            f"newstide is already running on {data_dir} (process {running.pid}).",
            "Stop it, or choose another folder with --data-dir.",
        )


def publish_endpoints(settings: Settings, pages: str = "") -> None:
    """Writes the addresses in use to the data folder."""
    write_endpoints(
        settings.data_dir,
        Endpoints(os.getpid(), str(settings.kafka.bootstrap_servers), str(settings.milvus.uri), pages),
    )


@dataclass
class Service:
    """One child process: a newstide command."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    start_at: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Starts the command; its log lines go where the supervisor's go."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            dying_with_parent([sys.executable, "-m", "newstide_app", *self.command]),
            env={**_inherited(), **self.environment},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the supervisor, which stops the services in order
        )

    def stop(self) -> int | None:
        """SIGTERM, and SIGKILL for what has not ended within 15 s."""
        if self.process is None:
            return None
        return terminate(self.process, _STOP_WITHIN)


def service(name: str, command: Sequence[str], settings: Settings) -> Service:
    """A service under these very settings, whatever the file and the environment say."""
    return Service(name, command, as_environment(settings))


def up(settings: Settings, *, feeds: Sequence[str], every: str, stop: Event) -> None:
    """Runs everything until `stop` is set: local services, consumer, reclusterer, web and, with feeds, a producer."""
    with LocalServices(settings) as local:
        running = local.settings
        port = free_port(running.pages.port)
        pages = f"http://{running.pages.host}:{port}"
        publish_endpoints(running, pages)
        services = [
            service("consume", ["consume"], running),
            service("recluster", ["recluster", "--every", every], running),
            service("web", ["web", "--port", str(port)], running),
        ]
        if feeds:
            urls = [argument for feed in feeds for argument in ("--rss", feed)]
            services.append(service("produce", ["produce", *urls], running))
        log.info("up", pages=pages, kafka=running.kafka.bootstrap_servers, milvus=running.milvus.uri)
        log.info("send headlines from another terminal", command=_produce_command(settings.data_dir))
        try:
            for child in services:
                child.start()
            while not stop.wait(0.5):
                local.mend()
                _restart_the_dead(services)
        finally:
            for child in reversed(services):
                child.stop()
    log.info("stopped")


def _restart_the_dead(services: Sequence[Service]) -> None:
    now = time.monotonic()
    for child in services:
        if child.process is not None and child.process.poll() is not None:
            lived = now - child.started
            child.failures = 0 if lived > _LONGEST_WAIT else child.failures + 1
            wait = min(2.0**child.failures, _LONGEST_WAIT)
            log.error(
                "a service ended; starting it again", service=child.name, code=child.process.returncode, wait=wait
            )
            child.process, child.start_at = None, now + wait
        elif child.process is None and now >= child.start_at:
            child.start()


def _inherited() -> dict[str, str]:
    """The environment without newstide's own variables, the settings file's name apart."""
    return {
        name: text for name, text in os.environ.items() if name == "NEWSTIDE_CONFIG" or not name.startswith("NEWSTIDE_")
    }


def _produce_command(data_dir: Path) -> str:
    return f"newstide --data-dir {data_dir} produce FILE"


def stop_on_signals() -> Event:
    """An event that SIGTERM and Ctrl-C set; a second signal ends the process at once."""
    stop = Event()

    def handle(number: int, _frame: object) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop
