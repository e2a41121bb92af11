"""Headlines to Kafka: keyed by id, every delivery report counted, rejected rows kept with their reason."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import IO, Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from newstide.core import logs
from newstide.core.errors import SourceError
from newstide.core.headline import DEFAULTS, Limits, encode
from newstide.core.settings import FeedSettings, KafkaSettings
from newstide.core.times import parse_zone
from newstide.kafka.producer import Sender
from newstide.kafka.topics import ensure_topics
from producers.feed_poller import FeedPoller
from producers.files import read_files
from producers.pacing import paced, parse_pace
from producers.rows import Rejected, Row

_SHOW_EVERY = 0.1  # seconds between updates of the progress bar

log = logs.get("producer")


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of the rows: every row read is sent, rejected or failed (Kafka did not acknowledge it)."""

    read: int
    sent: int
    rejected: int
    failed: int
    seconds: float
    first_error: str = ""
    rejects: str = ""  # file of the rejected rows, where there is one

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}

    def describe(self) -> str:
        """The closing line."""
        line = f"read {self.read:,}, sent {self.sent:,}, rejected {self.rejected:,}"
        if self.rejected and self.rejects:
            line += f" (see {self.rejects})"
        if self.failed:
            line += f", NOT ACKNOWLEDGED {self.failed:,} ({self.first_error})"
        return f"{line}; {self.seconds:.1f} s"


def produce_files(
    files: Sequence[str | Path],
    settings: KafkaSettings,
    *,
    mapping: Mapping[str, str] | None = None,
    file_format: str | None = None,
    zone: str = "UTC",
    pace: str = "max",
    limit: int | None = None,
    rejects: Path | None = None,
    progress: bool = True,
    limits: Limits = DEFAULTS,
) -> Summary:
    """`newstide produce FILE...`: reads files and sends what they hold, making the topics where they are missing.

    Args:
        files: Paths; `-` is standard input.
        settings: Kafka.
        mapping: Field of a headline to column, where common names do not fit.
        file_format: `csv`, `jsonl` or `parquet`, where it does not show.
        zone: IANA name of the zone of times that have none.
        pace: Speed of a replay by published time, as `60x`; `max` waits for nothing.
        limit: Send at most so many.
        rejects: A JSONL file for rejected rows, written anew.
        progress: Show a progress bar where stderr is a terminal.
        limits: Of a headline.

    Raises:
        SourceError: A file cannot be read (any further); what came before was sent, and the message says how much.
        BrokerUnavailable, DeliveryError: Kafka is away.
        SettingsError: An argument is not what it should be.
    """
    speed, assumed = parse_pace(pace), parse_zone(zone)
    ensure_topics(settings)
    rows = read_files(files, mapping, file_format=file_format, assume_zone=assumed, limits=limits)
    return publish(paced(rows, speed), settings, limit=limit, rejects=rejects, progress=progress)


def produce_feeds(
    urls: Sequence[str],
    settings: KafkaSettings,
    *,
    state: Path,
    every: timedelta,
    once: bool = False,
    allow_private: bool = False,
    stop: Event | None = None,
    on_poll: Callable[..., None] = lambda **_counts: None,
    limits: FeedSettings | None = None,
    headline_limits: Limits = DEFAULTS,
) -> Summary:
    """`newstide produce --rss URL...`: polls feeds and sends what is new in them, until `stop` is set.

    Args:
        urls: RSS or Atom feeds.
        settings: Kafka.
        state: An SQLite file that remembers what was sent.
        every: How often each feed is polled.
        once: Poll each feed once, then end.
        allow_private: Feeds may lie at private and loopback addresses.
        stop: Ends the polling.
        on_poll: Called after each look at a feed, as `FeedPoller` says.
        limits: Of what a feed may take.
        headline_limits: Of a headline.

    Raises:
        SourceError: With `once`, no feed at all could be read.
        BrokerUnavailable: Kafka is away at the start.
    """
    started = time.monotonic()
    ensure_topics(settings)
    sender = Sender(settings)
    try:
        with FeedPoller(
            urls,
            state,
            lambda rows: _send_all(sender, settings.topic, rows),
            allow_private,
            on_poll=on_poll,
            limits=limits,
            headline_limits=headline_limits,
        ) as poller:
            if once:
                poller.poll_once()
            else:
                poller.poll_every(every, stop or Event())
        counts = sender.flush(tolerant=True)
    finally:
        sender.close()
    return Summary(
        read=poller.read,
        sent=counts.acknowledged,
        rejected=poller.rejected,
        failed=counts.failed,
        seconds=time.monotonic() - started,
        first_error=counts.first_error,
    )


