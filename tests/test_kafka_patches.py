"""What newstide mends in kafka-python: each fault is shown in the client as it comes, and its mending beside it.

A test that fails because a fault is gone says that its patch can go too.
"""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.errors import UnsupportedCodecError, UnsupportedVersionError
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.record import MemoryRecords
from kafka.record.memory_records import MemoryRecordsBuilder

from newstide.core.settings import KafkaSettings
from newstide.kafka import patches
from newstide.kafka.consumer import make_consumer
from newstide.kafka.lag import end_offsets
from newstide.kafka.patches import Patch
from newstide.kafka.producer import Sender


@pytest.fixture(autouse=True)
def _in_force() -> None:
    patches.apply()


def patch_of(owner: type, method: str) -> Patch:
    (found,) = [patch for patch in patches.PATCHES if (patch.owner, patch.method) == (owner, method)]
    assert found.in_force
    return found


def fill(settings: KafkaSettings, messages: int, **options: Any) -> None:
    sender = Sender(settings.model_copy(update=options))
    for number in range(messages):
        sender.send(settings.topic, key=b"%d" % number, value=b"v")
    sender.flush()
    sender.close()


@pytest.fixture
def consumer(kafka_settings: KafkaSettings) -> Iterator[KafkaConsumer]:
    """A member of a group that has its partitions."""
    made = make_consumer(kafka_settings, [kafka_settings.topic], group=f"patches-{kafka_settings.group}")
    deadline = time.monotonic() + 30
    while len(made.assignment()) < 4:
        made.poll(timeout_ms=100)
        assert time.monotonic() < deadline
    yield made
    made.close(autocommit=False)


def test_putting_the_patches_in_force_again_changes_nothing() -> None:
    before = [vars(patch.owner)[patch.method] for patch in patches.PATCHES]
    patches.apply()
    assert [vars(patch.owner)[patch.method] for patch in patches.PATCHES] == before


@pytest.mark.parametrize("kind", [KafkaTCPTransport, KafkaSSLTransport])
def test_what_arrives_with_the_end_of_a_connection_is_read(kind: type) -> None:
    def words_read() -> list[bytes]:
        read: list[bytes] = []
        given = iter([b"wrong password", b""])
        transport: Any = object.__new__(kind)
        transport._read, transport._closed = True, False
        transport._net = SimpleNamespace(wait_read=lambda _socket: asyncio.sleep(0))
        transport._sock = SimpleNamespace(recv=lambda _size: next(given, b""))
        transport._protocol = SimpleNamespace(_sensors=None, data_received=read.append)
        transport.abort = lambda **_error: None
        with ThreadPoolExecutor(1) as apart:  # another test may have left a loop running in this thread
            apart.submit(asyncio.run, transport._read_from_sock()).result()
        return read

    assert words_read() == [b"wrong password"]
    with patch_of(kind, "_sock_recv").undone():
        assert words_read() == [], "kafka-python reads them by itself: the patch can go"


def test_a_member_that_is_joining_knows_that_it_has_to_finish(consumer: KafkaConsumer) -> None:
    coordinator = consumer._coordinator
    assert patches.is_settled(consumer)
    assert patches.knows_coordinator(consumer)
    coordinator.rejoining = True
    try:
        assert coordinator.need_rejoin()
        with patch_of(ConsumerCoordinator, "need_rejoin").undone():
            assert not coordinator.need_rejoin(), "kafka-python knows by itself: the patch can go"
    finally:
        coordinator.rejoining = False


def test_a_partition_that_was_paused_is_read_on(kafka_settings: KafkaSettings, consumer: KafkaConsumer) -> None:
    fill(kafka_settings, 400)
    ends = end_offsets(kafka_settings, kafka_settings.topic)
    read = 0

    def poll_until(number: int, seconds: float) -> bool:
        nonlocal read
        deadline = time.monotonic() + seconds
        while read < number and time.monotonic() < deadline:
            read += sum(map(len, consumer.poll(timeout_ms=50, max_records=10).values()))
        return read >= number

    with patch_of(Fetcher, "fetched_records").undone():
        assert poll_until(1, 30)
        (first,) = [one for one in consumer.assignment() if consumer.position(one)]
        consumer.pause(first)
        assert poll_until(400 - ends[first.partition] + consumer.position(first), 30)
        consumer.resume(first)
        assert not poll_until(400, 1.5), "kafka-python reads on by itself: the patch can go"
    assert poll_until(400, 30)


