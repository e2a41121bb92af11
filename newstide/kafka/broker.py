"""Kafka as newstide uses it: topics, producers that count what becomes of messages, consumers, lag."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Semaphore
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    KafkaTimeoutError,
    NotCoordinatorError,
    TopicAlreadyExistsError,
    for_code,
)
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from newstide.core import logs
from newstide.core.errors import BrokerUnavailable, DeliveryError
from newstide.core.settings import KafkaSettings
from newstide.core.text import shorten
from newstide.kafka.client import connected, unavailable

# A dead letter is the original message with headers on top: it may be a little larger than Kafka's usual 1 MiB.
_MAX_MESSAGE_BYTES = 2 * 1024 * 1024
_MAX_IN_FLIGHT = 10_000  # messages sent and not yet acknowledged; kafka-python's own buffer has no bound
_PATIENCE = 5.0  # seconds without acknowledgements before the log says so

log = logs.get("kafka")


def ensure_topics(settings: KafkaSettings, timeout: float = 60.0) -> None:
    """Makes the topics that are missing and waits until they can be used; those that exist are left as they are.

    Args:
        settings: Names, partitions, replication, retention of dead letters.
        timeout: Seconds to wait for a broker that is only coming up.

    Raises:
        BrokerUnavailable: Kafka was not reachable in time, or refuses.
    """
    wanted = {
        settings.topic: _topic(settings, settings.partitions),
        settings.dead_letter_topic: _topic(
            settings,
            settings.partitions,
            {
                "retention.ms": str(int(settings.dead_letter_retention.total_seconds() * 1000)),
                "max.message.bytes": str(_MAX_MESSAGE_BYTES),
            },
        ),
        settings.events_topic: _topic(settings, settings.partitions),
        settings.lease_topic: _topic(settings, 1),  # its one partition is the lease
    }
    with _admin(settings, timeout) as admin:
        missing = {name: topic for name, topic in wanted.items() if name not in set(admin.list_topics())}
        if missing:
            for made in admin.create_topics(missing, raise_errors=False)["topics"]:
                error = for_code(made["error_code"])
                if made["error_code"] and error is not TopicAlreadyExistsError:
                    raise BrokerUnavailable(
                        f"Kafka refuses to make the topic {made['name']!r}: {made['error_message'] or error.__name__}",
                        "Correct kafka.partitions or kafka.replication_factor, or have the topic made.",
                        passing=False,
                    )
            log.info("made topics", topics=sorted(missing))
        admin.wait_for_topics(list(wanted))


def make_producer(settings: KafkaSettings, patience: float | None = None) -> KafkaProducer:
    """An idempotent producer that waits for all replicas; most callers want `Sender`, which counts.

    Args:
        settings: Addresses, security, compression, for how long a message is tried.
        patience: Seconds to ask where a topic is; None: as long as a message is tried.
    """
    delivery = int(settings.delivery_timeout.total_seconds() * 1000)
    return connected(
        KafkaProducer,
        settings,
        acks="all",
        enable_idempotence=True,
        compression_type=None if settings.compression == "none" else settings.compression,
        delivery_timeout_ms=delivery,
        request_timeout_ms=min(30_000, delivery // 2),
        max_block_ms=delivery if patience is None else int(patience * 1000),
        linger_ms=20,
        batch_size=64 * 1024,
        max_request_size=_MAX_MESSAGE_BYTES,
        allow_auto_create_topics=False,
    )


def make_consumer(settings: KafkaSettings, topics: Sequence[str], *, group: str, **options: Any) -> KafkaConsumer:
    """A member of a consumer group; a new group reads from the earliest offset, and nothing is committed by itself.

    Args:
        settings: Addresses and security.
        topics: Subscribed to.
        group: The consumer group.
        **options: Further options of `KafkaConsumer`, which win over these.
    """
    ours = {
        "group_id": group,
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "allow_auto_create_topics": False,
    }
    return connected(KafkaConsumer, settings, *topics, **{**ours, **options})


def records_of(settings: KafkaSettings, topic: str) -> Iterator[Any]:
    """All records that a topic holds now, partition by partition, oldest first; none committed.

    Raises:
        BrokerUnavailable: Kafka cannot be reached.
    """
    consumer = make_consumer(settings, [], group="", group_id=None)
    try:
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        ends = consumer.end_offsets(partitions) if partitions else {}
        for partition in partitions:
            consumer.assign([partition])
            consumer.seek_to_beginning(partition)
            while consumer.position(partition) < ends[partition]:
                for record in consumer.poll(timeout_ms=500).get(partition, ()):
                    if record.offset < ends[partition]:
                        yield record
    finally:
        consumer.close(autocommit=False)


def end_offsets(settings: KafkaSettings, topic: str) -> dict[int, int]:
    """The next offset to be written, by partition."""
    with _admin(settings) as admin:
        return _offsets(admin, _partitions(admin, topic), OffsetSpec.LATEST)


def lag(settings: KafkaSettings, group: str, patience: float | None = None) -> dict[int, int]:
    """How many messages of the topic of headlines a group has not committed, by partition.

    Args:
        settings: Addresses, security and the topic.
        group: The consumer group.
        patience: Seconds to wait for a broker that is not there; None: 10.

    Raises:
        BrokerUnavailable: Kafka cannot be reached, or the topic is missing.
    """
    with _admin(settings, patience) as admin:
        partitions = _partitions(admin, settings.topic)
        ends = _offsets(admin, partitions, OffsetSpec.LATEST)
        starts = _offsets(admin, partitions, OffsetSpec.EARLIEST)
        found = _committed(admin, group, partitions)
        committed = {partition.partition: entry.offset for partition, entry in found.items()}
    return {
        partition: max(0, end - max(committed.get(partition, -1), starts[partition])) for partition, end in ends.items()
    }


def group_members(settings: KafkaSettings, group: str) -> int:
    """How many members a consumer group has now; 0 where there is no such group.

    Raises:
        BrokerUnavailable: Kafka cannot be reached.
    """
    with _admin(settings) as admin:
        return len(admin.describe_groups([group])[group]["members"])


def reachable(settings: KafkaSettings) -> str:
    """What answers: `Kafka 4.3, 1 broker`.

    Raises:
        BrokerUnavailable: Nothing does, or it refuses; the message says which.
    """
    with _admin(settings, 0.0) as admin:
        brokers = len(admin.describe_cluster()["brokers"])
        version = ".".join(map(str, admin._manager.broker_version))  # there is no public way
    return f"Kafka {version}, {brokers} broker{'' if brokers == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What became of messages: how many Kafka acknowledged, how many it did not, and the first reason why."""

    acknowledged: int
    failed: int
    first_error: str = ""


