"""Headlines from RSS, Atom, RDF and JSON feeds: fetched, parsed in another process, without items sent before."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newstide.core import logs
from newstide.core.errors import InvalidHeadline, SourceError
from newstide.core.headline import DEFAULTS, Limits, derive_id, from_fields, parse_language
from newstide.core.settings import FeedSettings
from newstide.core.text import clean_plain, shorten
from newstide.core.times import Zone, parse_time
from producers.feed_ids import Item, Known, Status, name_items, own_address
from producers.feed_state import FeedState
from producers.fetch import fetch
from producers.rows import Rejected, Row

_SLACK = 20.0  # seconds of waiting beyond the CPU time of the parser, since the machine may be busy
_KEPT = (
    "PATH",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "LANG",
    "LC_ALL",
    "TMPDIR",
)  # variables that the parser inherits
_PARSER = Path(__file__).with_name("feed_parser.py")  # by its path: the package's other modules take long to load
_DAY_MS = 86_400_000

log = logs.get("feeds")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A value that could not be read, of a headline that is sent without it."""

    field: str
    value: str
    entry: int


@dataclass(frozen=True, slots=True)
class Listing:
    """The content of a feed: rows in its order, the item of each, refused entries, values left out, and notes on it.

    `cut`: the document ends early.
    """

    rows: list[Row] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Poll:
    """The result of one look at a feed.

    Attributes:
        rows: Headlines that were not sent before, the oldest first.
        items: All items that the feed lists, as they are to be remembered.
        rejected: Refused entries.
        left_out: Values of the rows that could not be read.
        known: Number of items that were sent before, edited ones included.
        edited: Number of known items with another title; the first title stays.
        twice: Number of items that the feed lists twice.
        etag, last_modified: The validators for the next request.
        changed: False where the server says that the feed has not changed.
        notes: Facts about the feed's encoding.
    """

    rows: list[Row] = field(default_factory=list)
    items: list[Known] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    known: int = 0
    edited: int = 0
    twice: int = 0
    etag: str = ""
    last_modified: str = ""
    changed: bool = True
    notes: list[str] = field(default_factory=list)


def poll_feed(
    url: str,
    state: FeedState,
    now: float,
    *,
    allow_private: bool = False,
    limits: FeedSettings | None = None,
    headline_limits: Limits = DEFAULTS,
) -> Poll:
    """Fetches a feed, if it has changed, and finds the headlines that were not sent before.

    This function remembers only a move of the feed; the caller remembers the items once they are sent.

    Args:
        url: The feed.
        state: The items that were sent, and the validators of the last look.
        now: The current time, epoch seconds.
        allow_private: Whether the feed may lie at a private or loopback address.
        limits: The limits of a feed; by default those of the settings.
        headline_limits: The limits of a headline's values.

    Raises:
        FeedGone: The feed has ended.
        FeedRefused: The feed's server answers with an error status.
        SourceError: The page cannot be fetched, or is no feed.
    """
    address = state.address(url)
    try:
        page = fetch(address, state.validators(url), allow_private=allow_private, limits=limits)
    except SourceError:
        if address == url:
            raise
        # The new address fails. Where the feed's own address fails as well, or leads there, the move stays remembered.
        page = fetch(url, state.validators(url), allow_private=allow_private, limits=limits)
        if not page.moved_to:
            state.move(url, "")
        address = url
    if page.moved_to and page.moved_to != address:
        log.info("the feed has moved for good", feed=url, to=page.moved_to)
        state.move(url, page.moved_to)
    if page.status == 304:
        return Poll(changed=False)
    listing = parse_feed(
        page.content,
        page.url,
        now,
        name=url,
        content_type=page.content_type,
        limits=limits,
        headline_limits=headline_limits,
    )
    named = name_items(listing.items, state.known(url), url)
    fresh: list[Row] = []
    for row, (status, known) in zip(listing.rows, named, strict=True):
        if status is Status.NEW:
            fresh.append(row._replace(headline=row.headline._replace(id=known.id)))
    lines = {row.line for row in fresh}
    return Poll(
        sorted(fresh, key=lambda row: row.headline.published_at),
        list({known.id: known for _, known in named}.values()),
        listing.rejected,
        [one for one in listing.left_out if one.entry in lines],
        sum(status in (Status.KNOWN, Status.EDITED) for status, _ in named),
        sum(status is Status.EDITED for status, _ in named),
        sum(status is Status.TWICE for status, _ in named),
        "" if listing.cut else page.etag,  # the server is to send the whole feed next time
        "" if listing.cut else page.last_modified,
        notes=listing.notes,
    )


