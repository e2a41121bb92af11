"""Only one reclusterer runs at a time, in one process and in several."""

import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from clustering import schedule
from clustering.lease import Lease, acquired
from clustering.reclusterer import RunReport
from newstide.errors import RunFailed
from newstide.settings import KafkaSettings, Settings


def test_of_two_members_one_holds_the_lease_and_the_other_takes_over(kafka_settings: KafkaSettings) -> None:
    with Lease(kafka_settings) as first:
        assert first.held(wait_ms=15_000)
        with Lease(kafka_settings) as second:
            assert not second.held(wait_ms=4_000)
            assert first.held(wait_ms=4_000)
            first.require()
            with pytest.raises(RunFailed, match="Another reclusterer holds the lease"):
                second.require()
            first.close()
            assert second.held(wait_ms=15_000)


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
        time.sleep(1.2)
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
    schedule.run_every(timedelta(seconds=0.5), settings, stop=stop, on_beat=lambda: beats.append(time.monotonic()))
    assert (begun, most, running) == (3, 1, 0)
    assert beats
    assert time.monotonic() - started < 40