class Sender:
    """Sends messages and counts every delivery report.

    At most 10,000 messages are in flight: `send` waits for reports where a broker is slower than its source.

    Args:
        settings: Addresses and security.
        patience: Seconds that a `send` may wait to learn where its topic is; None: `kafka.delivery_timeout`.

    Raises:
        BrokerUnavailable: Kafka cannot be reached.
    """

    def __init__(self, settings: KafkaSettings, patience: float | None = None) -> None:
        self._producer = make_producer(settings, patience)
        self._free = Semaphore(_MAX_IN_FLIGHT)
        self._lock = Lock()
        self._sent = 0
        self._counts: Counter[str] = Counter()
        self._first_error = ""
        self._reported_failed = 0

    def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        timestamp: int | None = None,
    ) -> None:
        """Hands a message over; `flush` tells what became of it. Its timestamp (epoch ms) is now, unless given.

        Raises:
            DeliveryError: Kafka does not say where the topic is: it is away, or the topic is missing.
        """
        if key is None and value is None:
            value = b""  # kafka-python refuses to send a message without both
        if not self._free.acquire(timeout=_PATIENCE):
            self._say_waiting()
            self._free.acquire()
        self._sent += 1
        try:
            future = self._producer.send(topic, key=key, value=value, headers=list(headers), timestamp_ms=timestamp)
        except KafkaTimeoutError as error:
            self._not_acknowledged(error)
            raise DeliveryError(
                f"Kafka does not tell where the topic {topic!r} is: {error}.",
                "Is Kafka up, and does the topic exist?",
            ) from None
        except KafkaError as error:  # too large, for instance: this one message
            self._not_acknowledged(error)
        else:
            future.add_callback(self._acknowledged)
            future.add_errback(self._not_acknowledged)

    def flush(self, *, tolerant: bool = False) -> Deliveries:
        """Waits for the reports of everything sent.

        Args:
            tolerant: Do not raise where something failed: the caller looks at the counts.

        Returns:
            The counts since the sender was made.

        Raises:
            DeliveryError: Something sent since the last flush was not acknowledged.
        """
        if not self.settled(_PATIENCE):
            self._say_waiting()
            while not self.settled(_PATIENCE):
                pass
        with self._lock:
            deliveries = Deliveries(self._counts["acknowledged"], self._counts["failed"], self._first_error)
            failed_now = deliveries.failed - self._reported_failed
            self._reported_failed = deliveries.failed
        if failed_now and not tolerant:
            raise DeliveryError(
                f"Kafka did not acknowledge {failed_now:,} messages: {deliveries.first_error}.",
                "They are not lost at their source; send them again once Kafka is well.",
            )
        return deliveries

    def settled(self, seconds: float) -> bool:
        """Whether it is known what became of everything sent; waits for it, at most so long."""
        deadline = time.monotonic() + seconds
        try:
            self._producer.flush(seconds)
        except KafkaTimeoutError:
            return False
        while self._reported() < self._sent:  # the last reports are on their way to our callbacks
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        return True

    @property
    def acknowledged(self) -> int:
        """Messages acknowledged so far."""
        with self._lock:
            return self._counts["acknowledged"]

    def close(self, timeout: float = 10.0) -> None:
        """Ends the producer; what is not acknowledged within so many seconds is given up."""
        try:
            self._producer.close(timeout)
        except KafkaError as error:
            log.warning("the producer did not close in order", reason=str(error))

    def _say_waiting(self) -> None:
        log.warning("waiting for Kafka to acknowledge", messages=self._sent - self._reported())

    def _reported(self) -> int:
        with self._lock:
            return self._counts.total()

    def _acknowledged(self, _metadata: object) -> None:
        with self._lock:
            self._counts["acknowledged"] += 1
        self._free.release()

    def _not_acknowledged(self, error: BaseException) -> None:
        with self._lock:
            self._counts["failed"] += 1
            self._first_error = self._first_error or shorten(f"{type(error).__name__}: {error}", 300)
        self._free.release()