def parse_feed(
    content: bytes,
    url: str,
    now: float,
    *,
    name: str = "",
    content_type: str = "",
    limits: FeedSettings | None = None,
    headline_limits: Limits = DEFAULTS,
) -> Listing:
    """Parses a feed: its rows and items, in the feed's order.

    Args:
        content: The feed's bytes.
        url: The address of the feed, to which relative links refer.
        now: The current time, epoch seconds.
        name: The feed's name; by default its url.
        content_type: The header Content-Type of the server's answer.
        limits: The limits of parsing.
        headline_limits: The limits of a headline's values.

    Raises:
        SourceError: The content is no feed, or parsing it took too long or too much memory.
    """
    limits = limits or FeedSettings()
    told = _parse_apart(content, url, content_type, limits, headline_limits.description)
    listing = Listing(notes=told["notes"], cut=bool(told.get("cut")))
    own = [url, name or url, *told["own"]]
    for number, entry in enumerate(told["entries"], 1):
        try:
            _read(entry, number, name or url, own, now, headline_limits, listing)
        except (InvalidHeadline, ValueError, OverflowError) as error:
            shown = shorten(json.dumps(entry, ensure_ascii=False), 200).encode("utf-8", "replace").decode()
            listing.rejected.append(Rejected(name or url, number, str(error), shown))
    reason = f"The feed lists more than {limits.max_entries:,} entries (feeds.max_entries); this one is not read."
    listing.rejected.extend(
        Rejected(name or url, number, reason, text) for number, text in enumerate(told["over"], limits.max_entries + 1)
    )
    return listing


def _read(
    entry: Mapping[str, Any], number: int, feed: str, own: Sequence[str], now: float, limits: Limits, listing: Listing
) -> None:
    """Adds an entry to the listing.

    Raises:
        InvalidHeadline: The entry is no headline.
    """
    if "fault" in entry:
        raise InvalidHeadline(entry["fault"])
    language = next(filter(None, map(parse_language, entry["languages"])), "")
    now_ms = int(now * 1000)
    published_at, zone = _published_at(entry["times"], language, now_ms)
    fields = {**entry, "language": language, "published_at": published_at}
    decoded = from_fields(fields, now_ms, limits)
    headline = decoded.headline
    link = clean_plain(entry["url"])
    listing.rows.append(Row(headline, published_at is not None and not decoded.ahead, feed, number))
    listing.items.append(
        Item(
            guid=clean_plain(entry["guid"]),
            link="" if own_address(link, own) else link,
            title=headline.title,
            otherwise=derive_id("", headline.source, headline.title, published_at),
            former=clean_plain(entry.get("former", "")),
        )
    )
    if entry["times"] and published_at is None:
        listing.left_out.append(LeftOut("published_at", str(entry["times"][0]), number))
    if zone is Zone.UNKNOWN:
        listing.left_out.append(LeftOut("unknown time zone", str(entry["times"][0]), number))
    if entry.get("odd_url"):
        listing.left_out.append(LeftOut("url", entry["odd_url"], number))
    if entry["languages"] and not language:
        listing.left_out.append(LeftOut("language", str(entry["languages"][0]), number))
    if link and not headline.url:
        listing.left_out.append(LeftOut("url", link, number))


def _published_at(times: Sequence[Any], language: str, now_ms: int) -> tuple[int | None, Zone]:
    """The first readable time from 1970 to a day ahead, and where its zone comes from; None where no time is one."""
    for given in times:
        parsed = parse_time(given, language=language)
        if parsed is not None and parsed.milliseconds is not None and parsed.milliseconds <= now_ms + _DAY_MS:
            return parsed.milliseconds, parsed.zone
    return None, Zone.MISSING


def _parse_apart(content: bytes, url: str, content_type: str, limits: FeedSettings, description: int) -> dict[str, Any]:
    """The entries of a feed as fields of headlines, in the feed's order, and the addresses that are its own.

    Args:
        content: The feed's bytes.
        url: The address of the feed, to which relative links refer.
        content_type: The header Content-Type of the server's answer.
        limits: Seconds and memory for parsing, and the most entries to read.
        description: The most characters of a description.

    Raises:
        SourceError: The content is no feed, or parsing it took too long or too much memory.
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
        return dict(told)
    if "error" in told:
        raise SourceError(f"{url} cannot be parsed: it {told['error']}.", "It is no sound feed.")
    raise SourceError(
        f"{url} cannot be parsed within {limits.parse_seconds} s and {limits.parse_mb} MB.",
        "The feed is broken, or NEWSTIDE_FEEDS_PARSE_SECONDS and _PARSE_MB are too low for it.",
    )
