"""Only one reclusterer runs at a time, in one process and in several."""

import json
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from kafka import KafkaAdminClient
from structlog.testing import capture_logs

from clustering.run import schedule
from clustering.run.lease import Lease, acquired
from clustering.run.reclusterer import RunReport, recluster
from newstide.core.errors import RunFailed, StoreUnavailable
from newstide.core.settings import ClusteringSettings, KafkaSettings, MilvusSettings, Settings
from newstide.kafka.client import connected
from newstide.kafka.lag import end_offsets
from newstide.milvus import open_store
from newstide.milvus.tombstones import Tombstone, key_of
from producers.sample import day_file
from tests.harness.newsroom import add_headlines


def test_of_two_members_one_holds_the_lease_and_the_other_takes_over(kafka_settings: KafkaSettings) -> None:
    with Lease(kafka_settings) as first:
        assert first.held(wait_ms=15_000)
        with Lease(kafka_settings) as second:
            assert not second.held(wait_ms=1_000)
            assert first.held(wait_ms=4_000)
            first.require()
            with pytest.raises(RunFailed, match="Another reclusterer holds the lease"):
                second.require()
            first.close()
            assert second.held(wait_ms=15_000)


def test_the_lease_does_not_change_hands_during_a_run_though_another_member_waits_for_it(
    kafka_settings: KafkaSettings,
) -> None:
    """Asking whether it was still held once let it go, and said yes all the same: two wrote the same run."""
    admin = connected(KafkaAdminClient, kafka_settings)
    group = f"{kafka_settings.group}-recluster"
    got: list[bool] = []

    def state() -> str:
        return str(admin.describe_groups([group])[group]["group_state"])

    with Lease(kafka_settings) as first, Lease(kafka_settings) as second:
        assert first.held(wait_ms=15_000)
        waiting = threading.Thread(target=lambda: got.append(second.held(wait_ms=12_000)))
        waiting.start()
        while state() != "PreparingRebalance":
            time.sleep(0.05)
        while not first._consumer._coordinator.rejoin_needed:  # the holder hears of it by its next heartbeat
            time.sleep(0.05)
        for _ in range(20):
            first.require()
            time.sleep(0.02)
        assert state() == "PreparingRebalance", "the holder has let the other in"
        assert got == []
        held = first.held(wait_ms=10_000)  # its run is over
        waiting.join(30)
        assert [held, *got].count(True) == 1
        if not held:
            with pytest.raises(RunFailed, match="Another reclusterer holds the lease"):
                first.require()
    admin.close()


def test_a_run_without_the_lease_leaves_everything_as_it_was(
    kafka_settings: KafkaSettings, milvus_settings: MilvusSettings, tmp_path: Path
) -> None:
    settings = Settings(
        data_dir=tmp_path, kafka=kafka_settings, milvus=milvus_settings, clustering=ClusteringSettings(window=None)
    )
    day = [json.loads(line) for line in day_file().read_text(encoding="utf-8").splitlines()[:60]]
    add_headlines(settings, [{"id": f"h{at}", **one} for at, one in enumerate(day)])
    store = open_store(settings.milvus, None)
    try:
        stone = Tombstone(key_of("id", "h7"), key_of("id", "h7"), "", "", int(time.time() * 1000))
        store.tombstones.add([stone])
        with Lease(kafka_settings) as another, Lease(kafka_settings) as ours:
            assert another.held(wait_ms=15_000)
            for _ in range(2):
                with pytest.raises(RunFailed, match="Another reclusterer holds the lease"):
                    recluster(settings, lease=ours)
                assert store.known_ids(["h7"]), "what was taken down is removed by who holds the lease"
                store.tombstones.remove(stone.cause)
        assert store.count_headlines("label_run > 0") == 0
        assert store.count_headlines() == 60
        assert len(store.stories()) == len(store.runs()) == 0
        assert end_offsets(kafka_settings, kafka_settings.events_topic) == dict.fromkeys(range(4), 0)
        assert not settings.snapshots_dir.exists()
    finally:
        store.close()


