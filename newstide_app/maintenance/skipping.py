"""`newstide dead-letters skip`: passes over a batch that cannot be read, where the group stands and nowhere else."""

import json
import time
from dataclasses import dataclass
from typing import Any

from kafka import TopicPartition
from kafka.errors import NoError
from kafka.structs import OffsetAndMetadata

from newstide.core.errors import BrokerUnavailable, SettingsError
from newstide.core.settings import KafkaSettings
from newstide.kafka import patches
from newstide.kafka.client import admin_client
from newstide.kafka.consumer import make_consumer
from newstide.kafka.lag import committed_offsets, group_members, progress

_LOOK_FOR = 20.0  # seconds of fetching a batch before it counts as gone


@dataclass(frozen=True, slots=True)
class Skip:
    """A batch that cannot be read, and what passing over it costs."""

    partition: int
    offset: int  # where the group stands
    first: int  # of the batch
    last: int
    messages: int  # that go: those of the batch that the group has not passed yet
    reason: str

    def describe(self) -> str:
        """One sentence."""
        return (
            f"Partition {self.partition}, offsets {self.first:,} to {self.last:,}: {self.messages:,} "
            f"message{'' if self.messages == 1 else 's'} that cannot be read ({self.reason})"
        )


def look_at_batch(settings: KafkaSettings, partition: int, offset: int | None = None) -> Skip:
    """The batch at which the group stands in a partition, if it cannot be read; changes nothing.

    Args:
        settings: Kafka, the topic and the group.
        partition: Of the topic of headlines.
        offset: Where the caller takes the group to stand; None: wherever it does.

    Raises:
        SettingsError: The group has members, stands elsewhere, or the batch can be read.
        BrokerUnavailable: Kafka cannot be reached, or has no such partition.
    """
    where = progress(settings, settings.group)
    if partition not in where:
        raise SettingsError(
            f"{settings.topic} has no partition {partition}.", f"It has {', '.join(map(str, sorted(where)))}."
        )
    if members := group_members(settings, settings.group):
        raise SettingsError(
            f"The group {settings.group} has {members} member{'' if members == 1 else 's'}.",
            "Stop all consumers of the group first: they would go on reading at their own offsets.",
        )
    at = max(where[partition].committed, where[partition].start)
    if offset is not None and offset != at:
        raise SettingsError(
            f"The group {settings.group} stands at offset {at:,} of partition {partition}, not at {offset:,}.",
            "Only the batch at which the group stands can be skipped.",
        )
    batch = _unreadable_at(settings, TopicPartition(settings.topic, partition), at)
    if batch is None:
        raise SettingsError(
            f"The message at offset {at:,} of partition {partition} can be read, or none has come yet.",
            "There is nothing to skip; start `newstide consume`.",
        )
    if batch.last < 0:
        raise SettingsError(
            f"Where the batch at offset {at:,} of partition {partition} ends is not known: {batch.reason}.",
            "Kafka itself cannot read it; mend or remove the segment with Kafka's own tools.",
        )
    passed = max(0, at - batch.first)
    return Skip(partition, at, batch.first, batch.last, max(1, batch.messages - passed), batch.reason)


def skip(settings: KafkaSettings, batch: Skip) -> None:
    """Moves the group behind the batch; the next consumer counts what was skipped.

    Raises:
        BrokerUnavailable: Kafka cannot be reached, or does not take the offset.
    """
    place = TopicPartition(settings.topic, batch.partition)
    with admin_client(settings) as admin:
        note = _note(committed_offsets(admin, settings.group, [place]).get(place))
        note["skipped"] = int(note.get("skipped", 0)) + batch.messages
        entry = OffsetAndMetadata(batch.last + 1, json.dumps(note), -1)
        outcome = admin.alter_group_offsets(settings.group, {place: entry})[place]
    if outcome is not NoError:
        raise BrokerUnavailable(
            f"Kafka does not move the group {settings.group}: {outcome.__name__}.", "Stop all consumers of the group."
        )


def _note(entry: Any) -> dict[str, Any]:
    try:
        note = json.loads(entry.metadata or "{}")
    except (ValueError, AttributeError):
        return {}
    return note if isinstance(note, dict) else {}


def _unreadable_at(settings: KafkaSettings, place: TopicPartition, offset: int) -> patches.Unreadable | None:
    consumer = make_consumer(settings, [], group="", group_id=None, isolation_level="read_committed")
    try:
        consumer.assign([place])
        consumer.seek(place, offset)
        end = consumer.end_offsets([place])[place]
        deadline = time.monotonic() + _LOOK_FOR
        while time.monotonic() < deadline and consumer.position(place) < end:
            if any(consumer.poll(timeout_ms=200, max_records=1).values()):
                return None
            if found := patches.unreadable(consumer):
                return found[0]
        return None
    finally:
        consumer.close(autocommit=False)
