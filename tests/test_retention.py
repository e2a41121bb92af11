"""`keep`: after a run what is older is gone, and story numbers stay taken."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from typer.testing import CliRunner

from clustering.pages.redaction import clean_pages
from clustering.pages.thinning import oldest_on, thin_pages
from clustering.run.reclusterer import Memory, recluster
from newstide.core.errors import SettingsError
from newstide.core.settings import ClusteringSettings, KafkaSettings, MilvusSettings, Settings, as_environment
from newstide.milvus import open_store
from newstide_app.cli.main import app
from newstide_app.services.run import run_consumer
from producers.publisher import produce_files
from tests.harness.newsroom import PLAIN_MAP

START = datetime(2026, 3, 1, tzinfo=UTC)
TOPICS = (
    "The harbour bridge opens after years of work",
    "Parliament votes on the new fishing quota",
    "Storm leaves the northern valley without power",
    "Champions lose the cup final on penalties",
)


def send_day(settings: Settings, day: int, folder: Path, topics: tuple[str, ...] = TOPICS) -> None:
    """Five headlines of each topic, an hour apart."""
    rows = [
        {
            "title": f"{topic}, day {day} report {number}",
            "source": f"Paper {number}",
            "url": f"https://papers.example/{day}/{place}/{number}",
            "published_at": (START + timedelta(days=day, hours=number)).isoformat(),
        }
        for place, topic in enumerate(topics)
        for number in range(5)
    ]
    path = folder / f"day-{day}.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    produce_files([str(path)], settings.kafka, progress=False)
    run_consumer(settings, stop=Event(), drain=True)


def test_old_rows_words_of_closed_stories_and_old_pages_go_and_numbers_stay_taken(
    tmp_path: Path, kafka_settings: KafkaSettings, milvus_settings: MilvusSettings
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        keep="10d",
        kafka=kafka_settings,
        milvus=milvus_settings,
        clustering=ClusteringSettings(window="3d"),
        layout=PLAIN_MAP,
    )
    memory = Memory()
    for day, topics in ((0, TOPICS), (4, TOPICS[1:3])):  # from the pairs of a lone story comes no theta
        send_day(settings, day, tmp_path, topics)
        recluster(settings, memory=memory)
    with closing(open_store(settings.milvus, None)) as store:
        assert store.count_headlines() == 30
        first = store.stories()
        assert len(first) >= 2
        assert set(first["status"]) == {"open", "closed"}
        assert all(first["title"] != "")
        closed = set(first.loc[first["status"] == "closed", "cluster_label"])
        highest = store.highest_label()

        send_day(settings, 11, tmp_path, ("A comet is seen over the desert", "Teachers strike for smaller classes"))
        report = recluster(settings, memory=memory)

        newest = int((START + timedelta(days=11, hours=4)).timestamp() * 1000)
        assert store.count_headlines(f"published_at <= {newest - 10 * 86_400_000}") == 0
        assert store.count_headlines() == 20
        after = store.stories().set_index("cluster_label")
        assert set(first["cluster_label"]) <= set(after.index)
        for label in closed:
            assert after.loc[label, "title"] == ""
            assert not any(after.loc[label, name] for name in ("keywords", "sources", "languages", "former_ids"))
            assert after.loc[label, "size"] > 0
        pages = {path.stem for path in settings.snapshots_dir.glob("run-*.html")}
        assert pages == {"run-000002", "run-000003"}
        oldest = oldest_on(settings.snapshots_dir / "run-000002.html")
        assert oldest is not None
        assert oldest > newest - 10 * 86_400_000
        assert {event.story for event in store.events.since(0)}.isdisjoint(closed)
        assert all(event.newest_at > newest - 10 * 86_400_000 for event in store.events.since(0))
        assert memory.told == store.events.since(0)
        stories = {int(path.stem.removeprefix("story-")) for path in settings.snapshots_dir.glob("story-*.html")}
        assert stories
        assert stories.isdisjoint(closed)
        assert json.loads((settings.snapshots_dir / "latest.json").read_text())["runs"] == [2, 3]
        assert "run-000001" not in (settings.snapshots_dir / "index.html").read_text()
        assert min(set(after.index) - set(first["cluster_label"])) > highest
        assert report.run == 3

        send_day(settings, 40, tmp_path)
        recluster(settings, memory=memory)
        assert store.count_headlines() == 20
        born = store.stories("created_run == 4")
        assert len(born) >= 1
        assert born["cluster_label"].min() > max(after.index)


def test_the_command_keeps_what_it_is_told_to_keep(
    tmp_path: Path, kafka_settings: KafkaSettings, milvus_settings: MilvusSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clustering = ClusteringSettings(window="3d")
    settings = Settings(
        data_dir=tmp_path, kafka=kafka_settings, milvus=milvus_settings, clustering=clustering, layout=PLAIN_MAP
    )
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    send_day(settings, 0, tmp_path)
    send_day(settings, 11, tmp_path, TOPICS[:2])
    run = CliRunner()
    refused = run.invoke(app, ["recluster", "--once", "--keep", "2d"])
    assert isinstance(refused.exception, SettingsError)
    told = run.invoke(app, ["recluster", "--once", "--keep", "10d", "--json"])
    assert told.exit_code == 0, told.output
    store = open_store(milvus_settings, None)
    try:
        assert store.count_headlines() == 10
    finally:
        store.close()


@pytest.mark.parametrize(("keep", "window"), [("3d", "7d"), ("90d", "none")])
def test_keeping_for_less_than_the_window_is_refused(keep: str, window: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSTIDE_KEEP", keep)
    monkeypatch.setenv("NEWSTIDE_CLUSTERING_WINDOW", window)
    with pytest.raises(SettingsError, match=r"keep = .* is shorter than clustering\.window = ") as refused:
        Settings.load()
    assert "Set a longer keep" in refused.value.way_out


@pytest.mark.parametrize(
    ("given", "kept"), [({}, None), ({"keep": "90d"}, timedelta(days=90)), ({"keep": "none"}, None)]
)
def test_headlines_are_kept_for_ever_unless_told(given: dict[str, Any], kept: timedelta | None) -> None:
    assert Settings.load(**given).keep == kept


@pytest.mark.parametrize(
    "latest", ["[]", "{", '{"run": "x"}', '{"run": 3}', "null", '{"run": 3, "page": "run-000003.html", "runs": []}']
)
def test_a_damaged_page_or_list_of_pages_stops_neither_cleaning_nor_thinning(tmp_path: Path, latest: str) -> None:
    script = '<script type="application/json" id="data" data-packed="{}">{}</script>'
    for run, data in enumerate(
        [("yes", "AAAA"), ("yes", "!"), ("no", "[]"), ("no", "{}"), ("no", '{"begin": null}')], 1
    ):
        (tmp_path / f"run-{run:06d}.html").write_text(script.format(*data))
        (tmp_path / f"run-{run:06d}.json").write_text(
            json.dumps({"run": run, "finished_at": (START + timedelta(minutes=run)).isoformat()})
        )
    (tmp_path / "latest.json").write_text(latest)
    assert clean_pages(tmp_path, lambda *_: True, lambda _: True) == []
    assert [oldest_on(page) for page in sorted(tmp_path.glob("*.html"))] == [None] * 5
    gone = thin_pages(tmp_path, timedelta(0), None)
    assert gone == ([1, 2, 4] if "runs" in latest else [1, 2, 3, 4])
