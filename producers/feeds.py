"""Headlines from RSS and Atom feeds: polled, parsed, and only what was not sent before."""

import calendar
import html
import io
import re
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

import httpx

from newstide import logs
from newstide.errors import DeliveryError, InvalidHeadline, SourceError
from newstide.headline import MAX_DESCRIPTION, MAX_ID_BYTES, derive_id, from_fields, shorten
from producers.feed_state import FeedState
from producers.fetch import fetch, make_client
from producers.sources import Row

_AT_ONCE = 4  # feeds fetched side by side
_LONGEST_WAIT = timedelta(hours=6)  # between attempts at a feed that is broken
_MAX_ENTRIES = 5_000  # of one feed looked at
_TAG = re.compile(r"(<[^<>]*>)")  # linear in any text

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


def poll_feed(client: httpx.Client, url: str, state: FeedState, now: float, *, allow_private: bool = False) -> Poll:
    """Fetches a feed, where it has changed, and finds what was not sent before. Remembers nothing by itself.

    Args:
        client: From `fetch.make_client`.
        url: The feed.
        state: What was sent, and the validators of the last look.
        now: Epoch seconds.
        allow_private: The feed may lie at a private or loopback address.

    Raises:
        SourceError: The feed cannot be fetched, or is none.
    """
    page = fetch(client, url, state.validators(url), allow_private=allow_private)
    if page.status == 304:
        return Poll([], changed=False)
    rows, rejected = parse_feed(page.content, url, now, content_type=page.content_type)
    ids = [row.headline.id for row in rows]
    unsent = state.unsent(url, ids)
    fresh = {row.headline.id: row for row in reversed(rows) if row.headline.id in unsent}
    oldest_first = sorted(fresh.values(), key=lambda row: row.headline.published_at)
    return Poll(oldest_first, ids, rejected, page.etag, page.last_modified)


def parse_feed(content: bytes, url: str, now: float, *, content_type: str = "") -> tuple[list[Row], int]:
    """Rows of a feed in its own order, and how many entries are no headlines.

    Raises:
        SourceError: It is no feed.
    """
    import feedparser

    # A stream, not bytes: feedparser takes bytes and strings for addresses and file names first. Its parser resolves no
    # external entities and drops entity declarations. Tags are taken out here, so it need not sanitize them.
    headers = {"content-location": url, **({"content-type": content_type} if content_type else {})}
    try:
        parsed = feedparser.parse(io.BytesIO(content), response_headers=headers, sanitize_html=False)
    except Exception as error:  # noqa: BLE001 - whatever a hostile feed makes it raise is that feed's fault
        raise SourceError(f"{url} cannot be parsed: {shorten(repr(error), 200)}.", "It is no sound feed.") from None
    if not parsed.entries and not parsed.get("version"):
        raise SourceError(f"{url} is no RSS or Atom feed.", "Is the address that of a page? Look for its feed.")
    rows: list[Row] = []
    rejected = 0
    for number, entry in enumerate(parsed.entries[:_MAX_ENTRIES], 1):
        try:
            fields = _fields(entry, parsed.feed, url)
            decoded = from_fields(fields, int(now * 1000))
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
    ) -> None:
        self.read = 0
        self.rejected = 0
        self._urls = list(dict.fromkeys(urls))
        self._state = FeedState(state)
        self._client = make_client()
        self._send = send
        self._allow_private = allow_private
        self._now = now
        self._on_poll = on_poll
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
            poll = poll_feed(self._client, url, self._state, now, allow_private=self._allow_private)
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
        """Closes connections and the state."""
        self._client.close()
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


def _fields(entry: Any, feed: Any, url: str) -> dict[str, Any]:
    link = str(entry.get("link") or "")
    if not link.startswith(("http://", "https://")):
        link = ""  # feedparser takes the guid where there is no link
    guid = str(entry.get("id") or "")
    moment = entry.get("published_parsed") or entry.get("updated_parsed")
    source = _text(entry.get("source") or {}, "title") or _text(feed, "title") or urlsplit(url).hostname or ""
    return {
        "title": _text(entry, "title"),
        "description": _text(entry, "summary"),
        "url": link,
        "source": source,
        "language": entry.get("language") or feed.get("language") or "",
        "published_at": None if moment is None else calendar.timegm(moment) * 1000,
        "id": None if link else _guid(guid),
    }


def _guid(guid: str) -> str:
    """The id of an entry without a link. With one it is the url's: the same headline comes from elsewhere, too."""
    return guid if len(guid.encode()) <= MAX_ID_BYTES else derive_id(guid, "", "", None)


def _text(entry: Any, name: str) -> str:
    """An entry's text, cut before it is worked on; tags and entities count only where it is HTML."""
    text = str(entry.get(name) or "")[: 4 * MAX_DESCRIPTION]
    kind = (entry.get(f"{name}_detail") or {}).get("type", "text/html")
    return text if kind == "text/plain" else html.unescape(_without_tags(text))


def _without_tags(text: str) -> str:
    kept: list[str] = []
    inside_script = False
    for number, part in enumerate(_TAG.split(text)):
        if number % 2:
            name = part[1:].lower()
            inside_script = name.startswith(("script", "style")) or (
                inside_script and not name.startswith(("/script", "/style"))
            )
            kept.append(" ")
        elif not inside_script:
            kept.append(part)
    return "".join(kept)
