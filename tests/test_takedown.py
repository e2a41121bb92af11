"""A headline that is taken down is gone from everything that newstide keeps, and stays away."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from clustering.map.layout import load_layout
from clustering.neighbours import load_graph
from clustering.pages.redaction import clean_pages
from clustering.run import old_tombstones, reclusterer
from clustering.run.reclusterer import Memory, recluster
from clustering.run.window import Window, fix_window
from clustering.stories.naming import name_stories
from newstide.core.errors import SettingsError
from newstide.core.headline import from_fields
from newstide.core.settings import Settings, as_environment
from newstide.kafka.local_broker import LocalKafka
from newstide.milvus import (
    Blocklist,
    Store,
    Tombstone,
    filters,
    open_store,
    removal,
    remove_headlines,
    schema,
    tombstones,
)
from newstide.milvus.local_server import LocalMilvus
from newstide.milvus.tombstones import TAKEN_DOWN_WITHIN, FirstSeen
from newstide_app.cli.main import app
from newstide_app.maintenance.takedown import allow_again, forget, look_up
from newstide_app.services.run import run_consumer
from producers.publisher import produce_files
from producers.sample import day_file
from tests.harness.newsroom import of_a_module

ROWS = 300


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, local_kafka: LocalKafka, local_milvus: LocalMilvus) -> Settings:
    """A day's first 300 headlines, with one run made; the tests take down one part after another."""
    folder = tmp_path_factory.mktemp("takedown")
    settings = of_a_module(folder, local_kafka, local_milvus, "takedown")
    lines = day_file().read_text(encoding="utf-8").splitlines()[:ROWS]
    (folder / "day.jsonl").write_text("\n".join(lines), encoding="utf-8")
    produce_files([str(folder / "day.jsonl")], settings.kafka, progress=False)
    run_consumer(settings, stop=Event(), drain=True)
    recluster(settings)
    return settings


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = open_store(settings.milvus, None)
    yield opened
    opened.close()


def test_a_storys_title_is_gone_from_rows_stories_pages_and_caches_and_a_replay_does_not_bring_it_back(
    settings: Settings, store: Store
) -> None:
    titled = store.headlines("", ["title"])["title"]
    stories = store.stories('status == "open"').sort_values("size")
    story = stories[[sum(title in other for other in titled) == 1 for title in stories["title"]]].iloc[-1]
    rows = store.headlines(f"cluster_label == {story['cluster_label']}", ["id", "title", "url"])
    row = rows[rows["title"] == story["title"]].iloc[0]
    pages = [settings.snapshots_dir / name for name in ("latest.html", "run-000001.html")]
    assert all(row["title"] in page.read_text(encoding="utf-8") for page in pages)
    holding = [
        page for page in settings.snapshots_dir.glob("*.html") if row["title"] in page.read_text(encoding="utf-8")
    ]
    pages = [page for page in holding if page.name != "index.html"]
    assert settings.snapshots_dir / f"story-{story['cluster_label']}.html" in pages

    done = forget(settings, "id", row["id"])

    assert (done.headlines, done.stories, done.pages) == (1, 1, len(pages))
    assert store.count_headlines() == ROWS - 1
    titles = set(store.stories()["title"])
    assert row["title"] not in titles
    renamed = store.stories(f"cluster_label == {story['cluster_label']}").iloc[0]
    assert renamed["title"] in set(rows["title"])
    assert renamed["size"] == story["size"] - 1
    everything = "".join(
        path.read_text(encoding="utf-8") for path in settings.snapshots_dir.glob("*.*") if path.suffix != ".js"
    )
    assert row["title"] not in everything
    told = [text for event in store.events.since(0) for text in (event.title, *event.previous_titles.values())]
    assert told
    assert row["title"] not in told
    assert row["url"] not in everything
    assert renamed["title"] in everything

    report = recluster(settings)

    assert (report.status, report.rows) == ("finished", ROWS - 1)
    cache = settings.data_dir / "cache"
    graph, layout = load_graph(cache / "graph.bin", store.card), load_layout(cache / "layout.npz")
    assert layout is not None
    assert row["id"] not in {*graph.ids, *layout.ids}

    shutil.rmtree(settings.data_dir)  # the tombstone is in Milvus
    replayed = settings.updated(kafka={"group": "takedown-replay"})
    tally = run_consumer(replayed, stop=Event(), drain=True)

    assert (tally.messages, tally.stored, tally.taken_down, tally.duplicates) == (ROWS, 0, 1, ROWS - 1)
    recluster(settings, force=True)


