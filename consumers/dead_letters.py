"""Messages that are no headlines go to a topic of their own, bytes untouched, with the reason in their headers."""

from collections.abc import Mapping
from typing import Any

from newstide.broker import Sender
from newstide.headline import REPLAYS, shorten


def send_dead_letter(sender: Sender, topic: str, record: Any, reason: str) -> None:
    """Hands a bad message to the sender; call `Sender.flush` before committing its offset.

    Args:
        sender: The counting producer.
        topic: The dead-letter topic.
        record: The Kafka record as it was read.
        reason: Why it is no headline.
    """
    sender.send(topic, key=record.key, value=record.value, headers=list(_origin(record, reason).items()))


def _origin(record: Any, reason: str) -> Mapping[str, bytes]:
    replayed = {name: value for name, value in record.headers or () if name == REPLAYS}
    return {
        **replayed,
        "reason": shorten(reason, 1000).encode("utf-8", "replace"),
        "topic": str(record.topic).encode(),
        "partition": str(record.partition).encode(),
        "offset": str(record.offset).encode(),
        "timestamp": str(record.timestamp).encode(),
    }
