"""The loop from topic to Milvus: poll, decode, embed, label provisionally, insert, then commit, batch by batch.

An offset is committed only after Milvus has acknowledged the row or Kafka the dead letter, and only new ids are written:
whatever is killed and read again, every headline ends up in Milvus once. No offset is committed for a row that was
written to collections which readers do not use any more.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_when_event_set, wait_exponential_jitter

from consumers.dead_letters import Letter, letter_of, send_dead_letter
from consumers.group import Handover, Membership, Stopped
from consumers.messages import Item, MessageReader
from consumers.partitions import Partitions
from consumers.pieces import AHEAD
from consumers.read_batch import BatchReader
from consumers.stories_in_use import StoriesInUse
from consumers.tally import Tally
from consumers.write import Outcome, Settled, Writer, chunks_of
from newstide.core import logs
from newstide.core.errors import DeliveryError, EmbedderError, NewstideError, StoreRefused, StoreUnavailable
from newstide.core.settings import Settings
from newstide.embedding import Embedder
from newstide.kafka import patches
from newstide.kafka.producer import Sender
from newstide.milvus import Store

# The errors after which a batch is tried again, for as long as it takes: what it waits for, and what the log says once.
_WAITS: dict[type[NewstideError], tuple[str, str]] = {
    StoreUnavailable: ("Milvus", "Milvus is away; waiting for it"),
    DeliveryError: ("Kafka", "Kafka takes no dead letters; waiting for it"),
    EmbedderError: ("the model", "the model fails on every text; trying again"),
    StoreRefused: ("Milvus", "Milvus refuses the requests of every batch; trying again"),
}

log = logs.get("consumer")


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
    """Runs the loop until `stop` is set, or with `drain` until every partition is read to its end.

    Args:
        consumer: A member of the group (`join_group`), not committing by itself.
        sender: Sends dead letters.
        store: A store that was opened with the embedder's card.
        embedder: The model.
        settings: Batch size, waiting times, topics.
        stop: Ends the loop: what the model has begun is written, and all that is written is committed.
        drain: Whether to end once everything is read, apart from batches that cannot be read.
        on_beat: Is called again and again, also while a batch waits for Milvus, as a sign that the service is alive.

    Returns:
        The counts of all messages read and of their headlines.

    Raises:
        ModelMismatch: Readers now use another model's collections.
    """
    tally = Tally()
    handover = Handover(consumer, settings.kafka.topic)
    partitions = Partitions(consumer, handover, settings.kafka, tally)
    membership = Membership(
        consumer, handover, settings.kafka, stop, on_beat=lambda: on_beat(tally), on_new=partitions.let_in
    )
    batches = BatchReader(
        membership, handover, settings.consumer, stop, at_end=lambda: drain and _caught_up(consumer, handover)
    )
    with (
        ThreadPoolExecutor(1, "insert") as inserting,
        ThreadPoolExecutor(AHEAD, "embed") as embedding,
        ThreadPoolExecutor(1, "open stories") as reading,
    ):
        writer = Writer(
            store,
            embedder,
            settings.consumer.batch_size,
            embedding,
            inserting,
            StoriesInUse(store, reading),
            stay=membership.stay,
            has=handover.has,
            stopping=stop.is_set,
        )
        work = _Work(membership, handover, sender, store, writer, settings, tally, stop)
        while not stop.is_set():
            started = time.perf_counter()
            records = batches.read()
            polled = time.perf_counter()
            if records and work.finish(records):
                finished = time.perf_counter()
                handover.commit()
                tally.took(poll=polled - started, commit=time.perf_counter() - finished)
            elif not records:
                handover.catch_up()
            partitions.look()
            on_beat(tally)
            if drain and not records and _caught_up(consumer, handover):
                handover.commit()
                break
    return tally


@dataclass
class _Fate:
    """The outcomes of a record's items."""

    items: int = 0  # those read so far
    read: bool = False  # whether all of them are read
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    refused: list[tuple[int, Any, str]] = field(default_factory=list)  # place, element, reason

    @property
    def done(self) -> bool:
        """Whether each item has its outcome."""
        return self.read and self.outcomes.total() == self.items


