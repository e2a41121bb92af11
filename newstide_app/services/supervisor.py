"""`newstide up`: the local Kafka and Milvus where none are configured, and the services, each a process of its own.

Every service is a command that production runs by itself; the supervisor starts the services, restarts those that end, and
stops them in the right order.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from newstide.core import logs
from newstide.core.errors import NewstideError
from newstide.core.local_server import dying_with_parent, free_port, terminate
from newstide.core.settings import Settings, as_environment
from newstide.milvus.upgrade import upgrade
from newstide_app.services.local_services import LocalServices

_LOOK_EVERY = 0.5  # seconds
_STOP_WITHIN = 15.0  # seconds for a service to finish its batch
_LONGEST_WAIT = 15.0  # seconds before a service that keeps dying is started again
_STEADY = 60.0  # seconds: a service that lived so long has come up
_VAIN_STARTS = 3  # of a service that has never come up, by errors of its own; then its error is the end

log = logs.get("supervisor")


@dataclass
class Service:
    """One child process: a newstide command.

    Attributes:
        name: Of the service, for the log.
        command: Makes the arguments, anew for each start.
        settings: Under which it runs, whatever the file and the environment say.
    """

    name: str
    command: Callable[[], Sequence[str]]
    settings: Settings
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    came_up: bool = False
    start_at: float = 0.0
    started: float = field(default_factory=time.monotonic)
    replaced_at: float | None = None

    def start(self) -> None:
        """Starts the command; its log lines go where the supervisor's go."""
        self.started, self.replaced_at = time.monotonic(), None
        file = self.settings.config
        config = [] if file == Settings.model_fields["config"].default else ["--config", str(file)]
        self.process = subprocess.Popen(
            dying_with_parent([sys.executable, "-m", "newstide_app", *config, *self.command()]),
            env={**_inherited(), **as_environment(self.settings)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the supervisor, which stops the services in order
        )

    def stop(self) -> int | None:
        """SIGTERM, and SIGKILL for what has not ended within 15 s."""
        if self.process is None:
            return None
        return terminate(self.process, _STOP_WITHIN)

    def follow(self, settings: Settings) -> None:
        """Has the service started again under other settings, once it has ended in order."""
        self.settings = settings
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.replaced_at = time.monotonic()

    def look_after(self) -> None:
        """Starts the service again where it has ended; waits longer each time where it keeps ending.

        Raises:
            NewstideError: The server has never come up.
        """
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_at:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            self.came_up |= now - self.started > _STEADY
            if self.replaced_at is not None and now - self.replaced_at > _STOP_WITHIN:
                self.process.kill()
            return
        if self.replaced_at is not None:
            self.start()
            return
        self.failures = 0 if now - self.started > _STEADY else self.failures + 1
        if code > 0 and not self.came_up and self.failures >= _VAIN_STARTS:
            raise NewstideError(
                f"The service {self.name} ended {self.failures} times without coming up, the last time with code {code}.",
                "The error of the service stands above.",
            )
        wait = min(2.0**self.failures, _LONGEST_WAIT)
        log.error("a service ended; starting it again", service=self.name, code=code, wait=wait)
        self.process, self.start_at = None, now + wait


def service(name: str, command: Sequence[str], settings: Settings) -> Service:
    """A service whose command stays the same."""
    return Service(name, lambda: command, settings)


def up(settings: Settings, *, feeds: Sequence[str], every: str, stop: Event) -> None:
    """Runs everything until `stop` is set: local servers, consumer, reclusterer, web, and watches and feeds where set."""
    with LocalServices(settings) as local:
        upgrade(local.settings.milvus)
        running = local.settings
        web = _Web(local, running)
        services = [
            service("consume", ["consume"], running),
            service("recluster", ["recluster", "--every", every], running),
            Service("web", web.command, running),
        ]
        if settings.watch:
            services.append(service("watch", ["watch"], running))
        if feeds:
            urls = [argument for feed in feeds for argument in ("--rss", feed)]
            services.append(service("produce", ["produce", *urls], running))
        try:
            for child in services:
                child.start()
            log.info("up", pages=web.address, kafka=running.kafka.bootstrap_servers, milvus=running.milvus.uri)
            print(_welcome(web.address, settings.data_dir), flush=True)  # noqa: T201 - for who started it
            while not stop.wait(_LOOK_EVERY):
                if local.settings != running:
                    running = local.settings
                    kafka, milvus = running.kafka.bootstrap_servers, running.milvus.uri
                    log.warning("a local server has another port; the services follow", kafka=kafka, milvus=milvus)
                    web.publish()
                    for child in services:
                        child.follow(running)
                for child in services:
                    child.look_after()
        finally:
            for child in services:
                if child.process is not None and child.process.poll() is None:
                    child.process.terminate()
            for child in services:
                child.stop()
    log.info("stopped")


class _Web:
    """The web server's port: another one where somebody else has taken it meanwhile."""

    def __init__(self, local: LocalServices, settings: Settings) -> None:
        self._local = local
        self._host = settings.pages.host
        self._port = settings.pages.port
        self.address = ""

    def command(self) -> list[str]:
        self._port = free_port(self._port)
        address = f"http://{self._host}:{self._port}"
        if self.address not in ("", address):
            log.warning("the web server has another port", pages=address)
        self.address = address
        self.publish()
        return ["web", "--port", str(self._port)]

    def publish(self) -> None:
        """Writes the addresses for other terminals; a full disk stops nothing else."""
        try:
            self._local.publish(self.address)
        except OSError as error:
            log.warning("other terminals cannot be told the addresses", reason=str(error))


def _inherited() -> dict[str, str]:
    """The environment without newstide's own variables."""
    return {name: text for name, text in os.environ.items() if not name.startswith("NEWSTIDE_")}


def _welcome(address: str, data_dir: Path) -> str:
    """What someone who has just started everything wants to know."""
    usual = data_dir == Settings.model_fields["data_dir"].get_default(call_default_factory=True)
    newstide = "newstide" if usual else f"newstide --data-dir {shlex.quote(str(data_dir))}"
    return f"""
  newstide is up.
    the map    {address}
    stop       Ctrl-C
  From another terminal:
    send       {newstide} produce FILE
    a feed     {newstide} produce --rss URL
    look       {newstide} stories

  Below is the log.
"""


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
