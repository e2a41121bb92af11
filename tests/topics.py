"""What lies in a topic, for tests that count messages."""

from typing import Any

from kafka import TopicPartition

from newstide.broker import end_offsets, make_consumer
from newstide.settings import KafkaSettings


def records_of(settings: KafkaSettings, topic: str) -> list[Any]:
    """All records that are there now, and no waiting for more."""
    ends = {TopicPartition(topic, number): end for number, end in end_offsets(settings, topic).items()}
    consumer = make_consumer(settings, [], group="", group_id=None)
    try:
        consumer.assign(list(ends))
        consumer.seek_to_beginning(*ends)
        found: list[Any] = []
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            found += [record for records in consumer.poll(timeout_ms=500).values() for record in records]
    finally:
        consumer.close(autocommit=False)
    return found
