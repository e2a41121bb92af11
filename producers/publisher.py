"""Headlines to Kafka: keyed by id, every delivery report counted, rejected rows kept with their reason."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
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
from newstide.kafka.producer import Sender
from newstide.kafka.topics import ensure_topics
from producers.feed_poller import FeedPoller, OnPoll
from producers.fetch import require_address
from producers.files import Options, read_files
from producers.pacing import paced, parse_pace
from producers.rows import Rejected, Row
from producers.tally import PLAIN, Tally, described

_SHOW_EVERY = 0.1  # seconds between updates of the progress bar

log = logs.get("producer")


@dataclass(frozen=True, slots=True)
class Summary:
    """The outcome of all rows: each row read was sent, failed (not acknowledged), was rejected, or repeats an item.

    Attributes:
        read, sent, rejected, failed, twice: Rows; read is the sum of the others.
        seconds: The duration of the whole.
        first_error: The first error of a message that Kafka did not acknowledge.
        rejects: The file of the rejected rows; None where there is none.
        tallies: The counts, reasons and notes of each file.
        max_rejected: The largest share of rejected rows that counts as success; 1 accepts any.
    """

    read: int
    sent: int
    rejected: int
    failed: int
    seconds: float
    first_error: str = ""
    rejects: str = ""
    twice: int = 0
    tallies: Sequence[Tally] = ()
    max_rejected: float = 1.0

    @property
    def well(self) -> bool:
        """Whether all rows were acknowledged, no more than `max_rejected` rejected, and every file gave headlines."""
        return (
            not self.failed
            and self.rejected <= self.max_rejected * self.read
            and not any(map(_fruitless, self.tallies))
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        numbers = {name: getattr(self, name) for name in ("read", "sent", "rejected", "failed", "twice")}
        return {
            **numbers,
            "seconds": round(self.seconds, 3),
            "first_error": self.first_error,
            "rejects": self.rejects,
            "files": [tally.as_dict() for tally in self.tallies],
        }

    def describe(self) -> str:
        """The closing lines: sums, then the reasons of rejected rows, values left out, and notes on each file."""
        line = f"read {self.read:,}, sent {self.sent:,}, rejected {self.rejected:,}"
        if self.rejected and self.rejects:
            line += f" (see {self.rejects})"
        if self.twice:
            line += f", the same item twice {self.twice:,}"
        if self.failed:
            line += f", NOT ACKNOWLEDGED {self.failed:,} ({self.first_error})"
        lines = [f"{line}; {self.seconds:.1f} s", *described(self.tallies)]
        if self.max_rejected < 1 and self.rejected > self.max_rejected * self.read:
            lines.append(f"More than {self.max_rejected:.0%} of the rows were rejected (--max-rejected).")
        edited = sum(tally.edited for tally in self.tallies)
        if edited:
            lines.append(f"{edited:,} known items have another title now: edits, of which the first stays.")
        for tally in self.tallies:
            if not tally.given:
                lines.append(f"{tally.name}: {_barren(tally)}")
            elif told := [note for note in tally.told if note not in PLAIN]:
                lines.append(f"{tally.name}: {'; '.join(told)}")
        return "\n".join(lines)


def produce_files(
    files: Sequence[str | Path],
    settings: KafkaSettings,
    *,
    options: Options | None = None,
    pace: str = "max",
    limit: int | None = None,
    rejects: Path | None = None,
    progress: bool = True,
    limits: Limits = DEFAULTS,
) -> Summary:
    """`newstide produce FILE...`: reads files and sends what they hold, making the topics where they are missing.

    Args:
        files: Paths; `-` is standard input.
        settings: Kafka's settings.
        options: How the files are to be read.
        pace: Speed of a replay by published time, as `60x`; `max` sends at once.
        limit: The most rows to send.
        rejects: A JSONL file for rejected rows, written anew.
        progress: Whether to show a progress bar where stderr is a terminal.
        limits: The limits of a headline's values.

    Raises:
        SourceError: A file cannot be read (any further); the rows before were sent, and the message says how many.
        BrokerUnavailable, DeliveryError: Kafka is away.
        SettingsError: An argument is invalid.
    """
    speed = parse_pace(pace)
    ensure_topics(settings)
    tallies: list[Tally] = []
    chosen = options or Options()
    rows = read_files(files, options=chosen, limits=limits, tallies=tallies)
    summary = publish(paced(rows, speed), settings, limit=limit, rejects=rejects, progress=progress)
    twice = sum(tally.twice for tally in tallies)
    return replace(summary, read=summary.read + twice, twice=twice, tallies=tallies, max_rejected=chosen.max_rejected)


def produce_feeds(
    urls: Sequence[str],
    settings: KafkaSettings,
    *,
    state: Path,
    every: timedelta,
    once: bool = False,
    allow_private: bool = False,
    stop: Event | None = None,
    on_poll: OnPoll = lambda **_counts: None,
    limits: FeedSettings | None = None,
    headline_limits: Limits = DEFAULTS,
    rejects: Path | None = None,
) -> Summary:
    """`newstide produce --rss URL...`: polls feeds and sends what is new in them, until `stop` is set.

    Args:
        urls: RSS, Atom or JSON feeds.
        settings: Kafka's settings.
        state: An SQLite file that remembers the items that were sent.
        every: The time between two polls of a feed.
        once: Whether to poll each feed once, then end.
        allow_private: Whether feeds may lie at private and loopback addresses.
        stop: Ends the polling.
        on_poll: Called after each look at a feed, as `FeedPoller` says.
        limits: The limits of a feed.
        headline_limits: The limits of a headline's values.
        rejects: A JSONL file for refused entries, written anew.

    Raises:
        SourceError: A feed has no web address; with `once`, no feed could be read.
        BrokerUnavailable: Kafka is away at the start.
    """
    for url in urls:
        require_address(url)
    started = time.monotonic()
    ensure_topics(settings)
    sender = Sender(settings)
    try:
        with (
            _rejects_file(rejects) as keep,
            FeedPoller(
                urls,
                state,
                lambda rows: _send_all(sender, settings.topic, rows),
                allow_private,
                on_poll=on_poll,
                limits=limits,
                headline_limits=headline_limits,
                on_rejected=keep,
            ) as poller,
        ):
            if once:
                poller.poll_once()
            else:
                poller.poll_every(every, stop or Event())
        counts = sender.flush(tolerant=True)
    finally:
        sender.close()
    rejected = sum(tally.rejected for tally in poller.tallies)
    return Summary(
        read=sum(tally.read for tally in poller.tallies),
        sent=counts.acknowledged,
        rejected=rejected,
        failed=counts.failed,
        seconds=time.monotonic() - started,
        first_error=counts.first_error,
        rejects=str(rejects) if rejects and rejected else "",
        twice=sum(tally.twice for tally in poller.tallies),
        tallies=poller.tallies,
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
        rows: The rows as they are read, at the pace of the caller.
        settings: Kafka's settings.
        limit: The most rows to send.
        rejects: A JSONL file for rejected rows, written anew.
        progress: Whether to show a progress bar where stderr is a terminal.

    Raises:
        SourceError: The rows' source broke; the rows before were sent, and the message says how many.
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


def _fruitless(tally: Tally) -> bool:
    """Whether a file has rows, and none of them is a headline."""
    return bool(tally.rejected) and not (tally.given or tally.twice or tally.known)


def _barren(tally: Tally) -> str:
    """The reason why nothing of a file was sent."""
    if tally.twice:
        return "all of its items were sent before."
    return "it holds no headline." if _fruitless(tally) else tally.nothing


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
