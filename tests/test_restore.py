"""`restore` checks every value before it writes one: a hostile or damaged backup is refused, with place and value."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymilvus import MilvusClient

from clustering.run.reclusterer import recluster
from newstide.core.errors import BackupDamaged
from newstide.core.headline import DEFAULTS
from newstide.core.settings import MilvusSettings, Settings
from newstide.milvus import Tombstone, open_store, schema
from newstide.milvus.tombstones import key_of, point_of
from newstide_app.maintenance import backup_checks
from newstide_app.maintenance.backup import back_up
from newstide_app.maintenance.backup_file import Backup
from newstide_app.maintenance.restore import check_file, restore


@pytest.fixture(scope="module")
def file(newsroom: Settings, tmp_path_factory: pytest.TempPathFactory, collections: list[MilvusSettings]) -> Path:
    """A backup of the newsroom that holds a tombstone, too."""
    folder = tmp_path_factory.mktemp("restore")
    copy = newsroom.updated(milvus={"prefix": "restore_copy_"})
    collections.append(copy.milvus)
    back_up(newsroom, folder / "first.parquet")
    restore(copy, folder / "first.parquet", apart=True)
    store = open_store(copy.milvus, None)
    store.tombstones.add([Tombstone(key_of("id", "gone"), key_of("id", "gone"), "", "", 1)])
    store.close()
    back_up(copy, folder / "all.parquet")
    return folder / "all.parquet"


@pytest.fixture
def elsewhere(newsroom: Settings, milvus_settings: MilvusSettings, tmp_path: Path) -> Settings:
    """Settings of an empty installation."""
    return newsroom.updated(data_dir=tmp_path, kafka={"group": tmp_path.name}, milvus=milvus_settings.model_dump())


def edited(file: Path, to: Path, change: Callable[[str, list[dict[str, Any]]], object], **foot: str) -> Path:
    """A backup whose rows somebody has edited.

    `change` gets each collection's rows, JSON unpacked and without vectors; it may give a row a vector.
    """
    backup = pq.ParquetFile(file)
    layout = backup.schema_arrow
    at = layout.get_field_index("vector")
    with pq.ParquetWriter(to, layout) as writer:
        for place in range(backup.num_row_groups):
            table = backup.read_row_group(place)
            rows, vectors = table.drop_columns("vector").to_pylist(), table["vector"]
            for row in rows:
                row["row"] = row["row"] and json.loads(row["row"])
            change(rows[0]["collection"], rows)
            for row in rows:
                row["row"] = row["row"] if isinstance(row["row"], str | None) else json.dumps(row["row"])
            if any("vector" in row for row in rows):
                vectors = pa.array(
                    [row.pop("vector", one) for row, one in zip(rows, vectors.to_pylist(), strict=True)],
                    layout.field(at).type,
                )
            others = pa.Table.from_pylist(rows, schema=layout.remove(at))
            writer.write_table(others.add_column(at, layout.field(at), vectors))
        said = {name.decode(): value.decode() for name, value in backup.metadata.metadata.items()}
        del said["ARROW:schema"]
        writer.add_key_value_metadata(said | foot)
    return to


HOSTILE: list[tuple[str, str, Any, str]] = [  # collection, column, value, and what the error says of it
    ("headlines", "cluster_label", 2**62, "cluster_label = 4611686018427387904 is no whole number from -1 to 4,503,"),
    ("headlines", "cluster_label", -2, "cluster_label = -2 is no whole number"),
    ("headlines", "label_run", 2**40, "label_run = 1099511627776 is no whole number from 0 to 1,00"),
    ("headlines", "label_probability", 7.0, "label_probability = 7.0 is no number from 0 to 1.001"),
    ("headlines", "label_probability", float("nan"), "label_probability = nan is no number"),
    ("headlines", "title", None, "title is missing"),
    ("headlines", "title", "", "title = '' has 0 visible characters; 1 to 2,000 are allowed"),
    ("headlines", "title", "\u200b\x07", "title = .* has 0 visible characters"),
    ("headlines", "title", "x" * 100_000, "title = 'x+… has 100,000 visible characters"),
    ("headlines", "id", "i" * 129, "id 'i+…' has 129 bytes; 128 are allowed"),
    ("headlines", "published_at", -1, "published_at = -1 is no whole number from 0 to 253,402,300,799,999"),
    ("headlines", "ingested_at", 2**60, "ingested_at = 1152921504606846976 is no whole number"),
    ("headlines", "vector", float("nan"), "embedding holds nan"),
    ("headlines", "vector", 1.0, "embedding has length 19.6, not 1"),
    ("headlines", "vector", None, "embedding is missing"),
    ("headlines", "collection", "elsewhere", "collection = 'elsewhere'"),
    ("stories", "vector", 0.0, "centroid has length 0, not 1"),
    ("stories", "cluster_label", 2**63 - 1, "cluster_label = 9223372036854775807 is no whole number from 0"),
    ("stories", "cluster_label", True, "cluster_label = True is no whole number"),
    ("stories", "parents", [2**60], "parents = .1152921504606846976. is no whole number"),
    ("stories", "keywords", "harbour", "keywords = 'harbour' is no list"),
    ("stories", "titles", ["x"], "titles = .'x'. is no object"),
    ("stories", "title", "x" * 5_000, "title = 'x+… has 5,000 characters; 2,000 are allowed"),
    ("stories", "status", "lost", "status = 'lost' is no status of a story"),
    ("stories", "reach", "near", "reach = 'near' is no number"),
    ("stories", "updated_run", 2**40, "updated_run = 1099511627776 is no whole number"),
    ("stories", "later", 1, "'later' is no column of stories"),
    ("stories", "titles", ..., "titles is missing"),
    ("stories", "size", -5, "size = -5 is no whole number"),
    ("runs", "row", "{broken", "row = '{broken' is no JSON"),
    ("runs", "row", "[" * 100_000, "row = .* is no JSON"),
    ("runs", "row", "[]", "row = '..' is no JSON object"),
    ("runs", "run", "x", "run = 'x' is no whole number from 1"),
    ("runs", "theta", float("inf"), "row = .* is no JSON: Infinity"),
    ("runs", "counts", {"newest": "now"}, "counts = .* is wrong: newest = 'now' is no whole number"),
    ("runs", "counts", {"apart": [[1, 2, 3]]}, "counts = .* is wrong: apart = .* is no pair"),
    (
        "runs",
        "counts",
        {"random_pairs": {"mean": "high"}},
        "counts = .* is wrong: random_pairs = .* is wrong: mean = 'high' is no number",
    ),
    (
        "runs",
        "parameters",
        {"time_scale": "soon"},
        "parameters = .* is wrong: time_scale = 'soon' is no length of time",
    ),
    ("runs", "vector", 1e30, "mean has length 1.96e.31, more than 1"),
    ("means", "run", 2**40, "run = 1099511627776 is no whole number"),
    ("means", "count", 1.5, "count = 1.5 is no whole number"),
    ("events", "kind", "exploded", "kind = 'exploded' is no kind of event"),
    ("events", "story", 2**60, "story = 1152921504606846976 is no whole number"),
    ("events", "id", "1/2/born/extra", "id = '1/2/born/extra' names another run, story or kind"),
    ("events", "unknown", 1, "'unknown' is no column of events"),
    ("events", "newest_at", ..., "newest_at is missing"),
    ("tombstones", "key", "id:short", "key = 'id:short' is no key of what was taken down"),
    ("tombstones", "point", "zz", "point = 'zz' is no digest"),
    ("tombstones", "created_at", 10**18, "created_at = 1000000000000000000 is no whole number"),
]


@pytest.mark.parametrize(
    ("kind", "column", "value", "shown"),
    [pytest.param(*case, marks=[pytest.mark.slow] if at % 3 else []) for at, case in enumerate(HOSTILE)],
)
def test_a_value_that_cannot_be_right_is_refused_with_its_place_before_anything_is_written(
    kind: str,
    column: str,
    value: Any,
    shown: str,
    file: Path,
    elsewhere: Settings,
    milvus_client: MilvusClient,
    tmp_path: Path,
) -> None:
    dim = pq.read_schema(file).field("vector").type.list_size

    def change(found: str, rows: list[dict[str, Any]]) -> None:
        if found == kind:
            row = rows[-1] if kind == "headlines" or column in ("row", "vector") else rows[-1]["row"]
            row[column] = value if column != "vector" or value is None else [value] * dim
            if value is ...:
                del row[column]

    hostile = edited(file, tmp_path / "hostile.parquet", change)
    number = json.loads(pq.read_metadata(file).metadata[b"newstide.rows"])[kind]
    said = refusals(hostile, elsewhere, rf"hostile.parquet, row {number} of {kind}: {shown}")
    assert len(said) < 600
    assert "Restore another backup" in said
    assert not milvus_client.has_collection(f"{elsewhere.milvus.prefix}headlines")


def refusals(hostile: Path, settings: Settings, shown: str) -> str:
    """What `restore --check` and `restore` say of a file that they refuse, which is the same."""
    with pytest.raises(BackupDamaged, match=shown) as checked:
        check_file(hostile)
    with pytest.raises(BackupDamaged) as refused:
        restore(settings, hostile)
    assert str(refused.value) == str(checked.value)
    return str(refused.value)


def test_a_key_that_stands_twice_an_unknown_collection_and_columns_of_another_type_are_refused(
    file: Path, elsewhere: Settings, milvus_client: MilvusClient, tmp_path: Path
) -> None:
    def twice(kind: str, rows: list[dict[str, Any]]) -> None:
        if kind == "headlines":
            rows[7]["id"] = f" {rows[2]['id']}\x07"  # the same once it is cleaned
        if kind == "runs" and len(rows) > 1:
            rows[1]["row"]["run"] = 1

    def only(kind: str, rows: list[dict[str, Any]]) -> None:
        if kind == "headlines":
            rows[7]["id"] = rows[2]["id"]

    groups = json.loads(pq.read_metadata(file).metadata[b"newstide.groups"])
    strange = {"newstide.groups": json.dumps(["secrets", *groups[1:]])}
    table, foot = pq.read_table(file), dict(pq.read_metadata(file).metadata)
    del foot[b"ARROW:schema"]
    cast, narrow, lacking = (tmp_path / f"{name}.parquet" for name in ("cast", "narrow", "lacking"))
    place = table.schema.get_field_index("published_at")
    others = table.set_column(place, "published_at", table["published_at"].cast(pa.string()))
    write_as(others.replace_schema_metadata(foot), file, cast)
    short = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(3 * len(table), np.float32)), 3)
    vectors = table.set_column(table.schema.get_field_index("vector"), "vector", short)
    write_as(vectors.replace_schema_metadata(foot), file, narrow)
    write_as(table.drop_columns("url").replace_schema_metadata(foot), file, lacking)
    same = "stands in row 3, too"
    for hostile, shown in (
        (edited(file, tmp_path / "twice.parquet", twice), "row 2 of runs: run = 1 stands in row 1, too|" + same),
        (edited(file, tmp_path / "only.parquet", only), same),
        (edited(file, tmp_path / "strange.parquet", lambda *_: None, **strange), "rows of 'secrets', which is no"),
        (edited(file, tmp_path / "deep.parquet", lambda *_: None, **{"newstide.dimension": "0"}), "dimension is 0"),
        (cast, "the column published_at is of type string, not int64"),
        (narrow, "the column vector is of type fixed_size_list.*, not fixed_size_list"),
        (lacking, "the column url is missing"),
    ):
        refusals(hostile, elsewhere, shown)
    assert not milvus_client.has_collection(f"{elsewhere.milvus.prefix}headlines")


def write_as(table: pa.Table, like: Path, to: Path) -> None:
    """Writes a table in row groups of the same sizes as those of another file."""
    groups, start = pq.read_metadata(like), 0
    with pq.ParquetWriter(to, table.schema) as writer:
        for place in range(groups.num_row_groups):
            size = groups.row_group(place).num_rows
            writer.write_table(table.slice(start, size))
            start += size


def test_what_the_cleaning_of_a_message_would_mend_is_mended_and_counted(
    file: Path, elsewhere: Settings, tmp_path: Path
) -> None:
    def change(kind: str, rows: list[dict[str, Any]]) -> None:
        if kind == "headlines":
            rows[0]["url"] = "javascript:alert(1)"
            rows[1]["title"] = "<script>alert(1)</script>Harbour\x00 \u202efire &amp; smoke"
            rows[2]["published_at"] = 253_402_300_799_000  # the year 9999
            rows[3]["source"] = "s" * 5_000
            rows[4]["language"] = "not a language"
            rows[5]["label_run"] = 17  # of a run that ended while the backup was written
        if kind == "stories":
            rows[0]["row"]["title"] = "<b>Harbour</b>\x07 fire"
            rows[0]["row"]["keywords"] = ["fire\x00", "harbour"]

    hostile = edited(file, tmp_path / "hostile.parquet", change)
    checked, restored = check_file(hostile), restore(elsewhere, hostile)
    assert checked.mended == restored.mended
    assert dict(checked.mended) == {
        **{f"headlines.{name}": 1 for name in ("url", "title", "published_at", "source", "language", "label_run")},
        "stories.title": 1,
        "stories.keywords": 1,
    }
    assert "Values cleaned as those of a message: 1 headlines.label_run, " in checked.describe()
    store = open_store(elsewhere.milvus, None)
    try:
        ids = [row["id"] for row in pq.read_table(hostile).to_pylist() if row["collection"] == "headlines"]
        rows = store.headlines_by_id(ids[:6], [*schema.columns("headlines")]).to_dict("records")
        assert rows[0]["url"] == ""
        assert rows[1]["title"] == "Harbour fire & smoke"
        assert rows[2]["published_at"] == rows[2]["ingested_at"]
        assert rows[3]["source"] == "s" * 256
        assert rows[4]["language"] == ""
        assert rows[5]["label_run"] == store.runs()["run"].max() + 1
        assert "Harbour fire" in store.stories()["title"].tolist()
        assert recluster(elsewhere, force=True).status == "finished"
    finally:
        store.close()


def test_a_headline_that_was_taken_down_under_a_text_that_is_mended_now_stays_away(
    file: Path, elsewhere: Settings, tmp_path: Path
) -> None:
    taken: list[dict[str, Any]] = []

    def change(kind: str, rows: list[dict[str, Any]]) -> None:
        if kind == "headlines":
            rows[1]["title"] = "Harbour <br> fire"  # as version 0.1 kept it
            taken.append(rows[1])

    earlier = edited(file, tmp_path / "earlier.parquet", change)
    (row,) = taken
    open_store(elsewhere.milvus, Backup(file, DEFAULTS).card).close()
    store = open_store(elsewhere.milvus, None)
    try:
        point = point_of(row["title"], row["published_at"], row["url"], row["source"])
        store.tombstones.add([Tombstone(key_of("id", "another"), key_of("id", "another"), point, "", 1)])
        report = restore(elsewhere, earlier)
        assert (report.taken_down, store.known_ids([row["id"]])) == (1, set())
    finally:
        store.close()


def test_each_column_of_each_collection_has_a_rule() -> None:
    for kind, rules in backup_checks._RULES.items():
        assert {*rules, *backup_checks._OF_A_RUN.get(kind, ())} == {*schema.columns(kind)}, kind
