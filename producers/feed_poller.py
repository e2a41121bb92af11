"""Polls several feeds and sends their new items; a broken feed is polled less often and delays no other."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Lock
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

from newstide.core import logs
from newstide.core.errors import DeliveryError, FeedGone, FeedRefused, NewstideError, SourceError
from newstide.core.headline import DEFAULTS, Limits
from newstide.core.settings import FeedSettings
from newstide.core.text import shorten
from producers.feed_state import FeedState
from producers.feeds import Poll, poll_feed
from producers.rows import Rejected, Row
from producers.tally import Tally

_AT_ONCE = 4  # feeds fetched side by side
_LONGEST_WAIT = timedelta(hours=6)  # between attempts at a broken feed
_LONGEST_ASKED = 86_400.0  # seconds that a server may ask for with Retry-After
_NOTHING_NEW = "nothing new."
_REFUSED_KEPT = 100_000  # digests of refused entries, so that each is counted once

log = logs.get("feeds")


class OnPoll(Protocol):
    """A function that is called after each look at a feed."""

    def __call__(self, *, well: bool, read: int, rejected: int, failing: int) -> None:
        """Is told whether the look went well, how many entries it read and rejected, and how many feeds fail now."""
        ...


class FeedPoller:
    """Polls feeds, once or until it is stopped.

    Args:
        urls: The feeds.
        state: The file that remembers the items that were sent.
        send: Sends rows and returns once all are acknowledged, or raises `DeliveryError`.
        allow_private: Whether feeds may lie at private and loopback addresses.
        now: Returns the current time, epoch seconds.
        limits: The limits of a feed.
        headline_limits: The limits of a headline's values.
        on_poll: Called after each look at a feed: `well`, `read`, `rejected`, and how many feeds are `failing` now.
        on_rejected: Called once with each refused entry, however often the feed lists it.

    Attributes:
        tallies: The counts of each feed's entries, in the order of the feeds. Entries that an earlier look has sent are
            counted as `known`, and not among the entries read.
    """

    def __init__(
        self,
        urls: Sequence[str],
        state: Path | str,
        send: Callable[[Sequence[Row]], None],
        allow_private: bool = False,
        now: Callable[[], float] = time.time,
        *,
        on_poll: OnPoll = lambda **_counts: None,
        limits: FeedSettings | None = None,
        headline_limits: Limits = DEFAULTS,
        on_rejected: Callable[[Rejected], None] = lambda _row: None,
    ) -> None:
        if any("@" in urlsplit(url).netloc for url in urls):
            raise SourceError(
                "A feed's address holds a name and a password.", "Feeds are read without a login; leave both out."
            )
        self._urls = list(dict.fromkeys(urls))
        self._tally = {url: Tally(url, nothing=_NOTHING_NEW) for url in self._urls}
        self._state = FeedState(state)
        self._send = send
        self._allow_private = allow_private
        self._now = now
        self._on_poll = on_poll
        self._limits = limits
        self._headline_limits = headline_limits
        self._on_rejected = on_rejected
        self._refused: set[tuple[str, str]] = set()
        self._failures: dict[str, int] = {}
        self._gone: set[str] = set()
        for url in self._urls:
            if reason := self._state.ended(url):
                self._has_ended(url, reason)
        self._not_before: dict[str, float] = {}
        self._sending = Lock()

    @property
    def tallies(self) -> list[Tally]:
        """The tallies in the order of the feeds."""
        return list(self._tally.values())

    def poll_once(self) -> None:
        """Looks at each feed once.

        Raises:
            SourceError: No feed could be read.
        """
        with ThreadPoolExecutor(_AT_ONCE, "feed") as pool:
            list(pool.map(lambda url: self.tick(url, timedelta()), self._urls))
        if len(self._failures) == len(self._urls):
            raise SourceError("No feed could be read.", "The reasons stand above.")

    def poll_every(self, every: timedelta, stop: Event) -> None:
        """Looks at each feed in this interval until `stop` is set."""
        from apscheduler.executors.pool import ThreadPoolExecutor as Workers
        from apscheduler.schedulers.background import BackgroundScheduler

        seconds = every.total_seconds()
        scheduler = BackgroundScheduler(executors={"default": Workers(_AT_ONCE)}, timezone=UTC)
        for url in self._urls:
            scheduler.add_job(
                self.tick,
                "interval",
                (url, every),
                seconds=seconds,
                jitter=min(seconds / 10, 30),
                next_run_time=datetime.now(UTC),
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
            )
        log.info("polling feeds", feeds=len(self._urls), every=str(every))
        scheduler.start()
        stop.wait()
        scheduler.shutdown(wait=True)

    def tick(self, url: str, every: timedelta) -> None:
        """Looks at one feed, unless the feed is broken and its waiting time is not over."""
        now = self._now()
        if url in self._gone or now < self._not_before.get(url, 0.0):
            return
        read = rejected = 0
        try:
            poll = poll_feed(
                url,
                self._state,
                now,
                allow_private=self._allow_private,
                limits=self._limits,
                headline_limits=self._headline_limits,
            )
            with self._sending:
                read, rejected = self._counted(poll, url)
                if poll.rows:
                    self._send(poll.rows)
                if poll.changed:
                    self._state.remember(url, poll.items, poll.etag, poll.last_modified, now)
        except Exception as error:  # noqa: BLE001 - after any error, memory's too, other feeds go on
            self._failed(url, every, now, error)
            self._on_poll(well=False, read=read, rejected=rejected, failing=len(self._failures))
        else:
            if self._failures.pop(url, 0):
                log.info("the feed is back", feed=url)
            self._on_poll(well=True, read=read, rejected=rejected, failing=len(self._failures))
            if poll.rows:
                log.info("new headlines", feed=url, count=len(poll.rows))

    def _counted(self, poll: Poll, url: str) -> tuple[int, int]:
        """How many of a look's entries are new, and how many of those are no headline."""
        refused = [row for row in poll.rejected if (row.file, row.text) not in self._refused]
        if len(self._refused) > _REFUSED_KEPT:
            self._refused.clear()
        self._refused.update((row.file, row.text) for row in refused)
        tally = self._tally[url]
        for row in refused:
            tally.reject(row)
            self._on_rejected(row)
        for what in poll.left_out:
            tally.leave_out(what.field, what.value, what.entry)
        for note in poll.notes:
            if note not in tally.notes:
                log.info("how a feed is read", feed=url, note=note)
                tally.note(note)
        if poll.edited:
            log.info("items under another title; the first stays", feed=url, count=poll.edited)
        tally.given += len(poll.rows)
        tally.twice += poll.twice
        tally.known += poll.known
        tally.edited += poll.edited
        tally.nothing = _NOTHING_NEW
        return len(poll.rows) + len(refused) + poll.twice, len(refused)

    def _has_ended(self, url: str, reason: str) -> None:
        self._tally[url].nothing = "the feed has ended."
        self._gone.add(url)
        self._failures[url] = 1
        log.warning("a feed has ended and is not polled any more; take it out", feed=url, reason=reason)

    def close(self) -> None:
        """Closes the file of remembered items."""
        self._state.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _failed(self, url: str, every: timedelta, now: float, error: Exception) -> None:
        """Logs the failure once; the first retry comes with the next tick, later ones after two, four, ... ticks."""
        self._tally[url].nothing = "the feed could not be read, or its items not be sent."
        if isinstance(error, FeedGone):
            self._state.end(url, error.message)
            self._has_ended(url, error.message)
            return
        failures = self._failures[url] = self._failures.get(url, 0) + 1
        if failures == 1:
            what = "could not be sent" if isinstance(error, DeliveryError) else "cannot be read"
            reason = error.message if isinstance(error, NewstideError) else shorten(repr(error), 200)
            log.warning(f"a feed {what}; it is tried again", feed=url, reason=reason)
        wait = min(every * 2 ** min(failures - 1, 20), max(_LONGEST_WAIT, every)).total_seconds()
        wait *= 0.8 if failures > 1 else 0  # ticks jitter
        if isinstance(error, FeedRefused):
            wait = max(wait, min(error.retry_after, _LONGEST_ASKED))
        self._not_before[url] = now + wait
