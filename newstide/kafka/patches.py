"""Patches for faults of kafka-python, and the private state of its clients that newstide reads.

`apply` is called before the first client is made. Each patch names its fault; `tests/test_kafka_patches.py` shows each
fault in the client as it comes, and fails once a patch is no longer needed. No other file touches private attributes of
kafka-python.
"""

import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import kafka
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.errors import (
    AuthorizationError,
    CorruptRecordError,
    OffsetOutOfRangeError,
    UnsupportedCodecError,
    UnsupportedCompressionTypeError,
    UnsupportedVersionError,
    for_code,
)
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.record import MemoryRecords
from kafka.structs import OffsetAndMetadata

from newstide.core import logs

TESTED = ("3.0.12",)  # versions of kafka-python that have the faults
FETCHES = 3  # fetches of a damaged batch: it may have been damaged on the way
_NEXT_FETCH = 0.2  # seconds between them
_LOOK_AGAIN = 60.0  # seconds between later ones
_BATCH = struct.Struct(">qiibIhiqqqhii")  # the head of a record batch of format 2 (KIP-98)
_MAGIC = 16  # where the number of the format lies in a batch of every format
_NEWEST_FORMAT = 2
# What trying again does not change: this client lacks the codec or does not know the format.
_BEYOND_US = (UnsupportedCodecError, UnsupportedCompressionTypeError, UnsupportedVersionError, NotImplementedError)

log = logs.get("kafka")


@dataclass(frozen=True, slots=True)
class Patch:
    """A method of kafka-python that is replaced by a wrapper around it."""

    owner: type
    method: str
    mend: Callable[[Callable[..., Any]], Callable[..., Any]]

    @property
    def in_force(self) -> bool:
        """Whether the class has the mended method now."""
        return hasattr(vars(self.owner)[self.method], "mended")

    def put(self) -> None:
        """Puts the mended method in the place of the original."""
        original = vars(self.owner)[self.method]
        mended: Any = self.mend(original)
        mended.mended = original
        setattr(self.owner, self.method, mended)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Puts the original back for a while: the client as it comes."""
        mended = vars(self.owner)[self.method]
        setattr(self.owner, self.method, mended.mended)
        try:
            yield
        finally:
            setattr(self.owner, self.method, mended)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A batch at which reading a partition has stopped."""

    partition: TopicPartition
    offset: int  # the first message that could not be read
    first: int  # the batch's first and last offset; -1 where even they are not known
    last: int
    messages: int  # how many messages it holds, by its head
    reason: str
    fetches: int  # how often it was fetched
    again_at: float  # `time.monotonic()` before which it is not fetched again
    final: bool  # fetching it again will hardly help


def apply() -> None:
    """Puts all patches in force; called again, it does nothing."""
    missing = [patch for patch in PATCHES if not patch.in_force]
    if not missing:
        return
    if kafka.__version__ not in TESTED:
        log.warning("newstide's patches were not tested with this kafka-python", version=kafka.__version__)
    for patch in missing:
        patch.put()


def unreadable(consumer: Any) -> list[Unreadable]:
    """The batches at which the consumer waits, of the partitions that it has now."""
    held = _held(consumer._fetcher)
    for partition in set(held) - consumer.assignment():
        held.pop(partition, None)
    return [batch for batch in list(held.values()) if batch.final]


def take_out_of_range(consumer: Any) -> dict[TopicPartition, int]:
    """Offsets that Kafka did not have any more when they were asked for, by partition, since the last call."""
    noted = _out_of_range(consumer._fetcher)
    found = dict(noted)
    noted.clear()
    return found


def topic_id(consumer: Any, topic: str) -> UUID | None:
    """The id of a topic, which another topic of the same name does not have; None while it is not known."""
    found: UUID | None = consumer._cluster.topic_id(topic)
    return found


def positions(consumer: Any) -> dict[TopicPartition, OffsetAndMetadata]:
    """The next offset to be read of each partition, where the client knows it, and the leader epoch of what was read last.

    Sends no request.
    """
    return dict(consumer._subscription.all_consumed_offsets())


