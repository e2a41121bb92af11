"""Messages that are no headlines go to a topic of their own, bytes untouched, with the reason in their headers.

Of one that is too large for Kafka as it is (it came compressed), the beginning goes, and a header says so.
"""

from collections.abc import Mapping
from typing import Any

from newstide.core.headline import CUT, REPLAYS
from newstide.core.text import shorten
from newstide.kafka.producer import Sender

_LARGEST = 3 * 2**19  # bytes of key and value; producer and topic take 2 MiB, headers included
_BEGINNING = 64 * 2**10  # bytes of each that a larger one keeps


def send_dead_letter(sender: Sender, topic: str, record: Any, reason: str) -> None:
    """Hands a bad message to the sender; call `Sender.flush` before committing its offset.

    Args:
        sender: The counting producer.
        topic: The dead-letter topic.
        record: The Kafka record as it was read.
        reason: Why it is no headline.
    """
    key, value, headers = record.key, record.value, dict(_origin(record, reason))
    size = len(key or b"") + len(value or b"")
    if size > _LARGEST:  # compressed, it was small enough for Kafka
        key, value = key and key[:_BEGINNING], value and value[:_BEGINNING]
        headers[CUT] = str(size).encode()
    sender.send(topic, key=key, value=value, headers=list(headers.items()))


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
