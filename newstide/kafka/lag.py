"""How far a consumer group has come in a topic, and where the topic ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    NotCoordinatorError,
    for_code,
)
from kafka.protocol.consumer import IsolationLevel
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from newstide.core.errors import BrokerUnavailable
from newstide.core.settings import KafkaSettings
from newstide.kafka.client import admin_client


def end_offsets(settings: KafkaSettings, topic: str) -> dict[int, int]:
    """The next offset to be written, by partition."""
    with admin_client(settings) as admin:
        return _offsets(admin, partitions_of(admin, topic), OffsetSpec.LATEST)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a group has come in a partition, as offsets."""

    start: int  # the offset of the oldest message
    committed: int  # -1: the group has committed none
    stable: int  # the end of what can be read: no transaction is open before it
    end: int

    @property
    def lag(self) -> int:
        """Messages that could be read and are not committed."""
        return max(0, self.stable - max(self.committed, self.start))

    @property
    def held_back(self) -> int:
        """Messages that wait for the end of a transaction."""
        return max(0, self.end - self.stable)


def progress(settings: KafkaSettings, group: str, patience: float | None = None) -> dict[int, Progress]:
    """How far a group has come in the topic of headlines, by partition.

    Args:
        settings: Addresses, security and the topic.
        group: The consumer group.
        patience: Seconds to wait for a broker that is not there; None: 6.

    Raises:
        BrokerUnavailable: Kafka cannot be reached, or the topic is missing.
    """
    with admin_client(settings, patience) as admin:
        partitions = partitions_of(admin, settings.topic)
        found = committed_offsets(admin, group, partitions)  # read first, so that the lag is never negative
        starts = _offsets(admin, partitions, OffsetSpec.EARLIEST)
        stable = _offsets(admin, partitions, OffsetSpec.LATEST, IsolationLevel.READ_COMMITTED)
        ends = _offsets(admin, partitions, OffsetSpec.LATEST)
    committed = {partition.partition: int(entry.offset) for partition, entry in found.items()}
    return {
        number: Progress(starts[number], committed.get(number, -1), stable[number], end) for number, end in ends.items()
    }


def lag(settings: KafkaSettings, group: str, patience: float | None = None) -> dict[int, int]:
    """How many messages of the topic of headlines a group could read and has not committed, by partition.

    See `progress` for arguments and errors.
    """
    return {number: one.lag for number, one in progress(settings, group, patience).items()}


def group_members(settings: KafkaSettings, group: str, patience: float | None = None) -> int:
    """How many members a consumer group has now; 0 where there is no such group.

    Args:
        settings: Addresses and security.
        group: The consumer group.
        patience: Seconds to wait for a broker that is not there; None: 6.

    Raises:
        BrokerUnavailable: Kafka cannot be reached.
    """
    with admin_client(settings, patience) as admin:
        return len(admin.describe_groups([group])[group]["members"])


def partitions_of(admin: KafkaAdminClient, topic: str) -> list[TopicPartition]:
    """A topic's partitions; `BrokerUnavailable` where Kafka has no topic of that name."""
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
def committed_offsets(
    admin: KafkaAdminClient, group: str, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, Any]:
    """Offset and metadata of each of these partitions that the group has committed."""
    return dict(admin.list_group_offsets({group: partitions})[group])


def _offsets(
    admin: KafkaAdminClient,
    partitions: Sequence[TopicPartition],
    spec: OffsetSpec,
    isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
) -> dict[int, int]:
    found = admin.list_partition_offsets(dict.fromkeys(partitions, spec), isolation_level=isolation)
    return {partition.partition: int(entry.offset) for partition, entry in sorted(found.items())}
