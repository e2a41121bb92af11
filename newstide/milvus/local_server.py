"""A local Milvus Lite server: Milvus without containers, on this machine's loopback interface."""

import shutil
import sys
from pathlib import Path

import grpc
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from newstide.core.errors import StoreUnavailable
from newstide.core.local_server import LocalServer


class LocalMilvus(LocalServer):
    """One Milvus Lite server."""

    name = "Milvus Lite"
    # A flush that fails for want of room is answered as if it were done (3.2.2), the rows are in the log alone, and the
    # next flush removes that log.
    least_room = 128 * 2**20

    def __init__(self, data_dir: Path, *, port: int = 19530, owned: bool = False) -> None:
        super().__init__(data_dir, port, owned=owned)

    @property
    def uri(self) -> str:
        """The address for clients."""
        return f"http://{self.address}"

    def _command(self) -> list[str]:
        script = Path(sys.executable).with_name("milvus-lite")
        program = str(script) if script.exists() else shutil.which("milvus-lite")
        if program is None:
            raise StoreUnavailable("The program milvus-lite is not installed.", "pip install milvus-lite")
        return [
            *(program, "server", "--data-dir", str(self.data_dir / "data")),
            *("--host", "127.0.0.1", "--port", str(self.port)),  # by default, Milvus Lite binds all interfaces
            *("--max-workers", "1"),  # with more, two writers' log entries interleave, and rows are lost on a kill
        ]

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

    def _failed(self, what: str, way_out: str = "") -> StoreUnavailable:
        return StoreUnavailable(
            what, way_out or "Mend what the log says, or set NEWSTIDE_MILVUS_URI to a server of yours."
        )
