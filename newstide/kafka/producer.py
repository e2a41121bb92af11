"""Producers, and a sender that counts what becomes of messages."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock, Semaphore

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from newstide.core import logs
from newstide.core.errors import DeliveryError
from newstide.core.settings import KafkaSettings
from newstide.core.text import shorten
from newstide.kafka.client import connected
from newstide.kafka.topics import MAX_MESSAGE_BYTES

_MAX_IN_FLIGHT = 10_000  # messages sent and not yet acknowledged; kafka-python's own buffer has no bound
_PATIENCE = 5.0  # seconds without acknowledgements before the log says so

log = logs.get("kafka")


def make_producer(settings: KafkaSettings, patience: float | None = None) -> KafkaProducer:
    """An idempotent producer that waits for all replicas; most callers want `Sender`, which counts.

    Args:
        settings: Addresses, security, compression, and for how long the sending of a message is tried.
        patience: Seconds to wait for a topic's metadata; None: as long as the sending of a message is tried.
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
        max_request_size=MAX_MESSAGE_BYTES,
        allow_auto_create_topics=False,
    )


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
        patience: Seconds that a `send` may wait for its topic's metadata; None: `kafka.delivery_timeout`.

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
        """Hands a message over; `flush` reports its delivery. The timestamp (epoch ms) is now, unless given.

        Raises:
            DeliveryError: Kafka gives no metadata of the topic: no broker answers, or the topic is missing.
        """
        if key is None and value is None:
            value = b""  # kafka-python refuses a message with neither key nor value
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
        except KafkaError as error:  # concerns this message alone, which may be too large
            self._not_acknowledged(error)
        else:
            future.add_callback(self._acknowledged)
            future.add_errback(self._not_acknowledged)

    def flush(self, *, tolerant: bool = False) -> Deliveries:
        """Waits for the reports of everything sent.

        Args:
            tolerant: Whether to return the counts, instead of raising, where something failed.

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
                "Their source still has these messages; send them again once Kafka is reachable.",
            )
        return deliveries

    def settled(self, seconds: float) -> bool:
        """Whether every message sent has its delivery report; waits for the reports, at most so many seconds."""
        deadline = time.monotonic() + seconds
        try:
            self._producer.flush(seconds)
        except KafkaTimeoutError:
            return False
        while self._reported() < self._sent:  # the last reports have not reached the callbacks yet
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
        """Closes the producer; messages not acknowledged within so many seconds are given up."""
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
