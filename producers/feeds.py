"""Headlines from RSS and Atom feeds: polled, parsed, and only what was not sent before."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Lock
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from newstide.core import logs
from newstide.core.errors import DeliveryError, InvalidHeadline, SourceError
from newstide.core.headline import DEFAULTS, Limits, from_fields
from newstide.core.settings import FeedSettings
from producers.feed_state import FeedState
from producers.fetch import fetch
from producers.rows import Row

_AT_ONCE = 4  # feeds fetched side by side
_SLACK = 20.0  # seconds of waiting beyond the CPU time that parsing may take: the machine may be busy
_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")  # of the environment, for the parser
_PARSER = Path(__file__).with_name("feed_parser.py")  # by its path: the package's other modules take long to load
_LONGEST_WAIT = timedelta(hours=6)  # between attempts at a feed that is broken

log = logs.get("feeds")


@dataclass(frozen=True, slots=True)
class Poll:
    """What one look at a feed found: rows not sent before, every id it lists, and what to ask with the next time."""

    rows: list[Row]
    ids: list[str] = field(default_factory=list)
    rejected: int = 0
    etag: str = ""
    last_modified: str = ""
    changed: bool = True


def poll_feed(
    url: str,
    state: FeedState,
    now: float,
    *,
    allow_private: bool = False,
    limits: FeedSettings | None = None,
    headline_limits: Limits = DEFAULTS,
) -> Poll:
    """Fetches a feed, where it has changed, and finds what was not sent before. Remembers nothing by itself.

    Args:
        url: The feed.
        state: What was sent, and the validators of the last look.
        now: Epoch seconds.
        allow_private: The feed may lie at a private or loopback address.
        limits: Of what it may take; by default those of the settings.
        headline_limits: Of a headline.

    Raises:
        SourceError: The feed cannot be fetched, or is none.
    """
    page = fetch(url, state.validators(url), allow_private=allow_private, limits=limits)
    if page.status == 304:
        return Poll([], changed=False)
    rows, rejected = parse_feed(
        page.content, url, now, content_type=page.content_type, limits=limits, headline_limits=headline_limits
    )
    ids = [row.headline.id for row in rows]
    unsent = state.unsent(url, ids)
    fresh = {row.headline.id: row for row in reversed(rows) if row.headline.id in unsent}
    oldest_first = sorted(fresh.values(), key=lambda row: row.headline.published_at)
    return Poll(oldest_first, ids, rejected, page.etag, page.last_modified)


def parse_feed(
    content: bytes,
    url: str,
    now: float,
    *,
    content_type: str = "",
    limits: FeedSettings | None = None,
    headline_limits: Limits = DEFAULTS,
) -> tuple[list[Row], int]:
    """Rows of a feed in its own order, and how many entries are no headlines.

    Raises:
        SourceError: It is no feed, or took too much to parse.
    """
    rows: list[Row] = []
    rejected = 0
    entries = _parse_apart(content, url, content_type, limits or FeedSettings(), headline_limits.description)
    for number, fields in enumerate(entries, 1):
        try:
            decoded = from_fields(fields, int(now * 1000), headline_limits)
        except (InvalidHeadline, ValueError, OverflowError) as error:
            rejected += 1
            log.debug("no headline", feed=url, entry=number, reason=str(error))
        else:
            published = fields["published_at"] is not None and not decoded.ahead
            rows.append(Row(decoded.headline, published, url, number))
    return rows, rejected


class FeedPoller:
    """Polls several feeds and hands over what is new; one broken feed does not hold up the others.

    Args:
        urls: The feeds.
        state: The file that remembers what was sent.
        send: Sends rows and returns once all are acknowledged, or raises `DeliveryError`.
        allow_private: Feeds may lie at private and loopback addresses.
        now: Epoch seconds.
        limits: Of what a feed may take.
        headline_limits: Of a headline.
        on_poll: Called after each look at a feed: `well`, `read`, `rejected`, and how many feeds are `failing` now.
    """

    def __init__(
        self,
        urls: Sequence[str],
        state: Path | str,
        send: Callable[[Sequence[Row]], None],
        allow_private: bool = False,
        now: Callable[[], float] = time.time,
        on_poll: Callable[..., None] = lambda **_counts: None,
        limits: FeedSettings | None = None,
        headline_limits: Limits = DEFAULTS,
    ) -> None:
        if any("@" in urlsplit(url).netloc for url in urls):
            raise SourceError(
                "A feed's address holds a name and a password.", "Feeds are read without; leave them out."
            )
        self.read = 0
        self.rejected = 0
        self._urls = list(dict.fromkeys(urls))
        self._state = FeedState(state)
        self._send = send
        self._allow_private = allow_private
        self._now = now
        self._on_poll = on_poll
        self._limits = limits
        self._headline_limits = headline_limits
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._sending = Lock()

    def poll_once(self) -> None:
        """Looks at each feed once.

        Raises:
            SourceError: Not one feed could be read.
        """
        with ThreadPoolExecutor(_AT_ONCE, "feed") as pool:
            list(pool.map(lambda url: self.tick(url, timedelta()), self._urls))
        if len(self._failures) == len(self._urls):
            raise SourceError("No feed could be read.", "The reasons stand above.")

    def poll_every(self, every: timedelta, stop: Event) -> None:
        """Looks at each feed now and then in this interval, until `stop` is set."""
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
        """Looks at one feed, unless it is broken and its waiting time is not over."""
        now = self._now()
        if now < self._not_before.get(url, 0.0):
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
                self.read += len(poll.rows) + poll.rejected
                self.rejected += poll.rejected
                read, rejected = len(poll.rows) + poll.rejected, poll.rejected
                if poll.rows:
                    self._send(poll.rows)
                if poll.changed:
                    self._state.remember(url, poll.ids, poll.etag, poll.last_modified, now)
        except (SourceError, DeliveryError) as error:
            self._failed(url, every, now, error)
            self._on_poll(well=False, read=read, rejected=rejected, failing=len(self._failures))
        else:
            if self._failures.pop(url, 0):
                log.info("the feed is back", feed=url)
            self._on_poll(well=True, read=read, rejected=rejected, failing=len(self._failures))
            if poll.rows:
                log.info("new headlines", feed=url, count=len(poll.rows))

    def close(self) -> None:
        """Closes the state."""
        self._state.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _failed(self, url: str, every: timedelta, now: float, error: SourceError | DeliveryError) -> None:
        """Says it once; the first retry comes with the next tick, later ones after twice, four times as long."""
        failures = self._failures[url] = self._failures.get(url, 0) + 1
        if failures == 1:
            what = "could not be sent" if isinstance(error, DeliveryError) else "cannot be read"
            log.warning(f"a feed {what}; it is tried again", feed=url, reason=error.message)
        wait = min(every * 2 ** min(failures - 1, 20), max(_LONGEST_WAIT, every))
        self._not_before[url] = now + wait.total_seconds() * (0.8 if failures > 1 else 0)  # ticks jitter


def _parse_apart(
    content: bytes, url: str, content_type: str, limits: FeedSettings, description: int
) -> list[dict[str, Any]]:
    """The entries of a feed as fields of headlines, in the feed's order.

    Args:
        content: The feed.
        url: Where it was; relative links start there.
        content_type: As its server said.
        limits: Seconds and memory that its parsing may take, and how many entries are wanted.
        description: Characters of a description that are wanted.

    Raises:
        SourceError: It is no feed, or took too much.
    """
    order = {
        "seconds": limits.parse_seconds,
        "megabytes": limits.parse_mb,
        "feed": {
            "url": url,
            "content_type": content_type,
            "most": limits.max_entries,
            "description": description,
        },
    }
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_PARSER)],
            input=json.dumps(order).encode() + b"\n" + content,
            capture_output=True,
            env={name: os.environ[name] for name in _KEPT if name in os.environ},
            timeout=limits.parse_seconds + _SLACK,
            check=False,
        )
        told = json.loads(done.stdout) if done.returncode == 0 else {}
    except (subprocess.TimeoutExpired, ValueError):
        told = {}
    if "entries" in told:
        return list(told["entries"])
    if "error" in told:
        raise SourceError(f"{url} cannot be parsed: it {told['error']}.", "It is no sound feed.")
    raise SourceError(
        f"{url} cannot be parsed within {limits.parse_seconds} s and {limits.parse_mb} MB.",
        "It is no sound feed, or NEWSTIDE_FEEDS_PARSE_SECONDS and _PARSE_MB are too low for it.",
    )
