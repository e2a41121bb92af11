"""Dead letters: refused messages go to a topic of their own, bytes unchanged, with the reason in their headers.

A message that came compressed may be too large for Kafka unpacked: then the letter holds its beginning, and a header
says so. Where an array holds headlines and other elements, the letter holds the others, and a header names their places.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from newstide.core.headline import CUT, REPLAYS
from newstide.core.text import shorten
from newstide.kafka.producer import Sender

_LARGEST = 3 * 2**19  # bytes of key and value; producer and topic take 2 MiB, headers included
_BEGINNING = 64 * 2**10  # bytes of key and of value that a truncated letter keeps
_MOST_PLACES = 1_000  # places of elements that a letter's header names


@dataclass(frozen=True, slots=True)
class Letter:
    """A message, or some of its elements, that were refused.

    Attributes:
        record: The record as kafka-python returned it.
        reason: Why the message or its elements were refused.
        elements: The refused elements of the message's array; None: the whole message was refused.
        places: The places of these elements in the array, from 1.
    """

    record: Any
    reason: str
    elements: Sequence[Any] | None = None
    places: Sequence[int] = ()


def letter_of(record: Any, refused: Sequence[tuple[int, Any, str]], *, whole: bool) -> Letter:
    """The dead letter of a record of which something was refused.

    Args:
        record: The record as kafka-python returned it.
        refused: Place (0: no array), element and reason of each refusal.
        whole: Whether everything in the record was refused.
    """
    place, _, reason = refused[0]
    if not place:
        return Letter(record, reason)
    count = len(refused)
    said = f"{'All of' if whole else 'Of the array'} {count:,} element{'' if count == 1 else 's'} refused; {place}: {reason}"
    if whole:
        return Letter(record, said)
    return Letter(record, said, [element for _, element, _ in refused], [where for where, _, _ in refused])


def send_dead_letter(sender: Sender, topic: str, letter: Letter) -> None:
    """Hands a letter to the sender; the caller must flush the sender before committing the message's offset.

    Args:
        sender: The counting producer.
        topic: The dead-letter topic.
        letter: The letter to send.
    """
    record = letter.record
    key, value, headers = record.key, record.value, dict(_origin(record, letter.reason))
    if letter.elements is not None:
        value = json.dumps(letter.elements).encode()
        headers["places"] = ",".join(map(str, letter.places[:_MOST_PLACES])).encode()
    size = len(key or b"") + len(value or b"")
    if size > _LARGEST:  # the message was small enough for Kafka because it was compressed
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
