"""From the topic to labels and pages, with the real Kafka and a real Milvus: what a newcomer is promised."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prometheus_client import CollectorRegistry

from clustering.run.reclusterer import RunReport, recluster
from consumers.tally import Tally
from newstide.core.headline import decode
from newstide.core.settings import ClusteringSettings, KafkaSettings, MilvusSettings, Settings
from newstide.kafka.consumer import records_of
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.producer import Sender
from newstide.kafka.topics import ensure_topics
from newstide.milvus import Store, open_store
from newstide.milvus.local_server import LocalMilvus
from newstide_app.services.metrics import RunMetrics
from producers.sample import day_file
from tests.harness.lazy_store import opened_when_asked
from tests.harness.newsroom import for_the_day, own_topics
from tests.harness.pipeline import events_of, ingest, labels, send

SAMPLE = 800


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return for_the_day(settings)


@dataclass(frozen=True)
class Day:
    """The bundled day after one run. Who uses it leaves rows and labels as they are."""

    settings: Settings
    store: Store
    sent: int
    tally: Tally
    report: RunReport


@pytest.fixture(scope="module")
def day(
    tmp_path_factory: pytest.TempPathFactory,
    local_kafka: LocalKafka,
    local_milvus: LocalMilvus,
    topics: list[KafkaSettings],
    collections: list[MilvusSettings],
) -> Iterator[Day]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("day"),
        kafka=own_topics(local_kafka.bootstrap_servers, "the-day"),
        milvus=MilvusSettings(uri=local_milvus.uri, prefix="the_day_"),
        clustering=ClusteringSettings(window=None),
    )
    topics.append(settings.kafka)
    collections.append(settings.milvus)
    ensure_topics(settings.kafka)
    sent = send(day_file(), settings).sent
    tally = ingest(settings)
    report = recluster(settings)
    store = open_store(settings.milvus, None)
    yield Day(settings, store, sent, tally, report)
    store.close()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """The test's store, once something has been ingested."""
    with opened_when_asked(settings) as opened:
        yield opened


def test_a_day_of_news_becomes_stories_a_map_and_events(day: Day) -> None:
    settings, store, report, tally = day.settings, day.store, day.report, day.tally
    assert day.sent == SAMPLE
    assert (tally.messages, tally.stored, tally.duplicates, tally.dead_letters) == (SAMPLE, SAMPLE, 0, 0)
    assert report.status == "finished"
    assert report.rows == report.new == store.count_headlines() == SAMPLE
    assert store.count_headlines("label_run == 0") == 0
    stories = store.stories('status == "open"')
    assert len(stories) == report.stories > 60
    counted = pd.Series(labels(store)).value_counts().drop(-1)
    assert counted.to_dict() == dict(zip(stories["cluster_label"], stories["size"], strict=True))
    assert all(stories["keywords"].map(len) > 0)
    born = {event["story"] for event in events_of(settings) if event["kind"] == "born"}
    assert born == set(stories["cluster_label"])
    pages = {path.name for path in settings.snapshots_dir.glob("*.html")}
    of_stories = {name for name in pages if name.startswith("story-")}
    assert pages - of_stories == {"run-000001.html", "latest.html", "index.html"}


def test_sent_twice_it_is_there_once_and_no_label_changes(day: Day) -> None:
    settings, store = day.settings, day.store
    before = labels(store)
    send(day_file(), settings)
    tally = ingest(settings)
    assert (tally.messages, tally.stored, tally.duplicates) == (SAMPLE, 0, SAMPLE)
    assert recluster(settings).status == "nothing new"
    assert labels(store) == before


def test_a_run_with_nothing_new_touches_nothing(day: Day) -> None:
    settings, store = day.settings, day.store

    def state() -> Any:
        pages = {path.name: path.stat().st_mtime_ns for path in settings.snapshots_dir.iterdir()}
        rows = store.headlines("", ["id", "cluster_label", "label_run", "label_probability"]).sort_values("id")
        return pages, rows.to_dict("list"), store.runs().to_dict("list"), store.stories().to_dict("list")

    before = state()
    report = recluster(settings)
    assert report.status == "nothing new"
    assert "No headline is new since run 1" in report.describe()
    assert state() == before


