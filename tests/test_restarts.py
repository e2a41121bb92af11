"""Whatever is lost between two runs, the next ones end as they would have."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clustering.run.reclusterer import recluster
from newstide.core.settings import Settings
from newstide.kafka.topics import ensure_topics
from newstide.milvus import Store, open_store
from producers.sample import day_file
from tests.harness.first_run import EVERY_EVENT
from tests.harness.lazy_store import opened_when_asked
from tests.harness.newsroom import for_the_day
from tests.harness.pipeline import events_of, ingest, labels, send

SAMPLE = 800


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return for_the_day(settings)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """The test's store, once something has been ingested."""
    with opened_when_asked(settings) as opened:
        yield opened


def told(settings: Settings) -> tuple[dict[int, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Stories by number and events by id.

    But for when a run decided, and for the reach: its last digits are of the batches in which headlines were embedded.
    """
    store = open_store(settings.milvus, None)
    try:
        stories = store.stories().drop(columns=["reach", "first_seen_at"]).to_dict("records")
    finally:
        store.close()
    events = {event["id"]: {**event, "at": ""} for event in events_of(settings)}
    return {story["cluster_label"]: {str(k): v for k, v in story.items()} for story in stories}, events


def assert_same_told(one: Settings, other: Settings) -> None:
    (stories, events), (other_stories, other_events) = told(one), told(other)
    assert stories.keys() == other_stories.keys()
    for number, story in stories.items():
        assert story == other_stories[number]
    assert events == other_events


def twin_of(settings: Settings, mark: str) -> Settings:
    """The same headlines in collections, a data folder and an events topic of their own."""
    twin = settings.updated(
        data_dir=settings.data_dir / mark,
        milvus={"prefix": f"{settings.milvus.prefix}{mark}_"},
        kafka={
            "group": f"{settings.kafka.group}-{mark}",
            "events_topic": f"{settings.kafka.events_topic}-{mark}",
            "lease_topic": f"{settings.kafka.lease_topic}-{mark}",
        },
    )
    ensure_topics(twin.kafka)
    return twin


def test_local_state_lost_between_any_two_runs_changes_nothing(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    import shutil

    settings = settings.updated(clustering=EVERY_EVENT)
    forgetful = twin_of(settings, "forgetful")
    lines = day_file().read_text(encoding="utf-8").splitlines()
    for part in range(3):
        path = tmp_path / "part.jsonl"
        path.write_text("\n".join(lines[part * 267 : (part + 1) * 267]), encoding="utf-8")
        send(path, settings)
        for one in (settings, forgetful):
            ingest(one)
            recluster(one)
        shutil.rmtree(forgetful.data_dir)
        other = open_store(forgetful.milvus, None)
        try:
            assert labels(other) == labels(store), f"after run {part + 1}"
        finally:
            other.close()
    assert store.count_headlines() == SAMPLE
    assert {event["kind"] for event in events_of(settings)} >= {"born", "grown", "closed"}
    assert_same_told(forgetful, settings)


@pytest.mark.slow  # its twin: the test above
def test_a_reclusterer_killed_between_any_two_runs_changes_nothing(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    """A process of its own for each run, gone by SIGKILL as soon as the run is finished."""
    killed = twin_of(settings, "killed")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEWSTIDE_")} | {
        "NEWSTIDE_DATA_DIR": str(killed.data_dir),
        "NEWSTIDE_MILVUS_URI": str(killed.milvus.uri),
        "NEWSTIDE_MILVUS_PREFIX": killed.milvus.prefix,
        "NEWSTIDE_KAFKA_BOOTSTRAP_SERVERS": str(killed.kafka.bootstrap_servers),
        "NEWSTIDE_KAFKA_EVENTS_TOPIC": killed.kafka.events_topic,
        "NEWSTIDE_KAFKA_LEASE_TOPIC": killed.kafka.lease_topic,
        "NEWSTIDE_KAFKA_GROUP": killed.kafka.group,
        "NEWSTIDE_MONITORING_PORT": "0",
    }
    command = [sys.executable, "-m", "newstide_app", "recluster", "--every", "2s", "--window", "none"]
    lines = day_file().read_text(encoding="utf-8").splitlines()
    for part in range(3):
        path = tmp_path / "part.jsonl"
        path.write_text("\n".join(lines[part * 120 : (part + 1) * 120]), encoding="utf-8")
        send(path, settings)
        for one in (settings, killed):
            ingest(one)
        recluster(settings)
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            while process.poll() is None and not page_of(killed, part + 1).exists():
                process.stderr.readline()
        finally:
            process.kill()
            process.communicate()
        assert page_of(killed, part + 1).exists()
    assert_same_told(killed, settings)
    other = open_store(killed.milvus, None)
    try:
        assert labels(other) == labels(store)
    finally:
        other.close()


def page_of(settings: Settings, run: int) -> Path:
    return settings.snapshots_dir / f"run-{run:06d}.html"
