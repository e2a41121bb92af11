"""What a real topic holds beside good messages: codecs, damage, transactions, retention, arrays; real Kafka and Milvus."""

import itertools
import json
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
from typer.testing import CliRunner

from consumers.group import Handover, Membership, join_group
from consumers.loop import ingest
from consumers.messages import Item
from consumers.partitions import Partitions
from consumers.tally import Tally
from consumers.write import Writer
from newstide.core.errors import SettingsError
from newstide.core.headline import derive_id
from newstide.core.local_server import free_port
from newstide.core.settings import KafkaSettings, Settings, as_environment
from newstide.kafka import losses, patches
from newstide.kafka.lag import end_offsets, lag, progress
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.producer import Sender
from newstide.kafka.topics import ensure_topics
from newstide.milvus import Store
from newstide_app.cli.main import app
from newstide_app.maintenance.doctor import examine
from newstide_app.maintenance.doctor_kafka import look_at_figures
from newstide_app.maintenance.findings import Visit
from newstide_app.maintenance.skipping import look_at_batch
from newstide_app.maintenance.takedown import forget
from newstide_app.services.monitoring import monitored
from tests.harness.consuming import drained, letters_of, require_sums, send
from tests.harness.hashing import Hashing


@pytest.fixture
def admin(kafka_settings: KafkaSettings) -> Iterator[KafkaAdminClient]:
    with KafkaAdminClient(bootstrap_servers=kafka_settings.bootstrap_servers) as made:
        yield made


def message(title: str, **fields: Any) -> bytes:
    return json.dumps({"title": title, **fields}).encode()


def titles_in(store: Store) -> set[str]:
    return set(store.headlines("", ["title"])["title"])


def place_of(settings: Settings) -> TopicPartition:
    """Where messages of the key that `send` has go; some are there."""
    ((partition, _),) = [one for one in end_offsets(settings.kafka, settings.kafka.topic).items() if one[1]]
    return TopicPartition(settings.kafka.topic, partition)


def elsewhere(settings: Settings, count: int) -> list[str]:
    """Titles of messages that were sent to every partition."""
    titles = [f"Elsewhere {number}" for number in range(count)]
    for number, title in enumerate(titles):
        send(settings, [message(title)], key=b"%d" % number)
    return titles


@pytest.mark.parametrize("codec", ["zstd", "snappy", "gzip", "lz4", "none"])
def test_every_codec_of_kafka_is_read(settings: Settings, store: Store, codec: str) -> None:
    text = "ice and water and stone " * 40
    send(settings, [message(f"{codec} {number}", description=text) for number in range(5)], compression=codec)
    assert drained(settings).stored == 5
    assert titles_in(store) == {f"{codec} {number}" for number in range(5)}