def test_without_pages_a_run_writes_labels_and_events_and_the_next_finds_nothing_new(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "part.jsonl"
    path.write_text("\n".join(day_file().read_text(encoding="utf-8").splitlines()[:150]), encoding="utf-8")
    send(path, settings)
    ingest(settings)
    report = recluster(settings)
    assert (report.status, report.run, report.page) == ("finished", 1, "")
    assert store.count_headlines("label_run == 1") == report.rows == 150
    assert len(events_of(settings)) == report.stories
    assert not settings.snapshots_dir.exists()
    assert recluster(settings).status == "nothing new"
    registry = CollectorRegistry()
    RunMetrics(registry, with_pages=False).finished(report)
    assert registry.get_sample_value("newstide_page_written") == 1, "no page is missing"


def test_with_one_percent_new_rows_clustered_rows_keep_their_label(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    lines = day_file().read_text(encoding="utf-8").splitlines()
    late = set(np.random.default_rng(7).permutation(len(lines))[: len(lines) // 100].tolist())
    first, rest = tmp_path / "first.jsonl", tmp_path / "rest.jsonl"
    first.write_text("\n".join(line for row, line in enumerate(lines) if row not in late), encoding="utf-8")
    rest.write_text("\n".join(line for row, line in enumerate(lines) if row in late), encoding="utf-8")
    send(first, settings)
    ingest(settings)
    recluster(settings)
    before = labels(store)
    send(rest, settings)
    ingest(settings)
    report = recluster(settings)
    assert report.new == len(late)
    after = labels(store)
    clustered = [id_ for id_, label in before.items() if label >= 0]
    kept = np.mean([after[id_] == before[id_] for id_ in clustered])
    assert kept >= 0.95, f"{kept:.1%} kept their label"


def test_stories_grow_through_the_day_and_get_provisional_labels_on_arrival(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    lines = day_file().read_text(encoding="utf-8").splitlines()
    reports: list[RunReport] = []
    tallies: list[Tally] = []
    for part in range(2):
        path = tmp_path / f"part-{part}.jsonl"
        path.write_text("\n".join(lines[part * 500 : (part + 1) * 500]), encoding="utf-8")
        send(path, settings)
        tallies.append(ingest(settings))
        if part == 1:
            given = store.headlines("label_run == 0", ["cluster_label", "label_probability"])
            assert (given["cluster_label"] >= 0).sum() == tallies[1].provisional > 0
        reports.append(recluster(settings))
    assert tallies[0].provisional == 0
    assert [report.run for report in reports] == [1, 2]
    assert reports[1].events["grown"] > 0
    stories = store.stories()
    assert stories["cluster_label"].is_unique
    assert (stories["created_run"] == 1).any()
    assert (stories["created_run"] == 2).any()


def test_broken_lines_are_rejected_or_dead_lettered_with_a_reason_and_the_rest_arrives(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    good = [json.dumps({"title": f"Headline number {number} about topic {number % 37}"}) for number in range(800)]
    bad_lines = ["{", '{"title": ""}', '{"headline_of": 1', '{"title": 7}', "null"] * 20
    bad_messages = [b"\xff\xfe", b"{}", b"[]", b'{"title": "N/A"}', b'{"title": null}'] * 20
    mixed = [line for pair in zip(good[:100], bad_lines, strict=True) for line in pair] + good[100:]
    path, rejects = tmp_path / "mixed.jsonl", tmp_path / "rejects.jsonl"
    path.write_text("\n".join(mixed), encoding="utf-8")
    summary = send(path, settings, rejects)
    assert (summary.read, summary.sent, summary.rejected) == (900, 800, 100)
    refused = [json.loads(line) for line in rejects.read_text(encoding="utf-8").splitlines()]
    assert [row["line"] for row in refused] == [number * 2 + 2 for number in range(100)]
    assert all(row["reason"] for row in refused)
    sender = Sender(settings.kafka)
    for message in bad_messages:
        sender.send(settings.kafka.topic, key=b"bad", value=message)
    sender.flush()
    sender.close()
    tally = ingest(settings)
    assert (tally.messages, tally.stored, tally.dead_letters) == (900, 800, 100)
    assert store.count_headlines() == 800
    received = list(records_of(settings.kafka, settings.kafka.dead_letter_topic))
    assert sorted(record.value for record in received) == sorted(bad_messages)
    for record in received:
        headers = dict(record.headers)
        assert headers["reason"]
        assert headers["topic"].decode() == settings.kafka.topic
        assert int(headers["offset"]) >= 0


def test_plain_pymilvus_reads_the_labels_as_the_readme_shows(
    settings: Settings, local_milvus: LocalMilvus, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(from pymilvus.*?)```", readme, re.DOTALL)
    assert len(code.strip().splitlines()) == 5
    send(day_file(), settings)
    ingest(settings)
    recluster(settings)
    code = code.replace("http://127.0.0.1:19530", local_milvus.uri)
    code = code.replace('"headlines"', f'"{settings.milvus.prefix}headlines"')
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 100
    assert all(int(line.split()[0]) >= 0 for line in lines)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("giveme5w1h", 409),
        ("abp_stream", 200),
        pytest.param("abp_stream", 5_000, marks=pytest.mark.slow),  # its twin: the line above
    ],
)
def test_real_headlines_all_arrive_and_none_stays_provisional(
    settings: Settings, store: Store, tmp_path: Path, real_headlines: Path, name: str, rows: int
) -> None:
    frame = pd.read_parquet(real_headlines / f"{name}.parquet").head(rows)
    path = tmp_path / f"{name}.parquet"
    frame.to_parquet(path)
    summary = send(path, settings)
    assert summary.sent == rows
    sent = records_of(settings.kafka, settings.kafka.topic)
    distinct = {decode(record.value, record.timestamp).headline.id for record in sent}
    ingest(settings)
    assert store.count_headlines() == len(distinct)
    report = recluster(settings)
    assert report.rows == len(distinct)
    assert store.count_headlines("label_run == 0") == 0


def test_a_window_leaves_older_headlines_their_last_label(settings: Settings, store: Store, tmp_path: Path) -> None:
    days = json.loads("[" + ",".join(day_file().read_text(encoding="utf-8").splitlines()) + "]")
    of_old_week = {"moon-landing", "turin-heist", "italy-denmark", "boc-rate", "achterberg-death", "silesia-mine"}
    for row in days:
        if row["story_id"] in of_old_week:
            row["published_at"] = row["published_at"].replace("2026-10-1", "2026-09-1")
    path = tmp_path / "weeks.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in days), encoding="utf-8")
    send(path, settings)
    ingest(settings)
    recluster(settings)
    older = set(store.headlines("published_at < 1790812800000", ["id"])["id"])  # before 2026-10-01
    before = labels(store)
    old_labels = {id_: before[id_] for id_ in older}
    lived_on = {label for id_, label in before.items() if id_ not in older}
    gone = set(old_labels.values()) - lived_on - {-1}
    assert gone
    report = recluster(settings.updated(clustering={"window": "7d"}), force=True)
    assert report.rows == SAMPLE - len(older) < SAMPLE
    after = labels(store)
    assert {id_: after[id_] for id_ in older} == old_labels
    stories = store.stories().set_index("cluster_label")
    assert set(stories.loc[sorted(gone), "status"]) == {"open"}  # they rest: a run before had the wider window


def test_state_lost_on_disk_is_rebuilt_and_numbers_are_not_reused(settings: Settings, store: Store) -> None:
    import shutil

    send(day_file(), settings)
    ingest(settings)
    recluster(settings)
    before, highest = labels(store), store.highest_label()
    shutil.rmtree(settings.data_dir / "cache")
    report = recluster(settings, force=True)
    assert report.run == 2
    assert report.changed == 0
    assert labels(store) == before
    assert store.highest_label() == highest


def test_a_damaged_graph_is_noticed_and_built_anew(settings: Settings, store: Store) -> None:
    send(day_file(), settings)
    ingest(settings)
    recluster(settings)
    before = labels(store)
    graph = settings.data_dir / "cache" / "graph.bin"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 0xFF
    graph.write_bytes(content)
    (settings.data_dir / "cache" / "layout.npz").write_bytes(b"broken")
    assert recluster(settings, force=True).status == "finished"
    assert labels(store) == before


def test_a_story_that_dissolved_is_named_as_parent_by_the_one_that_takes_its_headlines_back(
    settings: Settings, store: Store
) -> None:
    send(day_file(), settings)
    ingest(settings)
    recluster(settings)
    before = labels(store)
    dissolved = recluster(settings.updated(clustering={"deviations": 8.0}), force=True)
    assert dissolved.events["closed"] > 20
    between = labels(store)
    back = recluster(settings, force=True)
    assert back.events["born"] > 20
    after = labels(store)
    stories = store.stories().set_index("cluster_label")
    reformed = 0
    for story in stories.index[stories["created_run"] == 3]:
        members = {id_ for id_, label in after.items() if label == story}
        came_from = {before[id_] for id_ in members if between[id_] == -1} - {-1}
        lost = {label for label in came_from if stories.loc[label, "status"] == "closed"}
        reformed += bool(lost)
        assert lost <= set(stories.loc[story, "parents"]), f"story {story} took headlines of {lost} back"
    assert reformed > 20


def test_headlines_that_come_too_late_for_the_window_are_told_of(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "mixed.jsonl"
    rows = [{"title": f"Old news number {number}", "published_at": "2020-01-01T00:00:00Z"} for number in range(7)]
    path.write_text(day_file().read_text(encoding="utf-8") + "\n".join(map(json.dumps, rows)), encoding="utf-8")
    send(path, settings)
    ingest(settings)
    weekly = settings.updated(clustering={"window": "7d"})
    report = recluster(weekly)
    assert (report.rows + report.too_old, report.too_old) == (SAMPLE + 7, store.count_headlines("label_run == 0"))
    assert report.too_old >= 7
    for told in (report.describe(), recluster(weekly).describe()):
        assert f"{report.too_old:,} headlines are older than the window" in told
    assert recluster(settings).too_old == 0
