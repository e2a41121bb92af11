"""The outbox: what is to be told, to whom, and what became of it, in a SQLite file of the data folder.

An event's alerts are written in one step, before its offset is committed; a kill leaves all of them or none.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

from newstide.core.errors import NewstideError
from newstide_app.watch.alerts import Alert, key_of
from newstide_app.watch.events import StoryEvent

FILE = "watch.sqlite"  # in the data folder
HOUR = 3600.0  # seconds
_KEPT = 30 * 86_400.0  # seconds that a delivered message is known for
_TOLD_KEPT = 365 * 86_400_000  # ms that a story is known to have been told of

_SCHEMA = """
create table if not exists messages (
    number integer primary key autoincrement, key text not null, watch text not null, target text not null,
    state text not null check (state in ('waiting', 'held', 'delivered', 'digested', 'dropped', 'refused')),
    created real not null, event_at integer not null, tries integer not null default 0, content text not null,
    unique (key, target)
) strict;
create index if not exists by_target on messages (target, state, number);
create index if not exists by_watch on messages (watch, created);
create table if not exists told (
    watch text not null, story integer not null, kind text not null, size integer not null, run integer not null,
    at integer not null, primary key (watch, story, kind)
) strict, without rowid;
create table if not exists targets (
    target text primary key, failing_since real, reason text not null default '', dropped integer not null default 0,
    refused integer not null default 0, delivered integer not null default 0
) strict;
"""


@dataclass(frozen=True, slots=True)
class Queued:
    """A message at the head of its target's queue; `event_at` in epoch ms."""

    number: int
    alert: Alert
    event_at: int
    tries: int


@dataclass(frozen=True, slots=True)
class TargetState:
    """How a target fares.

    Attributes:
        waiting: Messages that wait for it, those of a digest to come among them.
        failing_since: Epoch seconds, or None where the last delivery went well.
        reason: Why the last one failed.
        dropped: Messages that its full queue has dropped, ever.
        refused: Messages that it did not take and that were given up, ever.
        delivered: Ever.
    """

    waiting: int
    failing_since: float | None
    reason: str
    dropped: int
    refused: int
    delivered: int


