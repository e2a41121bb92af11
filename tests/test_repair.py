"""A run that is killed at any of its writes ends as one that nobody disturbed, with the real Kafka and a real Milvus."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove

from clustering.run import window
from clustering.run.lease import Lease
from clustering.run.reclusterer import Memory, recluster
from newstide.core.errors import RunFailed, StoreRefused
from newstide.core.settings import KafkaSettings, MilvusSettings, Settings
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.producer import Sender
from newstide.milvus import Store, StoryEvent, open_store
from newstide.milvus.events import Events
from newstide.milvus.local_server import LocalMilvus
from newstide.milvus.run_journal import Unfinished
from newstide_app.maintenance.takedown import forget
from tests.harness.first_run import CARD, RNG, Place


class Killed(BaseException):
    """As by SIGKILL: nothing catches it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("repair")


@pytest.fixture
def place(local_kafka: LocalKafka, local_milvus: LocalMilvus, folder: Path) -> Place:
    return Place(local_kafka, local_milvus, folder)


@pytest.fixture(scope="module")
def undisturbed(local_kafka: LocalKafka, local_milvus: LocalMilvus, folder: Path) -> tuple[Any, Any]:
    """What is there after the second run, and after a third with more headlines."""
    place = Place(local_kafka, local_milvus, folder)
    recluster(place.settings)
    second = place.state()
    place.more_headlines()
    recluster(place.settings)
    return second, place.state()


def test_the_run_that_is_killed_below_has_every_kind_of_event_and_its_stories_tell_of_them(
    undisturbed: tuple[Any, Any],
) -> None:
    events = {id_: event for id_, event in undisturbed[0]["events"].items() if "born" not in id_}
    told = {(e["kind"], e["story"], *e["parents"], *e["children"], e["successor"]) for e in events.values()}
    child = next(e["story"] for e in undisturbed[0]["events"].values() if e["kind"] == "born" and e["parents"] == [9])
    assert told == {
        ("grown", 5, 4, -1),
        ("grown", 7, -1),
        ("merged", 7, 8, -1),
        ("split", 9, child, -1),
        ("closed", 8, 7),
        ("closed", 6, -1),
        *(("retitled", story, -1) for story in (5, 7, 9)),  # none of their headlines has the title they had
    }
    stories = {story["cluster_label"]: story for story in undisturbed[0]["stories"]}
    assert (stories[8]["status"], stories[8]["successor"]) == ("closed", 7)
    assert (stories[6]["status"], stories[6]["successor"], stories[6]["former_ids"]) == ("closed", -1, ["h026", "h027"])
    assert (stories[5]["previous_size"], stories[5]["size"], stories[5]["parents"]) == (4, 11, [4])
    assert (stories[9]["parents"], stories[child]["parents"]) == ([3], [9])
    assert (stories[7]["created_run"], stories[child]["created_run"]) == (1, 2)
    assert stories[7]["first_published_at"] == 900_007


