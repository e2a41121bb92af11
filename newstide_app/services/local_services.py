"""The local Kafka and Milvus Lite, where none are configured: started side by side, and started again when they end.

Each has a keeper, a thread of its own, so that one that takes long to recover holds up neither the other nor the services.
Where the disk is nearly full, a keeper ends its server and starts it again once there is room: a server that ran on would
end by itself, or lose what it could not write.
"""

import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self

from newstide.core import logs
from newstide.core.errors import NewstideError
from newstide.core.local_server import LastingThread, LocalServer
from newstide.core.settings import Settings
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.topics import ensure_topics
from newstide.milvus.local_server import LocalMilvus
from newstide_app.services.endpoints import LOCK, Endpoints, held_folder, remove_endpoints, write_endpoints

_LOOK_EVERY = 0.5  # seconds
_LONGEST_WAIT = 15.0  # seconds between two tries to start a server again
_STEADY = 60.0  # seconds: a server that lived so long is started again at once

log = logs.get("supervisor")


class LocalServices:
    """The local servers and the topics; a context manager. It holds the data folder for this process alone.

    Args:
        settings: Addresses that are set are used as they are.
        wipe: Empty the data folder first.
    """

    def __init__(self, settings: Settings, *, wipe: bool = False) -> None:
        self._configured = settings
        self._wipe = wipe
        self._stack = ExitStack()
        self._kafka: Keeper | None = None
        self._milvus: Keeper | None = None

    def __enter__(self) -> Self:
        """Starts what is missing.

        Raises:
            NewstideError: Another newstide runs on the same data folder, or a server does not come up.
        """
        settings = self._configured
        with ExitStack() as stack:
            stack.enter_context(held_folder(settings.data_dir))
            if self._wipe:
                _empty(settings.data_dir)
            stopping = Event()
            if settings.kafka.bootstrap_servers is None:
                heap, port = settings.kafka.local_heap_mb, settings.kafka.local_port
                folder = settings.data_dir / "kafka"
                kafka = LocalKafka(folder, settings.cache_dir, port=port, heap_mb=heap, owned=True)
                self._kafka = Keeper(kafka, stopping)
            if settings.milvus.uri is None:
                milvus = LocalMilvus(settings.data_dir / "milvus", port=settings.milvus.local_port, owned=True)
                self._milvus = Keeper(milvus, stopping)
            keepers = [keeper for keeper in (self._milvus, self._kafka) if keeper is not None]
            for keeper in keepers:
                keeper.start()
                stack.callback(keeper.end)
            stack.callback(stopping.set)
            for keeper in keepers:
                keeper.wait_until_up()
            ensure_topics(self.settings.kafka)
            self.publish()
            stack.callback(remove_endpoints, settings.data_dir)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops what was started here."""
        self._stack.close()

    @property
    def settings(self) -> Settings:
        """The settings with the addresses in use; they change where a server had to take another port."""
        settings = self._configured
        if self._kafka is not None:
            settings = settings.updated(kafka={"bootstrap_servers": self._kafka.address})
        if self._milvus is not None:
            settings = settings.updated(milvus={"uri": f"http://{self._milvus.address}"})
        return settings

    def publish(self, pages: str = "") -> None:
        """Writes the addresses in use to the data folder; `pages` is the web server's."""
        settings = self.settings
        servers, uri = str(settings.kafka.bootstrap_servers), str(settings.milvus.uri)
        write_endpoints(settings.data_dir, Endpoints(os.getpid(), servers, uri, pages))


class Keeper(LastingThread):
    """Starts a server, and starts it again whenever it has ended, until `stopping` is set.

    A server that has never been up is not tried again: its error is raised by `wait_until_up`.
    """

    def __init__(self, server: LocalServer, stopping: Event) -> None:
        super().__init__(name=f"keeper of {server.name}", daemon=True)
        self.address = ""  # as of the last time that the server came up
        self._server = server
        self._stopping = stopping
        self._settled = Event()
        self._held = False  # down for want of room
        self._error: BaseException | None = None

    def run(self) -> None:
        """The thread's work."""
        try:
            self._server.start()
            self.address = self._server.address
        except BaseException as error:  # noqa: BLE001 - raised by wait_until_up
            self._error = error
            return
        finally:
            self._settled.set()
        self._keep()

    def _keep(self) -> None:
        up_since, failures, said = time.monotonic(), 0, ""
        while not self._stopping.wait(_LOOK_EVERY):
            if self._without_room():
                up_since, failures, said = time.monotonic(), 0, "no room"
                continue
            if self._server.alive():
                failures = 0 if time.monotonic() - up_since > _STEADY else failures
                continue
            if not said:
                log.error("a local server ended; starting it again", server=self._server.name)
            if failures and self._stopping.wait(min(2.0**failures, _LONGEST_WAIT)):
                return
            failures += 1
            try:
                self._server.start()
            except (NewstideError, OSError) as error:
                reason = str(error).partition("\n")[0]
                if reason != said and not self._stopping.is_set():
                    log.error(
                        "a local server cannot be started; newstide tries again",
                        server=self._server.name,
                        reason=str(error),
                    )
                said = reason
            else:
                up_since, said = time.monotonic(), ""
                self.address = self._server.address

    def _without_room(self) -> bool:
        """Whether the disk is too full for the server, which is then held down; said once, and once when there is room."""
        room = self._server.room()
        if room < self._server.least_room and not self._held:
            self._held = True
            log.error(
                "the disk is full; the server is down until there is room, and everything waits",
                server=self._server.name,
                folder=str(self._server.data_dir),
                free_mb=room >> 20,
                needed_mb=2 * self._server.least_room >> 20,
            )
            self._server.kill()
        elif self._held and room >= 2 * self._server.least_room:
            self._held = False
            log.info("there is room again; starting the server", server=self._server.name)
        return self._held

    def wait_until_up(self) -> None:
        """Returns once the server has come up; raises what it failed with."""
        self._settled.wait()
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Stops the server; `stopping` has to be set."""
        while self.is_alive():  # it may be about to start the server once more
            self._server.stop()
            self.join(_LOOK_EVERY)
        self._server.stop()


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            path.unlink(missing_ok=True)