class Outbox:
    """Messages by target; several threads may use it. The path `:memory:` keeps nothing.

    Args:
        path: The file; it is made where it is missing.
        queue: Most messages that wait for a target; the oldest of more are dropped, and counted.

    Raises:
        NewstideError: The file cannot be opened, or is no outbox.
    """

    def __init__(self, path: Path | str, queue: int = 10_000) -> None:
        self._queue = queue
        self._lock = RLock()
        self._world: tuple[int, int] | None = None  # run and time of the last event
        try:
            if str(path) != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, check_same_thread=False, timeout=10, isolation_level=None)
            self._database.execute("pragma journal_mode = wal")
            self._database.execute("pragma synchronous = full")
            self._database.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise NewstideError(
                f"{path} cannot be used as the outbox of watches: {error}.",
                "Make room or give this user the right to write; a file that is no outbox is to be moved away.",
            ) from None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Everything inside is written in one step, or not at all; it may stand inside another."""
        with self._lock:
            if self._database.in_transaction:
                yield
                return
            self._database.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._database.execute("rollback")
                raise
            self._database.execute("commit")

    def add(self, event: StoryEvent, watch: str, targets: Sequence[str], most_an_hour: int, now: float) -> str:
        """Queues an event's alert for each target of a watch that it matches.

        Args:
            event: The event, which matches the watch.
            watch: Name of the watch.
            targets: Names of its targets.
            most_an_hour: Messages an hour; further ones are held for a digest.
            now: Epoch seconds.

        Returns:
            `queued`, `held`; `known` where the event is there already; `told` where the story has been told of.
        """
        key = key_of(watch, event)
        with self.writing():
            if self._one("select 1 from messages where key = ? limit 1", key):
                return "known"
            self._forget_other_world(event)
            told = self._one(
                "select size from told where (watch, story, kind) = (?, ?, ?)", watch, event.story, event.kind
            )
            if told and event.told_size < 2 * max(int(told[0]), 1):
                return "told"
            held = self._is_held(watch) or self._within_hour(watch, now) >= most_an_hour
            alert = Alert(key, watch, "alert", (event,))
            for target in targets:
                self._insert(alert, target, "held" if held else "waiting", now, event.at_ms)
            self._database.execute(
                "insert or replace into told values (?, ?, ?, ?, ?, ?)",
                (watch, event.story, event.kind, event.told_size, event.run, event.at_ms),
            )
        return "held" if held else "queued"

    def release(self, watch: str, most_an_hour: int, now: float) -> int:
        """Queues what was held as one digest a target, once the watch's hour has room; how many alerts it stands for."""
        with self._lock:
            if not self._is_held(watch) or self._within_hour(watch, now) >= most_an_hour:
                return 0
        with self.writing():
            rows = self._all("select number, target, event_at, content from messages where watch = ? and state = 'held' "
                             "order by number", watch)  # fmt: skip
            key = f"{watch}/digest/{rows[0][0]}"
            for target in dict.fromkeys(str(row[1]) for row in rows):
                own = [row for row in rows if row[1] == target]
                events = tuple(event for row in own for event in Alert.decode("", str(row[3])).events)
                self._database.executemany(
                    "update messages set state = 'digested', content = '' where number = ?", [(row[0],) for row in own]
                )
                self._insert(Alert(key, watch, "digest", events), target, "waiting", now, int(own[-1][2]))
        return len({row[2:] for row in rows})

    def next(self, target: str) -> Queued | None:
        """The oldest message that waits for a target."""
        row = self._one(
            "select number, key, content, event_at, tries from messages where target = ? and state = 'waiting' "
            "order by number limit 1", target,
        )  # fmt: skip
        return (
            None
            if row is None
            else Queued(int(row[0]), Alert.decode(str(row[1]), str(row[2])), int(row[3]), int(row[4]))
        )

    def delivered(self, target: str, number: int) -> None:
        """The target has taken a message."""
        self._done(target, number, "delivered")

    def refused(self, target: str, number: int) -> None:
        """The target does not take this message, and never will: it is given up and counted."""
        self._done(target, number, "refused")

    def failed(self, target: str, number: int, reason: str, now: float) -> None:
        """A delivery failed, and is to be tried again."""
        with self.writing():
            self._database.execute("update messages set tries = tries + 1 where number = ?", (number,))
            self._database.execute(
                "insert into targets (target, failing_since, reason) values (?1, ?2, ?3) on conflict (target) do update "
                "set failing_since = coalesce(failing_since, ?2), reason = ?3",
                (target, now, reason),
            )

    def states(self, targets: Sequence[str]) -> dict[str, TargetState]:
        """How targets fare."""
        found = {}
        with self._lock:
            for target in targets:
                waiting = self._pending(target)
                row = self._one(
                    "select failing_since, reason, dropped, refused, delivered from targets where target = ?", target
                ) or (None, "", 0, 0, 0)
                found[target] = TargetState(waiting, *row)
        return found

    def forget(self, targets: Sequence[str], now: float) -> int:
        """Drops what waits for targets that are in the settings no more, and what is long done; how many were dropped."""
        known = json.dumps(list(targets))
        with self.writing():
            dropped = self._database.execute(
                "update messages set state = 'dropped', content = '' where state in ('waiting', 'held') "
                "and target not in (select value from json_each(?))",
                (known,),
            ).rowcount
            self._database.execute("delete from targets where target not in (select value from json_each(?))", (known,))
            self._database.execute(
                "delete from messages where state not in ('waiting', 'held') and created < ?", (now - _KEPT,)
            )
            self._database.execute("delete from told where at < ?", (int(now * 1000) - _TOLD_KEPT,))
        return dropped

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._database.close()

    def _forget_other_world(self, event: StoryEvent) -> None:
        """Forgets what was told from a run on whose number comes again at another time.

        The collections were made anew or restored, so story numbers from that run on belong to other stories.
        """
        if self._world != (event.run, event.at_ms):
            self._database.execute("delete from told where run >= ? and at < ?", (event.run, event.at_ms))
            self._world = (event.run, event.at_ms)

    def _insert(self, alert: Alert, target: str, state: str, now: float, event_at: int) -> None:
        if self._pending(target) >= self._queue:
            # The head of the queue may be on its way; the one behind it goes.
            self._database.execute(
                "update messages set state = 'dropped', content = '' where number = (select number from messages where "
                "target = ? and state in ('waiting', 'held') order by number limit 1 offset ?)",
                (target, min(1, self._queue - 1)),
            )
            self._count(target, "dropped")
        self._database.execute(
            "insert into messages (key, watch, target, state, created, event_at, content) values (?, ?, ?, ?, ?, ?, ?)",
            (alert.key, alert.watch, target, state, now, event_at, alert.encode()),
        )

    def _done(self, target: str, number: int, state: str) -> None:
        with self.writing():
            self._database.execute("update messages set state = ?, content = '' where number = ?", (state, number))
            self._count(target, state)
            self._database.execute("update targets set failing_since = null, reason = '' where target = ?", (target,))

    def _count(self, target: str, column: str) -> None:
        self._database.execute("insert or ignore into targets (target) values (?)", (target,))
        self._database.execute(f"update targets set {column} = {column} + 1 where target = ?", (target,))  # noqa: S608

    def _pending(self, target: str) -> int:
        row = self._one("select count(*) from messages where target = ? and state in ('waiting', 'held')", target)
        return int(row[0]) if row else 0

    def _is_held(self, watch: str) -> bool:
        return self._one("select 1 from messages where watch = ? and state = 'held' limit 1", watch) is not None

    def _within_hour(self, watch: str, now: float) -> int:
        row = self._one(
            "select count(distinct key) from messages where watch = ? and created > ? and state not in ('held', 'digested')",
            watch, now - HOUR,
        )  # fmt: skip
        return int(row[0]) if row else 0

    def _one(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._database.execute(statement, values).fetchone()
        return row

    def _all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()


def outbox_file(data_dir: Path) -> Path:
    """Where the outbox lies."""
    return data_dir / FILE