def halved(frame: Any) -> Any:
    return frame[: len(frame) // 2]


def dying(original: Callable[..., Any], arguments: Callable[..., tuple[Any, ...]] | None) -> Callable[..., Any]:
    """A function that dies before it does anything, or after it was called with these arguments."""

    def die(*given: Any, **_: Any) -> Any:
        if arguments is not None:
            original(*arguments(*given))
        raise Killed

    return die


WRITES: dict[str, tuple[Any, str, Callable[..., tuple[Any, ...]] | None]] = {
    "graph": ("clustering.run.graph", "save_graph", None),
    "plan, before": (Unfinished, "write", None),
    "plan, after": (Unfinished, "write", lambda *given: given),
    "stories, half way": (Store, "upsert_stories", lambda store, stories: (store, halved(stories))),
    "labels, none": (Store, "write_labels", None),
    "labels, half way": (
        Store,
        "write_labels",
        lambda store, ids, labels, chances, run: (store, halved(ids), halved(labels), halved(chances), run),
    ),
    "events, none": (Sender, "send", None),
    "events, first": (Sender, "send", lambda sender, topic: (sender, topic)),
    "events, all": (Sender, "flush", lambda sender: (sender,)),
    "means": (Store, "upsert_means", lambda *given: given),
    "run row, before": (Store, "insert_run", None),
    "run row, after": (Store, "insert_run", lambda *given: given),
    "page": ("clustering.run.publish", "write_snapshot", None),
}
UNDECIDED = ("graph", "plan, before")
FIRST = ("plan, before", "stories, half way", "labels, half way", "events, first", "run row, before", "page")


@pytest.mark.parametrize(
    "where", [*FIRST, *(pytest.param(one, marks=pytest.mark.slow) for one in WRITES if one not in FIRST)]
)
def test_killed_at_any_write_a_run_ends_as_one_that_was_not(
    where: str,
    undisturbed: tuple[Any, Any],
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner, name, arguments = WRITES[where]
    with monkeypatch.context() as patch:
        if where == "events, first":
            send = Sender.send

            def first_only(sender: Sender, topic: str, **message: Any) -> None:
                send(sender, topic, **message)
                sender.flush()
                raise Killed

            patch.setattr(Sender, "send", first_only)
        elif isinstance(owner, str):
            patch.setattr(f"{owner}.{name}", dying(lambda: None, None))
        else:
            patch.setattr(owner, name, dying(getattr(owner, name), arguments))
        with pytest.raises(Killed):
            recluster(place.settings)
    shutil.rmtree(place.settings.data_dir, ignore_errors=True)
    if where in UNDECIDED:
        assert recluster(place.settings).run == 2
        assert place.state() == undisturbed[0]
    else:
        place.more_headlines()
        assert recluster(place.settings).run == 3
        assert place.state() == undisturbed[1]
    assert (place.settings.snapshots_dir / "run-000002.html").exists()
    assert recluster(place.settings).status == "nothing new"


class LostMidway(Lease):
    """The lease of a process that stands still, and is put out of the group, after it has asked so many times."""

    def __init__(self, settings: KafkaSettings, asks: int) -> None:
        super().__init__(settings)
        self._left, self._kafka = asks, settings
        assert self.held(wait_ms=15_000)

    def require(self) -> None:
        if self._left == 0:
            member = MemberToRemove(member_id=self._consumer.group_metadata().member_id)
            with KafkaAdminClient(bootstrap_servers=self._kafka.bootstrap_servers) as admin:
                admin.remove_group_members(f"{self._kafka.group}-recluster", [member])
        self._left -= 1
        super().require()


@pytest.mark.parametrize(
    ("asks", "plan", "labels", "runs"), [(0, False, 0, 1), (1, True, 0, 1), (2, True, 1, 1), (3, True, 1, 2)]
)
def test_who_loses_the_lease_in_the_middle_of_a_run_writes_nothing_more_and_the_next_finishes_it(
    asks: int, plan: bool, labels: int, runs: int, undisturbed: tuple[Any, Any], place: Place
) -> None:
    with (
        LostMidway(place.settings.kafka, asks) as lease,
        pytest.raises(RunFailed, match="Another reclusterer holds the lease"),
    ):
        recluster(place.settings, lease=lease)
    store = open_store(place.settings.milvus, None)
    try:
        assert (store.unfinished.read() is not None) is plan
        assert min(store.count_headlines("label_run == 2"), 1) == labels
        assert len(store.runs()) == runs
    finally:
        store.close()
    assert recluster(place.settings).run == 2
    assert place.state() == undisturbed[0]


def test_a_run_that_was_cut_off_is_finished_though_nothing_has_come_in_since(
    undisturbed: tuple[Any, Any],
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Store, "upsert_means", dying(Store.upsert_means, None))
        with pytest.raises(Killed):
            recluster(place.settings)
    report = recluster(place.settings)
    assert (report.status, report.run, report.events["merged"]) == ("finished", 2, 1)
    assert place.state() == undisturbed[0]


def test_what_a_process_remembers_saves_reading_and_changes_nothing(
    undisturbed: tuple[Any, Any],
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = Memory()
    read: list[str] = []
    headlines = Store.headlines

    def noted(store: Store, where: str, columns: Any) -> pd.DataFrame:
        read.append(where)
        return headlines(store, where, columns)

    asked: list[int] = []
    since = Events.since

    def all_read(events: Events, at: int) -> list[StoryEvent]:
        asked.append(at)
        return since(events, at)

    monkeypatch.setattr(Store, "headlines", noted)
    monkeypatch.setattr(Events, "since", all_read)
    recluster(place.settings, memory=memory)
    assert any("label_run > 0" in where for where in read)
    assert len(asked) == 1
    read.clear()
    place.more_headlines()
    assert recluster(place.settings, memory=memory).run == 3
    assert read
    assert all("label_run == 0" in where for where in read)
    assert len(asked) == 1
    assert memory.told == events_in(place)
    assert place.state() == undisturbed[1]
    assert recluster(place.settings, memory=memory).status == "nothing new"

    forget(place.settings, "id", "h002")  # another process's doing
    read.clear()
    report = recluster(place.settings, memory=memory)
    assert (report.run, report.rows) == (4, len(undisturbed[1]["labels"]) - 1)
    assert not any("label_run > 0" in where for where in read)  # the row is taken out of what is remembered
    assert memory.told == events_in(place)  # and titles out of what happened to stories
    recluster(place.settings, force=True)  # another one, whose labels this one does not know
    place.more_headlines()
    read.clear()
    recluster(place.settings, memory=memory, force=True)
    assert any("label_run > 0" in where for where in read)
    assert memory.told == events_in(place)


def events_in(place: Place) -> list[StoryEvent]:
    store = open_store(place.settings.milvus, None)
    try:
        return store.events.since(0)
    finally:
        store.close()


def test_what_someone_else_changed_in_milvus_is_noticed_within_the_hour(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory()
    assert recluster(place.settings, memory=memory).status == "finished"
    rows = len(place.state()["labels"])
    store = open_store(place.settings.milvus, None)
    try:
        store.delete_headlines(["h002"])
        store.settle()
    finally:
        store.close()
    read: list[int] = []
    by_id = Store.headlines_by_id

    def noted(store: Store, ids: Any, columns: Any) -> pd.DataFrame:
        read.append(len(ids))
        return by_id(store, ids, columns)

    monkeypatch.setattr(Store, "headlines_by_id", noted)
    found = []
    for number in range(1, 25):
        clock = SimpleNamespace(monotonic=lambda later=150 * number + 1: time.monotonic() + later)
        monkeypatch.setattr(window, "time", clock)
        found.append(recluster(place.settings, memory=memory, force=True).rows)
        if found[-1] == rows - 1:
            break
    assert found[-1] == rows - 1
    assert set(found[:-1]) <= {rows}
    assert sum(read) <= rows  # a part at a time, none twice


@pytest.mark.parametrize("why", ["of another version", "refused by Milvus"])
def test_a_plan_that_cannot_be_carried_out_is_forgotten_and_runs_go_on(
    why: str,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if why == "refused by Milvus":
        with monkeypatch.context() as patch:
            patch.setattr(Store, "upsert_stories", dying(Store.upsert_stories, None))
            with pytest.raises(Killed):
                recluster(place.settings)
        upsert, refusals = Store.upsert_stories, [StoreRefused("the length of json field is too long")]

        def refused_once(store: Store, stories: pd.DataFrame) -> None:
            if refusals:
                raise refusals.pop()
            upsert(store, stories)

        monkeypatch.setattr(Store, "upsert_stories", refused_once)
    else:
        store = open_store(place.settings.milvus, None)
        store.unfinished.write(json.dumps({"row": {"run": 2}, "model": CARD.fingerprint}).encode())
        store.close()
    report = recluster(place.settings)
    assert (report.status, report.run) == ("finished", 2)
    assert place.state()["runs"][-1]["run"] == 2


def test_a_map_that_cannot_be_made_costs_no_label_and_holds_no_run_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:

    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("of a library")

    with monkeypatch.context() as patch:
        patch.setattr("clustering.run.publish.lay_out_some", broken)
        report = recluster(place.settings)
        assert (report.status, report.run, report.page) == ("finished", 2, "")
        assert {row["label_run"] for row in place.state()["labels"]} >= {2}
        place.more_headlines()
        assert recluster(place.settings).run == 3
    place.settings.snapshots_dir.mkdir(parents=True, exist_ok=True)
    assert recluster(place.settings, force=True).page.endswith("run-000004.html")


def test_sources_without_end_leave_room_in_a_storys_row() -> None:
    from clustering.run.story_book import _fitting

    sources = [f"{number} " + "\N{EARTH GLOBE EUROPE-AFRICA}" * 250 for number in range(200)]
    kept = _fitting(sources)
    assert kept == sources[: len(kept)]
    assert 10 < len(kept) < 200
    assert len(json.dumps(kept, ensure_ascii=False).encode()) < 65_536


def test_before_the_first_headline_there_is_nothing_to_do_and_nothing_wrong(
    local_milvus: LocalMilvus, folder: Path
) -> None:
    empty = Settings(data_dir=folder / "empty", milvus=MilvusSettings(uri=local_milvus.uri, prefix="never_"))
    assert recluster(empty).status == "no headlines"


def test_theta_is_kept_from_run_to_run_and_made_anew_when_parameters_change(place: Place) -> None:
    recluster(place.settings)
    place.more_headlines()
    recluster(place.settings)
    recluster(place.settings.updated(clustering={"theta_drift": 0.0}))
    store = open_store(place.settings.milvus, None)
    try:
        theta = store.runs().set_index("run")["theta"]
    finally:
        store.close()
    assert theta[2] != theta[1]  # the first run's parameters are none
    assert theta[3] == theta[2]
    assert theta[4] != theta[3]


def test_half_a_plan_is_none(place: Place) -> None:
    store = open_store(place.settings.milvus, None)
    try:
        content = RNG.bytes(200_000)
        store.unfinished.write(content)
        assert store.unfinished.read() == content
        store.unfinished.write(b"another")
        assert store.unfinished.read() == b"another"
        store.unfinished.write(content)
        store.unfinished._collection.made().delete([1])
        assert store.unfinished.read() is None
        store.unfinished.clear()
        assert store.unfinished.read() is None
    finally:
        store.close()
