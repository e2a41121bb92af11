"""The loop from topic to Milvus: poll, decode, embed as a batch, label provisionally, insert, then commit.

An offset is committed only after Milvus has acknowledged its row or Kafka its dead letter, and only ids that are not
there yet are written: whatever dies and is replayed, every headline ends up in Milvus once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt
from kafka import KafkaConsumer
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter

from consumers.assignment import OpenStories, assign
from consumers.dead_letters import send_dead_letter
from consumers.group import Handover
from newstide import logs
from newstide.broker import Sender
from newstide.embedding import Embedder, unknown_languages
from newstide.errors import EmbedderError, InvalidHeadline, StoreLimit, StoreUnavailable
from newstide.headline import Headline, decode
from newstide.settings import Settings
from newstide.store import HeadlineRow, Store

_STORIES_EVERY = 2.0  # seconds between looks for a newer run's stories
_SHOW_UP_EVERY = 5.0  # seconds of work on one batch, after which the group is told that this member lives

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
    seconds: dict[str, float] = field(default_factory=dict)  # by stage

    def add(self, batch: "Tally") -> None:
        """Adds the counts of a batch that is done."""
        self.read += batch.read
        self.stored += batch.stored
        self.duplicates += batch.duplicates
        self.dead_letters += batch.dead_letters
        self.taken_down += batch.taken_down
        self.ahead += batch.ahead
        self.provisional += batch.provisional
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
        on_beat: Called after every poll: the service is alive.

    Returns:
        The counts of everything read.
    """
    tally = Tally()
    handover = Handover(consumer, settings.kafka.topic)
    batches = _Batches(consumer, handover, sender, store, embedder, settings, tally, stop)
    while not stop.is_set():
        started = time.perf_counter()
        records = _poll(consumer, handover, settings, stop)
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


