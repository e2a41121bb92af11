"""The state of feeds across restarts, in a small SQLite file: validators, moved addresses, items that were sent."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from newstide.core.errors import SourceError
from producers.feed_ids import Known

_KEPT = 10_000  # remembered ids a feed, far more than feeds list

_SCHEMA = """
create table if not exists feeds (url text primary key, etag text not null, last_modified text not null) strict;
create table if not exists sent (
    url text not null, id text not null, seen integer not null, primary key (url, id)
) strict, without rowid;
create table if not exists items (
    url text not null, id text not null, guid text not null, link text not null, title text not null,
    primary key (url, id)
) strict, without rowid;
create table if not exists moved (url text primary key, target text not null) strict;
"""


class FeedState:
    """The state of feeds; several threads may use it. The path `:memory:` keeps nothing after the process.

    Raises:
        SourceError: The file cannot be opened, or does not hold the state of feeds.
    """

    def __init__(self, path: Path | str) -> None:
        self._lock = Lock()
        try:
            if str(path) != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, check_same_thread=False, timeout=10)
            self._database.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise SourceError(
                f"{path} does not hold the state of feeds: {error}.", "Move the file away; a new one is made."
            ) from None

    def validators(self, url: str) -> dict[str, str]:
        """Request headers with which a server sends the feed only if it has changed."""
        with self._lock:
            row = self._database.execute("select etag, last_modified from feeds where url = ?", (url,)).fetchone()
        names = ("If-None-Match", "If-Modified-Since")
        return {} if row is None else {name: value for name, value in zip(names, row, strict=True) if value}

    def address(self, url: str) -> str:
        """The address that the feed has moved to for good, else its own address."""
        with self._lock:
            row = self._database.execute("select target from moved where url = ?", (url,)).fetchone()
        return url if row is None else str(row[0])

    def move(self, url: str, target: str) -> None:
        """Notes that the feed has moved for good; an empty target removes the note."""
        with self._lock, self._database:
            if target and target != url:
                self._database.execute("insert or replace into moved values (?, ?)", (url, target))
            else:
                self._database.execute("delete from moved where url = ?", (url,))

    def known(self, url: str) -> list[Known]:
        """The items of this feed that were sent."""
        with self._lock:
            rows = self._database.execute(
                "select sent.id, coalesce(guid, ''), coalesce(link, ''), coalesce(title, '') from sent"
                " left join items on items.url = sent.url and items.id = sent.id where sent.url = ?",
                (url,),
            ).fetchall()
        return [Known(*row) for row in rows]

    def remember(self, url: str, items: Sequence[Known], etag: str, last_modified: str, now: float) -> None:
        """Remembers that all items of the feed were sent; to be called once Kafka has acknowledged them.

        Raises:
            SourceError: The file cannot be written; the items are sent again at the next look.
        """
        try:
            with self._lock, self._database:
                self._database.execute("insert or replace into feeds values (?, ?, ?)", (url, etag, last_modified))
                self._database.executemany(
                    "insert or replace into sent values (?, ?, ?)", [(url, item.id, int(now)) for item in items]
                )
                self._database.executemany(
                    "insert or replace into items values (?, ?, ?, ?, ?)",
                    [(url, item.id, item.guid, item.link, item.title) for item in items],
                )
                self._database.execute(
                    "delete from sent where url = ? and id not in"
                    " (select id from sent where url = ? order by seen desc, id limit ?)",
                    (url, url, _KEPT),
                )
                self._database.execute(
                    "delete from items where url = ? and id not in (select id from sent where url = ?)", (url, url)
                )
        except sqlite3.Error as error:
            raise SourceError(f"The items of {url} cannot be remembered: {error}.", "Is the disk full?") from None

    def close(self) -> None:
        """Closes the file."""
        self._database.close()
