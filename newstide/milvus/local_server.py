"""A local Milvus Lite server: Milvus without containers, on this machine's loopback interface."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import grpc
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from newstide.core import logs
from newstide.core.errors import StoreUnavailable
from newstide.core.local_server import LocalServer, dying_with_parent, free_port, listens

_START_WITHIN = 60.0  # seconds
_LAST_LINES = 15

log = logs.get("milvus")


class LocalMilvus(LocalServer):
    """One Milvus Lite server."""

    def __init__(self, data_dir: Path, *, port: int = 19530) -> None:
        super().__init__(data_dir, port)

    @property
    def uri(self) -> str:
        """The address for clients."""
        return f"http://127.0.0.1:{self.port}"

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
        with self._locked_folder(self._in_use) as lock:
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

    def _in_use(self, _holder: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"Another Milvus Lite server uses the folder {self.data_dir}.",
            "Stop it, or choose another folder with --data-dir.",
        )

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
