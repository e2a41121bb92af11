"""Child processes and ports: what the local Kafka, Milvus Lite and the supervisor have in common."""

import fcntl
import ipaddress
import shutil
import socket
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from newstide.core.errors import NewstideError

_LOOPBACK = "127.0.0.1"
_LOCK_WITHIN = 5.0  # seconds: a server whose parent was killed is just going down


class LocalServer(ABC):
    """A server of this machine as a child process, one a data folder; a context manager that starts and stops it.

    Args:
        data_dir: Where its data, its log and its lock lie.
        port: Wanted; a free one is taken where something listens there already, or for 0. A server that is started
            again comes back on the port it had, if that is still free: its clients know no other.
    """

    stop_within = 10.0  # seconds, then it is killed

    def __init__(self, data_dir: Path, port: int) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process, or None before it was started."""
        return None if self._process is None else self._process.pid

    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self._process is not None and self._process.poll() is None

    @abstractmethod
    def start(self) -> None:
        """Starts the server and waits until a client can talk to it. Does nothing where it runs already."""

    def stop(self) -> None:
        """Ends the server in order; kills it where it has not ended within `stop_within`."""
        if self._process is not None:
            terminate(self._process, self.stop_within)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def _locked_folder(self, refused: Callable[[str], NewstideError]) -> Iterator[IO[str]]:
        """The folder's lock. The server inherits it, so it is held for exactly as long as a server lives.

        `refused` makes the error for a folder that another server holds, from what that one wrote into its lock.
        """
        with (self.data_dir / ".lock").open("a+") as lock:
            deadline = time.monotonic() + _LOCK_WITHIN
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        lock.seek(0)
                        raise refused(lock.read()) from None
                    time.sleep(0.1)
            yield lock


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address (of version 6 in brackets or not), is this machine and no other."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def free_port(preferred: int = 0) -> int:
    """The preferred port where nothing listens on it, on loopback or on all interfaces; else a free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            # As Java does: connections of a server that has just ended (TIME_WAIT) do not make a port taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port")  # unreachable unless the machine has run out of ports


def listens(port: int, timeout: float = 1.0) -> bool:
    """Whether something accepts connections on this loopback port."""
    try:
        socket.create_connection((_LOOPBACK, port), timeout).close()
    except OSError:
        return False
    return True


def dying_with_parent(command: Sequence[str]) -> list[str]:
    """The command, made to get SIGTERM when the process that starts it is killed.

    Linux sends that signal when the *thread* that started the child ends, so only the main thread asks for it; and it
    takes `setpriv` (util-linux). Elsewhere a child outlives a parent that is killed with SIGKILL.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None or threading.current_thread() is not threading.main_thread():
        return list(command)
    return [setpriv, "--pdeathsig", "TERM", *command]


def terminate(process: subprocess.Popen[bytes], within: float) -> int:
    """SIGTERM, then SIGKILL for a child that has not ended within so many seconds. Returns its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode
