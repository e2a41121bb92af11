"""A backup holds everything, says when it is damaged, and goes back without a duplicate."""

import json
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pymilvus import MilvusClient
from typer.testing import CliRunner

from clustering.run.lease import Lease
from clustering.run.reclusterer import recluster
from newstide.core.errors import BackupDamaged, ModelMismatch, NewstideError, SchemaMismatch
from newstide.core.local_server import free_port
from newstide.core.settings import Settings, as_environment
from newstide.embedding.base import ModelCard
from newstide.kafka.local_broker import LocalKafka
from newstide.milvus import Store, open_store, schema
from newstide.milvus.local_server import LocalMilvus
from newstide_app.cli.main import app
from newstide_app.maintenance import backup as module
from newstide_app.maintenance.backup import back_up
from newstide_app.maintenance.restore import check_file, restore
from newstide_app.maintenance.takedown import forget
from newstide_app.services.run import run_consumer
from producers.publisher import produce_files
from producers.sample import day_file
from tests.harness.newsroom import of_a_module

ROWS = 200


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, local_kafka: LocalKafka, local_milvus: LocalMilvus) -> Settings:
    """Two runs over a day's first 200 headlines, one of them taken down."""
    folder = tmp_path_factory.mktemp("backup")
    settings = of_a_module(folder, local_kafka, local_milvus, "backup")
    lines = day_file().read_text(encoding="utf-8").splitlines()
    for part in (lines[:150], lines[150:ROWS]):
        (folder / "part.jsonl").write_text("\n".join(part), encoding="utf-8")
        produce_files([str(folder / "part.jsonl")], settings.kafka, progress=False)
        run_consumer(settings, stop=Event(), drain=True)
        recluster(settings)
    store = open_store(settings.milvus, None)
    id_ = store.headlines("cluster_label == -1", ["id"])["id"].iloc[0]
    store.close()
    forget(settings, "id", id_)
    recluster(settings)
    return settings


@pytest.fixture(scope="module")
def file(settings: Settings) -> Path:
    path = settings.data_dir / "all.parquet"
    back_up(settings, path)
    return path


@pytest.fixture
def elsewhere(settings: Settings, tmp_path: Path) -> Settings:
    """Settings of an empty installation beside it."""
    return settings.updated(
        data_dir=tmp_path,
        milvus={"prefix": f"b{tmp_path.name[-8:].replace('-', '_')}_"},
        kafka={"group": tmp_path.name},
    )


def contents(settings: Settings) -> dict[str, Any]:
    """Everything in a store, for comparing."""
    store = open_store(settings.milvus, None)
    try:
        found: dict[str, Any] = {
            kind: pd.concat(list(store.frames(kind)), ignore_index=True) for kind in schema.COLLECTIONS
        }
        found["events"] = [event for batch in store.events.batches() for event in batch]
        found["tombstones"] = sorted(store.tombstones.all(), key=lambda stone: stone.key)
        return found
    finally:
        store.close()


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours["tombstones"] == theirs["tombstones"]
    assert ours["events"] == theirs["events"]
    for kind in schema.COLLECTIONS:
        vector = schema.VECTOR[kind]
        columns = [name for name in ours[kind] if name != vector]
        there = ours[kind][columns].to_dict("records")
        if kind == "runs":  # the one thing that a restored store has on top: watches are to be told nothing of it
            assert max(there, key=lambda run: run["run"])["counts"].pop("restored") is True
        assert there == theirs[kind][columns].to_dict("records"), kind
        assert np.array_equal(np.stack(list(ours[kind][vector])), np.stack(list(theirs[kind][vector]))), kind


def test_restored_into_an_empty_installation_everything_is_there_to_the_bit_and_numbers_go_on(
    settings: Settings, file: Path, elsewhere: Settings
) -> None:
    report = restore(elsewhere, file)

    assert report.written["headlines"] == ROWS - 1
    assert_same(contents(elsewhere), contents(settings))
    store, copy = open_store(settings.milvus, None), open_store(elsewhere.milvus, None)
    try:
        before = store.headlines("", ["id", "cluster_label"])
        after = recluster(elsewhere, force=True)
        assert (after.run, after.changed) == (4, 0)
        assert copy.headlines("", ["id", "cluster_label"]).to_dict("list") == before.to_dict("list")
        assert copy.highest_label() == store.highest_label()
    finally:
        store.close()
        copy.close()
    tally = run_consumer(elsewhere, stop=Event(), drain=True)
    assert (tally.messages, tally.stored, tally.taken_down) == (ROWS, 0, 1)


