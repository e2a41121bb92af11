"""Wrong clocks: whatever they say in the middle of runs, rows, stories and labels are those of a right clock afterwards.

A wrong clock is that of a process, faked by libfaketime where the process cannot know; the broker's is right.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from clustering.run.newest import Newest, find_newest
from clustering.run.reclusterer import recluster
from clustering.run.report import RunReport
from clustering.run.window import fix_window, read_window
from newstide.core.headline import Headline
from newstide.core.settings import (
    ClusteringSettings,
    KafkaSettings,
    MilvusSettings,
    PageSettings,
    Settings,
    as_environment,
)
from newstide.embedding import ModelCard
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.topics import ensure_topics
from newstide.milvus import HeadlineRow, RunRow, Store, filters, open_store
from newstide.milvus.local_server import LocalMilvus
from newstide_app.cli.main import app
from newstide_app.maintenance.doctor_time import time_findings
from newstide_app.queries.records import records
from newstide_app.services.run import run_consumer
from producers.publisher import produce_files
from producers.sample import day_file
from tests.harness.newsroom import add_headlines

DAY = sorted(
    (json.loads(line) for line in day_file().read_text(encoding="utf-8").splitlines()),
    key=lambda row: str(row["published_at"]),
)
PORTIONS = (DAY[:150], DAY[150:200], DAY[200:250])
HOUR = 3_600_000
DIM = 8
CARD = ModelCard("test-model", DIM, "0123456789abcdef" * 4)

_NOT_FAKED = {"DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}  # files' times: compiled kernels are known by them
_CONSUME_AND_RUN = """
import time
from threading import Event
time.sleep = lambda seconds: Event().wait(seconds)  # libfaketime refuses the sleep of a clock that is not faked
from clustering.run.reclusterer import recluster
from newstide.core.settings import Settings
from newstide_app.services.run import run_consumer
settings = Settings.load()
run_consumer(settings, stop=Event(), drain=True)
print(recluster(settings).describe())
"""
_RUN = """
from clustering.run.reclusterer import recluster
from newstide.core.settings import Settings
print(recluster(Settings.load()).describe())
"""


def by_clock(settings: Settings, code: str, clock: str) -> str:
    """Runs code in a process with this clock (libfaketime's words); what it printed."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("the program faketime is not here, by which a process has a wrong clock: apt install faketime")
    done = subprocess.run(
        [faketime, "-f", clock, sys.executable, "-c", code],
        env={**os.environ, **as_environment(settings), **_NOT_FAKED},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class State:
    """What users see, but for when things were written, and for `reach`, in which all rows have a part."""

    rows: dict[str, tuple[Any, ...]]
    stories: dict[int, dict[str, Any]]


def state(settings: Settings) -> State:
    store = open_store(settings.milvus, None)
    try:
        columns = ["id", "title", "source", "url", "language", "published_at", "cluster_label"]
        rows = {row[0]: tuple(row) for row in store.headlines("", columns).itertuples(index=False)}
        stories = store.stories().drop(
            columns=["created_run", "updated_run", "previous_size", "reach", "first_seen_at"]
        )
    finally:
        store.close()
    return State(rows, {int(story["cluster_label"]): story for story in records(stories)})


def make_place(kafka: LocalKafka, milvus: LocalMilvus, folder: Path, **clustering: Any) -> Settings:
    """Settings of an installation of its own, with a window that headlines of the day leave, and `keep`."""
    mark = uuid.uuid4().hex[:8]
    own = KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers,
        topic=f"headlines-{mark}",
        events_topic=f"story-events-{mark}",
        dead_letter_topic=f"dead-{mark}",
        lease_topic=f"lease-{mark}",
        group=f"group-{mark}",
    )
    ensure_topics(own)
    return Settings(
        data_dir=folder / mark,
        keep="90d",
        pages=PageSettings(enabled=False),
        kafka=own,
        milvus=MilvusSettings(uri=milvus.uri, prefix=f"c{mark}_"),
        clustering=ClusteringSettings(**{"window": "12h", **clustering}),
    )


def in_portions(settings: Settings, folder: Path, clock: str) -> State:
    """What is there after three portions of the day, sent and each read and clustered; the second by this clock."""
    for number, rows in enumerate(PORTIONS):
        file = folder / f"{number}.jsonl"
        file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        produce_files([str(file)], settings.kafka, progress=False)  # a broker takes none of a clock far ahead
        if clock and number == 1:
            by_clock(settings, _CONSUME_AND_RUN, clock)
        else:
            run_consumer(settings, stop=Event(), drain=True)
            recluster(settings)
    return state(settings)


def differences(found: State, wanted: State) -> list[tuple[Any, ...]]:
    """What is not the same: key, what is found and what is wanted."""
    rows = [(key, found.rows.get(key), row) for key, row in wanted.rows.items() if found.rows.get(key) != row]
    stories = [
        (number, name, found.stories.get(number, {}).get(name), value)
        for number, story in wanted.stories.items()
        for name, value in story.items()
        if found.stories.get(number, {}).get(name) != value
    ]
    more = [*(found.rows.keys() - wanted.rows.keys()), *(found.stories.keys() - wanted.stories.keys())]
    return [*rows, *stories, *((key,) for key in more)]


@pytest.fixture(scope="module")
def undisturbed(local_kafka: LocalKafka, local_milvus: LocalMilvus, tmp_path_factory: pytest.TempPathFactory) -> State:
    """A control run, whose clock was right all the time."""
    folder = tmp_path_factory.mktemp("control")
    return in_portions(make_place(local_kafka, local_milvus, folder), folder, "")


@pytest.mark.parametrize(
    "clock", ["+400d", pytest.param("-10m", marks=pytest.mark.slow), pytest.param("+1h", marks=pytest.mark.slow)]
)
def test_a_clock_that_was_wrong_in_the_middle_of_runs_changes_nothing_once_it_is_right(
    clock: str, undisturbed: State, local_kafka: LocalKafka, local_milvus: LocalMilvus, tmp_path: Path
) -> None:
    found = in_portions(make_place(local_kafka, local_milvus, tmp_path), tmp_path, clock)
    assert len(found.rows) == sum(map(len, PORTIONS))
    assert len([story for story in found.stories.values() if story["status"] == "open"]) > 20
    assert differences(found, undisturbed) == []


def test_a_headline_and_a_run_of_a_clock_400_days_ahead_end_no_story_and_keep_no_later_headline_out(
    local_kafka: LocalKafka, local_milvus: LocalMilvus, tmp_path: Path
) -> None:
    control, place = (make_place(local_kafka, local_milvus, tmp_path) for _ in range(2))
    for settings in (control, place):
        add_headlines(settings, PORTIONS[0])
        recluster(settings)
    ahead = (time.time() + 400 * 86_400) * 1000
    add_headlines(place, [{"title": "Dated by a wrong clock", "id": "ahead", "published_at": int(ahead)}])
    refused = by_clock(place, _RUN, "+400d")
    assert "too large a share: the run deleted none" in refused
    assert state(place).rows.keys() - {"ahead"} == state(control).rows.keys()
    closed = {story["status"] for story in state(place).stories.values()}
    assert closed == {"closed"}, "as long as the clock is wrong, nobody can know better"
    reports = []
    for settings in (control, place):
        add_headlines(settings, PORTIONS[1])
        reports.append(recluster(settings))
    assert reports[1].events["reopened"] > 20
    assert reports[1].ahead == 1
    assert "1 headlines are dated ahead of this machine's clock; they move no window." in reports[1].describe()
    found = state(place)
    alone = found.rows.pop("ahead")
    assert alone[-1] == -1
    assert [one for one in differences(found, state(control)) if "keywords" not in one] == [], (
        "the control's keywords are of the run that last changed a story; here all went and came back"
    )
    store = open_store(place.milvus, None)
    try:
        own = filters.all_of(filters.equals("id", "ahead"), filters.PROVISIONAL)
        assert store.count_headlines(own) == 0, "also the one that is ahead is in a run"
    finally:
        store.close()


def test_one_run_with_a_short_window_ends_no_story_and_the_next_finds_all_under_their_numbers(
    local_kafka: LocalKafka, local_milvus: LocalMilvus, tmp_path: Path
) -> None:
    settings = make_place(local_kafka, local_milvus, tmp_path, window="2d")
    add_headlines(settings, DAY[:250])
    recluster(settings)
    before = state(settings)
    short = recluster(settings.updated(clustering={"window": "2h"}))
    assert short.rows < 100
    assert short.events.get("closed", 0) == 0
    kept = [id_ for id_, row in before.rows.items() if state(settings).rows[id_] == row]
    assert len(kept) >= 0.97 * len(before.rows)
    recluster(settings)
    after = state(settings)
    were, are = ({row[0]: row[-1] for row in then.rows.values()} for then in (before, after))
    in_a_story = {id_: label for id_, label in were.items() if label >= 0}
    assert {id_: are[id_] for id_ in in_a_story} == in_a_story
    assert sum(are[id_] != label for id_, label in were.items()) <= 2  # what the short run took in may stay
    open_ones = [number for number, story in before.stories.items() if story["status"] == "open"]
    assert all(after.stories[number]["status"] == "open" for number in open_ones)


# What follows looks at the store alone.


@pytest.fixture
def store(milvus_settings: MilvusSettings) -> Any:
    opened = open_store(milvus_settings, CARD)
    yield opened
    opened.close()


def add(store: Store, name: str, times: list[int], *, ingested_at: int = 0, label_run: int = 1) -> None:
    vector = np.eye(DIM, dtype=np.float32)[0]
    store.insert_headlines(
        [
            HeadlineRow(Headline(f"{name}-{number}", "Title", at), vector, ingested_at, -1, 0.0, label_run)
            for number, at in enumerate(times)
        ]
    )
    store.settle()


def last_run(store: Store, newest: int, run: int = 1) -> RunRow:
    row = RunRow(run, np.zeros(DIM, np.float32), 0.5, 1, 2, counts={"newest": newest})
    store.insert_run(row)
    return row


NOW = 1_750_000_000_000
DAYS = 24 * HOUR


def test_the_newest_headline_is_that_of_the_rows_there_are_and_no_clock_s(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_newest(store, None, NOW, HOUR) == Newest(None)
    add(store, "old", [NOW - number * HOUR for number in range(1, 31)])
    assert find_newest(store, None, NOW, HOUR) == Newest(NOW - HOUR)
    last = last_run(store, NOW - 3 * HOUR)
    assert find_newest(store, last, NOW, HOUR) == Newest(NOW - HOUR)
    add(store, "ahead", [NOW + 2 * HOUR, NOW + 400 * DAYS])
    assert find_newest(store, last, NOW, HOUR) == Newest(NOW - HOUR, ahead=2)
    moved = last_run(store, NOW + 400 * DAYS)
    assert find_newest(store, moved, NOW, HOUR) == Newest(NOW - HOUR, ahead=2), "the last run's clock was wrong"
    gone = last_run(store, NOW - HOUR // 2)
    assert find_newest(store, gone, NOW, HOUR) == Newest(NOW - HOUR, ahead=2), "that row has been taken down"

    asked: list[str] = []
    read = Store.published_at

    def noted(self: Store, where: str) -> Any:
        asked.append(where)
        return read(self, where)

    monkeypatch.setattr(Store, "published_at", noted)
    find_newest(store, last, NOW, HOUR)
    assert asked == [filters.published_since(NOW - 3 * HOUR)], "one bounded query"


@pytest.mark.parametrize("behind", [NOW, 400 * DAYS], ids=["1970", "400 days"])
def test_where_the_clock_is_behind_most_headlines_the_last_run_s_newest_holds(store: Store, behind: int) -> None:
    add(store, "right", [NOW - number * HOUR for number in range(30)])
    assert find_newest(store, None, NOW - behind, HOUR) == Newest(NOW, ahead=30, clock_behind=True)
    last = last_run(store, NOW - HOUR)
    found = find_newest(store, last, NOW - behind, HOUR)
    assert found == Newest(NOW - HOUR, ahead=30, clock_behind=True)
    said = RunReport("nothing new", 1, ahead=found.ahead, clock_behind=True).describe()
    assert "This machine's clock is behind 30 headlines, which is most of them: correct it." in said


def test_no_clock_keeps_a_headline_out_of_a_run_and_what_comes_later_is_the_next_one_s(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, "known", [NOW - HOUR] * 20)
    add(store, "new", [NOW - HOUR, NOW - 30 * DAYS], ingested_at=NOW + 400 * DAYS, label_run=0)
    window = fix_window(store, ClusteringSettings().window, Newest(NOW))
    assert window.too_old == 1
    add(store, "late", [NOW], label_run=0)
    rows = read_window(store, window)
    assert sorted(rows["id"]) == sorted(["new-0", *(f"known-{number}" for number in range(20))])


def keeping(milvus: MilvusSettings, folder: Path, keep: str, **more: Any) -> Settings:
    return Settings(data_dir=folder, keep=keep, milvus=milvus, clustering=ClusteringSettings(window="1d"), **more)


@pytest.mark.parametrize(
    ("why", "keep", "times", "due"),
    [
        ("a first keep on an old collection", "90d", [NOW - (number % 300) * DAYS for number in range(1_800)], 1_260),
        ("a return after two weeks", "7d", [NOW - 14 * DAYS] * 1_200 + [NOW] * 50, 1_200),
    ],
)
def test_more_than_half_and_more_than_a_thousand_at_once_go_only_where_a_person_says_so(
    why: str,
    keep: str,
    times: list[int],
    due: int,
    store: Store,
    milvus_settings: MilvusSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from clustering.run.lease import ALONE
    from clustering.run.retention import clear_old

    settings = keeping(milvus_settings, tmp_path, keep)
    add(store, "row", times)
    last = last_run(store, NOW)
    for _ in range(3):
        assert clear_old(store, settings, ALONE).refused == due, why
    assert store.count_headlines() == len(times), "never in slices either"
    ((name, status, seen, way_out),) = time_findings(store, settings, last)
    assert (name, status) == ("keep", "fail")
    assert f"{due:,} of {len(times):,} headlines are older than keep" in seen
    assert "newstide prune" in way_out

    for variable, value in as_environment(settings).items():
        monkeypatch.setenv(variable, value)
    shown = CliRunner().invoke(app, ["prune", "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert f"Would go: {due:,} of {len(times):,} headlines" in shown.output
    assert store.count_headlines() == len(times)
    done = CliRunner().invoke(app, ["prune", "--yes"])
    assert f"Gone. Headlines removed: {due:,}." in done.output, done.output
    assert store.count_headlines() == len(times) - due
    assert not list(time_findings(store, settings, last))


def test_a_daily_import_and_a_small_collection_are_cleared_as_told(
    store: Store, milvus_settings: MilvusSettings, tmp_path: Path
) -> None:
    from clustering.run.lease import ALONE
    from clustering.run.retention import clear_old

    settings = keeping(milvus_settings, tmp_path, "2d")
    for day in range(5):
        add(store, f"day-{day}", [NOW + day * DAYS + number for number in range(600)])
        last_run(store, NOW + day * DAYS + 599, run=day + 1)
        assert clear_old(store, settings, ALONE).refused == 0
        assert store.count_headlines() <= 3 * 600


def test_keep_is_counted_from_the_clock_where_that_is_earlier_than_the_newest_headline(
    store: Store, milvus_settings: MilvusSettings, tmp_path: Path
) -> None:
    from clustering.run.retention import find_due

    add(store, "fresh", [NOW - HOUR] * 900)
    last_run(store, NOW + 400 * DAYS)
    found = find_due(store, keeping(milvus_settings, tmp_path, "90d"), NOW)
    assert found is not None
    assert (found.headlines, found.of, found.too_many) == (0, 900, False)
