"""Messages that Kafka removed before they were read: a note in Kafka counts them until somebody acknowledges them.

The note is the metadata of an offset of a separate group, so that everyone who may read the topic can read the note.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafka import TopicPartition
from kafka.errors import KafkaError, NoError
from kafka.structs import OffsetAndMetadata

from newstide.core.errors import BrokerUnavailable
from newstide.core.settings import KafkaSettings
from newstide.kafka.client import admin_client
from newstide.kafka.lag import committed_offsets, partitions_of


@dataclass(frozen=True, slots=True)
class Loss:
    """The messages of one partition that were lost.

    Attributes:
        messages: How many were lost since the last acknowledgement.
        last_at: When the last of them were missed, epoch seconds.
    """

    messages: int
    last_at: float


def note_loss(settings: KafkaSettings, partition: int, messages: int) -> None:
    """Adds to the number of messages that a partition has lost.

    Raises:
        BrokerUnavailable: Kafka cannot be reached, or does not take the note.
    """
    before = losses(settings, patience=0).get(partition, Loss(0, 0.0))
    _write(settings, {partition: Loss(before.messages + messages, time.time())})


def losses(settings: KafkaSettings, patience: float | None = None) -> dict[int, Loss]:
    """The losses that nobody has acknowledged yet, by partition.

    Raises:
        BrokerUnavailable: Kafka cannot be reached, or the topic is missing.
    """
    with admin_client(settings, patience) as admin:
        partitions = partitions_of(admin, settings.topic)
        found = committed_offsets(admin, _group(settings), partitions)
    noted = {partition.partition: _read(entry) for partition, entry in found.items()}
    return {partition: loss for partition, loss in noted.items() if loss.messages > 0}


def acknowledge_losses(settings: KafkaSettings) -> int:
    """Removes the notes of losses, and returns how many messages they counted.

    Raises:
        BrokerUnavailable: Kafka cannot be reached.
    """
    found = losses(settings)
    _write(settings, dict.fromkeys(found, Loss(0, time.time())))
    return sum(loss.messages for loss in found.values())


def _read(entry: Any) -> Loss:
    try:
        note = json.loads(entry.metadata or "{}")
        return Loss(int(note.get("lost", 0)), float(note.get("at", 0)))
    except (ValueError, TypeError, AttributeError):
        return Loss(0, 0.0)


def _write(settings: KafkaSettings, found: Mapping[int, Loss]) -> None:
    if not found:
        return
    offsets = {
        TopicPartition(settings.topic, partition): OffsetAndMetadata(
            0, json.dumps({"lost": loss.messages, "at": round(loss.last_at)}), -1
        )
        for partition, loss in found.items()
    }
    with admin_client(settings, 0) as admin:
        for partition, outcome in admin.alter_group_offsets(_group(settings), offsets).items():
            if outcome is not NoError and issubclass(outcome, KafkaError):
                raise BrokerUnavailable(f"Kafka does not take a note about {partition}: {outcome.__name__}.")


def _group(settings: KafkaSettings) -> str:
    return f"{settings.group}-losses"
