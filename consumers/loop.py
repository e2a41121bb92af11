"""The loop from topic to Milvus: poll, decode, embed, label provisionally, insert, then commit, a batch at a time.

An offset is committed only after Milvus has acknowledged its row or Kafka its dead letter, and only ids that are not
there yet are written: whatever dies and is replayed, every headline ends up in Milvus once. Nor is one committed whose
row lies in collections that readers have been turned away from.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_when_event_set, wait_exponential_jitter

from consumers.assignment import OpenStories, Vectors, assign
from consumers.dead_letters import send_dead_letter
from consumers.group import Contact, Handover
from newstide.core import logs
from newstide.core.errors import (
    DeliveryError,
    EmbedderError,
    InvalidHeadline,
    NewstideError,
    StoreLimit,
    StoreRefused,
    StoreUnavailable,
)
from newstide.core.headline import Headline, decode
from newstide.core.settings import Settings
from newstide.embedding import Embedder, unknown_languages
from newstide.embedding.scripts import script_name, unreadable_scripts
from newstide.kafka.client import unavailable
from newstide.kafka.producer import Sender
from newstide.milvus import HeadlineRow, Store

# What a batch is tried again after, for as long as it takes, and what the log says of it once.
_WAITS: dict[type[NewstideError], str] = {
    StoreUnavailable: "Milvus is away; waiting for it",
    DeliveryError: "Kafka takes no dead letters; waiting for it",
    EmbedderError: "the model fails, whatever it is asked; trying again",
    StoreRefused: "Milvus refuses what every batch asks for; trying again",
}
_HARMLESS = "A headline"  # a text that any model can embed
_FINISH_WITHIN = 3.0  # seconds for the batch at hand, once the loop is told to stop
_STORIES_EVERY = 2.0  # seconds between looks for a newer run's stories
_SHOW_UP_EVERY = 5.0  # seconds of work on one batch, after which the group is told that this member lives
_FIRST_PIECE = 16  # headlines embedded together, until it is known how long the model takes
_PIECE_SECONDS = (0.5, 2.0)  # shorter, and pieces grow, so that no thread idles; longer, and stopping takes too long
_FETCH_SECONDS = 0.05  # within which records come that have been waiting
_READ_BYTES = 16 * 2**20  # of a batch's messages, after which no more are read into it
_PIECES = 4  # of a full batch, at least: Milvus writes one while the next are embedded
_AHEAD = 2  # pieces that a fast model is at: its threads begin the next where the last one leaves some of them idle

Pairs = Sequence[tuple[Headline, Any]]  # headlines, each with the record it was in
Refused = list[tuple[Any, str]]  # records, and why

log = logs.get("consumer")


@dataclass
class Tally:
    """What the loop has done so far; every message read is in one of stored, duplicates, dead letters and taken down."""

    read: int = 0
    stored: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    taken_down: int = 0  # blocked by a tombstone
    ahead: int = 0  # times more than an hour ahead of the message's, replaced by it
    provisional: int = 0  # stored with a story's label
    unreadable: int = 0  # stored without one, since the model cannot read their script
    seconds: dict[str, float] = field(default_factory=dict)  # by stage; of inserting, those that the loop waited

    def add(self, batch: "Tally") -> None:
        """Adds the counts of a batch that is done."""
        self.read += batch.read
        self.stored += batch.stored
        self.duplicates += batch.duplicates
        self.dead_letters += batch.dead_letters
        self.taken_down += batch.taken_down
        self.ahead += batch.ahead
        self.provisional += batch.provisional
        self.unreadable += batch.unreadable
        self.took(**batch.seconds)

    def took(self, **seconds: float) -> None:
        """Adds to the time spent on stages."""
        for stage, time_spent in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time_spent


def ingest(
    consumer: KafkaConsumer,
    sender: Sender,
    store: Store,
    embedder: Embedder,
    settings: Settings,
    *,
    stop: Event,
    drain: bool = False,
    on_beat: Callable[[Tally], None] = lambda _tally: None,
) -> Tally:
    """Runs until `stop` is set, or with `drain` until every partition is read to its end.

    Args:
        consumer: A member of the group (`join_group`), not committing by itself.
        sender: For dead letters.
        store: Opened with the embedder's card.
        embedder: The model.
        settings: Batch size, waiting times, topics.
        stop: Ends the loop after the batch at hand.
        drain: End when caught up.
        on_beat: Called again and again, also while a batch waits for Milvus: the service is alive.

    Returns:
        The counts of everything read.

    Raises:
        ModelMismatch: Readers have been turned to another model's collections.
    """
    tally = Tally()
    handover = Handover(consumer, settings.kafka.topic)
    batches = _Batches(consumer, handover, sender, store, embedder, settings, tally, stop, lambda: on_beat(tally))
    while not stop.is_set():
        started = time.perf_counter()
        records = batches.read()
        polled = time.perf_counter()
        if records and (written := batches.finish(records)):
            finished = time.perf_counter()
            handover.commit(written)
            tally.took(poll=polled - started, commit=time.perf_counter() - finished)
        elif not records:
            handover.catch_up()
        on_beat(tally)
        if drain and not records and _caught_up(consumer):
            break
    return tally


class _Stopped(Exception):
    """There is no time left for the batch at hand; it is read again by whoever comes next."""


@dataclass
class _Batches:
    """The loop's parts, and what lasts from batch to batch."""

    consumer: KafkaConsumer
    handover: Handover
    sender: Sender
    store: Store
    embedder: Embedder
    settings: Settings
    tally: Tally
    stop: Event
    on_beat: Callable[[], None]
    stories: OpenStories | None = None
    stories_run: int = -1
    stories_checked: float = float("-inf")
    strange_languages: set[str] = field(default_factory=set)
    strange_scripts: set[str] = field(default_factory=set)
    tried: set[str] = field(default_factory=set)  # ids of the batch at hand that were sent to Milvus
    shown_up: float = 0.0  # when the group last heard from us
    stopped_at: float | None = None  # when it was noticed that `stop` is set

    def __post_init__(self) -> None:
        self.contact = Contact(self.consumer)
        self.piece = _FIRST_PIECE
        self.fast = False  # until it is known
        self.embedded_at = 0.0  # when the model was last done with a piece
        self.read_at = time.monotonic()  # the last time

    def read(self) -> list[Any]:
        """Up to a batch of records; waits at most `linger` for it to fill.

        That counts from when the first has come, or from the last read where it has been waiting since: what has piled
        up while the model was at work waits no longer.
        """
        size = self.settings.consumer.batch_size
        linger = self.settings.consumer.linger.total_seconds()
        records: list[Any] = []
        began = time.monotonic()
        deadline = began + max(linger, 0.2)
        while len(records) < size and not self.stop.is_set():
            left = deadline - time.monotonic()
            polled = self._poll(max(left, 0.0), size - len(records))
            if polled and not records:
                now = time.monotonic()
                deadline = linger + (self.read_at if now - began < _FETCH_SECONDS else now)
            records = self.handover.ours(records)  # what was taken away by this poll, which may have read it again
            self.handover.begin()
            records.extend(record for partition in polled.values() for record in partition)
            if left <= 0 or sum(len(record.value or b"") for record in records) > _READ_BYTES:
                break
        self.read_at = time.monotonic()
        return records

    def finish(self, records: Sequence[Any]) -> Sequence[Any]:
        """Stores a batch; while Milvus is away, or Kafka takes no dead letter, waits without leaving the group.

        Returns:
            The records that are done with: none where this was stopped before, fewer where others' partitions moved.
        """
        self.shown_up = time.monotonic()
        self.tried = set()
        retrying = Retrying(
            retry=retry_if_exception_type(tuple(_WAITS)),
            wait=wait_exponential_jitter(initial=0.5, max=30),
            stop=stop_when_event_set(self.stop),
            sleep=self._wait_in_group,
            before_sleep=_say_once,
            reraise=True,
        )
        try:
            for attempt in retrying:
                with attempt:
                    records = self.handover.ours(records)
                    try:
                        self._store(records)
                    except StoreRefused:
                        self.store.require_in_use()  # collections that were removed refuse everything
                        raise
        except tuple(_WAITS):
            return []
        except _Stopped:
            log.info("stopped before the batch at hand was written; it will be read again", headlines=len(records))
            return []
        finally:
            if paused := self.consumer.paused():
                self.consumer.resume(*paused)
        if (attempts := retrying.statistics.get("attempt_number", 1)) > 1:
            log.info("the batch is written after all; going on", attempts=attempts)
        return records

    def _poll(self, seconds: float, most: int | None = None) -> Mapping[TopicPartition, Sequence[Any]]:
        """What the client has read; nothing while Kafka is away."""
        try:
            polled: dict[TopicPartition, list[Any]] = self.consumer.poll(int(seconds * 1000), max_records=most)
        except KafkaError as error:
            explained = unavailable(self.settings.kafka, error)
            if not explained.passing:
                raise explained from None
            self.contact.look(error)
            self.stop.wait(max(seconds, 0.2))  # it may fail at once
            return {}
        self.contact.look()
        return polled

    def _wait_in_group(self, seconds: float) -> None:
        """Sleeps, polling paused partitions so that the group does not take this member for dead."""
        until = time.monotonic() + seconds
        while not self.stop.is_set() and (left := until - time.monotonic()) > 0:
            self._show_up(min(left, 0.5))

    def _show_up(self, seconds: float = 0.0) -> None:
        """Polls without reading any further: the batch at hand is all the work there is."""
        self.consumer.pause(*self.consumer.assignment())
        self.handover.put_back(self._poll(seconds))  # of partitions that have just been assigned
        self.shown_up = time.monotonic()
        self.on_beat()

    def _show_up_in_time(self) -> None:
        """Between two pieces of work on a batch: keeps the membership, and gives up where time is up."""
        if self.stop.is_set():
            self.stopped_at = self.stopped_at or time.monotonic()
            if time.monotonic() - self.stopped_at > _FINISH_WITHIN:
                raise _Stopped
        if time.monotonic() - self.shown_up > _SHOW_UP_EVERY:
            self._show_up()

    def _store(self, records: Sequence[Any]) -> None:
        started = time.perf_counter()
        headlines: dict[str, tuple[Headline, Any]] = {}
        refused: Refused = []
        tally = Tally(read=len(records))
        for record in records:
            self._show_up_in_time()
            try:
                decoded = self._decode(record)
            except InvalidHeadline as error:
                refused.append((record, str(error)))
                continue
            tally.ahead += decoded.ahead
            if self.store.tombstones.blocks(decoded.headline):
                tally.taken_down += 1
            elif decoded.headline.id in headlines:
                tally.duplicates += 1
            else:
                headlines[decoded.headline.id] = (decoded.headline, record)
        decoded_at = time.perf_counter()
        self._show_up_in_time()
        known = self.store.known_ids(list(headlines)) if headlines else set()
        tally.stored += len(known & self.tried)  # by an attempt whose answer was lost
        tally.duplicates += len(known - self.tried)
        missing = [pair for id_, pair in headlines.items() if id_ not in known]
        tally.took(decode=decoded_at - started, look_up=time.perf_counter() - decoded_at)
        self._warn_of_languages([headline for headline, _ in missing])
        if missing:
            refused += self._embed_and_insert(missing, self._stories(), tally)
        # Only now: what was written before readers are turned to other collections is brought over to them.
        self.store.require_in_use()
        self._dead_letter(refused)  # at last: what is tried again after Milvus was away is not sent twice
        tally.dead_letters = len(refused)
        self.tally.add(tally)

    def _decode(self, record: Any) -> Any:
        limit = self.settings.consumer.max_message_bytes
        if record.value is not None and len(record.value) > limit:
            raise InvalidHeadline(f"The message has {len(record.value):,} bytes; {limit:,} are allowed.")
        return decode(record.value, record.timestamp, limits=self.settings.limits)

    def _embed_and_insert(self, pairs: Pairs, stories: OpenStories, tally: Tally) -> Refused:
        """Writes the headlines piece by piece: Milvus takes one while the next are embedded.

        A model that is fast gets one piece more before it is done with the last, so that it never waits for us.

        Returns:
            The records that are refused, and why.
        """
        refused: Refused = []
        begun: deque[tuple[Pairs, float, Future[tuple[Vectors, float]]]] = deque()  # what the model is at, since when
        sent: tuple[Pairs, Future[int]] | None = None  # what Milvus is writing

        def settle() -> None:
            nonlocal sent
            if sent is not None:
                refused.extend(self._inserted(*sent, stories, tally))
            sent = None

        with ThreadPoolExecutor(1, "insert") as background, ThreadPoolExecutor(_AHEAD, "embed") as model:
            done = 0
            while begun or done < len(pairs):
                while len(begun) < (_AHEAD if self.fast else 1) and done < len(pairs):
                    some = pairs[done : done + self._next(len(pairs) - done)]
                    done += len(some)
                    texts = [headline.text for headline, _ in some]
                    begun.append((some, time.perf_counter(), model.submit(self._embed, texts)))
                some, since, vectors = begun.popleft()
                try:
                    rows = self._rows([headline for headline, _ in some], since, vectors, stories, tally)
                except EmbedderError as error:
                    settle()
                    refused.extend(self._halve(some, error, stories, tally))
                    continue
                self._show_up_in_time()  # in between, since a model may be slow
                settle()
                kept = [place for place, (_, record) in enumerate(some) if self.handover.has(record)]
                tally.read -= len(some) - len(kept)  # the new owner reads them, and a run may have labelled them since
                some, rows = [some[place] for place in kept], [rows[place] for place in kept]
                self.tried.update(headline.id for headline, _ in some)
                sent = some, background.submit(self._insert, rows)
            settle()
        return refused

    def _embed(self, texts: Sequence[str]) -> tuple[Vectors, float]:
        """Their vectors, and when they were done."""
        return self.embedder.encode(texts), time.perf_counter()

    def _rows(
        self,
        headlines: Sequence[Headline],
        since: float,
        embedding: Future[tuple[Vectors, float]],
        stories: OpenStories,
        tally: Tally,
    ) -> list[HeadlineRow]:
        """Waits for the vectors that have been asked for since then, and labels them provisionally."""
        started = time.perf_counter()
        vectors, finished = embedding.result()
        embedded = time.perf_counter()
        self._resize(len(headlines), finished - max(since, self.embedded_at))
        self.embedded_at = finished
        labels, probabilities = assign(vectors, [headline.language for headline in headlines], stories)
        readable, strange = unreadable_scripts([headline.title for headline in headlines], self.embedder.card)
        labels[~readable], probabilities[~readable] = -1, 0  # the vector says nothing but that it is unreadable
        self._warn_of_scripts(strange)
        tally.unreadable += strange.total()
        tally.took(embed=embedded - started, assign=time.perf_counter() - embedded)
        now = int(time.time() * 1000)
        return [
            HeadlineRow(headline, vector, now, int(label), float(probability))
            for headline, vector, label, probability in zip(headlines, vectors, labels, probabilities, strict=True)
        ]

    def _next(self, left: int) -> int:
        """How many headlines of those left are embedded together: ever fewer at the end, for which nothing runs beside."""
        return min(self.piece, max(left // 2, self.piece // _PIECES, _FIRST_PIECE))

    def _resize(self, headlines: int, seconds: float) -> None:
        """Doubles or halves the pieces to come, by what a whole one took the model."""
        short, long = _PIECE_SECONDS
        self.fast = _AHEAD * seconds < long  # what it is at together takes no longer than one piece may
        if seconds > long:
            self.piece = max(1, headlines // 2)
        elif headlines == self.piece and seconds < short:
            self.piece = min(2 * self.piece, max(self.piece, self.settings.consumer.batch_size // _PIECES))

    def _insert(self, rows: Sequence[HeadlineRow]) -> int:
        """Writes rows, and tells how many have a story's label."""
        self.store.insert_headlines(rows)
        return sum(row.cluster_label >= 0 for row in rows)

    def _inserted(self, pairs: Pairs, insert: Future[int], stories: OpenStories, tally: Tally) -> Refused:
        """Waits until Milvus has written these headlines, or has refused one of them."""
        started = time.perf_counter()
        try:
            tally.provisional += insert.result()
        except (StoreLimit, StoreRefused) as error:
            return self._halve(pairs, error, stories, tally)
        tally.stored += len(pairs)
        tally.took(insert=time.perf_counter() - started)
        return []

    def _halve(self, pairs: Pairs, error: NewstideError, stories: OpenStories, tally: Tally) -> Refused:
        """Tries again what was refused together, half by half, until the one bad headline is found."""
        if len(pairs) == 1:
            if isinstance(error, EmbedderError):
                self.embedder.encode([_HARMLESS])  # raises where it is the model that fails, and not this headline
            return [(pairs[0][1], str(error))]
        middle = len(pairs) // 2
        halves = (pairs[:middle], pairs[middle:])
        return [refused for half in halves for refused in self._embed_and_insert(half, stories, tally)]

    def _dead_letter(self, refused: Sequence[tuple[Any, str]]) -> None:
        """Returns once Kafka has acknowledged the letters."""
        for record, reason in refused:
            send_dead_letter(self.sender, self.settings.kafka.dead_letter_topic, record, reason)
            log.warning("dead letter", partition=record.partition, offset=record.offset, reason=reason)
            self._show_up_in_time()
        while not self.sender.settled(0.5):
            self._show_up_in_time()
        self.sender.flush()

    def _stories(self) -> OpenStories:
        """The open stories of the last finished run, looked up again when a newer one has finished."""
        now = time.monotonic()
        if self.stories is None or now - self.stories_checked > _STORIES_EVERY:
            self.stories_checked = now
            last = self.store.last_run()
            run = 0 if last is None else last.run
            if run != self.stories_run and (found := OpenStories.load(self.store)) is not None:
                self.stories, self.stories_run = found, run
            self.stories = self.stories or OpenStories.none(self.store.dim)
        return self.stories

    def _warn_of_scripts(self, strange: Counter[str]) -> None:
        for script, count in strange.items():
            if script not in self.strange_scripts:
                self.strange_scripts.add(script)
                log.warning(
                    "the model cannot read this script; such headlines are stored, and join no story",
                    script=script_name(script),
                    headlines=count,
                    model=self.embedder.card.name,
                    way_out="`newstide doctor` says which model can",
                )

    def _warn_of_languages(self, headlines: Sequence[Headline]) -> None:
        strange = unknown_languages(self.embedder, [headline.language for headline in headlines])
        for language, count in strange.items():
            if language not in self.strange_languages:
                self.strange_languages.add(language)
                log.warning(
                    "the model was not trained on this language; embedded all the same",
                    language=language,
                    headlines=count,
                    model=self.embedder.card.name,
                )


def _caught_up(consumer: KafkaConsumer) -> bool:
    assignment = consumer.assignment()
    if not assignment:
        return False
    try:
        ends = consumer.end_offsets(list(assignment))
        return all(consumer.position(partition) >= end for partition, end in ends.items())
    except KafkaError:  # it is away: the next poll tells
        return False


def _say_once(state: RetryCallState) -> None:
    error = None if state.outcome is None else state.outcome.exception()
    if state.attempt_number == 1 and error is not None:
        log.warning(next(words for kind, words in _WAITS.items() if isinstance(error, kind)), reason=str(error))
