"""The journal of a run: a run's plan, kept until it is written; an interrupted run is finished from it, exactly.

The journal lies in Milvus, so that it outlives the reclusterer's machine, in a collection of its own that belongs to
no model and is made with the first run. Between runs the collection is empty.
"""

import base64
import zlib

import numpy as np

from newstide.core.errors import PlanDamaged
from newstide.embedding.base import ModelCard
from newstide.milvus.collection import Collection
from newstide.milvus.connection import Connection
from newstide.milvus.opening import open_collection

_CARD = ModelCard("none", 2, "")  # Milvus demands a vector of every collection
_PART = 60_000  # characters: a server takes 65,535
_COLUMNS = ["part", "parts", "mark", "content"]


class Unfinished:
    """The journal's collection, which need not exist.

    Args:
        connection: To Milvus.
        name: The collection's name in Milvus.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._collection: Collection | None = None

    def write(self, content: bytes) -> None:
        """Keeps this content in place of any kept before. A write that is interrupted keeps nothing."""
        self.clear()
        text = base64.b64encode(zlib.compress(content, 1)).decode()
        parts = [text[start : start + _PART] for start in range(0, len(text), _PART)]
        mark = zlib.crc32(text.encode())
        place = np.array([1, 0], np.float32)
        self._opened().put(
            [
                {"part": part, "parts": len(parts), "mark": mark, "content": some, "place": place}
                for part, some in enumerate(parts)
            ]
        )

    def read(self) -> bytes | None:
        """The content that is kept; None where there is none, or its write was interrupted.

        Raises:
            PlanDamaged: The content is complete, but not as `write` wrote it.
        """
        if not self._is_there():
            return None
        rows = [row for frame in self._opened().iterate("", _COLUMNS) for row in frame.to_dict("records")]
        text = "".join(row["content"] for row in rows)
        if not rows or {(row["parts"], row["mark"]) for row in rows} != {(len(rows), zlib.crc32(text.encode()))}:
            return None
        try:
            return zlib.decompress(base64.b64decode(text, validate=True))
        except (ValueError, zlib.error) as error:
            raise PlanDamaged(f"The plan of an interrupted run cannot be read: {error}.") from None

    def clear(self) -> None:
        """Forgets it."""
        if self._is_there():
            collection = self._opened()
            collection.delete([int(part) for frame in collection.iterate("", ["part"]) for part in frame["part"]])

    def _is_there(self) -> bool:
        return self._collection is not None or self._connection.call(
            lambda client: bool(client.has_collection(self._name, timeout=self._connection.timeout))
        )

    def _opened(self) -> Collection:
        if self._collection is None:
            open_collection(
                self._connection, "unfinished", self._name, _CARD, make=True, description_bytes=256, older=True
            )
            self._collection = Collection(self._connection, "unfinished", self._name, _CARD.dim)
        return self._collection
