"""A local Milvus Lite server: Milvus without containers, on this machine's loopback interface."""

import fcntl
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import grpc
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from newstide import logs
from newstide.errors import StoreUnavailable
from newstide.processes import dying_with_parent, free_port, listens, terminate

_START_WITHIN = 60.0  # seconds
_STOP_WITHIN = 10.0  # seconds, then it is killed; its write-ahead log recovers
_LOCK_WITHIN = 5.0  # seconds: a server whose parent was killed is just going down
_LAST_LINES = 15

log = logs.get("milvus")


class LocalMilvus:
    """One Milvus Lite server as a child process; a context manager that starts and stops it.

    Args:
        data_dir: Where its rows, its log and its lock lie; one server a folder.
        port: Wanted; a free one is taken where something listens there already, or for 0. A server that is started
            again comes back on the port it had, if that is still free.
    """

    def __init__(self, data_dir: Path, *, port: int = 19530) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """The address for clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The server's process, or None before it was started."""
        return None if self._process is None else self._process.pid

    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the server and waits until a client can talk to it. Does nothing where it runs already.

        Raises:
            StoreUnavailable: Another process uses the folder, or the server ended or was not ready within 60 s; with
                the last lines of its log.
        """
        if self.alive():
            return
        started = time.monotonic()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self._locked_folder() as lock:
            wanted, self.port = self.port, free_port(self.port)
            if wanted not in (0, self.port):
                log.info("the port is taken; using another", wanted=wanted, port=self.port)
            self._launch(lock)
            try:
                self._wait_until_ready(started + _START_WITHIN)
            except BaseException:
                self.stop()
                raise
        log.info("local Milvus is up", address=self.uri, seconds=round(time.monotonic() - started, 1))

    def stop(self) -> None:
        """Ends the server."""
        if self._process is not None:
            terminate(self._process, _STOP_WITHIN)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def _locked_folder(self) -> Iterator[IO[str]]:
        """The folder's lock. The server inherits it, so it is held for exactly as long as a server lives."""
        with (self.data_dir / ".lock").open("a+") as lock:
            deadline = time.monotonic() + _LOCK_WITHIN
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StoreUnavailable(
                            f"Another Milvus Lite server uses the folder {self.data_dir}.",
                            "Stop it, or choose another folder with --data-dir.",
                        ) from None
                    time.sleep(0.1)
            yield lock

    def _launch(self, lock: IO[str]) -> None:
        script = Path(sys.executable).with_name("milvus-lite")
        program = str(script) if script.exists() else shutil.which("milvus-lite")
        if program is None:
            raise StoreUnavailable("The program milvus-lite is not installed.", "pip install milvus-lite")
        command = [
            *(program, "server", "--data-dir", str(self.data_dir / "data")),
            *("--host", "127.0.0.1", "--port", str(self.port)),  # it binds all interfaces unless told
            *("--max-workers", "1"),  # with more, two writers' log entries interleave, and rows are lost on a kill
        ]
        with self._log_file.open("ab") as output:
            self._process = subprocess.Popen(
                dying_with_parent(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock.fileno(),),
            )

    def _wait_until_ready(self, deadline: float) -> None:
        while True:
            if not self.alive():
                raise self._failed("ended while it started")
            if listens(self.port) and self._answers():
                return
            if time.monotonic() > deadline:
                raise self._failed(f"was not ready within {_START_WITHIN:.0f} s")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            client = MilvusClient(uri=self.uri, timeout=5, dedicated=True)
        except (MilvusException, grpc.RpcError):
            return False
        try:
            client.list_collections(timeout=5)
        except (MilvusException, grpc.RpcError):
            return False
        finally:
            client.close()
        return True

    def _failed(self, how: str) -> StoreUnavailable:
        lines = self._log_file.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return StoreUnavailable(
            f"The local Milvus Lite server {how}. The end of {self._log_file}:\n" + "\n".join(lines),
            "Mend what it says, or set NEWSTIDE_MILVUS_URI to a server of yours.",
        )

    @property
    def _log_file(self) -> Path:
        return self.data_dir / "server.log"
