"""`newstide up` as a process of its own, and what a machine does to it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from newstide.core.headline import Headline, encode
from newstide.core.local_server import free_port
from newstide.core.settings import Settings, as_environment
from newstide.kafka.producer import Sender
from newstide_app.services.endpoints import Endpoints, read_endpoints
from tests.harness.services import opened, until


class Up:
    """`newstide up` on a folder, with its log beside it."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder, self.log = folder, log
        self.settings = Settings(data_dir=folder).updated(
            kafka={"local_port": free_port()},
            milvus={"local_port": free_port()},
            pages={"port": free_port()},
            monitoring={"port": 0},
        )
        self.process = self._started()

    def _started(self) -> "subprocess.Popen[bytes]":
        own = {name: value for name, value in os.environ.items() if not name.startswith("NEWSTIDE_")}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "newstide_app", "up", "--every", "5s"],
                env={**own, **as_environment(self.settings)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self) -> None:
        """Starts it again."""
        self.process = self._started()

    def endpoints(self) -> Endpoints:
        """Where the servers are, once it is up."""
        until("`newstide up` is up", lambda: self.process.poll() is not None or read_endpoints(self.folder))
        found = read_endpoints(self.folder)
        assert found is not None, self.said()
        return found

    def reached(self) -> Settings:
        """Settings with the addresses of now."""
        self.endpoints()
        return self.known()

    def known(self) -> Settings:
        """Settings with the addresses that the data folder names at this moment; without any where it names none."""
        found = read_endpoints(self.folder)
        if found is None:
            return self.settings
        return self.settings.updated(
            kafka={"bootstrap_servers": found.bootstrap_servers}, milvus={"uri": found.milvus_uri}
        )

    def said(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace")

    def tree(self) -> list[psutil.Process]:
        """It and all that it started."""
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def server(self, word: str) -> psutil.Process:
        """The one process of the tree whose command holds this word, as soon as there is one."""
        found: list[psutil.Process] = []

        def runs() -> bool:
            with suppress(psutil.Error):
                found.extend(one for one in self.tree() if word in " ".join(one.cmdline()) and one.name() != "setpriv")
            return bool(found)

        until(f"a process of {word} runs", runs)
        return found[0]

    def kill_all(self) -> None:
        """Kills it and all that it started, before any of them sees another die."""
        tree = self.tree()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in tree:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        self.process.wait()

    def end(self) -> None:
        """In order; then whatever is left."""
        left = []
        with suppress(psutil.NoSuchProcess):
            left = self.tree()
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        for one in left:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait()


@contextmanager
def up(folder: Path, log: Path) -> Iterator[Up]:
    one = Up(folder, log)
    try:
        one.endpoints()
        yield one
    finally:
        one.end()


def send(settings: Settings, headlines: list[Headline]) -> None:
    """Returns once Kafka has acknowledged them."""
    sender = Sender(settings.kafka)
    try:
        for headline in headlines:
            sender.send(settings.kafka.topic, key=headline.id.encode(), value=encode(headline))
        sender.flush()
    finally:
        sender.close()


def rows(one: Up) -> int:
    """How many headlines Milvus holds; -1 where it cannot be asked."""
    try:
        with opened(one.reached()) as store:
            return store.count_headlines()
    except Exception:  # noqa: BLE001 - a server is away or not made yet: there is nothing to count
        return -1


def fill(disk: Path) -> Path:
    """A file that leaves no byte."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        block = bytes(2**20)
        while block:
            try:
                file.write(block)
            except OSError:
                block = block[: len(block) // 2]
    return filler


def taken_port(port: int) -> socket.socket:
    """The port, as soon as whoever had it is dead."""
    found: list[socket.socket] = []

    def bound() -> bool:
        with suppress(OSError):
            found.append(socket.create_server(("127.0.0.1", port)))
        return bool(found)

    until("the port is free to be taken", bound, every=0.005)
    return found[0]
