"""How far a consumer group has come in a topic, and where the topic ends."""

from collections.abc import Sequence
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    NotCoordinatorError,
    for_code,
)
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from newstide.core.errors import BrokerUnavailable
from newstide.core.settings import KafkaSettings
from newstide.kafka.client import admin_client


def end_offsets(settings: KafkaSettings, topic: str) -> dict[int, int]:
    """The next offset to be written, by partition."""
    with admin_client(settings) as admin:
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
    with admin_client(settings, patience) as admin:
        partitions = _partitions(admin, settings.topic)
        ends = _offsets(admin, partitions, OffsetSpec.LATEST)
        starts = _offsets(admin, partitions, OffsetSpec.EARLIEST)
        found = _committed(admin, group, partitions)
        committed = {partition.partition: entry.offset for partition, entry in found.items()}
    return {
        partition: max(0, end - max(committed.get(partition, -1), starts[partition])) for partition, end in ends.items()
    }


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
