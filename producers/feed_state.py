"""The state of feeds across restarts, in a small SQLite file: validators, moved addresses, items that were sent."""

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from newstide.core import logs
from newstide.core.errors import SourceError
from producers.feed_ids import Known

_KEPT = 10_000  # remembered ids a feed, far more than feeds list

log = logs.get("feeds")

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
create table if not exists ended (url text primary key, reason text not null) strict;
"""


class FeedState:
    """The state of feeds; several threads may use it. The path `:memory:` keeps nothing after the process.

    A damaged file is set aside under another name, and a new one is made: items that feeds still list are sent again,
    under the same ids.

    Raises:
        SourceError: The file cannot be opened or written.
    """

    def __init__(self, path: Path | str) -> None:
        self._lock = Lock()
        try:
            if str(path) != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._database = _opened(path)
        except (OSError, sqlite3.Error) as error:
            raise SourceError(
                f"{path} cannot hold the state of feeds: {error}.", "Is the folder writable, and the disk not full?"
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

    def ended(self, url: str) -> str:
        """Why the feed has ended for good, as its server said; empty where it has not."""
        with self._lock:
            row = self._database.execute("select reason from ended where url = ?", (url,)).fetchone()
        return "" if row is None else str(row[0])

    def end(self, url: str, reason: str) -> None:
        """Notes that the feed has ended for good."""
        with self._lock, self._database:
            self._database.execute("insert or replace into ended values (?, ?)", (url, reason))

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


def _opened(path: Path | str) -> sqlite3.Connection:
    """The data base at this path; a damaged one is set aside.

    Raises:
        OSError, sqlite3.Error: The file cannot be opened or written.
    """
    try:
        return _prepared(path)
    except sqlite3.OperationalError:  # it is locked, or cannot be opened or written: it is not damaged
        raise
    except sqlite3.DatabaseError as error:
        aside = Path(f"{path}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        Path(path).rename(aside)
        for suffix in ("-journal", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        log.warning(
            "the state of feeds is damaged and set aside; a new one is made", file=str(aside), reason=str(error)
        )
        return _prepared(path)


def _prepared(path: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False, timeout=10)
    try:
        (said,) = database.execute("pragma quick_check(1)").fetchone()
        if said != "ok":
            raise sqlite3.DatabaseError(said)
        database.executescript(_SCHEMA)
    except sqlite3.Error:
        database.close()
        raise
    return database
