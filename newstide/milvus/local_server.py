"""A local Milvus Lite server: Milvus without containers, on this machine's loopback interface."""

import json
import shutil
import sys
from pathlib import Path

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
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
        self._require_whole_files()
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

    def _require_whole_files(self) -> None:
        """Looks at the files before Milvus Lite does, which goes on without the rows that a damaged manifest names (3.2.2).

        A kill damages none: a manifest is replaced in one step, and names whole files alone.

        Raises:
            StoreUnavailable: A manifest, or a file that it names, cannot be read.
        """
        for manifest in sorted((self.data_dir / "data" / "collections").glob("*/manifest.json")):
            file = manifest
            try:
                for name, kinds in json.loads(manifest.read_bytes())["partitions"].items():
                    for one in (*kinds.get("data_files", ()), *kinds.get("delta_files", ())):
                        file = manifest.parent / "partitions" / name / one
                        pq.read_metadata(file)
                    file = manifest
            except (OSError, ValueError, TypeError, LookupError, AttributeError, pa.ArrowException) as error:
                raise StoreUnavailable(
                    f"A file of Milvus Lite is damaged, {file}: {error!r:.160}.",
                    f"Bring back a copy of it or of {self.data_dir}; or move that folder away, start again, and bring back "
                    "a backup with `newstide restore`.",
                ) from error