def test_a_batch_that_cannot_be_read_lets_others_go_on_until_it_is_skipped(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    text = "ice and water and stone " * 40
    send(settings, [message("before")])
    send(settings, [message(f"zstd {number}", description=text) for number in range(5)], compression="zstd")
    place = place_of(settings)
    send(settings, [message("behind")])
    others = elsewhere(settings, 12)
    monkeypatch.setattr("kafka.codec.zstd", None)  # a consumer without this codec
    tally = drained(settings)
    require_sums(tally)
    assert tally.waiting[place.partition] >= 6
    there = titles_in(store)
    assert "before" in there
    assert "behind" not in there
    assert len(there & set(others)) >= 6, "the other partitions are read"
    said = capfd.readouterr().err
    assert "a batch cannot be read" in said
    assert "dead-letters skip" in said
    stands = progress(settings.kafka, settings.kafka.group)[place.partition]
    with pytest.raises(SettingsError, match=f"stands at offset {stands.committed}"):
        look_at_batch(settings.kafka, place.partition, stands.committed + 1)
    with pytest.raises(SettingsError, match="can be read, or none has come yet"):
        look_at_batch(settings.kafka, (place.partition + 1) % 4)
    batch = look_at_batch(settings.kafka, place.partition, stands.committed)
    assert (batch.offset, batch.messages) == (stands.committed, 5)
    assert (batch.first, batch.last) == (stands.committed, stands.committed + 4)
    command = ["dead-letters", "skip", str(place.partition)]
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    asked = CliRunner().invoke(app, command)
    assert "5 messages that cannot be read" in " ".join(asked.output.split())
    assert "--yes" in asked.output
    assert progress(settings.kafka, settings.kafka.group)[place.partition] == stands, "nothing happens without --yes"
    assert CliRunner().invoke(app, [*command, "--yes"]).exit_code == 0
    tally = drained(settings)
    require_sums(tally)
    assert tally.skipped == 5
    assert "behind" in titles_in(store)
    assert sum(lag(settings.kafka, settings.kafka.group).values()) == 0
    assert drained(settings).skipped == 0, "what was skipped counts once"


def test_skipping_is_refused_while_the_group_has_members(settings: Settings) -> None:
    consumer = join_group(settings.kafka)
    consumer.subscribe([settings.kafka.topic])
    try:
        deadline = time.monotonic() + 60
        while not consumer.assignment():
            consumer.poll(timeout_ms=100)
            assert time.monotonic() < deadline
        with pytest.raises(SettingsError, match="has 1 member"):
            look_at_batch(settings.kafka, 0)
    finally:
        consumer.close(autocommit=False)


def test_a_batch_that_was_damaged_on_the_disk_holds_up_its_partition_alone(
    settings: Settings, store: Store, local_kafka: LocalKafka
) -> None:
    send(settings, [message("Quay crane moves MARK " + "x" * 50)], compression="none")
    place = place_of(settings)
    others = elsewhere(settings, 12)
    (segment,) = (local_kafka.data_dir / "log" / f"{place.topic}-{place.partition}").glob("*.log")
    content = segment.read_bytes()
    with segment.open("r+b") as file:
        file.seek(content.index(b"MARK"))
        file.write(b"MURK")
    tally = drained(settings)
    require_sums(tally)
    assert list(tally.waiting) == [place.partition]
    assert len(titles_in(store) & set(others)) >= 6
    batch = look_at_batch(settings.kafka, place.partition)
    assert (batch.first, batch.last, batch.messages) == (0, 0, 1)
    assert "CorruptRecord" in batch.reason


def producer_of(settings: Settings, transaction: str) -> KafkaProducer:
    producer = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers, transactional_id=transaction)
    producer.init_transactions()
    return producer


def test_what_a_transaction_took_back_is_not_stored_and_leaves_no_lag(settings: Settings, store: Store) -> None:
    producer = producer_of(settings, f"t-{uuid.uuid4().hex}")
    for title, ends in (("committed", producer.commit_transaction), ("aborted", producer.abort_transaction)):
        producer.begin_transaction()
        for partition in range(4):
            producer.send(settings.kafka.topic, value=message(f"{title} {partition}"), partition=partition)
        producer.flush()
        ends()
    tally = drained(settings)
    assert (tally.stored, titles_in(store)) == (4, {f"committed {partition}" for partition in range(4)})
    assert lag(settings.kafka, settings.kafka.group) == dict.fromkeys(range(4), 0)
    producer.begin_transaction()
    producer.send(settings.kafka.topic, value=message("open"), partition=2)
    producer.flush()
    assert lag(settings.kafka, settings.kafka.group) == dict.fromkeys(range(4), 0), "it cannot be read yet"
    assert progress(settings.kafka, settings.kafka.group)[2].held_back == 1
    (finding,) = [one for one in examine(settings).findings if one.name == "transactions"]
    assert "1 messages wait for the end of a transaction in partition 2" in finding.seen
    producer.abort_transaction()
    producer.close()
    assert drained(settings).stored == 0
    assert lag(settings.kafka, settings.kafka.group) == dict.fromkeys(range(4), 0)


def test_what_retention_removed_before_it_was_read_is_counted_until_it_is_acknowledged(
    settings: Settings, store: Store, admin: KafkaAdminClient
) -> None:
    send(settings, [message("first")])
    place = place_of(settings)
    assert drained(settings).stored == 1
    send(settings, [message(f"lost {number}") for number in range(7)])
    admin.delete_records({place: 6})
    tally = drained(settings)
    require_sums(tally)
    assert (tally.lost, tally.stored) == (5, 2)
    assert {number: loss.messages for number, loss in losses.losses(settings.kafka).items()} == {place.partition: 5}
    (finding,) = [one for one in examine(settings).findings if one.name == "lost messages"]
    assert "5 messages" in finding.seen
    assert losses.acknowledge_losses(settings.kafka) == 5
    assert losses.losses(settings.kafka) == {}


