"""The lease: only the reclusterer to which Kafka has given the single partition of the lease topic writes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

from kafka import KafkaConsumer
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from kafka.structs import OffsetAndMetadata

from newstide.core.errors import RunFailed
from newstide.core.settings import KafkaSettings
from newstide.kafka import patches
from newstide.kafka.client import unavailable
from newstide.kafka.consumer import make_consumer

_LONGEST_RUN_MS = 60 * 60 * 1000  # a member that does not poll for this long loses the lease
_ANSWER_WITHIN_MS = 10_000
_NOT_OURS = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)


class MayWrite(Protocol):
    """Tells a run whether it may write."""

    def require(self) -> None:
        """Raises `RunFailed` where the run may not write."""
        ...


class _Alone:
    """Stands for a lease where no other reclusterer writes: in a test, a benchmark or a single run."""

    def require(self) -> None:
        """Nobody is asked."""


ALONE: MayWrite = _Alone()


class Lease:
    """Membership in the group of reclusterers. Polled between runs; asked again before a run writes.

    Kafka's group protocol does the work: the partition moves to another member when this one leaves, is not heard of for
    a session timeout, or joins anew because another member has come. The last happens in a poll alone: never during a run.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._consumer: KafkaConsumer = make_consumer(
            settings,
            [settings.lease_topic],
            group=f"{settings.group}-recluster",
            # Whoever has it keeps it, and its caches, when another comes; the second is what earlier versions know.
            partition_assignment_strategy=[StickyPartitionAssignor, RangePartitionAssignor],
            session_timeout_ms=10_000,
            heartbeat_interval_ms=3_000,
            max_poll_interval_ms=_LONGEST_RUN_MS,
        )

    def held(self, wait_ms: int = 0) -> bool:
        """Whether this process may write now; where it may not yet, waits up to `wait_ms` for the group to settle.

        Raises:
            BrokerUnavailable: Kafka is away.
        """
        deadline = time.monotonic() + wait_ms / 1000
        try:
            self._consumer.poll(timeout_ms=0)
            while not self._settled() and (left := deadline - time.monotonic()) > 0:
                self._consumer.poll(timeout_ms=min(100, int(left * 1000) + 1))
        except KafkaError as error:
            raise unavailable(self._settings, error) from None
        return self._settled()

    def require(self) -> None:
        """Asks Kafka whether the lease is still held, by a commit, which it takes from nobody else.

        Raises:
            RunFailed: Another reclusterer holds the lease.
            BrokerUnavailable: Kafka is away.
        """
        ours = {partition: OffsetAndMetadata(0, "", -1) for partition in self._consumer.assignment()}
        try:
            if ours:
                self._consumer.commit(ours, timeout_ms=_ANSWER_WITHIN_MS)
                return
        except _NOT_OURS:
            pass
        except KafkaError as error:
            raise unavailable(self._settings, error) from None
        raise RunFailed(
            "Another reclusterer holds the lease; this run writes nothing more.",
            "Stop one of the two reclusterers, or leave this one as a stand-by.",
        )

    def _settled(self) -> bool:
        """Whether the partition is this member's; while members join anew, the client still names its earlier partitions."""
        return bool(self._consumer.assignment()) and patches.is_settled(self._consumer)

    def close(self) -> None:
        """Leaves the group, so that a stand-by takes over at once."""
        self._consumer.close(autocommit=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def acquired(settings: KafkaSettings, wait_ms: int) -> Iterator[Lease | None]:
    """The lease once it is held, or None when another member still holds it after `wait_ms`."""
    with Lease(settings) as lease:
        yield lease if lease.held(wait_ms) else None
