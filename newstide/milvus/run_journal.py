"""The journal of a run: a run's plan, kept until it is written; an interrupted run is finished from it, exactly.

The journal lies in Milvus, so that it outlives the reclusterer's machine, in a collection of its own that belongs to
no model and is made with the first run. Between runs the collection is empty.
"""

import base64
import zlib

import numpy as np

from newstide.core.errors import PlanDamaged
from newstide.milvus.connection import Connection
from newstide.milvus.own_collection import OwnCollection

_PART = 60_000  # characters: a server takes 65,535
_COLUMNS = ["part", "parts", "mark", "content"]


class Unfinished:
    """The journal's collection, which need not exist.

    Args:
        connection: To Milvus.
        name: The collection's name in Milvus.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._collection = OwnCollection(connection, "unfinished", name)

    def write(self, content: bytes) -> None:
        """Keeps this content in place of any kept before. A write that is interrupted keeps nothing."""
        self.clear()
        text = base64.b64encode(zlib.compress(content, 1)).decode()
        parts = [text[start : start + _PART] for start in range(0, len(text), _PART)]
        mark = zlib.crc32(text.encode())
        place = np.array([1, 0], np.float32)
        self._collection.made().put(
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
        collection = self._collection.found()
        if collection is None:
            return None
        rows = [row for frame in collection.iterate("", _COLUMNS) for row in frame.to_dict("records")]
        text = "".join(row["content"] for row in rows)
        if not rows or {(row["parts"], row["mark"]) for row in rows} != {(len(rows), zlib.crc32(text.encode()))}:
            return None
        try:
            return zlib.decompress(base64.b64decode(text, validate=True))
        except (ValueError, zlib.error) as error:
            raise PlanDamaged(f"The plan of an interrupted run cannot be read: {error}.") from None

    def clear(self) -> None:
        """Forgets it."""
        if (collection := self._collection.found()) is not None:
            collection.delete([int(part) for frame in collection.iterate("", ["part"]) for part in frame["part"]])
