"""The consumer's loop under bad messages, slow parts, rebalances and signals; real Kafka, real Milvus."""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove

from consumers.group import Handover, join_group
from consumers.loop import ingest
from consumers.read_batch import BatchReader
from consumers.tally import Tally
from newstide.core.errors import EmbedderError, StoreRefused, StoreUnavailable
from newstide.core.headline import Headline, encode
from newstide.core.settings import KafkaSettings, MilvusSettings, Settings, as_environment
from newstide.embedding import Embedder
from newstide.kafka.consumer import records_of
from newstide.kafka.lag import group_members, lag
from newstide.kafka.producer import Sender
from newstide.milvus import HeadlineRow, Store, open_store
from tests.harness.hashing import POISON, Hashing

NEWSTIDE = [sys.executable, "-m", "newstide_app"]


@pytest.fixture
def settings(tmp_path: Path, kafka_settings: KafkaSettings, milvus_settings: MilvusSettings) -> Settings:
    return Settings(data_dir=tmp_path, kafka=kafka_settings, milvus=milvus_settings)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = open_store(settings.milvus, Hashing.card)
    yield opened
    opened.close()


@dataclass
class Worker:
    """A consumer in a thread of its own; `tally` once it has ended."""

    settings: Settings
    embedder: Embedder
    options: dict[str, Any]
    drain: bool = False

    def __post_init__(self) -> None:
        self.stop = threading.Event()
        self.tally = Tally()
        self.seen = Tally()
        self.consumer = join_group(self.settings.kafka, **self.options)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        store, sender = open_store(self.settings.milvus, self.embedder.card), Sender(self.settings.kafka)
        try:
            self.tally = ingest(
                self.consumer,
                sender,
                store,
                self.embedder,
                self.settings,
                stop=self.stop,
                drain=self.drain,
                on_beat=lambda tally: setattr(self, "seen", tally),
            )
        finally:
            self.consumer.close(autocommit=False)
            sender.close()
            store.close()

    def end(self) -> Tally:
        self.stop.set()
        return self.join()

    def join(self, seconds: float = 60) -> Tally:
        self.thread.join(seconds)
        assert not self.thread.is_alive()
        return self.tally


def drained(settings: Settings, embedder: Embedder | None = None, **options: Any) -> Tally:
    return Worker(settings, embedder or Hashing(), options, drain=True).join(120)


def headline(number: int, **fields: Any) -> Headline:
    return Headline(
        **{"id": f"h{number:06d}", "title": f"Headline {number}", "published_at": 1_700_000_000_000, **fields}
    )


def send(settings: Settings, values: Sequence[tuple[bytes | None, bytes | None]]) -> None:
    sender = Sender(settings.kafka)
    for key, value in values:
        sender.send(settings.kafka.topic, key=key, value=value)
    sender.flush()
    sender.close()


def good(numbers: range) -> list[tuple[bytes | None, bytes | None]]:
    return [(str(number).encode(), encode(headline(number))) for number in numbers]


def reasons(settings: Settings) -> list[str]:
    letters = records_of(settings.kafka, settings.kafka.dead_letter_topic)
    return [dict(letter.headers)["reason"].decode() for letter in letters]


def wait_for(what: str, condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)