@dataclass
class _Batches:
    """Carries one batch after another from records to acknowledged rows."""

    consumer: KafkaConsumer
    handover: Handover
    sender: Sender
    store: Store
    embedder: Embedder
    settings: Settings
    tally: Tally
    stop: Event
    stories: OpenStories | None = None
    stories_run: int = -1
    stories_checked: float = float("-inf")
    strange_languages: set[str] = field(default_factory=set)
    shown_up: float = 0.0  # when the group last heard from us

    def finish(self, records: Sequence[Any]) -> Sequence[Any]:
        """Stores a batch; while Milvus is away, waits without leaving the group.

        Returns:
            The records that are done with: none where this was stopped before, fewer where others' partitions moved.
        """
        self.shown_up = time.monotonic()
        retrying = Retrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_exponential_jitter(initial=0.5, max=30),
            stop=lambda _state: self.stop.is_set(),
            sleep=self._wait_in_group,
            before_sleep=_say_once("Milvus is away; waiting for it"),
            reraise=True,
        )
        try:
            for attempt in retrying:
                with attempt:
                    records = self.handover.ours(records)
                    self._store(records)
        except StoreUnavailable:
            return []
        finally:
            if paused := self.consumer.paused():
                self.consumer.resume(*paused)
        if (attempts := retrying.statistics.get("attempt_number", 1)) > 1:
            log.info("Milvus is back", attempts=attempts)
        return records

    def _wait_in_group(self, seconds: float) -> None:
        """Sleeps, polling paused partitions so that the group does not take this member for dead."""
        until = time.monotonic() + seconds
        while not self.stop.is_set() and (left := until - time.monotonic()) > 0:
            self._show_up(min(left, 0.5))

    def _show_up(self, seconds: float = 0.0) -> None:
        """Polls without reading any further: the batch at hand is all the work there is."""
        self.consumer.pause(*self.consumer.assignment())
        self.consumer.poll(timeout_ms=int(seconds * 1000))
        self.shown_up = time.monotonic()

    def _show_up_in_time(self) -> None:
        if time.monotonic() - self.shown_up > _SHOW_UP_EVERY:
            self._show_up()

    def _embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The texts' vectors; a slow model is asked for some of them at a time, to poll in between."""
        size = max(self.settings.embedding.batch_size, 1)
        parts = []
        for start in range(0, len(texts), size):
            parts.append(self.embedder.encode(texts[start : start + size]))
            self._show_up_in_time()
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _store(self, records: Sequence[Any]) -> None:
        started = time.perf_counter()
        headlines: dict[str, tuple[Headline, Any]] = {}
        tally = Tally(read=len(records))
        for record in records:
            try:
                decoded = self._decode(record)
            except InvalidHeadline as error:
                self._dead_letter(record, str(error), tally)
                continue
            tally.ahead += decoded.ahead
            if self.store.tombstones.blocks(decoded.headline):
                tally.taken_down += 1
            elif decoded.headline.id in headlines:
                tally.duplicates += 1
            else:
                headlines[decoded.headline.id] = (decoded.headline, record)
        decoded_at = time.perf_counter()
        known = self.store.known_ids(list(headlines)) if headlines else set()
        tally.duplicates += len(known)
        missing = [pair for id_, pair in headlines.items() if id_ not in known]
        tally.took(decode=decoded_at - started, look_up=time.perf_counter() - decoded_at)
        self._warn_of_languages([headline for headline, _ in missing])
        self._embed_and_insert(missing, tally)
        self.sender.flush()
        self.tally.add(tally)

    def _decode(self, record: Any) -> Any:
        limit = self.settings.consumer.max_message_bytes
        if record.value is not None and len(record.value) > limit:
            raise InvalidHeadline(f"The message has {len(record.value):,} bytes; {limit:,} are allowed.")
        return decode(record.value, record.timestamp)

    def _embed_and_insert(self, pairs: Sequence[tuple[Headline, Any]], tally: Tally) -> None:
        """Writes the headlines; a batch that is refused is halved until the one bad headline is found."""
        if not pairs:
            return
        try:
            started = time.perf_counter()
            headlines = [headline for headline, _ in pairs]
            vectors = self._embed([headline.text for headline in headlines])
            embedded_at = time.perf_counter()
            labels, probabilities = assign(vectors, [headline.language for headline in headlines], self._stories())
            assigned_at = time.perf_counter()
            now = int(time.time() * 1000)
            self.store.insert_headlines(
                [
                    HeadlineRow(headline, vector, now, int(label), float(probability))
                    for headline, vector, label, probability in zip(
                        headlines, vectors, labels, probabilities, strict=True
                    )
                ]
            )
            tally.stored += len(pairs)
            tally.provisional += int((labels >= 0).sum())
            tally.took(
                embed=embedded_at - started, assign=assigned_at - embedded_at, insert=time.perf_counter() - assigned_at
            )
        except (EmbedderError, StoreLimit) as error:
            if len(pairs) == 1:
                self._dead_letter(pairs[0][1], str(error), tally)
                return
            middle = len(pairs) // 2
            self._embed_and_insert(pairs[:middle], tally)
            self._embed_and_insert(pairs[middle:], tally)

    def _dead_letter(self, record: Any, reason: str, tally: Tally) -> None:
        send_dead_letter(self.sender, self.settings.kafka.dead_letter_topic, record, reason)
        tally.dead_letters += 1
        log.warning("dead letter", partition=record.partition, offset=record.offset, reason=reason)

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


def _poll(consumer: KafkaConsumer, handover: Handover, settings: Settings, stop: Event) -> list[Any]:
    """Up to a batch of records; waits at most `linger` for it to fill once the first has come."""
    size = settings.consumer.batch_size
    linger = settings.consumer.linger.total_seconds()
    records: list[Any] = []
    handover.begin()
    deadline = time.monotonic() + max(linger, 0.2)
    while len(records) < size and not stop.is_set():
        left = deadline - time.monotonic()
        polled = consumer.poll(timeout_ms=max(int(left * 1000), 0), max_records=size - len(records))
        if polled and not records:
            deadline = time.monotonic() + linger
        records.extend(record for partition in polled.values() for record in partition)
        if left <= 0:
            break
    return handover.ours(records)


def _caught_up(consumer: KafkaConsumer) -> bool:
    assignment = consumer.assignment()
    if not assignment:
        return False
    ends = consumer.end_offsets(list(assignment))
    return all(consumer.position(partition) >= end for partition, end in ends.items())


def _say_once(event: str) -> Callable[[RetryCallState], None]:
    def say(state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome is not None:
            log.warning(event, reason=str(state.outcome.exception()))

    return say
