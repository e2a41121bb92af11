"""Membership in the consumer group, and the handover of partitions between its members.

With Kafka's cooperative protocol (KIP-429) a member goes on reading the partitions that it keeps. When a partition is
taken away, the member commits the offsets of its written records, and drops its records that are not written yet, since
the new owner reads them. The new owner may be the same member, within one poll: then records read before are dropped all
the same, and records read since are kept.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from threading import Event
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import CommitFailedError, KafkaError, RebalanceInProgressError
from kafka.structs import OffsetAndMetadata

from newstide.core import logs
from newstide.core.settings import KafkaSettings
from newstide.kafka import patches
from newstide.kafka.client import unavailable
from newstide.kafka.consumer import make_consumer

_AGAIN_AFTER = 2.0  # seconds between two attempts to commit, while nothing new is read
_COMMIT_WITHIN = 3.0  # seconds for Kafka to take a commit
_SILENCE = 3.0  # seconds without a broker before the log says so
_FINISH_WITHIN = 3.0  # seconds that a begun piece and dead letters have, once the loop is told to stop
_SHOW_UP_EVERY = 5.0  # seconds of work on one batch after which a poll tells the group that this member lives

log = logs.get("consumer")


def join_group(settings: KafkaSettings, **options: Any) -> KafkaConsumer:
    """A member of the group that reads the topic of headlines; `options` of kafka-python's client win over ours."""
    ours = {
        "partition_assignment_strategy": [CooperativeStickyAssignor],
        "isolation_level": "read_committed",  # messages of an aborted transaction are not read
        # How long a killed member's partitions lie idle. The client's own thread sends the heartbeats.
        "session_timeout_ms": 10_000,
        "heartbeat_interval_ms": 3_000,
        "metadata_max_age_ms": 15_000,  # within this time a new partition is noticed, and then read after a join
    }
    return make_consumer(settings, [settings.topic], group=settings.group, **{**ours, **options})


class Stopped(Exception):
    """No time is left for the current batch; the next owner of its partitions reads it again."""


class Contact:
    """Logs once that Kafka is away, and once that Kafka is back."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._missed_since: float | None = None
        self._said = False

    def look(self, error: KafkaError | None = None) -> None:
        """Notes the outcome of a poll: `error`, or None where the poll succeeded."""
        if error is None and patches.knows_coordinator(self._consumer):
            if self._said:
                log.info("Kafka is back", away_seconds=round(time.monotonic() - (self._missed_since or 0.0), 1))
            self._missed_since, self._said = None, False
            return
        now = time.monotonic()
        if self._missed_since is None:
            self._missed_since = now
        if not self._said and now - self._missed_since > _SILENCE:
            self._said = True
            log.warning("Kafka is away; waiting for it", reason="no broker answers" if error is None else str(error))


class Handover(ConsumerRebalanceListener):  # type: ignore[misc]
    """Keeps the offsets of written records, and the partitions that were taken away.

    The client calls the callbacks within a poll: they take notes and send commits, and never wait.

    Args:
        consumer: A consumer that `join_group` made.
        topic: The topic that the consumer reads.
    """

    def __init__(self, consumer: KafkaConsumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic
        self._done: dict[TopicPartition, OffsetAndMetadata] = {}  # the offset before which all is written
        self._committed: dict[TopicPartition, int] = {}
        self._gone: set[TopicPartition] = (
            set()
        )  # partitions taken away since `begin`, whether they have come back or not
        self._away: set[TopicPartition] = set()  # partitions taken away that have not come back
        self._tried_at: float | None = None  # when the last commit was tried
        self._failing = False
        self.new: set[TopicPartition] = set()  # assigned partitions that have not been looked at: they are paused
        consumer.subscribe([topic], listener=self)

    def begin(self) -> None:
        """Starts a new batch: partitions that were taken away earlier do not concern it."""
        self._gone = set()

    def ours(self, records: Sequence[Any]) -> list[Any]:
        """The records of partitions that have not been taken away since `begin`, even if they have come back."""
        return [record for record in records if self.has(record)]

    def has(self, record: Any) -> bool:
        """Whether the record's partition has not been taken away since `begin`, even if it has come back."""
        return TopicPartition(record.topic, record.partition) not in self._gone

    def put_back(self, polled: Mapping[TopicPartition, Sequence[Any]]) -> None:
        """Records that a poll has just returned and that are not wanted yet are read again later."""
        for partition, records in polled.items():
            if partition in self._consumer.assignment():
                self._consumer.seek(partition, records[0].offset)

    def leave(self, records: Sequence[Any]) -> None:
        """Puts records of the current batch back that are not written, so that no commit passes them."""
        first: dict[TopicPartition, list[Any]] = {}
        for record in self.ours(records):
            first.setdefault(TopicPartition(record.topic, record.partition), [record])
        self.put_back(first)

    def commit(self) -> None:
        """Commits the client's positions: all records before them are written. Positions may lie behind markers."""
        ours = (
            self._consumer.assignment() - self._gone - self._away - self.new
        )  # commits must not set another member's offset back
        positions = patches.positions(self._consumer)
        self._done = {partition: positions[partition] for partition in ours if partition in positions}
        offsets = {one: self._noted(at) for one, at in self._done.items() if self._committed.get(one) != at.offset}
        if not offsets:
            return
        for one, at in offsets.items():
            self.stands_at(one, at.offset)
        self._tried_at = time.monotonic()
        try:
            self._consumer.commit(offsets, timeout_ms=int(_COMMIT_WITHIN * 1000))
        except (CommitFailedError, RebalanceInProgressError) as error:
            # Another member may own the partitions now: it reads these messages again, and finds their ids in Milvus.
            log.info("the group was rebalanced before a commit; nothing is lost", reason=str(error))
        except KafkaError as error:
            if not self._failing:
                log.warning("offsets could not be committed; trying again", reason=str(error))
            self._failing = True
        else:
            self._committed.update({one: at.offset for one, at in offsets.items()})
            self._failing = False

    def catch_up(self) -> None:
        """Tries again, now and then, to commit what is not committed yet; called while nothing new is read."""
        if self._tried_at is None or time.monotonic() - self._tried_at > _AGAIN_AFTER:
            self.commit()

    def starts_at(self, partition: TopicPartition, offset: int) -> None:
        """Notes the group's offset in a partition that has just been assigned."""
        self._committed[partition] = offset

    def stands_at(self, partition: TopicPartition, offset: int) -> None:
        """Takes note of where a partition is read: before what is committed, the client has found that its log was cut."""
        if (before := self._committed.get(partition, -1)) > offset:
            self.was_cut(partition, before)

    def was_cut(self, partition: TopicPartition, read_to: int) -> None:
        """Tells that Kafka's log was cut: what was read beyond its end is in Milvus, and what comes next is read."""
        self._committed[partition] = -1  # so that the next commit takes the group's offset back
        log.warning("Kafka has fewer messages than were read", partition=partition.partition, read_to=read_to)

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Commits the written records of these partitions before another member gets them."""
        self._forget(revoked, commit=True)

    def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        """Forgets these partitions without a commit, since another member owns them already."""
        self._forget(lost, commit=False)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Pauses these partitions; once `Partitions.let_in` has looked at them, reading begins at their last commit."""
        log.info("reading", partitions=sorted(partition.partition for partition in assigned))
        self.new |= set(assigned)
        self._away -= set(assigned)
        self._consumer.pause(*assigned)

    def _forget(self, partitions: Collection[TopicPartition], *, commit: bool) -> None:
        self._gone = self._gone | set(partitions)
        self._away |= set(partitions)
        self.new -= set(partitions)
        done = {one: self._done.pop(one) for one in partitions if one in self._done}
        left = {one: self._noted(at) for one, at in done.items() if self._committed.get(one) != at.offset}
        for one in partitions:
            self._committed.pop(one, None)
        if commit and left:
            self._consumer.commit_async(left)

    def _noted(self, at: OffsetAndMetadata) -> OffsetAndMetadata:
        """The offset with the topic's id, since offsets mean nothing in another topic of the same name.

        Its leader epoch shows a later member whether Kafka's log was cut meanwhile (`Partitions.let_in`).
        """
        id_ = patches.topic_id(self._consumer, self._topic)
        return OffsetAndMetadata(at.offset, "" if id_ is None else json.dumps({"topic": str(id_)}), at.leader_epoch)


