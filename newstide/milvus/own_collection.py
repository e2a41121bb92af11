"""A collection that belongs to no model and need not exist: it is made when something is first written to it."""

from newstide.embedding.base import ModelCard
from newstide.milvus.collection import Collection
from newstide.milvus.connection import Connection
from newstide.milvus.opening import open_collection

_CARD = ModelCard("none", 2, "")  # Milvus demands a vector of every collection


class OwnCollection:
    """Opens the collection once it is needed.

    Args:
        connection: To Milvus.
        kind: The kind of the collection, as `schema` names it.
        name: The collection's name in Milvus.
    """

    def __init__(self, connection: Connection, kind: str, name: str) -> None:
        self._connection = connection
        self._kind = kind
        self._name = name
        self._opened: Collection | None = None

    def found(self) -> Collection | None:
        """The collection, or None where there is none."""
        if self._opened is None and not self._connection.call(
            lambda client: bool(client.has_collection(self._name, timeout=self._connection.timeout))
        ):
            return None
        return self.made()

    def made(self) -> Collection:
        """The collection, which is made where there is none."""
        if self._opened is None:
            open_collection(
                self._connection, self._kind, self._name, _CARD, make=True, description_bytes=256, older=True
            )
            self._opened = Collection(self._connection, self._kind, self._name, _CARD.dim)
        return self._opened
