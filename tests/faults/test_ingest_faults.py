"""The consumer's loop under bad messages, slow parts, rebalances and signals; real Kafka, real Milvus."""

import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
import structlog

from consumers.read_batch import BatchReader
from newstide.core.errors import EmbedderError, EmptyStore, StoreRefused, StoreUnavailable
from newstide.core.headline import encode
from newstide.core.settings import Settings, as_environment
from newstide.kafka.lag import group_members, lag
from newstide.milvus import HeadlineRow, Store, open_store
from tests.harness.console import NEWSTIDE
from tests.harness.consuming import drained
from tests.harness.hashing import POISON, Hashing
from tests.harness.workers import Measured, Worker, good, headline, reasons, send, wait_for


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


def test_a_flood_of_dead_letters_says_the_first_of_each_kind_and_stores_them_all(
    settings: Settings, store: Store
) -> None:
    values = [b"{broken %d" % number for number in range(300)] + [b'{"title": "", "id": "n%d"}' % n for n in range(300)]
    send(settings, [(b"k", value) for value in values])
    with structlog.testing.capture_logs() as logged:
        assert drained(settings).dead_letters == 600
    lines = [line for line in logged if line["event"] == "dead letter"]
    assert 2 <= len(lines) <= 4, lines
    assert len(reasons(settings)) == 600


def test_a_batch_that_waits_says_for_what_while_the_loop_turns(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = threading.Event()
    away.set()
    insert = Store.insert_headlines

    def insert_once_back(self: Store, rows: Sequence[HeadlineRow]) -> int:
        if away.is_set():
            raise StoreUnavailable("Milvus is away.")
        return insert(self, rows)

    monkeypatch.setattr("consumers.group._SHOW_UP_EVERY", 0.2)
    monkeypatch.setattr(Store, "insert_headlines", insert_once_back)
    send(settings, good(range(5)))
    worker = Worker(settings, Hashing(), {})
    wait_for("it says what it waits for", lambda: worker.seen.waits == ("Milvus", "Milvus is away."))
    away.clear()
    wait_for("it goes on", lambda: worker.seen.stored == 5 and worker.seen.waits is None)
    worker.end()


def test_a_slow_model_and_a_milvus_that_stays_away_never_overrun_the_poll_interval(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch takes longer than the interval: a member that did not poll would be put out of the group."""
    monkeypatch.setattr("consumers.group._SHOW_UP_EVERY", 0.5)
    away_until = time.monotonic() + 5
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


def test_a_topic_read_to_its_end_is_not_waited_on_for_a_batch_to_fill(settings: Settings, store: Store) -> None:
    send(settings, good(range(20)))
    started = time.monotonic()
    assert drained(settings.updated(consumer={"linger": "60s"})).stored == 20
    assert time.monotonic() - started < 50


def test_a_stop_ends_the_wait_for_a_batch_to_fill(settings: Settings, store: Store) -> None:
    worker = Worker(settings.updated(consumer={"linger": "60s"}), Hashing(), {})
    wait_for("it has its partitions", lambda: len(worker.consumer.assignment()) == 4)
    send(settings, good(range(20)))
    started = time.monotonic()
    worker.end()
    assert time.monotonic() - started < 50


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


def test_a_stop_commits_what_a_slow_model_was_done_with_and_the_next_member_embeds_none_of_it_again(
    settings: Settings, store: Store
) -> None:
    send(settings, [*good(range(100)), (b"bad", b"no headline"), *good(range(100, 200))])
    slow = settings.updated(consumer={"linger": "3s"})
    model = Measured(0.02)
    worker = Worker(slow, model, {})
    wait_for("the first piece is written", lambda: store.count_headlines() > 0)
    first = worker.end()
    begun = sum(model.given)
    assert 0 < first.stored < 199
    assert store.count_headlines() == first.stored == begun
    assert sum(lag(settings.kafka, settings.kafka.group).values()) == 201 - first.messages
    second = drained(slow, model)
    assert (second.stored, second.duplicates) == (200 - first.stored, 0)
    assert sum(model.given) == 200
    assert first.dead_letters + second.dead_letters == len(reasons(settings)) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_was_begun_finish_commits_leaves_the_group_and_ends_with_0(
    settings: Settings, number: signal.Signals
) -> None:
    send(settings, good(range(3_000)))
    quiet = settings.updated(monitoring={"port": 0})
    process = subprocess.Popen(
        [*NEWSTIDE, "consume"], env={**os.environ, **as_environment(quiet)}, stderr=subprocess.PIPE
    )
    try:
        wait_for("it writes", lambda: _written(settings) > 0, 60)
        process.send_signal(number)
        signalled = time.monotonic()
        _, said = process.communicate(timeout=30)
        took = time.monotonic() - signalled
    finally:
        process.kill()
    assert process.returncode == 0, said.decode()
    assert took < 10
    assert group_members(settings.kafka, settings.kafka.group) == 0
    committed = 3_000 - sum(lag(settings.kafka, settings.kafka.group).values())
    assert _written(settings) == committed > 0


def _written(settings: Settings) -> int:
    try:
        store = open_store(settings.milvus, None)
    except EmptyStore:
        return 0
    try:
        return store.count_headlines()
    finally:
        store.close()