def test_restored_twice_nothing_is_there_twice_and_what_was_cut_off_is_completed(
    settings: Settings, file: Path, elsewhere: Settings
) -> None:
    restore(elsewhere, file)
    store = open_store(elsewhere.milvus, None)
    try:
        gone = store.headlines("", ["id"])["id"].tolist()[:60]
        store.delete_headlines(gone)
        again = restore(elsewhere, file)
        assert (again.written["headlines"], again.left_out) == (60, ROWS - 1 - 60)
        assert store.count_headlines() == ROWS - 1
    finally:
        store.close()
    assert_same(contents(elsewhere), contents(settings))


def test_what_was_taken_down_since_stays_away(settings: Settings, file: Path, elsewhere: Settings) -> None:
    restore(elsewhere, file)
    store = open_store(elsewhere.milvus, None)
    try:
        id_ = store.headlines("", ["id"])["id"].iloc[3]
        forget(elsewhere, "id", id_)
        again = restore(elsewhere, file)
        assert (again.written["headlines"], again.taken_down) == (0, 1)
        assert not store.known_ids([id_])
    finally:
        store.close()


def test_collections_that_went_on_by_themselves_or_are_of_another_model_are_refused(
    file: Path, elsewhere: Settings
) -> None:
    restore(elsewhere, file)
    recluster(elsewhere, force=True)
    with pytest.raises(NewstideError, match=r"runs that the backup does not know \(run 4\)") as refused:
        restore(elsewhere, file)
    assert "--prefix" in refused.value.way_out
    other = elsewhere.updated(milvus={"prefix": f"{elsewhere.milvus.prefix}o_"})
    open_store(other.milvus, ModelCard("another", 512, "ab" * 16)).close()
    with pytest.raises(ModelMismatch, match="another"):
        restore(other, file)