def seek(consumer: Any, partition: TopicPartition, at: OffsetAndMetadata) -> None:
    """Goes to an offset and has the client ask Kafka where its log of that leader epoch ends (KIP-320).

    Where it ends before the offset, the log was cut, and the client goes to its end: what lies behind was never read.
    `KafkaConsumer.seek` takes no epoch.
    """
    consumer._subscription.seek(partition, at)


def knows_coordinator(consumer: Any) -> bool:
    """Whether the client knows the group's coordinator; it forgets a coordinator that answers no heartbeat."""
    return consumer._coordinator.coordinator_id is not None


def is_settled(consumer: Any) -> bool:
    """Whether a member of a group has joined it, and nothing makes it join again."""
    return not consumer._coordinator.need_rejoin()


def broker_version(client: Any) -> tuple[int, ...]:
    """The version of the Kafka that the client is connected to."""
    return tuple(client._manager.broker_version)


def _keep_last_words(receive: Callable[..., Any]) -> Callable[..., Any]:
    """Lets the client read what arrives together with the end of a connection.

    The client throws it away (`kafka.net.transport`), and with it, most times, a broker's answer that the password is
    wrong: only "socket disconnected" is left. The end itself is met again at the next read. We know of no issue
    upstream.
    """

    def receive_all(self: Any) -> tuple[bytes, BaseException | None]:
        data, error = receive(self)
        return data, None if data else error

    return receive_all