def test_a_batch_that_cannot_be_read_stops_its_partition_alone(
    kafka_settings: KafkaSettings, consumer: KafkaConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(kafka_settings, 50)
    sender = Sender(kafka_settings.model_copy(update={"compression": "zstd"}))
    for number in range(5):
        sender.send(kafka_settings.topic, key=b"same", value=b"ice and water and stone " * 40 + b"%d" % number)
    sender.flush()
    sender.close()
    monkeypatch.setattr("kafka.codec.zstd", None)  # the client without this codec
    read: list[Any] = []

    def poll_until(number: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while len(read) < number and time.monotonic() < deadline:
            for records in consumer.poll(timeout_ms=100).values():
                read.extend(records)
        return len(read) >= number

    assert poll_until(50, 30)
    deadline = time.monotonic() + 30
    while not (found := patches.unreadable(consumer)):
        consumer.poll(timeout_ms=50)
        assert time.monotonic() < deadline
    (batch,) = found
    assert (batch.final, batch.messages) == (True, 5)
    assert (batch.first, batch.last) == (batch.offset, batch.offset + 4)
    assert consumer.position(batch.partition) == batch.offset
    assert batch.reason.startswith("UnsupportedCodecError")
    fill(kafka_settings, 40)
    waiting = sum(1 for number in range(40) if _partition(kafka_settings, b"%d" % number) == batch.partition)
    assert poll_until(50 + 40 - waiting, 30), "the other partitions are read"
    with (
        patch_of(Fetcher, "_append").undone(),
        patch_of(Fetcher, "_fetchable_partitions").undone(),
        pytest.raises(UnsupportedCodecError),  # where this is not raised, the patch can go
    ):
        poll_until(1_000, 3)


def _partition(settings: KafkaSettings, key: bytes) -> TopicPartition:
    from kafka.partitioner import murmur2

    return TopicPartition(settings.topic, (murmur2(key) & 0x7FFFFFFF) % 4)


def test_a_batch_of_a_newer_format_is_refused_and_not_misread() -> None:
    builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=1000)
    builder.append(timestamp=1, key=None, value=b"v")
    builder.close()
    newer = bytearray(builder.buffer())
    newer[16] = 3
    with pytest.raises(UnsupportedVersionError, match="format 3"):
        MemoryRecords(bytes(newer)).next_batch()
    with patch_of(MemoryRecords, "next_batch").undone():
        assert MemoryRecords(bytes(newer)).next_batch() is not None, "kafka-python refuses it: the patch can go"


def test_offsets_that_kafka_has_no_more_are_noted(kafka_settings: KafkaSettings, consumer: KafkaConsumer) -> None:
    from kafka import KafkaAdminClient

    fill(kafka_settings, 100)
    ends = end_offsets(kafka_settings, kafka_settings.topic)
    read = 0
    while read < 100:  # nothing that was fetched before is left
        read += sum(map(len, consumer.poll(timeout_ms=100).values()))
    with KafkaAdminClient(bootstrap_servers=kafka_settings.bootstrap_servers) as admin:
        admin.delete_records({TopicPartition(kafka_settings.topic, number): end for number, end in ends.items()})
    for number in ends:
        consumer.seek(TopicPartition(kafka_settings.topic, number), 0)
    noted: dict[TopicPartition, int] = {}
    deadline = time.monotonic() + 30
    while len(noted) < 4:
        consumer.poll(timeout_ms=100)
        noted |= patches.take_out_of_range(consumer)
        assert time.monotonic() < deadline
    assert set(noted.values()) == {0}
    assert patches.take_out_of_range(consumer) == {}
