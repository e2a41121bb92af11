"""Two reclusterers side by side: every run is made by one of them, and the other takes over when that one is killed."""

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from clustering.stories.lineage import Kind
from newstide.core.settings import KafkaSettings, MilvusSettings, Settings
from newstide.kafka.consumer import records_of
from producers.sample import day_file
from tests.harness.newsroom import add_headlines
from tests.harness.services import Service, opened, until

PORTION = 60
KINDS = get_args(Kind)
TAKES_OVER_WITHIN = 60.0  # seconds; ten of them the session of the one that was killed


def sent_events(kafka: KafkaSettings) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in records_of(kafka, kafka.events_topic)]


def said(place: Settings, event: str) -> list[dict[str, Any]]:
    """The lines of this reclusterer's log about an event."""
    log = (place.data_dir / "reclusterer.log").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"].startswith(event)]


def pages(place: Settings) -> list[int]:
    """The runs whose pages this one has written."""
    found = (re.fullmatch(r"run-(\d+)\.html", path.name) for path in place.snapshots_dir.glob("*"))
    return sorted(int(match.group(1)) for match in found if match)


def finished(place: Settings) -> list[int]:
    """The runs that this one says it has made."""
    return [line["number"] for line in said(place, "run") if line["event"] == "run" and "rows" in line]


def require_each_run_once(base: Settings, places: Sequence[Settings]) -> None:
    """Each run was made by one of the two, and labels, stories and events are those of all runs."""
    with opened(base) as store:
        runs = store.runs()
        rows = store.headlines("", ["id", "cluster_label", "label_run"])
        stories = store.stories('status == "open"').set_index("cluster_label")["size"]
    numbers = list(range(1, len(runs) + 1))
    assert sorted(runs["run"]) == numbers
    assert [sorted(finished(place)) == pages(place) for place in places] == [True, True], "a page of each run it made"
    assert sorted(finished(places[0]) + finished(places[1])) == numbers, "each was made once"
    assert finished(places[0])
    assert finished(places[1])
    assert rows["id"].is_unique
    assert len(rows) == 3 * PORTION
    assert (rows["label_run"] > 0).all()
    labels = rows.loc[rows["cluster_label"] >= 0, "cluster_label"].value_counts()
    assert labels.to_dict() == stories.to_dict()
    events = sent_events(base.kafka)
    assert len({event["id"] for event in events}) == len(events)
    told = sum(int(counts.get(kind, 0)) for counts in runs["counts"] for kind in KINDS)
    assert len(events) == told


@pytest.mark.slow  # its twins: the lease's tests in tests/test_schedule.py
def test_of_two_reclusterers_one_makes_each_run_and_the_other_takes_over_once_it_is_killed(
    kafka_settings: KafkaSettings, milvus_settings: MilvusSettings, tmp_path: Path
) -> None:
    base = Settings(kafka=kafka_settings, milvus=milvus_settings).updated(
        monitoring={"port": 0}, clustering={"window": None}
    )
    places = [base.updated(data_dir=tmp_path / name) for name in ("one", "other")]  # as on two machines
    for place in places:
        place.data_dir.mkdir()
    both = [Service("reclusterer", place, ["recluster", "--every", "1s"]) for place in places]
    day = [json.loads(line) for line in day_file().read_text(encoding="utf-8").splitlines()]

    def arrive(portion: int) -> None:
        add_headlines(base, day[portion * PORTION : (portion + 1) * PORTION])

    def clustered(portions: int) -> bool:
        with opened(base) as store:
            last = store.last_run()
            return last is not None and last.counts["rows"] == portions * PORTION

    def over(who: Sequence[int]) -> bool:
        """Whether the last run is: its page is written, and after that nothing is left to be finished by another."""
        with opened(base) as store:
            last = store.last_run()
        assert last is not None
        return any(last.run in finished(places[one]) for one in who)

    arrive(0)
    try:
        for service in both:
            service.keep_up()
        for service in both:
            service.wait_until_ready()
        until("a run over the first portion is made", lambda: clustered(1), of=both[0])
        until("one of them stands by", lambda: any(said(place, "standing by") for place in places), of=both[1])
        arrive(1)
        until("a run over the second portion is made", lambda: clustered(2), of=both[0])
        until("it is over", lambda: over((0, 1)))
        first = 0 if max(pages(places[0]), default=0) > max(pages(places[1]), default=0) else 1
        second = 1 - first

        both[first].kill()
        killed = time.monotonic()
        arrive(2)
        until("the other makes a run", lambda: clustered(3), of=both[second], alive=True)
        assert time.monotonic() - killed < TAKES_OVER_WITHIN
        until("it is over", lambda: over((second,)), of=both[second], alive=True)
        stood_by = len(said(places[first], "standing by"))
        both[first].keep_up()
        until("the first stands by", lambda: len(said(places[first], "standing by")) > stood_by, of=both[first])
    finally:
        codes = [service.stop() for service in both]
    assert codes == [0, 0]
    require_each_run_once(base, places)
