"""A short form of `python -m benchmarks.trouble`: a minute and a half of trouble costs no headline."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import trouble
from clustering.run.reclusterer import recluster
from newstide.core.settings import Settings
from newstide.milvus import open_store
from producers.sample import day_file
from tests.harness.events import State, differing, folded, told
from tests.harness.newsroom import add_headlines, for_the_day


def test_lineage_folded_from_events_is_that_of_the_stories_and_each_difference_is_found(settings: Settings) -> None:
    lines = [json.loads(line) for line in day_file().read_text(encoding="utf-8").splitlines()[:300]]
    for part in (lines[:150], lines[150:230], lines[230:]):
        add_headlines(settings, part)
        recluster(for_the_day(settings))
    store = open_store(settings.milvus, None)
    try:
        store.delete_headlines(store.headlines("", ["id"])["id"].tolist()[:60])
    finally:
        store.close()
    recluster(for_the_day(settings), force=True)  # stories close
    store = open_store(settings.milvus, None)
    try:
        stories = store.stories()
    finally:
        store.close()
    events = folded(settings)
    assert differing(stories, events) == []
    assert set(stories["status"]) == {"open", "closed"}
    wrong: tuple[tuple[str, Any], ...] = (
        ("parents", [77]),
        ("status", "lost"),
        ("successor", 77),
        ("created_run", 77),
        ("title", "another"),
    )
    for column, value in wrong:
        other = stories.copy()
        other[column] = [value if at == 3 else old for at, old in enumerate(stories[column])]
        assert differing(other, events) == [stories["cluster_label"][3]], column
    assert differing(stories.drop(index=2), events) == [stories["cluster_label"][2]]
    del events[int(stories["cluster_label"][5])]
    assert differing(stories, events) == [stories["cluster_label"][5]]


def test_events_are_folded_in_the_order_of_runs_once_each_whatever_order_they_come_in() -> None:
    def event(run: int, story: int, kind: str, **more: Any) -> dict[str, Any]:
        plain = {"parents": [], "successor": -1, "title": f"in run {run}"}
        return plain | {"id": f"{run}/{story}/{kind}", "run": run, "story": story, "kind": kind} | more

    events = [
        event(3, 2, "closed", successor=1),
        event(2, 2, "grown", parents=[0, 5]),
        event(1, 2, "born", parents=[0]),
        event(1, 1, "born"),
        event(2, 1, "closed"),
        event(4, 1, "reopened"),
        event(4, 1, "merged", parents=[2]),
    ]
    assert told([*events, *events]) == {
        1: State("open", -1, (), 1, "in run 4"),
        2: State("closed", 1, (0, 5), 1, "in run 3"),
    }


@pytest.mark.slow  # its twins: tests/test_local_services.py, and of a kill tests/faults/test_ingest_faults.py
def test_one_trouble_after_another_loses_and_doubles_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    only = ["kill consumer", "Milvus' port taken", "headlines 400 days ahead"]
    result = trouble.trouble(1.5, 30, only, folder, disk=False)
    assert {hit["fault"] for hit in result["hits"]} == set(only)
    assert result["acknowledged"] > 200
    assert (result["lost"], result["doubled"], result["lineage"]) == (0, 0, [])
    assert all(hit["lines"] <= trouble.LINES_BAR for hit in result["hits"])