def test_one_bad_row_is_found_and_the_rest_of_its_batch_written(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = "h000033"
    insert = Store.insert_headlines

    def insert_unless(self: Store, rows: Sequence[HeadlineRow]) -> int:
        broken = [HeadlineRow(row.headline, row.embedding * 2, row.ingested_at) for row in rows]
        return insert(self, [bad if row.headline.id == refused else row for row, bad in zip(rows, broken, strict=True)])

    monkeypatch.setattr(Store, "insert_headlines", insert_unless)
    poisoned = (b"p", encode(headline(900, title=f"a text like {POISON}")))
    send(settings, [*good(range(100)), poisoned])
    tally = drained(settings)
    assert (tally.messages, tally.stored, tally.dead_letters, tally.duplicates) == (101, 99, 2, 0)
    assert store.count_headlines() == 99
    assert refused not in store.known_ids([refused])
    found = reasons(settings)
    assert len(found) == 2
    assert any(refused in reason for reason in found)


def test_a_slow_model_and_a_milvus_that_stays_away_never_overrun_the_poll_interval(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch takes longer than the interval: a member that did not poll would be put out of the group."""
    monkeypatch.setattr("consumers.group._SHOW_UP_EVERY", 0.5)
    away_until = time.monotonic() + 9
    insert = Store.insert_headlines

    def insert_later(self: Store, rows: Sequence[HeadlineRow]) -> int:
        if time.monotonic() < away_until:
            raise StoreUnavailable("Milvus is away.")
        return insert(self, rows)

    monkeypatch.setattr(Store, "insert_headlines", insert_later)
    slow = settings.updated(embedding={"batch_size": 8}, consumer={"batch_size": 64})
    send(settings, good(range(128)))
    worker = Worker(
        slow, Hashing(0.5), {"max_poll_interval_ms": 3_000, "session_timeout_ms": 6_000, "heartbeat_interval_ms": 500}
    )
    in_flight = []
    while worker.seen.stored < 128 and worker.thread.is_alive():
        positions = sum(worker.consumer.position(partition) or 0 for partition in worker.consumer.assignment())
        in_flight.append(positions - worker.seen.messages)
        assert time.monotonic() < away_until + 60
        time.sleep(0.2)
    tally = worker.end()
    assert (tally.messages, tally.stored, tally.duplicates) == (128, 128, 0), (
        "it was put out of the group and read again"
    )
    assert max(in_flight) <= 64
    assert sum(lag(settings.kafka, settings.kafka.group).values()) == 0


class Measured(Hashing):
    """Takes its time for each text, and notes how many it is given at once."""

    def __init__(self, seconds_each: float = 0.0) -> None:
        super().__init__()
        self.seconds_each = seconds_each
        self.given: list[int] = []
        self.at_once: list[int] = []  # calls in progress, at the beginning of each
        self._inside = 0

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self._inside += 1
        self.at_once.append(self._inside)
        self.given.append(len(texts))
        time.sleep(self.seconds_each * len(texts))
        self._inside -= 1
        return super().encode(texts)


def test_a_fast_model_is_given_more_at_once_up_to_a_quarter_of_a_batch_and_less_towards_its_end(
    settings: Settings, store: Store
) -> None:
    send(settings, good(range(512)))
    model = Measured()
    assert drained(settings.updated(consumer={"batch_size": 256, "linger": "3s"}), model).stored == 512
    assert model.given[0] == 16
    assert sorted(model.given) == sorted([16, 32, 32, 64, 56, 28, 16, 12, 64, 64, 64, 32, 16, 16])


def test_a_fast_model_begins_a_piece_before_the_last_is_done_and_a_slow_one_does_not(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(settings, good(range(200)))
    model = Measured(0.002)
    assert drained(settings.updated(consumer={"linger": "3s"}), model).stored == 200
    assert (model.at_once[0], max(model.at_once)) == (1, 2)
    monkeypatch.setattr("consumers.pieces.SECONDS", (0.0, 0.02))
    send(settings, good(range(200, 260)))
    slow = Measured(0.05)
    assert drained(settings.updated(consumer={"linger": "3s"}), slow).stored == 60
    assert max(slow.at_once) == 1


def test_a_slow_model_is_given_less_at_once_so_that_it_can_be_stopped_in_between(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.pieces.SECONDS", (0.05, 0.4))
    send(settings, good(range(40)))
    model = Measured(0.06)
    assert drained(settings.updated(consumer={"linger": "3s"}), model).stored == 40
    assert model.given == [16, 8, 4, 4, 4, 4]


def test_a_batch_is_bounded_in_bytes_too(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.read_batch._READ_BYTES", 200_000)
    noise = [secrets.token_hex(3_500) for _ in range(300)]  # nothing that Kafka's compression makes small
    send(settings, [(b"k", encode(headline(number, description=text))) for number, text in enumerate(noise)])
    batches: list[int] = []
    read = BatchReader.read

    def noted(self: BatchReader) -> list[Any]:
        records = read(self)
        batches.append(sum(len(record.value) for record in records))
        return records

    monkeypatch.setattr(BatchReader, "read", noted)
    patient = settings.updated(consumer={"linger": "3s"})
    assert drained(patient, max_partition_fetch_bytes=50_000).stored == 300  # about what a poll brings
    assert sum(batches) > 2_100_000
    assert max(batches) < 400_000


def test_what_has_piled_up_while_the_model_was_at_work_does_not_wait_for_more(settings: Settings, store: Store) -> None:
    model = Measured(0.2)
    worker = Worker(settings.updated(consumer={"linger": "3s"}), model, {})
    send(settings, good(range(20)))
    wait_for("the first batch is at work", lambda: model.given)
    send(settings, good(range(20, 25)))
    wait_for("the first batch is done", lambda: worker.seen.stored)
    done = time.monotonic()
    wait_for("the second is", lambda: worker.seen.stored == 25)
    assert time.monotonic() - done < 2.5, "one second for the model, none for the wait"
    worker.end()


def test_a_commit_that_failed_is_made_up_for_though_nothing_new_comes(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kafka import KafkaConsumer
    from kafka.errors import KafkaConnectionError

    failures: list[int] = []
    commit = KafkaConsumer.commit

    def commit_later(self: Any, *arguments: Any, **options: Any) -> None:
        if not failures:
            failures.append(1)
            raise KafkaConnectionError("the broker has just died")
        commit(self, *arguments, **options)

    monkeypatch.setattr(KafkaConsumer, "commit", commit_later)
    send(settings, good(range(20)))
    worker = Worker(settings, Hashing(), {})
    wait_for("the offsets are committed", lambda: not sum(lag(settings.kafka, settings.kafka.group).values()), 30)
    assert (worker.end().messages, failures) == (20, [1])


def test_two_consumers_one_killed_one_added_lose_and_double_nothing(settings: Settings, store: Store) -> None:
    brisk = {"session_timeout_ms": 6_000, "heartbeat_interval_ms": 500}
    small = settings.updated(consumer={"batch_size": 16})
    first = Worker(small, Hashing(0.02), brisk)
    send(settings, good(range(400)))
    wait_for("the first reads", lambda: first.seen.stored > 50)
    second = Worker(small, Hashing(0.02), brisk)
    wait_for("the second has its share", lambda: len(second.consumer.assignment()) == 2)
    assert len(first.consumer.assignment()) == 2
    third = _killable(small)
    wait_for("the third has its share", lambda: b"assigned" in third.log.read_bytes(), 30)
    send(settings, good(range(400, 1_200)))
    time.sleep(0.3)
    third.process.kill()
    third.process.wait()
    killed = time.monotonic()
    wait_for("all is read", lambda: sum(lag(settings.kafka, settings.kafka.group).values()) == 0)
    took = time.monotonic() - killed
    held = len(first.consumer.assignment()) + len(second.consumer.assignment())
    tallies = [first.end(), second.end()]
    print(f"taken over within {took:.1f} s of the kill; session timeout 6 s")  # noqa: T201
    assert held == 4
    rows = store.headlines("", ["id"])["id"]
    assert rows.is_unique
    assert set(rows) == {headline(number).id for number in range(1_200)}
    assert took < 25
    assert sum(tally.duplicates for tally in tallies) <= 3 * 16, "a handover repeats a batch of each member at most"


def test_rows_of_a_partition_that_is_taken_away_within_a_batch_are_left_to_their_new_owner(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has written them by now, and a run may have labelled them: they must not be written over."""
    handovers: list[Handover] = []

    class Known(Handover):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            handovers.append(self)

    class Interrupted(Measured):
        def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
            vectors = super().encode(texts)
            if len(texts) == 32:  # the second piece
                handovers[-1].on_partitions_lost(worker.consumer.assignment())
                rows = [headline(int(text.split()[1])) for text in texts]
                store.insert_headlines([HeadlineRow(row, vector, 1) for row, vector in zip(rows, vectors, strict=True)])
                store.write_labels([row.id for row in rows], np.full(32, 7), np.ones(32, np.float32), 1)
            return vectors

    monkeypatch.setattr("consumers.loop.Handover", Known)
    send(settings, good(range(100)))
    worker = Worker(settings.updated(consumer={"linger": "3s"}), Interrupted(), {})
    wait_for("the batch is done", lambda: worker.seen.messages)
    tally = worker.end()
    assert (tally.messages, tally.stored) == (16, 16)
    labelled = store.headlines("label_run == 1", ["cluster_label"])["cluster_label"]
    assert labelled.tolist() == [7] * 32
    tally = drained(settings)
    assert (tally.messages, tally.duplicates, tally.stored) == (100, 48, 52)


def test_a_member_put_out_of_the_group_in_the_middle_of_a_poll_loses_nothing(settings: Settings, store: Store) -> None:
    """It learns of it, joins again, gets its partitions back and reads on, all within one poll."""
    small = settings.updated(consumer={"batch_size": 500, "linger": "3s"})
    worker = Worker(small, Hashing(), {"heartbeat_interval_ms": 100, "session_timeout_ms": 6_000})
    wait_for("it has its partitions", lambda: len(worker.consumer.assignment()) == 4)
    for part in range(6):
        send(settings, good(range(part * 50, part * 50 + 50)))
        with KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers) as admin:
            member = worker.consumer.group_metadata().member_id
            admin.remove_group_members(settings.kafka.group, [MemberToRemove(member_id=member)])
        time.sleep(0.5)
    wait_for("all is read", lambda: worker.seen.stored >= 300)
    tally = worker.end()
    assert set(store.headlines("", ["id"])["id"]) == {headline(number).id for number in range(300)}
    assert tally.stored == 300


def test_a_member_that_was_stopped_for_longer_than_its_session_loses_nothing(settings: Settings, store: Store) -> None:
    small = settings.updated(consumer={"batch_size": 16})
    member = _killable(small)
    try:
        wait_for("it has its partitions", lambda: b"assigned" in member.log.read_bytes())
        send(settings, good(range(600)))
        wait_for("it reads", lambda: store.count_headlines() > 0)
        os.kill(member.process.pid, signal.SIGSTOP)
        wait_for("the group has put it out", lambda: group_members(settings.kafka, settings.kafka.group) == 0)
        os.kill(member.process.pid, signal.SIGCONT)
        wait_for("all is read", lambda: sum(lag(settings.kafka, settings.kafka.group).values()) == 0)
    finally:
        member.process.kill()
        member.process.wait()
    assert set(store.headlines("", ["id"])["id"]) == {headline(number).id for number in range(600)}


def test_partitions_taken_over_while_milvus_is_away_lose_nothing(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch at hand waits; what a poll brings meanwhile, of partitions that have just come, is read later."""
    away = threading.Event()
    insert = Store.insert_headlines

    def insert_unless(self: Store, rows: Sequence[HeadlineRow]) -> int:
        if away.is_set():
            raise StoreUnavailable("Milvus is away.")
        return insert(self, rows)

    monkeypatch.setattr(Store, "insert_headlines", insert_unless)
    brisk = {"session_timeout_ms": 6_000, "heartbeat_interval_ms": 500}
    small = settings.updated(consumer={"batch_size": 16})
    first = Worker(small, Hashing(), brisk)
    second = _killable(small)
    wait_for("the second has its share", lambda: b"assigned" in second.log.read_bytes())
    wait_for("the first has its share", lambda: len(first.consumer.assignment()) == 2)
    away.set()
    os.kill(second.process.pid, signal.SIGSTOP)  # so that it leaves all of its share to the first
    send(settings, good(range(400)))
    wait_for("the first has a batch at hand", lambda: bool(first.consumer.paused()))
    second.process.kill()
    second.process.wait()
    wait_for("the first has all partitions", lambda: len(first.consumer.assignment()) == 4)
    time.sleep(1)
    away.clear()
    wait_for("all is read", lambda: sum(lag(settings.kafka, settings.kafka.group).values()) == 0)
    first.end()
    assert set(store.headlines("", ["id"])["id"]) == {headline(number).id for number in range(400)}


def test_a_model_that_fails_for_a_while_is_waited_for_and_no_headline_is_refused(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory on the GPU, say: it is not for the headlines to pay for it."""
    failures = [0]
    encode = Hashing.encode

    def encode_later(self: Hashing, texts: Sequence[str]) -> Any:
        if failures[0] < 20:
            failures[0] += 1
            raise EmbedderError("out of memory")
        return encode(self, texts)

    monkeypatch.setattr(Hashing, "encode", encode_later)
    send(settings, good(range(60)))
    tally = drained(settings)
    assert (tally.stored, tally.dead_letters) == (60, 0)


def test_a_question_about_stories_that_is_refused_costs_no_headline(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = [0]
    last_run = Store.last_run

    def last_run_later(self: Store) -> Any:
        refusals[0] += 1
        if refusals[0] < 3:
            raise StoreRefused("refused a request")
        return last_run(self)

    monkeypatch.setattr(Store, "last_run", last_run_later)
    send(settings, good(range(60)))
    tally = drained(settings)
    assert (tally.stored, tally.dead_letters) == (60, 0)


def test_rows_whose_answer_was_lost_count_as_stored_and_dead_letters_go_out_once(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = [0]
    insert = Store.insert_headlines

    def insert_and_lose_the_answer(self: Store, rows: Sequence[HeadlineRow]) -> int:
        written = insert(self, rows)
        lost[0] += 1
        if lost[0] == 1:
            raise StoreUnavailable("Milvus is away.")
        return written

    monkeypatch.setattr(Store, "insert_headlines", insert_and_lose_the_answer)
    send(settings, [*good(range(20)), (b"bad", b"[]")])
    tally = drained(settings.updated(consumer={"linger": "2s"}))
    assert (tally.messages, tally.stored, tally.duplicates, tally.dead_letters) == (21, 20, 0, 1)
    assert len(reasons(settings)) == 1


def test_slow_inserts_never_overrun_the_poll_interval(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch with bad rows in it is halved again and again, and each of its parts takes its time."""
    monkeypatch.setattr("consumers.group._SHOW_UP_EVERY", 0.5)
    insert = Store.insert_headlines

    def insert_slowly(self: Store, rows: Sequence[HeadlineRow]) -> int:
        time.sleep(0.7)
        if any(row.headline.id == "h000007" for row in rows):
            raise StoreRefused("refused")
        return insert(self, rows)

    monkeypatch.setattr(Store, "insert_headlines", insert_slowly)
    send(settings, good(range(64)))
    brisk = {"max_poll_interval_ms": 3_000, "session_timeout_ms": 6_000, "heartbeat_interval_ms": 500}
    slow = settings.updated(consumer={"batch_size": 64, "linger": "2s"})
    worker = Worker(slow, Hashing(), brisk)
    wait_for("all is read", lambda: worker.seen.messages >= 64)
    tally = worker.end()
    assert (tally.messages, tally.stored, tally.dead_letters, tally.duplicates) == (64, 63, 1, 0)


@dataclass
class Killable:
    process: subprocess.Popen[bytes]
    log: Path


def _killable(settings: Settings) -> Killable:
    """A consumer with the cheap model as a process, to be killed."""
    code = """
import threading
from tests.harness.hashing import Hashing
from consumers.group import Handover, join_group
from consumers.loop import ingest
from newstide.kafka.producer import Sender
from newstide.core.settings import Settings
from newstide.milvus import open_store
settings = Settings.load()
consumer = join_group(settings.kafka, session_timeout_ms=6_000, heartbeat_interval_ms=500)
def beat(_tally):
    if consumer.assignment():
        print("assigned", flush=True)
ingest(consumer, Sender(settings.kafka), open_store(settings.milvus, Hashing.card), Hashing(0.02), settings,
       stop=threading.Event(), on_beat=beat)
"""
    log = settings.data_dir / "killable.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[2],
            env={**os.environ, **as_environment(settings)},
            stdout=output,
            stderr=output,
        )
    return Killable(process, log)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_batch_finish_commits_leaves_the_group_and_ends_with_0(
    settings: Settings, number: signal.Signals
) -> None:

    send(settings, good(range(3_000)))
    quiet = settings.updated(monitoring={"port": 0})
    process = subprocess.Popen(
        [*NEWSTIDE, "consume"], env={**os.environ, **as_environment(quiet)}, stderr=subprocess.PIPE
    )
    try:
        wait_for("it reads", lambda: sum(lag(settings.kafka, settings.kafka.group).values()) < 3_000, 60)
        process.send_signal(number)
        signalled = time.monotonic()
        _, said = process.communicate(timeout=30)
        took = time.monotonic() - signalled
    finally:
        process.kill()
    assert process.returncode == 0, said.decode()
    assert took < 10
    assert group_members(settings.kafka, settings.kafka.group) == 0
    store = open_store(settings.milvus, None)
    committed = 3_000 - sum(lag(settings.kafka, settings.kafka.group).values())
    assert store.count_headlines() == committed > 0
    store.close()
