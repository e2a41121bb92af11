"""The short form of `python -m benchmarks.faults`: every part is killed while headlines stream in."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka.errors import KafkaConnectionError

from clustering.run import schedule
from clustering.run.reclusterer import RunReport
from newstide.core.settings import KafkaSettings, Settings
from tests.harness.kills import VICTIMS, run


@pytest.mark.slow  # its twins: tests/test_repair.py, and of a consumer and Milvus test_ingest_faults.py, test_store_away.py
def test_whatever_is_killed_no_headline_is_lost_or_doubled_and_the_next_run_repairs(tmp_path: Path) -> None:
    result = run(800, 1, tmp_path)
    assert result["kills"] == dict.fromkeys(VICTIMS, 1)
    assert (result["lost"], result["duplicated"], result["disagreements"]) == (0, 0, [])
    assert result["stories"] > 10
    met = result["met"]
    assert all(met[f"{name}: headlines in flight"] for name in ("consumer", "broker", "Milvus")), result["moments"]
    assert met["reclusterer: between runs"] == 0, result["moments"]


def test_a_broker_that_dies_while_the_lease_is_asked_for_is_a_failed_tick_and_the_next_one_runs(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It once left the tick as an error of the scheduler's, uncounted."""
    stop, refused, ticks = threading.Event(), [0], []
    poll = KafkaConsumer.poll

    def dying(self: Any, *arguments: Any, **options: Any) -> Any:
        if not refused[0]:
            refused[0] += 1
            raise KafkaConnectionError("111 ECONNREFUSED")
        return poll(self, *arguments, **options)

    def on_run(report: RunReport | None, **_: Any) -> None:
        ticks.append(report)
        if report is not None:
            stop.set()

    monkeypatch.setattr(KafkaConsumer, "poll", dying)
    monkeypatch.setattr(schedule, "recluster", lambda *_, **__: RunReport("nothing new", 1))
    settings = Settings(data_dir=tmp_path, kafka=kafka_settings)
    schedule.run_every(timedelta(seconds=0.5), settings, stop=stop, on_beat=lambda: None, on_run=on_run)
    assert ticks[0] is None, "the failed tick was not counted"
    assert ticks[-1] is not None