def _finish_joining(needed: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a group's leader apply the assignment of a join that outlasted the poll it began in.

    The client forgets such a join where the topic's partitions were its cause: its leader notes at once that it has seen
    them, so that at the next poll there seems to be nothing to do. The member then has no partitions, sends no
    heartbeats and never comes back, at full load of the processor (`kafka.coordinator.consumer`). Kafka's own client had
    a fault of this kind (KAFKA-9815, apache/kafka pull request 8420); we know of no issue of kafka-python.
    """

    def need_rejoin(self: Any) -> bool:
        return bool(needed(self) or (self.rejoining and self._subscription.partitions_auto_assigned()))

    return need_rejoin


def _return_to_what_is_parked(fetched: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a consumer read on a partition that it had paused, after it has read others meanwhile.

    The client sets a paused partition's fetched records aside, and takes them up again only where nothing else has come
    in between; otherwise the partition is neither read nor fetched any more (`kafka.consumer.fetcher`). This came with
    dpkp/kafka-python pull request 2981 (KAFKA-7548).
    """

    def fetched_records(self: Any, *arguments: Any, **options: Any) -> Any:
        if not self._next_partition_records:  # read to its end
            self._next_partition_records = None
        return fetched(self, *arguments, **options)

    return fetched_records


def _stop_at_what_cannot_be_read(append: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a consumer read other partitions while a batch of one cannot be read.

    The client raises its error from `poll`, which then reads of no partition, and returns to the same batch for ever. We
    know of no issue upstream.
    """

    def append_or_hold(self: Any, drained: Any, part: Any, *arguments: Any) -> int:
        try:
            count = int(append(self, drained, part, *arguments))
        except Exception as error:  # noqa: BLE001 - codecs raise what they like
            _hold(self, part.topic_partition, part.next_fetch_offset, getattr(part, "fetched", b""), error)
            part.drain()
            return 0
        if count:
            _held(self).pop(part.topic_partition, None)
        return count

    return append_or_hold


def _note_what_was_fetched(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Keeps what was fetched beside its records, and notes offsets that Kafka has no more or cannot read itself.

    The client asks for a damaged batch again and again without a word, and resets an offset out of range with a line of
    log alone.
    """

    def parse_or_hold(self: Any, completed: Any) -> Any:
        partition, offset = completed.topic_partition, completed.fetched_offset
        failure = for_code(completed.partition_data.error_code)
        if failure is OffsetOutOfRangeError:
            _out_of_range(self).setdefault(partition, offset)
        elif failure is CorruptRecordError:
            _hold(self, partition, offset, b"", CorruptRecordError("Kafka finds its log damaged there"))
        try:
            parsed = parse(self, completed)
        except AuthorizationError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, other partitions are read on
            _hold(self, partition, offset, completed.partition_data.records or b"", error)
            return None
        if parsed is not None:
            parsed.fetched = completed.partition_data.records
        return parsed

    return parse_or_hold


def _leave_out_what_is_held(fetchable: Callable[..., Any]) -> Callable[..., Any]:
    """Does not fetch a batch that cannot be read again at once: the client would do nothing else."""

    def fetchable_partitions(self: Any) -> list[TopicPartition]:
        held = _held(self)
        now = time.monotonic()
        return [one for one in fetchable(self) if one not in held or held[one].again_at <= now]

    return fetchable_partitions


def _refuse_newer_formats(next_batch: Callable[..., Any]) -> Callable[..., Any]:
    """Refuses a batch whose format is newer than those that the client knows; it reads it as if it were format 2."""

    def next_known_batch(self: Any, *arguments: Any) -> Any:
        head = self._next_slice
        if head is not None and len(head) > _MAGIC and head[_MAGIC] > _NEWEST_FORMAT:
            raise UnsupportedVersionError(f"the batch has format {head[_MAGIC]}; {_NEWEST_FORMAT} is the newest known")
        return next_batch(self, *arguments)

    return next_known_batch


PATCHES = (
    Patch(KafkaTCPTransport, "_sock_recv", _keep_last_words),
    Patch(KafkaSSLTransport, "_sock_recv", _keep_last_words),
    Patch(ConsumerCoordinator, "need_rejoin", _finish_joining),
    Patch(Fetcher, "fetched_records", _return_to_what_is_parked),
    Patch(Fetcher, "_append", _stop_at_what_cannot_be_read),
    Patch(Fetcher, "_parse_fetched_data", _note_what_was_fetched),
    Patch(Fetcher, "_fetchable_partitions", _leave_out_what_is_held),
    Patch(MemoryRecords, "next_batch", _refuse_newer_formats),
)


def _hold(fetcher: Any, partition: TopicPartition, offset: int, fetched: bytes, error: Exception) -> None:
    """Notes that the batch at this offset cannot be read, and when it is to be fetched again."""
    held = _held(fetcher)
    before = held.get(partition)
    fetches = before.fetches + 1 if before is not None and before.offset == offset else 1
    final = isinstance(error, _BEYOND_US) or fetches >= FETCHES
    first, last, messages = _extent(fetched, offset)
    found = Unreadable(
        partition,
        offset,
        first,
        last,
        messages,
        f"{type(error).__name__}: {error}",
        fetches,
        time.monotonic() + (_LOOK_AGAIN if final else _NEXT_FETCH),
        final,
    )
    if found.first < 0 and before is not None and before.offset == offset:
        found = replace(found, first=before.first, last=before.last, messages=before.messages)
    held[partition] = found


def _extent(fetched: bytes, offset: int) -> tuple[int, int, int]:
    """First offset, last offset and number of messages of the batch that holds this offset; -1, -1, 0 if none does."""
    place = 0
    while place + _MAGIC < len(fetched):
        first, length = struct.unpack_from(">qi", fetched, place)
        last, messages = first, 1
        if fetched[place + _MAGIC] >= _NEWEST_FORMAT and place + _BATCH.size <= len(fetched):
            head = _BATCH.unpack_from(fetched, place)
            last = first + max(0, head[6])
            messages = head[12] if 0 < head[12] <= last - first + 1 else last - first + 1
        if last >= offset:
            return int(first), int(last), int(messages)
        if length <= 0:
            break
        place += 12 + length
    return -1, -1, 0


def _held(fetcher: Any) -> dict[TopicPartition, Unreadable]:
    held: dict[TopicPartition, Unreadable] = vars(fetcher).setdefault("held", {})
    return held


def _out_of_range(fetcher: Any) -> dict[TopicPartition, int]:
    noted: dict[TopicPartition, int] = vars(fetcher).setdefault("out_of_range", {})
    return noted