def test_a_source_goes_with_all_it_sent_and_later_headlines_of_it_are_kept_out_until_it_is_allowed_again(
    settings: Settings, store: Store
) -> None:
    rows = store.headlines("", ["id", "title", "source"])
    source = rows["source"].value_counts().index[0]
    own = rows[rows["source"] == source]
    others = rows[rows["source"] != source]
    assert len(own) > 5

    target = look_up(settings, "source", source)
    assert len(target.headlines) == len(own)
    assert store.count_headlines() == len(rows)
    assert source in (settings.snapshots_dir / "latest.html").read_text(encoding="utf-8")
    long = "The Orvane &amp; Pell Gazette " * 20
    cut = from_fields({"title": "x", "source": long}, 1).headline.source
    assert look_up(settings, "source", long).value == cut
    forget(settings, "source", f" <b>{source}</b>\u00ad ")  # as it was sent: the consumer cleans it

    assert set(store.headlines("", ["id"])["id"]) == set(others["id"])
    assert not any(source in names for names in store.stories()["sources"])
    assert not any(source in event.sources for event in store.events.since(0))
    for page in settings.snapshots_dir.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert source not in text, page.name
        assert not [
            title for title in own["title"] if json.dumps(title)[1:-1] in text and title not in set(others["title"])
        ]

    new = {"title": "Something else entirely", "source": source, "url": "https://new.example/1"}
    path = settings.data_dir / "new.jsonl"
    path.write_text(json.dumps(new), encoding="utf-8")
    produce_files([str(path)], settings.kafka, progress=False)
    assert run_consumer(settings, stop=Event(), drain=True).taken_down == 1
    assert allow_again(settings, "source", source) == len(own) + 1
    path.write_text(json.dumps(new | {"url": "https://new.example/2"}), encoding="utf-8")
    produce_files([str(path)], settings.kafka, progress=False)
    assert run_consumer(settings, stop=Event(), drain=True).stored == 1


@pytest.mark.parametrize("runs_before", [0, 1])
def test_a_row_that_was_on_its_way_and_a_page_that_lies_elsewhere_are_cleaned_by_the_next_run(
    settings: Settings, store: Store, runs_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tombstones, "FRESH", 0.0)  # what is in memory is looked up again each time
    rows = store.headlines("cluster_label >= 0", ["id", "title", "url"])
    row = rows[[sum(title in other for other in rows["title"]) == 1 for title in rows["title"]]].iloc[0]
    kept = store.headlines_by_id([row["id"]], [*schema.columns("headlines"), "embedding"]).to_dict("records")[0]
    elsewhere = settings.updated(data_dir=settings.data_dir / "elsewhere")
    forget(elsewhere, "url", row["url"])
    assert row["title"] in (settings.snapshots_dir / "latest.html").read_text(encoding="utf-8")
    for _ in range(runs_before):  # a slow model: the row comes only after a run that has taken its like down
        recluster(settings)
    # As a consumer writes it whose clock is decades behind: no clock says that it came after the take-down.
    written = {str(name): value for name, value in kept.items()} | {"ingested_at": 0, "label_run": 0}
    store._headlines.put([written])
    assert store.known_ids([row["id"]])

    recluster(settings)

    assert not store.known_ids([row["id"]])
    for page in settings.snapshots_dir.glob("*.html"):
        assert row["title"] not in page.read_text(encoding="utf-8"), page.name