class Membership:
    """Keeps the membership in the group while a batch is being worked on.

    Args:
        consumer: A member of the group.
        handover: The listener of that member.
        settings: Kafka's settings, for errors.
        stop: Ends all waiting when it is set.
        on_beat: Is called again and again, as a sign that the service is alive.
        on_new: Looks at newly assigned partitions, and lets them be read.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        handover: Handover,
        settings: KafkaSettings,
        stop: Event,
        *,
        on_beat: Callable[[], None],
        on_new: Callable[[], None],
    ) -> None:
        self._consumer = consumer
        self._handover = handover
        self._settings = settings
        self._stop = stop
        self._on_beat = on_beat
        self._on_new = on_new
        self._contact = Contact(consumer)
        self._shown_up = time.monotonic()  # when this member last polled
        self._stopped_at: float | None = None  # when this member noticed that `stop` is set

    def poll(self, seconds: float, most: int | None = None) -> Mapping[TopicPartition, Sequence[Any]]:
        """The records that the client has read; an empty mapping while Kafka is away.

        Raises:
            BrokerUnavailable: Kafka refuses.
        """
        try:
            if self._handover.new:
                self._on_new()
            polled: dict[TopicPartition, list[Any]] = self._consumer.poll(int(seconds * 1000), max_records=most)
        except KafkaError as error:
            explained = unavailable(self._settings, error)
            if not explained.passing:
                raise explained from None
            self._contact.look(error)
            self._stop.wait(max(seconds, 0.2))  # a poll may fail at once
            return {}
        self._contact.look()
        for partition, records in polled.items():
            self._handover.stands_at(partition, records[0].offset)
        self._shown_up = time.monotonic()
        return polled

    def wait(self, seconds: float) -> None:
        """Sleeps, polling paused partitions so that the group does not take this member for dead."""
        until = time.monotonic() + seconds
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            self._show_up(min(left, 0.5))

    def stay(self) -> None:
        """Keeps the membership; is called between two pieces of work on a batch.

        Raises:
            Stopped: The loop was told to stop, and the time to finish what was begun is over.
        """
        if self._stop.is_set():
            self._stopped_at = self._stopped_at or time.monotonic()
            if time.monotonic() - self._stopped_at > _FINISH_WITHIN:
                raise Stopped
        if time.monotonic() - self._shown_up > _SHOW_UP_EVERY:
            self._show_up()

    def read_on(self) -> None:
        """Lets the client read again, except from partitions that have not been looked at."""
        if paused := self._consumer.paused() - self._handover.new:
            self._consumer.resume(*paused)

    def _show_up(self, seconds: float = 0.0) -> None:
        """Polls without reading further records, since the current batch is not done."""
        self._consumer.pause(*self._consumer.assignment())
        self._handover.put_back(self.poll(seconds))  # records of partitions that have just been assigned
        self._on_beat()
