"""`newstide watch`: reads the events of stories, writes what they say to whom into the outbox, and has it delivered."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from newstide.core import logs
from newstide.core.errors import NewstideError, NoEvent, SettingsError, Unavailable
from newstide.core.local_server import locked
from newstide.core.retry import once_there
from newstide.core.settings import KafkaSettings, Settings
from newstide.kafka.client import admin_client
from newstide.kafka.consumer import make_consumer
from newstide.kafka.lag import committed_offsets, partitions_of
from newstide.kafka.topics import ensure_topics
from newstide_app.services.metrics import WatchMetrics
from newstide_app.services.monitoring import Monitor, monitored
from newstide_app.watch.delivery import Deliveries
from newstide_app.watch.events import StoryEvent, read_event
from newstide_app.watch.matching import Watch
from newstide_app.watch.meaning import Meanings
from newstide_app.watch.outbox import Outbox, outbox_file
from newstide_app.watch.targets import targets_of

_POLL_MS = 200
_CLOSE_WITHIN = 3.0  # seconds for the deliveries at hand
_COUNT_EVERY = 5.0  # seconds between two looks at how targets fare
_TIDY_EVERY = 3600.0  # seconds

log = logs.get("watch")


def run_watch(settings: Settings, *, stop: Event) -> None:
    """`newstide watch`, until `stop` is set.

    Raises:
        SettingsError: No watch is set, or one of them cannot be used.
    """
    watches = watches_of(settings)
    with monitored("watch", settings, asks=["kafka"]) as monitor, ExitStack() as closing:
        closing.enter_context(_alone(settings.data_dir))
        targets = targets_of(settings, closing)
        outbox = Outbox(outbox_file(settings.data_dir), settings.watching.queue)
        closing.callback(outbox.close)
        consumer = once_there(lambda: _consumer(settings.kafka), stop, "watch")
        if consumer is None:
            return
        closing.callback(consumer.close, autocommit=False, timeout_ms=int(_CLOSE_WITHIN * 1000))
        metrics = WatchMetrics(monitor.registry)
        if dropped := outbox.forget(list(targets), time.time()):
            log.warning("dropped what waited for targets that are in the settings no more", messages=dropped)
        deliveries = Deliveries(
            outbox, targets, settings.watching.longest_wait.total_seconds(), metrics.tried
        )  # fmt: skip
        deliveries.start()
        closing.callback(deliveries.stop, _CLOSE_WITHIN)
        log.info("watching", watches=len(watches), targets=len(targets), topic=settings.kafka.events_topic)
        _Loop(settings, watches, outbox, consumer, deliveries, metrics).turn_until(stop, monitor)
    log.info("stopped")


def watches_of(settings: Settings) -> list[Watch]:
    """The watches of the settings, ready to be asked.

    Raises:
        SettingsError: There is none, or the words of one cannot be read.
    """
    if not settings.watch:
        raise SettingsError(
            "No watch is set.", "Write a [[watch]] table into newstide.toml; docs/watches.md shows how."
        )
    return [Watch(one) for one in settings.watch]


def meanings_of(settings: Settings) -> Meanings | None:
    """The sentences of the watches that have one; None where none has."""
    sentences = {watch.name: watch.meaning for watch in settings.watch if watch.meaning is not None}
    return Meanings(settings, sentences) if sentences else None


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Holds the outbox for this process: two would tell everything twice."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / ".watch.lock").open("a+") as lock:
        if not locked(lock, 1.0):
            raise NewstideError(
                f"`newstide watch` runs on {data_dir} already.", "Stop it, or choose another folder with --data-dir."
            )
        yield


class _Loop:
    """Reads events and commits their offsets once the outbox has what they say."""

    def __init__(
        self,
        settings: Settings,
        watches: Sequence[Watch],
        outbox: Outbox,
        consumer: KafkaConsumer,
        deliveries: Deliveries,
        metrics: WatchMetrics,
    ) -> None:
        self._watches = watches
        self._outbox = outbox
        self._consumer = consumer
        self._deliveries = deliveries
        self._metrics = metrics
        self._topic = settings.kafka.events_topic
        self._meanings = meanings_of(settings)
        self._targets = [name for watch in settings.watch for name in watch.target_names]
        self._counted_at = self._tidied_at = time.monotonic()

    def turn_until(self, stop: Event, monitor: Monitor) -> None:
        """Turns until `stop` is set."""
        self._count()
        while not stop.is_set():
            polled = self._consumer.poll(timeout_ms=_POLL_MS)
            monitor.beat()
            records = [record for some in polled.values() for record in some]
            if records:
                events = self._read(records)
                if once_there(partial(self._queue, events), stop, "watch") is None:
                    return  # nothing of it is committed: it is read again
                self._deliveries.wake()
                self._commit(polled)
            self._release()
            if time.monotonic() - self._counted_at > _COUNT_EVERY or records:
                self._count()

    def _read(self, records: Sequence[Any]) -> list[StoryEvent]:
        events = []
        for record in records:
            try:
                events.append(read_event(record.value))
            except NoEvent as error:
                self._metrics.unreadable()
                log.warning(
                    "a message is no event, and is passed over",
                    partition=record.partition,
                    offset=record.offset,
                    reason=error.message,
                )
        self._metrics.read(len(events), sum(bool(event.quiet) for event in events))
        return events

    def _queue(self, events: Sequence[StoryEvent]) -> int:
        """Writes the alerts of these events in one step; how many."""
        found = [(watch, watch.matching(events, self._meanings)) for watch in self._watches]
        now = time.time()
        outcomes: list[tuple[str, str]] = []
        with self._outbox.writing():
            for watch, some in found:
                wanted = watch.settings
                outcomes += [
                    (watch.name, self._outbox.add(event, watch.name, wanted.target_names, wanted.most_an_hour, now))
                    for event in some
                ]
        for name, outcome in outcomes:
            self._metrics.matched(name, outcome)
        return len(outcomes)

    def _commit(self, polled: Any) -> None:
        offsets = {
            partition: OffsetAndMetadata(records[-1].offset + 1, "", -1) for partition, records in polled.items()
        }
        try:
            self._consumer.commit(offsets)
        except KafkaError as error:  # they are read again, and found in the outbox
            log.warning("Kafka did not take the offsets", reason=type(error).__name__)

    def _release(self) -> None:
        for watch in self._watches:
            if released := self._outbox.release(watch.name, watch.settings.most_an_hour, time.time()):
                log.info("what was held back goes as one digest", watch=watch.name, alerts=released)
                self._deliveries.wake()

    def _count(self) -> None:
        self._counted_at = time.monotonic()
        self._metrics.targets(self._outbox.states(self._targets))
        if self._counted_at - self._tidied_at > _TIDY_EVERY:
            self._tidied_at = self._counted_at
            self._outbox.forget(self._targets, time.time())
            self._follow_partitions()

    def _follow_partitions(self) -> None:
        """Reads partitions too that the topic was given meanwhile."""
        topic = self._topic
        there = {TopicPartition(topic, number) for number in self._consumer.partitions_for_topic(topic) or ()}
        if there - self._consumer.assignment():
            self._consumer.assign(sorted(there))


def watch_group(settings: KafkaSettings) -> str:
    """The consumer group whose offsets say how far the service has come."""
    return f"{settings.group}-watch"


def _consumer(settings: KafkaSettings) -> KafkaConsumer:
    """A consumer of all partitions; where nothing was ever read, it begins with what happens from now on.

    The group is no more than the name of the offsets: a member that was killed would keep its partitions for seconds.
    """
    ensure_topics(settings, timeout=1.0)
    group = watch_group(settings)
    with admin_client(settings, 1.0) as admin:
        partitions = partitions_of(admin, settings.events_topic)
        found = committed_offsets(admin, group, partitions)
    consumer = make_consumer(settings, [], group=group)
    try:
        consumer.assign(partitions)
        if not any(int(entry.offset) >= 0 for entry in found.values()):
            ends = consumer.end_offsets(partitions)
            consumer.commit({partition: OffsetAndMetadata(end, "", -1) for partition, end in ends.items()})
            log.info("nothing was read before: watches begin with what happens from now on")
    except KafkaError as error:
        consumer.close(autocommit=False)
        raise Unavailable(f"Kafka does not take the first offsets of watches: {type(error).__name__}.") from None
    return consumer