def test_what_goes_while_a_member_is_about_to_read_it_is_counted_too(
    settings: Settings, admin: KafkaAdminClient
) -> None:
    send(settings, [message(f"Message {number}") for number in range(8)])
    place = place_of(settings)
    consumer, tally = join_group(settings.kafka), Tally()
    handover = Handover(consumer, settings.kafka.topic)
    partitions = Partitions(consumer, handover, settings.kafka, tally)
    member = Membership(
        consumer, handover, settings.kafka, threading.Event(), on_beat=lambda: None, on_new=partitions.let_in
    )

    def poll_until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            member.poll(0.2)
            partitions.look()
            assert time.monotonic() < deadline

    try:
        poll_until(lambda: getattr(patches.positions(consumer).get(place), "offset", None) == 8)
        admin.delete_records({place: 6})
        consumer.seek(place, 2)
        poll_until(lambda: tally.lost > 0)
    finally:
        consumer.close(autocommit=False)
    assert tally.lost == 4
    assert losses.losses(settings.kafka)[place.partition].messages == 4


def test_doctor_asks_consumers_for_their_figures_or_says_that_it_cannot(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = settings.updated(monitoring={"port": free_port()})

    def seen(behind: int = 0) -> list[tuple[str, str]]:
        return [(one.status, one.seen) for one in look_at_figures(Visit(watched, behind=behind, members=1))]

    ((status, what),) = seen()
    assert (status, "cannot be asked" in what) == ("ok", True)
    with monitored("consumer", watched, asks=[]) as monitor:
        record = monitor.consuming()
        record(Tally(messages=7))
        assert seen() == [("ok", "the consumer has finished 7 messages since it began")]
        assert seen(behind=5) == seen()
        monkeypatch.setattr("newstide_app.maintenance.doctor_kafka._STANDSTILL", 0.0)
        ((status, what),) = seen(behind=5)
        assert (status, "5 messages wait, and the consumer has finished none" in what) == ("warn", True)
        record(Tally(messages=7, waiting={2: 6}))
        ((status, what),) = seen()
        assert (status, what) == (
            "fail",
            "Partition 2 waits at a batch that cannot be read, with 6 messages behind it.",
        )


def test_a_topic_made_anew_is_noticed_by_its_id_and_read_from_its_beginning(
    settings: Settings, store: Store, admin: KafkaAdminClient
) -> None:
    send(settings, [message(f"new {number}") for number in range(5)])
    place = place_of(settings)
    note = json.dumps({"topic": str(uuid.uuid4())})
    admin.alter_group_offsets(settings.kafka.group, {place: OffsetAndMetadata(3, note, -1)})
    tally = drained(settings)
    assert (tally.new_topics, tally.stored) == (1, 5)
    assert (drained(settings).new_topics, tally.lost) == (0, 0)


def test_an_array_is_written_in_parts_and_its_bad_elements_are_one_letter(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    write = Writer.write

    def noted(self: Writer, items: Sequence[Item], tally: Any) -> Any:
        sizes.append(len(items))
        return write(self, items, tally)

    monkeypatch.setattr(Writer, "write", noted)
    elements: list[Any] = [{"title": f"Element {number}"} for number in range(50)]
    elements[7], elements[30] = {"title": ""}, "nonsense"
    send(settings, [json.dumps(elements).encode(), None, b"[1, 2]", b'{"title": 7}', message("single")])
    tally = drained(settings.updated(consumer={"batch_size": 16}))
    require_sums(tally)
    assert max(sizes) <= 16
    assert (tally.messages, tally.read, tally.tombstones, tally.dead_letters) == (5, 2, 1, 2)
    assert (tally.headlines, tally.stored, tally.refused) == (51, 49, 2)
    letters = letters_of(settings)
    assert len(letters) == 3
    (of_array,) = [(value, headers) for value, headers in letters if "places" in headers]
    assert json.loads(of_array[0] or b"") == [{"title": ""}, "nonsense"]
    assert of_array[1]["places"] == "8,31"
    assert {value for value, headers in letters if "places" not in headers} == {b"[1, 2]", b'{"title": 7}'}
    assert sum(lag(settings.kafka, settings.kafka.group).values()) == 0


def test_an_id_that_comes_again_with_another_title_is_an_edit_or_a_clash(settings: Settings, store: Store) -> None:
    url = "https://k.example/1"
    send(settings, [message("Pell harbour dredged", id="7", url=url)])
    assert drained(settings).stored == 1
    clash = message("Velm mill rebuilt", id="7", source="Velm")
    again = [
        message("PELL  harbour dredged", id="7", url=url),  # the same, cleaned and case-folded
        message("Pell harbour dredged at last", id="7", url=url),
        clash,
        message("Orvane ferry sails", id="7", url="https://k.example/2"),
        clash,
    ]
    send(settings, again)
    tally = drained(settings)
    require_sums(tally)
    assert (tally.stored, tally.duplicates, tally.edits, tally.clashes) == (2, 2, 1, 3)
    own = derive_id("", "Velm", "Velm mill rebuilt", None)
    assert set(store.headlines("", ["id"])["id"]) == {"7", own, derive_id("https://k.example/2", "", "", None)}
    send(settings, again)
    tally = drained(settings)
    assert (tally.stored, tally.duplicates, tally.edits) == (0, 4, 1), "a replay finds them again"


@pytest.mark.parametrize(("link", "clashes"), [("see page 3", 2), ("n/a", 0)])  # the second says that there is none
def test_headlines_that_share_a_link_which_names_no_page_are_all_stored(
    settings: Settings, store: Store, link: str, clashes: int
) -> None:
    titles = ["Pell harbour dredged", "Velm mill rebuilt", "Orvane ferry sails"]
    sent = [message(title, url=link, source="Velm") for title in titles]
    send(settings, sent)
    tally = drained(settings)
    require_sums(tally)
    assert (tally.stored, tally.edits, tally.clashes) == (3, 0, clashes)
    assert sorted(store.headlines("", ["title"])["title"]) == sorted(titles)
    send(settings, [*sent, message(titles[1], source="Velm")])
    assert drained(settings).duplicates == 4, "a replay finds them, and so does the headline without that link"


def test_what_was_taken_down_stays_away_under_any_id(settings: Settings, store: Store) -> None:
    fields = {"source": "Velm", "published_at": "2026-09-20T20:30:00Z"}
    send(settings, [message("Pell harbour dredged", id="7", **fields), message("Other", id="8", **fields)])
    assert drained(settings).stored == 2
    forget(settings, "id", "7")
    send(settings, [message("Pell harbour dredged", id="9", **fields), message("Pell harbour dredged", **fields)])
    tally = drained(settings)
    assert (tally.taken_down, tally.stored) == (2, 0)
    assert titles_in(store) == {"Other"}


def test_a_loop_reads_new_partitions_and_a_topic_made_anew_while_it_runs(
    settings: Settings, store: Store, admin: KafkaAdminClient
) -> None:
    consumer, sender, stop, seen = join_group(settings.kafka), Sender(settings.kafka), threading.Event(), [Tally()]

    def run() -> None:
        try:
            ingest(
                consumer, sender, store, Hashing(), settings, stop=stop, on_beat=lambda now: seen.__setitem__(0, now)
            )
        except Exception:  # noqa: BLE001 - the test's thread is told
            ended.append(traceback.format_exc())

    ended: list[str] = []
    thread = threading.Thread(target=run)
    thread.start()

    def wait_for(what: str, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert not ended, ended[0]
            assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
            time.sleep(0.1)

    numbers = itertools.count()

    def heard_within(seconds: float, topic: str, partition: int) -> None:
        producer = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)
        title = f"Message {next(numbers)}"
        producer.send(topic, value=message(title), partition=partition).get(20)
        producer.close()
        wait_for(f"{title} in partition {partition}", lambda: title in titles_in(store), seconds)

    try:
        heard_within(60, settings.kafka.topic, 0)
        admin.create_partitions({settings.kafka.topic: 5})
        wait_for("it", lambda: len(admin.describe_topics([settings.kafka.topic])[0]["partitions"]) == 5, 30)
        heard_within(30, settings.kafka.topic, 4)
        admin.delete_topics([settings.kafka.topic])
        wait_for("it is gone", lambda: settings.kafka.topic not in admin.list_topics(), 30)
        ensure_topics(settings.kafka)
        heard_within(60, settings.kafka.topic, 0)
        wait_for("it is noticed", lambda: seen[0].new_topics == 1, 10)
    finally:
        stop.set()
        thread.join(30)
        consumer.close(autocommit=False)
        sender.close()
