"""Consumers that come, go, stand still or are put out of the group; real Kafka, real Milvus."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove

from consumers.group import Handover
from newstide.core.errors import StoreUnavailable
from newstide.core.settings import Settings
from newstide.kafka.lag import group_members, lag
from newstide.milvus import HeadlineRow, Store
from tests.harness.consuming import drained
from tests.harness.hashing import Hashing
from tests.harness.workers import Measured, Worker, good, headline, killable, send, wait_for


def test_two_consumers_one_killed_one_added_lose_and_double_nothing(settings: Settings, store: Store) -> None:
    brisk = {"session_timeout_ms": 6_000, "heartbeat_interval_ms": 500}
    small = settings.updated(consumer={"batch_size": 16})
    first = Worker(small, Hashing(0.02), brisk)
    send(settings, good(range(400)))
    wait_for("the first reads", lambda: first.seen.stored > 50)
    second = Worker(small, Hashing(0.02), brisk)
    wait_for("the second has its share", lambda: len(second.consumer.assignment()) == 2)
    assert len(first.consumer.assignment()) == 2
    third = killable(small)
    wait_for("the third has its share", lambda: b"assigned" in third.log.read_bytes(), 30)
    send(settings, good(range(400, 1_200)))
    wait_for("what is new is read", lambda: first.seen.stored + second.seen.stored > 450)
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
    lost: list[int] = []

    class Known(Handover):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            handovers.append(self)

    class Interrupted(Measured):
        def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
            vectors = super().encode(texts)
            if len(texts) == 32 and not lost:  # the second piece
                lost.append(1)
                handovers[-1].on_partitions_lost(worker.consumer.assignment())
                rows = [headline(int(text.split()[1])) for text in texts]
                store.insert_headlines([HeadlineRow(row, vector, 1) for row, vector in zip(rows, vectors, strict=True)])
                store.write_labels([row.id for row in rows], np.full(32, 7), np.ones(32, np.float32), 1)
            return vectors

    monkeypatch.setattr("consumers.loop.Handover", Known)
    send(settings, good(range(128)))
    worker = Worker(settings.updated(consumer={"batch_size": 128, "linger": "3s"}), Interrupted(), {})
    wait_for("the batch is done", lambda: worker.seen.messages)
    tally = worker.end()
    assert (tally.messages, tally.stored) == (16, 16)
    labelled = store.headlines("label_run == 1", ["cluster_label"])["cluster_label"]
    assert labelled.tolist() == [7] * 32
    tally = drained(settings)
    assert (tally.messages, tally.duplicates, tally.stored) == (128, 48, 80)


def _is_another(worker: Worker, member: str) -> bool:
    return worker.consumer.group_metadata().member_id not in ("", member)


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
        wait_for("it is a member again", partial(_is_another, worker, member))
    wait_for("all is read", lambda: worker.seen.stored >= 300)
    tally = worker.end()
    assert set(store.headlines("", ["id"])["id"]) == {headline(number).id for number in range(300)}
    assert tally.stored == 300


def test_a_member_that_was_stopped_for_longer_than_its_session_loses_nothing(settings: Settings, store: Store) -> None:
    small = settings.updated(consumer={"batch_size": 16})
    member = killable(small)
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
    second = killable(small)
    wait_for("the second has its share", lambda: b"assigned" in second.log.read_bytes())
    wait_for("the first has its share", lambda: len(first.consumer.assignment()) == 2)
    away.set()
    os.kill(second.process.pid, signal.SIGSTOP)  # so that it leaves all of its share to the first
    send(settings, good(range(400)))
    wait_for("the first has a batch at hand", lambda: bool(first.consumer.paused()))
    second.process.kill()
    second.process.wait()
    wait_for("the first has all partitions", lambda: len(first.consumer.assignment()) == 4)
    wait_for("the first has put back what they brought", lambda: len(first.consumer.paused()) == 4)
    away.clear()
    wait_for("all is read", lambda: sum(lag(settings.kafka, settings.kafka.group).values()) == 0)
    first.end()
    assert set(store.headlines("", ["id"])["id"]) == {headline(number).id for number in range(400)}