def test_a_file_that_is_damaged_or_none_is_refused_before_anything_is_written(
    file: Path, elsewhere: Settings, milvus_client: MilvusClient, tmp_path: Path
) -> None:
    content = file.read_bytes()
    broken = tmp_path / "broken.parquet"
    cases = {
        "no whole Parquet file": content[: len(content) // 2],
        "is damaged in row group": content[: len(content) // 2]
        + bytes([content[len(content) // 2] ^ 0xFF])
        + content[len(content) // 2 + 1 :],
    }
    for shown, damaged in cases.items():
        broken.write_bytes(damaged)
        with pytest.raises(BackupDamaged, match=shown):
            restore(elsewhere, broken)
    pd.DataFrame({"title": ["x"]}).to_parquet(broken)
    with pytest.raises(BackupDamaged, match="no backup of newstide"):
        check_file(broken)
    with pytest.raises(BackupDamaged, match="There is no file"):
        check_file(tmp_path / "none.parquet")
    table, foot = pq.read_table(file), dict(pq.read_metadata(file).metadata)
    del foot[b"ARROW:schema"]
    for key, value, shown in (
        (b"newstide.schema", b"99", "with schema 99"),
        (b"newstide.backup", b"7", "of version 7"),
    ):
        pq.write_table(table.replace_schema_metadata({**foot, key: value}), broken)
        with pytest.raises(SchemaMismatch, match=shown):
            check_file(broken)
    pq.write_table(table.slice(0, 100).replace_schema_metadata(foot), broken)
    with pytest.raises(BackupDamaged, match="100 rows, not those its foot names"):
        check_file(broken)
    assert not milvus_client.has_collection(f"{elsewhere.milvus.prefix}headlines")


def test_nothing_is_restored_into_collections_that_somebody_is_at_work_on(
    settings: Settings,
    file: Path,
    elsewhere: Settings,
    milvus_client: MilvusClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in as_environment(elsewhere).items():
        monkeypatch.setenv(name, value)
    beside = f"{elsewhere.milvus.prefix}beside_"
    with Lease(elsewhere.kafka) as lease:
        assert lease.held(15_000)
        with pytest.raises(NewstideError, match="A reclusterer is at work on the collections with prefix"):
            restore(elsewhere, file)
        same = CliRunner().invoke(app, ["restore", str(file), "--prefix", elsewhere.milvus.prefix])
        assert isinstance(same.exception, NewstideError)
        assert not milvus_client.has_collection(f"{elsewhere.milvus.prefix}headlines")
        other = CliRunner().invoke(app, ["restore", str(file), "--prefix", beside])
        assert other.exit_code == 0, other.output
    assert restore(elsewhere, file).written["headlines"] == ROWS - 1


def test_without_kafka_a_backup_can_be_restored(file: Path, elsewhere: Settings) -> None:
    away = elsewhere.updated(kafka={"bootstrap_servers": f"127.0.0.1:{free_port()}"})
    assert restore(away, file).written["headlines"] == ROWS - 1


def test_a_disk_that_is_full_leaves_the_old_backup(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.parquet"
    path.write_bytes(b"the old one")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(NewstideError, match=r"cannot be written: .*No space left"):
        back_up(settings, path)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("kept.parquet", b"the old one")]


def test_what_an_earlier_version_made_is_backed_up_and_restored_as_this_version_has_it(
    settings: Settings, file: Path, elsewhere: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = schema._fields
    lacking = ("former_ids", "titles", "challenged", "importance", "first_seen_at")
    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "SCHEMA_VERSION", "1")
        earlier.setattr(
            schema,
            "_fields",
            lambda kind: {name: of for name, of in fields(kind).items() if kind != "stories" or name not in lacking},
        )
        restore(elsewhere, file)
    with pytest.raises(SchemaMismatch, match="schema 1; this newstide needs schema 3") as refused:
        open_store(elsewhere.milvus, None)
    assert "`newstide backup`" in refused.value.way_out
    path = elsewhere.data_dir / "earlier.parquet"
    back_up(elsewhere, path)
    now = elsewhere.updated(milvus={"prefix": f"{elsewhere.milvus.prefix}now_"})
    restore(now, path)
    ours, theirs = contents(now), contents(settings)
    assert all(ids == [] for ids in ours["stories"]["former_ids"])
    assert all(titles == {} for titles in ours["stories"]["titles"])
    late = ours["stories"]["first_seen_at"] - theirs["stories"]["first_seen_at"]  # when their run had been written
    assert late.between(0, 60_000).all()
    for name in lacking:
        theirs["stories"][name] = ours["stories"][name]
    assert_same(ours, theirs)


def test_a_run_that_ends_during_a_backup_looks_like_one_that_was_killed_and_the_next_run_repairs_it(
    file: Path, elsewhere: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    restore(elsewhere, file)
    store = open_store(elsewhere.milvus, None)
    taken = store.headlines("cluster_label >= 0", ["id", "cluster_label"])
    largest = taken["cluster_label"].value_counts().index[:6]
    store.delete_headlines(taken.loc[taken["cluster_label"].isin(largest), "id"].tolist())
    recluster(elsewhere)  # their stories close; as they come back, others are born
    tables, highest = module._tables, []

    def with_a_run(*of: Any) -> Any:
        if of[1] == "stories":
            run_consumer(elsewhere, stop=Event(), drain=True)
            assert "born" in recluster(elsewhere).events
            highest.append(store.highest_label())
        return tables(*of)

    path = tmp_path / "meanwhile.parquet"
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(module, "_tables", with_a_run)
        back_up(elsewhere, path)
    store.close()
    copy = elsewhere.updated(milvus={"prefix": f"{elsewhere.milvus.prefix}m_"}, kafka={"group": "backup-meanwhile"})
    restore(copy, path)
    run_consumer(copy, stop=Event(), drain=True)
    report = recluster(copy)
    assert report.run == 5
    repaired = open_store(copy.milvus, None)
    labels = repaired.headlines("", ["cluster_label"])["cluster_label"]
    sizes = labels[labels >= 0].value_counts().to_dict()
    stories = repaired.stories('status == "open"')
    assert dict(zip(stories["cluster_label"], stories["size"], strict=True)) == sizes
    assert repaired.count_headlines("label_run == 0") == 0
    assert repaired.highest_label() >= highest[0]
    repaired.close()


def test_the_commands_tell_what_they_did_and_any_parquet_reader_reads_the_headlines(
    settings: Settings, elsewhere: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in as_environment(elsewhere).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NEWSTIDE_MILVUS_PREFIX", settings.milvus.prefix)
    path = tmp_path / "by-command.parquet"
    run = CliRunner()
    made = run.invoke(app, ["backup", str(path), "--json"])
    assert json.loads(made.stdout)["rows"]["headlines"] == ROWS - 1
    frame = pd.read_parquet(path)
    headlines = frame[frame["collection"] == "headlines"]
    assert len(headlines) == ROWS - 1
    assert all(headlines["title"].str.len() > 0)
    assert all(abs(np.linalg.norm(vector) - 1) < 1e-3 for vector in headlines["vector"])
    checked = run.invoke(app, ["restore", str(path), "--check"])
    assert "Is in order" in checked.output
    back = run.invoke(app, ["restore", str(path), "--prefix", elsewhere.milvus.prefix])
    assert f"Headlines written: {ROWS - 1}" in " ".join(back.output.split())
    store = open_store(elsewhere.milvus, None)
    assert isinstance(store, Store)
    assert store.count_headlines() == ROWS - 1
    store.close()