def test_a_row_that_comes_in_between_is_left_out_of_the_run_and_gone_after_the_next(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = store.headlines("cluster_label >= 0", ["id", "title", "url"])
    row = rows[[sum(title in other for other in rows["title"]) == 1 for title in rows["title"]]].iloc[0]
    kept = store.headlines_by_id([row["id"]], [*schema.columns("headlines"), "embedding"]).to_dict("records")[0]
    forget(settings, "id", row["id"])

    def fix_later(*arguments: Any) -> Window:
        written = {str(name): value for name, value in kept.items()} | {"ingested_at": 0, "label_run": 0}
        store._headlines.put([written])
        return fix_window(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(reclusterer, "fix_window", fix_later)
        recluster(settings, force=True)
    assert store.headlines_by_id([row["id"]], ["label_run"])["label_run"].tolist() == [0]
    assert row["title"] not in (settings.snapshots_dir / "latest.html").read_text(encoding="utf-8")
    recluster(settings)
    assert not store.known_ids([row["id"]])


@pytest.mark.parametrize("made_at", [1, 4_000_000_000_000], ids=["1970", "years-ahead"])
def test_a_run_that_reads_a_headline_while_it_is_being_removed_does_not_remember_it_whatever_the_clock_said(
    settings: Settings, store: Store, made_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tombstones, "FRESH", 0.0)
    story = store.stories(filters.OPEN).sort_values("size").iloc[-1]
    rows = store.headlines(f"cluster_label == {story['cluster_label']}", [*removal.COLUMNS])
    row = rows[rows["title"] == story["title"]]
    id_, point = row["id"].iloc[0], tombstones.point_of(*row[["title", "published_at", "url", "source"]].iloc[0])
    key, memory = tombstones.key_of("id", id_), Memory()
    store.tombstones.add([Tombstone(key, key, point, "", made_at)])
    recluster(settings, force=True, memory=memory)  # the row is still in Milvus, and is read from there
    assert memory.labelled is not None
    assert id_ in set(memory.labelled.rows["id"])
    remove_headlines(store, row, store.tombstones.now())

    recluster(settings, force=True, memory=memory)

    assert id_ not in set(memory.labelled.rows["id"])
    assert story["title"] not in set(store.stories()["title"])
    assert not store.known_ids([id_])


def test_a_tombstone_that_is_taken_away_and_made_again_is_a_new_one() -> None:
    seen, one = FirstSeen(), Tombstone("id:a", "id:a", "", "", 1)
    assert seen.lately(Blocklist.of([one]), 0.0) == [one]
    later = time.monotonic() + 2 * TAKEN_DOWN_WITHIN
    assert seen.lately(Blocklist.of([one]), later) == []
    again = replace(one, created_at=0)
    seen.at[one] -= 3 * TAKEN_DOWN_WITHIN
    assert seen.lately(Blocklist.of([again]), time.monotonic()) == [again]


def test_old_tombstones_are_no_news_to_a_process_that_is_started_anew_and_one_more_is(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    same: list[int] = []

    def noted(*arguments: Any, unchanged: set[int], **others: Any) -> Any:
        same.append(len(unchanged))
        return name_stories(*arguments, unchanged=unchanged, **others)

    ids = store.headlines("cluster_label == -1", ["id"])["id"].tolist()
    forget(settings, "id", ids[0])
    monkeypatch.setattr(reclusterer, "name_stories", noted)
    for module in (tombstones, old_tombstones):
        monkeypatch.setattr(module, "TAKEN_DOWN_WITHIN", 0.0)
    memory = Memory()
    for _ in range(3):
        recluster(settings, force=True, memory=memory)
    recluster(settings, force=True, memory=Memory())
    assert same[:2] == [0, 0]
    assert same[2] == same[3] > 0
    (settings.data_dir / "cache" / "old-tombstones").write_bytes(b"\xff no number")
    recluster(settings, force=True, memory=Memory())
    assert same[4] == 0
    recluster(settings, force=True, memory=memory)
    forget(settings, "id", ids[1])
    recluster(settings, force=True, memory=Memory())
    assert same[6] == 0


def test_a_page_with_a_bad_byte_holds_nothing_up(tmp_path: Path) -> None:
    (tmp_path / "run-000001.html").write_bytes(b"<html>\xff</html>")
    with capture_logs() as logged:
        assert clean_pages(tmp_path, lambda *_: True, lambda _: True) == []
    assert "damaged" in logged[0]["event"]


def test_the_command_shows_what_would_go_asks_and_tells_what_went(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    run = CliRunner()
    row = store.headlines("", ["id", "title"]).iloc[0]
    count = store.count_headlines()
    told = run.invoke(app, ["forget", "--id", row["id"], "--dry-run", "--json"])
    assert json.loads(told.stdout)["headlines"][0]["title"] == row["title"]
    refused = run.invoke(app, ["forget", "--id", row["id"]], input="n\n")
    assert refused.exit_code == 1
    assert "Remove them for good" in refused.output
    assert store.count_headlines() == count
    done = run.invoke(app, ["forget", "--id", row["id"], "--yes"])
    assert "Headlines removed: 1;" in done.output
    assert store.count_headlines() == count - 1
    unclear = run.invoke(app, ["forget", "--id", "a", "--url", "b"])
    assert isinstance(unclear.exception, SettingsError)
    assert "exactly one" in unclear.exception.message
    hostile = run.invoke(app, ["forget", "--id", 'x" or id != "', "--yes", "--json"])
    assert json.loads(hostile.stdout)["headlines"] == 0
    assert store.count_headlines() == count - 1


def test_when_everything_is_gone_numbers_go_on(settings: Settings, store: Store) -> None:
    highest = store.highest_label()
    rows = store.headlines("", ["id", "source"])
    source = rows["source"].iloc[0]
    store.delete_headlines(rows.loc[rows["source"] != source, "id"].tolist())
    forget(settings, "source", source)
    assert store.count_headlines() == 0
    assert not (settings.data_dir / "cache" / "graph.bin").exists()
    assert not list((settings.data_dir / "cache").glob("vectors-*"))
    assert recluster(settings).status == "no headlines"
    assert store.highest_label() == highest
    lines = [
        json.dumps({"title": title, "source": "Fresh Gazette", "url": f"https://fresh.example/{number}"})
        for number, title in enumerate(["The harbour bridge opens after years of work"] * 6 + ["Cheese exports rise"])
    ]
    path = Path(settings.data_dir / "fresh.jsonl")
    path.write_text("\n".join(lines), encoding="utf-8")
    produce_files([str(path)], settings.kafka, progress=False)
    run_consumer(settings, stop=Event(), drain=True)
    recluster(settings.updated(clustering={"deduplicate": False}))
    labels = set(store.headlines("cluster_label >= 0", ["cluster_label"])["cluster_label"])
    assert labels
    assert min(labels) > highest