def test_servers_that_are_away_are_said_once_and_a_run_afterwards_says_that_they_are_back(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, ticks = threading.Event(), [0]

    def away_at_first(settings: Settings, **_: Any) -> RunReport:
        ticks[0] += 1
        if ticks[0] < 4:
            raise StoreUnavailable("Milvus is away.")
        stop.set()
        return RunReport("nothing new", 1)

    monkeypatch.setattr(schedule, "recluster", away_at_first)
    settings = Settings(data_dir=tmp_path, kafka=kafka_settings)
    with structlog.testing.capture_logs() as logged:
        schedule.run_every(timedelta(seconds=0.2), settings, stop=stop, on_beat=lambda: None)
    events = [line["event"].partition(";")[0] for line in logged]
    assert (events.count("the run failed"), events.count("Kafka and Milvus answer again")) == (1, 1)


def test_a_tick_without_the_lease_is_followed_by_another_before_the_interval_is_over(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, held = threading.Event(), [False, False, True]
    ticks: list[tuple[bool, bool]] = []
    monkeypatch.setattr(schedule, "_ASKED_AGAIN", 0.5)
    monkeypatch.setattr(Lease, "held", lambda *_, **__: held.pop(0))

    def made_a_run(*_: Any, **__: Any) -> RunReport:
        stop.set()
        return RunReport("no headlines", 0)

    monkeypatch.setattr(schedule, "recluster", made_a_run)
    settings = Settings(data_dir=tmp_path, kafka=kafka_settings)
    began = time.monotonic()

    def told(report: RunReport | None, /, *, stood_by: bool = False) -> None:
        ticks.append((report is None, stood_by))

    schedule.run_every(timedelta(hours=1), settings, stop=stop, on_beat=lambda: None, on_run=told)
    assert time.monotonic() - began < 60
    assert ticks == [(True, True), (True, True), (False, False)]


def test_a_lease_that_is_held_costs_no_waiting(kafka_settings: KafkaSettings) -> None:
    with acquired(kafka_settings, wait_ms=15_000) as lease:
        assert lease is not None
        started = time.monotonic()
        assert all(lease.held(wait_ms=5_000) for _ in range(10))
        assert time.monotonic() - started < 5


def test_a_run_that_overruns_its_ticks_is_followed_by_one_and_a_failed_one_ends_nothing(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most, begun, stop = 0, 0, 0, threading.Event()

    def slow(settings: Settings, **_: Any) -> RunReport:
        nonlocal running, most, begun
        running, begun = running + 1, begun + 1
        most = max(most, running)
        time.sleep(0.35)  # three ticks long
        running -= 1
        if begun == 1:
            raise RunFailed("The first one fails.")
        if begun == 3:
            stop.set()
        return RunReport("nothing new", begun)

    monkeypatch.setattr(schedule, "recluster", slow)
    settings = Settings(data_dir=tmp_path, kafka=kafka_settings)
    beats: list[float] = []
    started = time.monotonic()
    with capture_logs() as logged:
        schedule.run_every(timedelta(seconds=0.1), settings, stop=stop, on_beat=lambda: beats.append(time.monotonic()))
    assert (begun, most, running) == (3, 1, 0)
    said = [entry for entry in logged if entry["event"].startswith("a tick was skipped")]
    assert 1 <= len(said) <= begun, "of the ticks that come during a run, the first is said"
    assert beats[-1] > time.monotonic() - 2, "the loop turns until the last run is finished"
    assert time.monotonic() - started < 40


def test_a_clock_that_is_set_costs_no_run(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler counts by the clock: one that was a year ahead, and is set right, would let a year pass."""
    offset = [0.0]
    ran, stop = [threading.Event(), threading.Event()], threading.Event()
    made: list[float] = []

    def made_a_run(*_: Any, **__: Any) -> RunReport:
        made.append(time.monotonic())
        ran[len(made) - 1].set()
        return RunReport("nothing new", 1)

    monkeypatch.setattr(schedule, "_clock_offset", lambda: offset[0])
    monkeypatch.setattr(schedule, "recluster", made_a_run)
    settings = Settings(data_dir=tmp_path, kafka=kafka_settings)
    with structlog.testing.capture_logs() as logged:
        service = threading.Thread(
            target=schedule.run_every,
            args=(timedelta(days=1), settings),
            kwargs={"stop": stop, "on_beat": lambda: None},
        )
        service.start()
        try:
            assert ran[0].wait(60)
            offset[0] = -400 * 86_400
            assert ran[1].wait(60)
        finally:
            stop.set()
            service.join()
    assert [line["event"] for line in logged if "clock" in line["event"]] == [
        "the clock was set; a run begins now, and the next ones are counted from it"
    ]