@dataclass(frozen=True, slots=True)
class _Work:
    """The work on one batch: to store it, and to try again while Milvus or Kafka is away."""

    membership: Membership
    handover: Handover
    sender: Sender
    store: Store
    writer: Writer
    settings: Settings
    tally: Tally
    stop: Event
    lines: logs.OnceAMinute = field(default_factory=logs.OnceAMinute)

    def finish(self, records: Sequence[Any]) -> bool:
        """Stores a batch; waits, without leaving the group, while Milvus is away or Kafka takes no dead letter.

        Returns:
            Whether the batch is stored, or the part of it that a stop left time for: the records after that part are put
            back. False where nothing may be committed.
        """
        self.writer.begin()
        retrying = Retrying(
            retry=retry_if_exception_type(tuple(_WAITS)),
            wait=wait_exponential_jitter(initial=0.5, max=30),
            stop=stop_when_event_set(self.stop),
            sleep=self.membership.wait,
            before_sleep=self._say_once,
            reraise=True,
        )
        try:
            for attempt in retrying:
                with attempt:
                    try:
                        self._store(self.handover.ours(records))
                    except StoreRefused:
                        self.store.require_in_use()  # removed collections refuse every request
                        raise
        except tuple(_WAITS):
            return False
        except Stopped:
            log.info("stopped before the current batch was written; it will be read again", messages=len(records))
            return False
        finally:
            self.tally.waits = None
            self.membership.read_on()
        if (attempts := retrying.statistics.get("attempt_number", 1)) > 1:
            log.info("the batch is written; going on", attempts=attempts)
        return True

    def _store(self, records: Sequence[Any]) -> None:
        """Writes the headlines of records, batch by batch, then sends the dead letters of refused items."""
        tally = Tally()
        self.writer.again()
        fates = {id(record): _Fate() for record in records}
        reader = MessageReader(self.settings.consumer, self.settings.limits)
        items = _timed(self._items(reader, records, fates), tally)
        for some in chunks_of(items, self.settings.consumer.batch_size):
            for settled in self.writer.write(some, tally):
                _note(fates[id(settled.item.record)], settled, tally)
        undone = _from_the_first_undone(records, fates)
        for record in undone:
            fates[id(record)].outcomes[Outcome.LEFT] += 1
        letters = [letter for record in records if (letter := _counted(record, fates[id(record)], tally)) is not None]
        # Checked last: rows written before readers change to other collections are copied to those collections.
        self.store.require_in_use()
        self._send(letters)  # sent last, so that a batch that is tried again sends no letter twice
        self.tally.add(tally)
        if undone:
            self.handover.leave(undone)
            log.info("stopped within a batch; the rest of it will be read again", messages=len(undone))

    def _items(self, reader: MessageReader, records: Sequence[Any], fates: dict[int, _Fate]) -> Iterator[Item]:
        """The items of records, until the loop is told to stop."""
        now = int(time.time() * 1000)
        for record in records:
            self.membership.stay()
            if self.stop.is_set():
                return
            fate = fates[id(record)]
            for item in reader.items(record, now):
                fate.items += 1
                yield item
            fate.read = True

    def _send(self, letters: Sequence[Letter]) -> None:
        """Returns once Kafka has acknowledged the letters."""
        for letter in letters:
            send_dead_letter(self.sender, self.settings.kafka.dead_letter_topic, letter)
            record = letter.record
            if (left_out := self.lines.left_out(logs.kind_of(letter.reason))) is not None:
                more = {"more_since_the_last_line": left_out} if left_out else {}
                log.warning(
                    "dead letter", partition=record.partition, offset=record.offset, reason=letter.reason, **more
                )
            self.membership.stay()
        while not self.sender.settled(0.5):
            self.membership.stay()
        self.sender.flush()

    def _say_once(self, state: RetryCallState) -> None:
        error = None if state.outcome is None else state.outcome.exception()
        what, words = next(told for kind, told in _WAITS.items() if isinstance(error, kind))
        self.tally.waits = what, str(error)
        if state.attempt_number == 1:
            log.warning(words, reason=str(error))


def _timed(items: Iterator[Item], tally: Tally) -> Iterator[Item]:
    """The items; the time that reading them takes is added to the tally."""
    while True:
        started = time.perf_counter()
        item = next(items, None)
        tally.took(decode=time.perf_counter() - started)
        if item is None:
            return
        yield item


def _from_the_first_undone(records: Sequence[Any], fates: Mapping[int, _Fate]) -> list[Any]:
    """The records that are read again: of each partition, the first that is not done and all after it."""
    stopped = set()
    again = []
    for record in records:
        if not fates[id(record)].done:
            stopped.add(record.partition)
        if record.partition in stopped:
            again.append(record)
    return again


def _note(fate: _Fate, settled: Settled, tally: Tally) -> None:
    item = settled.item
    fate.outcomes[settled.outcome] += 1
    if settled.outcome is Outcome.REFUSED:
        fate.refused.append((item.place, item.raw, settled.reason))
    if settled.outcome is not Outcome.LEFT:
        tally.ahead += item.ahead
        tally.unread.update(item.unread)
        tally.unknown.update(item.unknown)


def _counted(record: Any, fate: _Fate, tally: Tally) -> Letter | None:
    """Counts a record and its items; returns the dead letter of refused items, if any.

    Of a record that is read again, only what was written counts, which is then a duplicate.
    """
    outcomes = fate.outcomes
    taken = outcomes.total() - outcomes[Outcome.REFUSED]
    again = bool(outcomes[Outcome.LEFT])
    whole = bool(fate.refused) and not taken
    if not again:
        tally.messages += 1
        tally.tombstones += not outcomes
        tally.dead_letters += whole
        tally.read += taken > 0
    for outcome in (Outcome.STORED, Outcome.DUPLICATE, Outcome.EDIT, Outcome.TAKEN_DOWN):
        setattr(tally, outcome.value, getattr(tally, outcome.value) + outcomes[outcome])
        tally.headlines += outcomes[outcome]
    if not whole and not again:
        tally.refused += len(fate.refused)
        tally.headlines += len(fate.refused)
    return letter_of(record, fate.refused, whole=whole) if fate.refused and not again else None


def _caught_up(consumer: KafkaConsumer, handover: Handover) -> bool:
    assignment = consumer.assignment() - handover.new
    if not assignment or handover.new:
        return False
    waiting = {batch.partition for batch in patches.unreadable(consumer)}
    try:
        ends = consumer.end_offsets(list(assignment))
        return all(consumer.position(one) >= end for one, end in ends.items() if one not in waiting)
    except KafkaError:  # Kafka is away, which the next poll reports
        return False
