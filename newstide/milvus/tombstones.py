"""Tombstones: they keep headlines that were taken down from coming back with a replay of the topic or a backup.

A tombstone holds no text, only SHA-256 digests: of the id, url or source that is blocked, and of a removed headline's
title, by which pages that lie elsewhere are cleaned later. Tombstones have a collection of their own beside the others,
made with the first of them; they belong to no model and outlive a change of it.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from newstide.core.headline import Headline
from newstide.milvus.connection import Connection
from newstide.milvus.filters import equals
from newstide.milvus.own_collection import OwnCollection

KINDS = ("id", "url", "source")
TAKEN_DOWN_WITHIN = 600.0  # seconds from a tombstone until its last row is removed, also one on its way to Milvus
FRESH = 2.0  # seconds for which tombstones in memory count as current
LONG_AGO = float("-inf")  # when a tombstone was first seen that is known to be older than any run that counts
_READ_ANYWAY = 10.0  # seconds after which all tombstones are read again, even if their number is the same
_COLUMNS = ["key", "cause", "point", "title", "created_at"]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One thing that is blocked. Digests are 64 hex digits, or empty.

    Attributes:
        key: `id:`, `url:` or `source:` and the digest of the value.
        cause: The key of the take-down request that made the tombstone; a request for a source blocks its ids as well.
        point: Digest of the removed headline's title, time, url and source, by which it is found on a page.
        title: Digest of its title alone.
        created_at: Epoch milliseconds.
    """

    key: str
    cause: str
    point: str
    title: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Blocklist:
    """All tombstones, indexed for look-ups."""

    tombstones: tuple[Tombstone, ...] = ()
    keys: frozenset[str] = frozenset()
    points: frozenset[str] = frozenset()
    titles: frozenset[str] = frozenset()

    @classmethod
    def of(cls, tombstones: Sequence[Tombstone]) -> "Blocklist":
        """The block list of these tombstones."""
        return cls(
            tuple(tombstones),
            frozenset(stone.key for stone in tombstones),
            frozenset(stone.point for stone in tombstones if stone.point),
            frozenset(stone.title for stone in tombstones if stone.title),
        )

    def blocks_row(self, row: Mapping[Any, Any]) -> bool:
        """Whether a row was taken down, under its id or, with its title, time, url and source, under another."""
        return self.blocks(id_=row["id"]) or self.hides(row["title"], row["published_at"], row["url"], row["source"])

    def blocks(self, *, id_: str = "", url: str = "", source: str = "") -> bool:
        """Whether a headline with this id, url or source is blocked; empty values are ignored."""
        if not self.keys:
            return False
        asked = (("id", id_), ("url", url), ("source", source))
        return any(value and key_of(kind, value) in self.keys for kind, value in asked)

    def hides(self, title: str, published_at: int, url: str, source: str) -> bool:
        """Whether a headline on a page, which has no ids, must be removed from it."""
        return self.blocks(url=url, source=source) or bool(
            self.points and point_of(title, published_at, url, source) in self.points
        )

    def hides_title(self, title: str) -> bool:
        """Whether a headline with this title was taken down: no story may have the title any more."""
        return bool(self.titles) and title_digest(title) in self.titles


@dataclass(slots=True)
class FirstSeen:
    """Since when a process has known each tombstone, by `time.monotonic`: `created_at` is what some machine's clock said."""

    at: dict[Tombstone, float] = field(default_factory=dict)

    def lately(self, blocked: Blocklist, moment: float) -> list[Tombstone]:
        """Those of whose headlines a row may still have been in Milvus at that moment, by `time.monotonic`.

        Args:
            blocked: All tombstones; those that are new are known from now on.
            moment: Of the past.
        """
        now = time.monotonic()
        self.at = {stone: self.at.get(stone, now) for stone in blocked.tombstones}
        return [stone for stone, seen in self.at.items() if seen > LONG_AGO and seen >= moment - TAKEN_DOWN_WITHIN]


def key_of(kind: str, value: str) -> str:
    """The key of a tombstone: `kind` is one of `KINDS`."""
    return f"{kind}:{_digest(kind, value)}"


def point_of(title: str, published_at: int, url: str, source: str) -> str:
    """The digest by which a headline is found on a page, which has no ids; the time is epoch milliseconds."""
    return _digest(title, str(int(published_at)), url, source)


def title_digest(title: str) -> str:
    """The digest of a title."""
    return _digest("title", title)


class Tombstones:
    """The collection of tombstones, which need not exist.

    Args:
        connection: To Milvus.
        name: The collection's name in Milvus.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._collection = OwnCollection(connection, "tombstones", name)
        self._current = Blocklist()
        self._checked = self._read = float("-inf")

    def now(self) -> Blocklist:
        """All tombstones that Milvus holds now."""
        self._checked = self._read = float("-inf")
        return self.current()

    def current(self) -> Blocklist:
        """All tombstones, at most two seconds old, mostly from memory: the consumer asks before every batch."""
        now = time.monotonic()
        if now - self._checked < FRESH:
            return self._current
        collection = self._collection.found()
        count = 0 if collection is None else collection.count()
        if count != len(self._current.tombstones) or now - self._read > _READ_ANYWAY:
            self._current, self._read = Blocklist.of(list(self.all())), now
        self._checked = now
        return self._current

    def blocks(self, headline: Headline) -> bool:
        """Whether this headline was taken down, under this id or, with its title, time, url and source, another."""
        current = self.current()
        return current.blocks(id_=headline.id) or current.hides(
            headline.title, headline.published_at, headline.url, headline.source
        )

    def all(self) -> Iterator[Tombstone]:
        """All tombstones that Milvus holds now."""
        collection = self._collection.found()
        if collection is not None:
            for frame in collection.iterate("", _COLUMNS):
                for row in frame.to_dict("records"):
                    yield Tombstone(**{str(name): value for name, value in row.items()})

    def add(self, tombstones: Sequence[Tombstone]) -> None:
        """Writes tombstones; one that exists already is left as it is."""
        if not tombstones:
            return
        collection = self._collection.made()
        there = {row["key"] for row in collection.by_key([stone.key for stone in tombstones], ["key"])}
        place = np.array([1, 0], np.float32)
        collection.put(
            [
                {**{name: getattr(stone, name) for name in _COLUMNS}, "place": place}
                for stone in {stone.key: stone for stone in tombstones}.values()
                if stone.key not in there
            ]
        )
        collection.flush()
        self._checked = float("-inf")

    def remove(self, cause: str) -> int:
        """Removes the tombstones of one request, and returns how many there were."""
        collection = self._collection.found()
        if collection is None:
            return 0
        keys = [str(key) for frame in collection.iterate(equals("cause", cause), ["key"]) for key in frame["key"]]
        collection.delete(keys)
        self._checked = self._read = float("-inf")
        return len(keys)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