def publish(
    rows: Iterable[Row | Rejected],
    settings: KafkaSettings,
    *,
    limit: int | None = None,
    rejects: Path | None = None,
    progress: bool = False,
) -> Summary:
    """Sends rows to the topic of headlines and waits for every delivery report.

    Args:
        rows: As they are read; pacing is the caller's.
        settings: Kafka.
        limit: Send at most so many.
        rejects: A JSONL file for rejected rows, written anew.
        progress: Show a progress bar where stderr is a terminal.

    Raises:
        SourceError: The rows' source broke; what came before was sent, and the message says how much.
        DeliveryError: The topic cannot be found.
    """
    started = time.monotonic()
    sent = rejected = 0
    sender = Sender(settings)
    try:
        with _rejects_file(rejects) as keep, _progress(progress, limit) as show:
            for row in rows:
                if isinstance(row, Rejected):
                    rejected += 1
                    keep(row)
                else:
                    _send(sender, settings.topic, row)
                    sent += 1
                show(sent, rejected)
                if sent == limit:
                    break
        counts = sender.flush(tolerant=True)
    except SourceError as error:
        done = sender.flush(tolerant=True).acknowledged
        before = f" {done:,} headlines before that were sent." if done else ""
        raise SourceError(error.message + before, error.way_out) from None
    finally:
        sender.close()
    return Summary(
        read=sent + rejected,
        sent=counts.acknowledged,
        rejected=rejected,
        failed=counts.failed,
        seconds=time.monotonic() - started,
        first_error=counts.first_error,
        rejects=str(rejects) if rejects and rejected else "",
    )


def _send(sender: Sender, topic: str, row: Row) -> None:
    sender.send(topic, key=row.headline.id.encode(), value=encode(row.headline, published=row.published))


def _send_all(sender: Sender, topic: str, rows: Sequence[Row]) -> None:
    for row in rows:
        _send(sender, topic, row)
    sender.flush()


@contextmanager
def _rejects_file(path: Path | None) -> Iterator[Any]:
    """A function that keeps a rejected row; the file is made for the first one."""
    file: IO[str] | None = None

    def keep(row: Rejected) -> None:
        nonlocal file
        if path is None:
            log.warning("rejected", file=row.file, line=row.line, reason=row.reason)
            return
        if file is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w", encoding="utf-8")
        file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")

    if path is not None:
        path.unlink(missing_ok=True)
    try:
        yield keep
    finally:
        if file is not None:
            file.close()


@contextmanager
def _progress(wanted: bool, total: int | None) -> Iterator[Any]:
    """A function that shows how far the sending is."""
    if not wanted or not sys.stderr.isatty():
        yield lambda _sent, _rejected: None
        return
    text = TextColumn("{task.completed:,.0f} headlines, {task.fields[rejected]:,} rejected, {task.fields[rate]:,.0f}/s")
    started = shown = time.monotonic()
    with Progress(SpinnerColumn(), text, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, rejected=0, rate=0.0)

        def show(sent: int, rejected: int) -> None:
            nonlocal shown
            now = time.monotonic()
            if now - shown > _SHOW_EVERY:
                shown = now
                bar.update(task, completed=sent, rejected=rejected, rate=sent / (now - started))

        yield show
