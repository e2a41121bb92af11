"""The history of stories: what happened to which of them, run by run; an event's id makes writing it twice harmless.

The events lie in a collection of their own, made with the first of them. It belongs to no model and outlives a change of
it. What is taken down or older than `keep` goes from it, too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np

from newstide.embedding.base import ModelCard
from newstide.milvus import filters, schema
from newstide.milvus.accepted_values import cut, finite
from newstide.milvus.collection import MOST, Collection
from newstide.milvus.connection import Connection
from newstide.milvus.opening import open_collection
from newstide.milvus.rows import StoryEvent

_CARD = ModelCard("none", 2, "")  # Milvus demands a vector of every collection
_COLUMNS = schema.columns("events")
_PLACE = np.array([1, 0], np.float32)


class Events:
    """The collection of events, which need not exist.

    Args:
        connection: To Milvus.
        name: The collection's name in Milvus.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._collection: Collection | None = None
        self._title_bytes = 0

    def put(self, events: Sequence[StoryEvent]) -> None:
        """Writes events; one with a known id is replaced."""
        if not events:
            return
        collection = self._opened(make=True)
        assert collection is not None  # noqa: S101 - it was made
        collection.put(
            [
                {
                    **{name: finite(value, f"event {event.id}") for name, value in asdict(event).items()},
                    "title": cut(event.title, self._title_bytes),
                    "place": _PLACE,
                }
                for event in events
            ]
        )
        collection.flush()

    def of_stories(self, numbers: Sequence[int], *, before: int | None = None) -> list[StoryEvent]:
        """What happened to these stories, oldest first; `before`: what was decided earlier than then (epoch ms)."""
        early = "" if before is None else filters.decided_before(before)
        return self._found(filters.all_of(filters.of_stories(numbers), early)) if numbers else []

    def since(self, at: int) -> list[StoryEvent]:
        """What was decided at this time (epoch ms) or later, oldest first."""
        return self._found(filters.decided_since(at))

    def after_run(self, run: int) -> list[StoryEvent]:
        """What later runs than this one decided, oldest first."""
        return self._found(filters.decided_after(run))

    def batches(self, where: str = "", *, size: int = MOST) -> Iterator[list[StoryEvent]]:
        """The events that the filter holds for, by id, at most `size` at a time."""
        collection = self._opened(make=False)
        if collection is None:
            return
        for frame in collection.iterate(where, _COLUMNS, size):
            yield [StoryEvent(**{str(name): value for name, value in row.items()}) for row in frame.to_dict("records")]

    def delete(self, where: str) -> int:
        """Removes the events that the filter holds for; returns how many."""
        collection = self._opened(make=False)
        if collection is None:
            return 0
        ids = [event.id for batch in self.batches(where) for event in batch]
        collection.delete(ids)
        return len(ids)

    def _found(self, where: str) -> list[StoryEvent]:
        found = [event for batch in self.batches(where) for event in batch]
        return sorted(found, key=lambda event: (event.run, event.story, event.kind))

    def _opened(self, *, make: bool) -> Collection | None:
        if self._collection is None:
            name = self._name
            if not make and not self._connection.call(
                lambda client: bool(client.has_collection(name, timeout=self._connection.timeout))
            ):
                return None
            _, limits = open_collection(
                self._connection, "events", name, _CARD, make=True, description_bytes=256, older=True
            )
            self._title_bytes = limits["title"]
            self._collection = Collection(self._connection, "events", name, _CARD.dim)
        return self._collection
