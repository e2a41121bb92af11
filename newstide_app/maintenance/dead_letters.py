"""Shows the topic of dead letters, and sends them again.

A replay sends a letter's own key and value to the topic of headlines, with a count of replays in its headers. Where the
consumer refuses it again, the new letter carries that count on: after `MOST_REPLAYS` a value is left alone, however often
the command is given. Of letters with the same key and value one is sent.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kafka import TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata
from rich.console import Console
from rich.table import Table
from rich.text import Text

from newstide.core import logs
from newstide.core.headline import CUT, REPLAYS
from newstide.core.settings import KafkaSettings
from newstide.core.text import shorten
from newstide.kafka.consumer import make_consumer, records_of
from newstide.kafka.lag import end_offsets, lag
from newstide.kafka.producer import Sender

MOST_REPLAYS = 3
_PREVIEW = 120  # characters

log = logs.get("dead-letters")


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. Its place is where the original message was read."""

    reason: str
    topic: str
    partition: int
    offset: int
    timestamp: int  # epoch milliseconds, of the original
    replays: int
    places: str  # where the elements stood that it holds of an array; empty: it is a whole message
    cut: int  # bytes of the whole message where this is its beginning alone; else 0
    key: bytes | None
    value: bytes | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the value as a preview."""
        shown = asdict(self)
        del shown["key"]
        size = 0 if self.value is None else len(self.value)
        return {**shown, "reason": escaped(self.reason), "value": preview(self.value), "bytes": self.cut or size}

    @property
    def digest(self) -> bytes:
        """Equal for letters of the same key and value."""
        return hashlib.sha256(b"%d|%b|%b" % (len(self.key or b""), self.key or b"", self.value or b"")).digest()


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay did, or would do. Each dead letter is counted in exactly one of the five."""

    sent: int  # acknowledged by Kafka
    other_reason: int  # left: another reason than asked for, or beyond the limit
    same: int  # left: another letter holds the same
    given_up: int  # left: refused as often as allowed
    cut: int  # left: too large, and only their beginning is here
    dry_run: bool

    def describe(self) -> str:
        """One sentence."""
        verb = "Would be sent" if self.dry_run else "Sent"
        return (
            f"{verb} to the topic of headlines again: {self.sent:,}. Left: {self.given_up:,} refused {MOST_REPLAYS} "
            f"times or more, {self.cut:,} cut for their size, {self.same:,} of the same content, "
            f"{self.other_reason:,} not asked for."
        )


def letters(settings: KafkaSettings) -> Iterator[Letter]:
    """All dead letters there are now, partition by partition, oldest first; none committed.

    Raises:
        BrokerUnavailable: Kafka cannot be reached.
    """
    return map(_letter, records_of(settings, settings.dead_letter_topic))


def matching(reason: str | None) -> Callable[[Letter], bool]:
    """Whether a letter's reason contains a text, whatever its case; None: every letter's does."""
    wanted = (reason or "").casefold()
    return lambda letter: wanted in letter.reason.casefold()


def replay(
    settings: KafkaSettings, *, reason: str | None = None, limit: int | None = None, dry_run: bool = False
) -> Replay:
    """Sends dead letters to the topic of headlines again.

    Args:
        settings: Kafka and the topics.
        reason: Only those whose reason contains this.
        limit: At most so many.
        dry_run: Count, and send nothing.

    Raises:
        DeliveryError: Kafka did not acknowledge one; sending again is safe.
    """
    ends = end_offsets(settings, settings.dead_letter_topic)
    refused: dict[bytes, int] = {}
    for letter in letters(settings):
        refused[letter.digest] = max(refused.get(letter.digest, 0), letter.replays)
    fits = matching(reason)
    done: set[bytes] = set()
    sent = other = same = given_up = cut = 0
    sender = None if dry_run else Sender(settings)
    try:
        for letter in letters(settings):
            replays = refused.get(letter.digest)
            if replays is None or not fits(letter) or (limit is not None and sent >= limit):
                other += 1  # one that has come since we counted is the next replay's
            elif replays >= MOST_REPLAYS:
                given_up += 1
            elif letter.cut:
                cut += 1
            elif letter.digest in done:
                same += 1
            else:
                done.add(letter.digest)
                sent += 1
                if sender is not None:
                    headers = [(REPLAYS, b"%d" % (replays + 1))]
                    sent_then = (
                        letter.timestamp if letter.timestamp >= 0 else None
                    )  # published then, if it does not say
                    sender.send(
                        settings.topic, key=letter.key, value=letter.value, headers=headers, timestamp=sent_then
                    )
        if sender is not None:
            sender.flush()
    finally:
        if sender is not None:
            sender.close()
    if sender is not None and reason is None and limit is None:
        _dealt_with(settings, ends)
    return Replay(sent, other, same, given_up, cut, dry_run)


def waiting(settings: KafkaSettings) -> int:
    """How many letters have come since all were last replayed; 0 where the topic is missing.

    Raises:
        BrokerUnavailable: Kafka cannot be reached, or the topic is missing.
    """
    topic = settings.model_copy(update={"topic": settings.dead_letter_topic})
    return sum(lag(topic, _group(settings), patience=0).values())


def _dealt_with(settings: KafkaSettings, ends: Mapping[int, int]) -> None:
    """Remembers in Kafka the offset up to which all letters were sent again, or given up."""
    consumer = make_consumer(settings, [], group=_group(settings))
    topic = settings.dead_letter_topic
    try:
        consumer.assign([TopicPartition(topic, number) for number in ends])
        consumer.commit({TopicPartition(topic, number): OffsetAndMetadata(end, "", -1) for number, end in ends.items()})
    except KafkaError as error:
        log.warning("`newstide doctor` will go on reporting these dead letters", reason=str(error))
    finally:
        consumer.close(autocommit=False)


def _group(settings: KafkaSettings) -> str:
    return f"{settings.group}-dead-letters"


def preview(value: bytes | None) -> str:
    """The beginning of a value, safe for a terminal."""
    return (
        "" if value is None else shorten(escaped(value[: _PREVIEW * 4].decode("utf-8", "backslashreplace")), _PREVIEW)
    )


def escaped(text: str) -> str:
    """Control, bidi and other invisible characters as their escapes."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def print_letters(found: list[Letter], total: int) -> None:
    """A table for people."""
    shown = Table("from", "reason", "value", "replays")
    for letter in found:
        place = f"{letter.topic}/{letter.partition}/{letter.offset}" + (f" [{letter.places}]" if letter.places else "")
        shown.add_row(
            *(Text(escaped(place)), Text(escaped(letter.reason)), Text(preview(letter.value)), str(letter.replays))
        )
    console = Console()
    if found:
        console.print(shown)
    console.print(Text(f"{total:,} dead letters" + (f", {len(found):,} shown." if len(found) < total else ".")))


def _letter(record: Any) -> Letter:
    headers = dict(record.headers)
    return Letter(
        reason=headers.get("reason", b"").decode("utf-8", "replace"),
        topic=headers.get("topic", b"").decode("utf-8", "replace"),
        partition=_number(headers.get("partition"), -1),
        offset=_number(headers.get("offset"), -1),
        timestamp=_number(headers.get("timestamp"), -1),
        places=headers.get("places", b"").decode("ascii", "replace"),
        replays=max(_number(headers.get(REPLAYS), 0), 0),
        cut=max(_number(headers.get(CUT), 0), 0),
        key=record.key,
        value=record.value,
    )


def _number(value: bytes | None, default: int) -> int:
    text = (value or b"").decode("ascii", "replace")
    return int(text) if len(text) < 20 and text.removeprefix("-").isdecimal() else default
