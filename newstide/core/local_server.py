"""Servers of this machine as child processes, and ports: what the local Kafka, Milvus Lite and the supervisor share."""

import fcntl
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

from newstide.core import logs
from newstide.core.errors import NewstideError

_LOOPBACK = "127.0.0.1"
_LOCK_WITHIN = 5.0  # seconds; a server whose parent was killed releases the lock within them
_SILENT_FOR = 60.0  # seconds without processor time and log lines, after which a starting server counts as hung
_WORK = 1.0  # seconds of processor time that count as work; an idle Java takes less within that minute
_IN_USE = "Address already in use"  # as servers say it
_PORT_ATTEMPTS = 3  # another process may take a port between our look and the server's start
_LAST_LINES = 15  # of the server's log that an error shows

log = logs.get("local")


class LocalServer(ABC):
    """A server of this machine as a child process, one a data folder; a context manager that starts and stops it.

    Args:
        data_dir: The folder of the server's data, log and lock.
        port: The wanted port; a free one is taken for 0, or where another process listens on the wanted one. A
            restarted server takes the port it had, if that is still free, since its clients know no other.
        owned: Whether the caller alone may use the folder. If so, a server that an earlier owner left behind is
            stopped; otherwise such a server makes `start` fail.
    """

    name = "the server"
    stop_within = 10.0  # seconds, then it is killed
    least_room = 64 * 2**20  # bytes of free disk with less of which the server is better not running

    def __init__(self, data_dir: Path, port: int, *, owned: bool = False) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port
        self._owned = owned
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where clients reach the server: host and port."""
        return f"{_LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The server's process, or None before it was started."""
        return None if self._process is None else self._process.pid

    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self._process is not None and self._process.poll() is None

    def room(self) -> int:
        """Bytes that are free where the server's folder lies."""
        folder = next(path for path in (self.data_dir, *self.data_dir.parents) if path.exists())
        return shutil.disk_usage(folder).free

    def kill(self) -> None:
        """Ends the server at once, without the writes of an ordered end; its log brings all back at the next start."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def start(self) -> None:
        """Starts the server and waits until a client can talk to it. Does nothing where it runs already.

        A server that lives and works at its recovery is waited for, however long that takes.

        Raises:
            NewstideError: Another process uses the folder, or the server ended or did nothing for a minute; with the
                last lines of its log.
        """
        if self.alive():
            return
        self._prepare()
        started = time.monotonic()
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failed(
                f"The folder of {self.name} cannot be made: {error}.", "Choose another folder."
            ) from None
        with self._locked_folder(self._in_use) as lock:
            for attempt in range(1, _PORT_ATTEMPTS + 1):
                wanted, self.port = self.port, free_port(self.port)
                if wanted not in (0, self.port):
                    log.info("the port is taken; using another", server=self.name, wanted=wanted, port=self.port)
                self._spawn(self._command(), lock)
                try:
                    self._wait_until_ready()
                    break
                except BaseException as error:
                    self.stop()
                    if _IN_USE not in str(error) or attempt == _PORT_ATTEMPTS:
                        raise
        log.info(f"local {self.name} is up", address=self.address, seconds=round(time.monotonic() - started, 1))

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

    @abstractmethod
    def _command(self) -> list[str]:
        """The command that runs the server on `self.port`; makes its files where there are none yet."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether a client can talk to the server."""

    @abstractmethod
    def _failed(self, what: str, way_out: str = "") -> NewstideError:
        """The error of this kind of server."""

    def _prepare(self) -> None:  # noqa: B027 - most servers need nothing
        """Does what must happen before the folder is locked, such as a download."""

    def _environment(self) -> Mapping[str, str]:
        return os.environ

    @property
    def _log_file(self) -> Path:
        return self.data_dir / "server.log"

    def _spawn(self, command: Sequence[str], lock: IO[str]) -> None:
        if self._log_file.exists():
            self._log_file.replace(self._log_file.with_suffix(".log.1"))
        with self._log_file.open("wb") as output:
            self._process = subprocess.Popen(
                dying_with_parent(command),
                cwd=self.data_dir,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[lock.fileno()],
                start_new_session=True,  # Ctrl-C reaches newstide, which stops its servers last
            )
        lock.truncate(0)
        lock.write(json.dumps({"pid": self._process.pid, "address": self.address}))
        lock.flush()

    def _wait_until_ready(self) -> None:
        seen, last = None, time.monotonic()
        while True:
            if not self.alive():
                raise self._failed(f"The local {self.name} ended while it started.{self._last_words()}")
            if listens(self.port) and self._has_port() and self._answers():
                return
            if (done := self._work_done()) != seen:
                seen, last = done, time.monotonic()
            elif time.monotonic() - last > _SILENT_FOR:
                raise self._failed(
                    f"The local {self.name} did nothing for {_SILENT_FOR:.0f} s while it started.{self._last_words()}"
                )
            time.sleep(0.1)

    def _has_port(self) -> bool:
        """Whether it is this server that listens: two that start at once may both have found the port free.

        Raises:
            NewstideError: Another one listens there, too, as servers of gRPC can (SO_REUSEPORT): clients would meet either.
        """
        try:
            server = psutil.Process(self.pid)
            family = {server.pid, *(child.pid for child in server.children(recursive=True))}
            sockets = psutil.net_connections("inet")
        except psutil.AccessDenied:  # some systems show a process's sockets to nobody
            return True
        except psutil.Error:
            return False
        listeners = {one.pid for one in sockets if one.status == psutil.CONN_LISTEN and one.laddr.port == self.port}
        if listeners & family and listeners - family:
            raise self._failed(f"{_IN_USE}: another process listens on port {self.port}, too.")
        return bool(listeners & family)

    def _work_done(self) -> tuple[int, int]:
        """Bytes of the server's log, and the processor time it has used, in steps of `_WORK`."""
        try:
            spent = psutil.Process(self.pid).cpu_times()
        except psutil.Error:
            return 0, 0
        return self._log_file.stat().st_size, int((spent.user + spent.system) / _WORK)

    def _last_words(self) -> str:
        lines = self._log_file.read_text(errors="replace").strip().splitlines()[-_LAST_LINES:]
        return f" The end of {self._log_file}:\n" + ("\n".join(lines) or "(nothing)")

    def _in_use(self, holder: str) -> NewstideError:
        return self._failed(
            f"Another {self.name} server uses the folder {self.data_dir} ({_described(holder)}).",
            "Stop that server, or choose another folder with --data-dir.",
        )

    @contextmanager
    def _locked_folder(self, refused: Callable[[str], NewstideError]) -> Iterator[IO[str]]:
        """The folder's lock. The server inherits it, so it is held for exactly as long as a server lives.

        `refused` makes the error for a folder that another server holds, from that server's text in the lock.
        """
        with (self.data_dir / ".lock").open("a+") as lock:
            if not locked(lock, _LOCK_WITHIN):
                lock.seek(0)
                holder = lock.read()
                if not (self._owned and self._stopped(holder, lock)):
                    raise refused(holder)
            yield lock

    def _stopped(self, holder: str, lock: IO[str]) -> bool:
        """Whether the server that holds the folder, left behind by an owner that was killed, has ended now."""
        pid = _pid(holder)
        for number, within in ((signal.SIGTERM, self.stop_within), (signal.SIGKILL, _LOCK_WITHIN)):
            if pid is not None:
                log.warning("stopping a server that was left behind", server=self.name, pid=pid, signal=number.name)
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            if locked(lock, within if pid is not None else 0.0):
                return True
        return False


def locked(file: IO[str], within: float) -> bool:
    """Whether the operating system's lock on an open file could be had within so many seconds.

    The lock is held until the file is closed by this process and by all children that inherit it.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.1)
        else:
            return True


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


class LastingThread(threading.Thread):
    """A thread that lives as long as the children it starts are wanted."""


def dying_with_parent(command: Sequence[str]) -> list[str]:
    """The command, made to get SIGTERM when the process that starts it is killed.

    Linux sends that signal when the *thread* that started the child ends, so only the main thread and a `LastingThread`
    ask for it; and it takes `setpriv` (util-linux). Elsewhere a child outlives a parent that is killed with SIGKILL.
    """
    setpriv = shutil.which("setpriv")
    thread = threading.current_thread()
    if setpriv is None or not (thread is threading.main_thread() or isinstance(thread, LastingThread)):
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


def _pid(holder: str) -> int | None:
    try:
        return int(json.loads(holder)["pid"])
    except (ValueError, KeyError, TypeError):
        return None


def _described(holder: str) -> str:
    pid = _pid(holder)
    return "its process is unknown" if pid is None else f"process {pid}, {json.loads(holder).get('address', '')}"
