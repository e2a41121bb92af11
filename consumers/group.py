"""Membership in the consumer group: partitions move one by one, and what they leave behind is handed over.

With Kafka's cooperative protocol (KIP-429) a member keeps reading what it keeps. A partition that is taken away from it
takes along its offsets that are not committed yet; its records that are not written yet are dropped here, since the new
owner reads them. That owner may be this member itself, within the same poll: what was read before is dropped all the
same, and what was read since is kept.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import CommitFailedError, KafkaError, RebalanceInProgressError
from kafka.structs import OffsetAndMetadata

from newstide.core import logs
from newstide.core.settings import KafkaSettings
from newstide.kafka import patches
from newstide.kafka.consumer import make_consumer

_AGAIN_AFTER = 2.0  # seconds from a failed commit to the next try, while nothing new is read
_COMMIT_WITHIN = 3.0  # seconds for Kafka to take a commit
_SILENCE = 3.0  # seconds without a broker before the log says so

log = logs.get("consumer")


def join_group(settings: KafkaSettings, **options: Any) -> KafkaConsumer:
    """A member of the group that reads the topic of headlines; `options` of kafka-python's client win over ours."""
    ours = {
        "partition_assignment_strategy": [CooperativeStickyAssignor],
        # How long the partitions of one that was killed lie idle. Heartbeats come from the client's own thread.
        "session_timeout_ms": 10_000,
        "heartbeat_interval_ms": 3_000,
    }
    return make_consumer(settings, [settings.topic], group=settings.group, **{**ours, **options})


class Contact:
    """Says once that Kafka is away, and once that it is back."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._missed_since: float | None = None
        self._said = False

    def look(self, error: KafkaError | None = None) -> None:
        """Called after every poll, with the error if it failed."""
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
    """Offsets of what is written, and partitions that were taken away.

    The callbacks run on the client's own loop: they note and send, and never wait.

    Args:
        consumer: Subscribed by `join_group`.
        topic: The topic it is subscribed to.
    """

    def __init__(self, consumer: KafkaConsumer, topic: str) -> None:
        self._consumer = consumer
        self._written: dict[TopicPartition, OffsetAndMetadata] = {}
        self._gone: set[TopicPartition] = set()
        self._failed_at: float | None = None  # when a commit failed, as long as none has come through since
        consumer.subscribe([topic], listener=self)

    def begin(self) -> None:
        """What is read from now on is ours: what was taken away before has nothing to do with it."""
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

    def commit(self, records: Sequence[Any]) -> None:
        """Commits the offsets of records that are written, and of earlier ones whose commit failed."""
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            if partition not in self._written or self._written[partition].offset <= record.offset:
                self._written[partition] = OffsetAndMetadata(record.offset + 1, "", -1)
        ours = self._consumer.assignment() - self._gone  # never set another member's offset back
        self._written = {partition: at for partition, at in self._written.items() if partition in ours}
        offsets = dict(self._written)
        if not offsets:
            self._failed_at = None
            return
        try:
            self._consumer.commit(offsets, timeout_ms=int(_COMMIT_WITHIN * 1000))
        except (CommitFailedError, RebalanceInProgressError) as error:
            # Another member may have the partitions now: it reads these messages again and finds their ids in Milvus.
            self._failed_at = time.monotonic()
            log.info("the group was rebalanced before a commit; nothing is lost", reason=str(error))
        except KafkaError as error:
            if self._failed_at is None:
                log.warning("offsets could not be committed; trying again", reason=str(error))
            self._failed_at = time.monotonic()
        else:
            self._written = {}
            self._failed_at = None

    def catch_up(self) -> None:
        """Commits what a failed commit left, now and then; called while nothing new is read."""
        if self._failed_at is not None and time.monotonic() - self._failed_at > _AGAIN_AFTER:
            self.commit([])

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Commits what is written of these partitions, before another member gets them."""
        self._gone = self._gone | set(revoked)
        left = {partition: self._written.pop(partition) for partition in revoked if partition in self._written}
        if left:
            self._consumer.commit_async(left)

    def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        """They are another member's already: nothing may be committed any more."""
        self._gone = self._gone | set(lost)
        for partition in lost:
            self._written.pop(partition, None)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """They are read from their last commit on."""
        log.info("reading", partitions=sorted(partition.partition for partition in assigned))
