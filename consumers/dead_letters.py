"""Messages that are no headlines go to a topic of their own, bytes untouched, with the reason in their headers.

Of one that is too large for Kafka as it is (it came compressed), the beginning goes, and a header says so. Of an array
that holds headlines too, those elements go that are none, and a header says where they stood.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from newstide.core.headline import CUT, REPLAYS
from newstide.core.text import shorten
from newstide.kafka.producer import Sender

_LARGEST = 3 * 2**19  # bytes of key and value; producer and topic take 2 MiB, headers included
_BEGINNING = 64 * 2**10  # bytes of each that a larger one keeps
_MOST_PLACES = 1_000  # that the header of an array's letter names


@dataclass(frozen=True, slots=True)
class Letter:
    """A message, or elements of one, that could not be taken.

    Attributes:
        record: As Kafka gave it.
        reason: Why.
        elements: Of its array; None: the whole message.
        places: Where they stood, from 1.
    """

    record: Any
    reason: str
    elements: Sequence[Any] | None = None
    places: Sequence[int] = ()


def letter_of(record: Any, refused: Sequence[tuple[int, Any, str]], *, whole: bool) -> Letter:
    """The letter about what was refused of a record.

    Args:
        record: As Kafka gave it.
        refused: Place (0: no array), element and reason of each.
        whole: Whether nothing else was in it.
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
    """Hands a letter to the sender; call `Sender.flush` before committing its message's offset.

    Args:
        sender: The counting producer.
        topic: The dead-letter topic.
        letter: What is sent.
    """
    record = letter.record
    key, value, headers = record.key, record.value, dict(_origin(record, letter.reason))
    if letter.elements is not None:
        value = json.dumps(letter.elements).encode()
        headers["places"] = ",".join(map(str, letter.places[:_MOST_PLACES])).encode()
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