def _topic(settings: KafkaSettings, partitions: int, configs: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "num_partitions": partitions,
        "replication_factor": settings.replication_factor,
        "configs": configs or {},
    }


@contextmanager
def _admin(settings: KafkaSettings, patience: float | None = None) -> Iterator[KafkaAdminClient]:
    """An admin client; waits up to `patience` seconds for a broker that is not there yet."""
    admin = connected(KafkaAdminClient, settings, patience=patience)
    try:
        yield admin
    except KafkaError as error:
        raise unavailable(settings, error) from None
    finally:
        admin.close()


def _partitions(admin: KafkaAdminClient, topic: str) -> list[TopicPartition]:
    described = admin.describe_topics([topic])[0]
    if described["error_code"]:
        raise BrokerUnavailable(
            f"Kafka has no topic {topic!r} ({for_code(described['error_code']).__name__}).",
            "`newstide consume` and `newstide produce` make it.",
        )
    return [TopicPartition(topic, partition["partition_index"]) for partition in described["partitions"]]


@retry(  # a broker makes the coordinator when a group first asks, and loads it after a start
    retry=retry_if_exception_type((CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError)),
    stop=stop_after_delay(15),
    wait=wait_exponential_jitter(initial=0.1, max=1, jitter=0.1),
    reraise=True,
)
def _committed(admin: KafkaAdminClient, group: str, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Any]:
    return dict(admin.list_group_offsets({group: partitions})[group])


def _offsets(admin: KafkaAdminClient, partitions: Sequence[TopicPartition], spec: OffsetSpec) -> dict[int, int]:
    found = admin.list_partition_offsets(dict.fromkeys(partitions, spec))
    return {partition.partition: int(entry.offset) for partition, entry in sorted(found.items())}
