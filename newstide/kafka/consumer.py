"""Consumers: members of a group, and one that reads a topic to its end."""

from collections.abc import Iterator, Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from newstide.core.settings import KafkaSettings
from newstide.kafka.client import connected


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
    """All records that a topic holds now, partition by partition, oldest first; no offset is committed.

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
