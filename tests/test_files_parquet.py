"""Parquet: times of every unit and zone, nested columns, cells that cost their row alone, files that are damaged."""

import base64
import random
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet import encryption

from newstide.core.errors import SourceError
from tests.harness.reading import read, rejects, rows, titles, told, write

MOMENT = 1_791_763_200_000  # 2026-10-12T00:00:00Z


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "+05:30", "Europe/Berlin", "Nowhere/Town"])
def test_times_of_every_unit_and_zone(tmp_path: Path, unit: str, zone: str | None) -> None:
    per = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[unit]
    values = pa.array([MOMENT // 1_000 * per, None], pa.timestamp(unit, zone))
    file = parquet(tmp_path / "a.parquet", title=["One", "Two"], published=values)
    first, second = rows(read(file, zone=ZoneInfo("America/New_York")))
    assert first.headline.published_at == MOMENT + (4 * 3_600_000 if zone is None else 0)
    assert (first.published, second.published) == (True, False)


def test_days_numbers_and_texts_are_times_too(tmp_path: Path) -> None:
    day = datetime(2026, 10, 12).date()
    for values in (
        pa.array([day], pa.date32()),
        pa.array([day], pa.date64()),
        pa.array([MOMENT / 1_000]),
        pa.array([MOMENT]),
        pa.array(["2026-10-12"]),
        pa.array(["2026-10-12"]).dictionary_encode(),
    ):
        (row,) = rows(read(parquet(tmp_path / "a.parquet", title=["One"], date=values)))
        assert row.headline.published_at == MOMENT, values.type


def test_zero_and_a_time_of_day_are_no_times(tmp_path: Path) -> None:
    kinds = (pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.date32())
    for values in (pa.array([0], pa.int32() if kind == pa.date32() else pa.int64()).cast(kind) for kind in kinds):
        items, tally = told(parquet(tmp_path / "a.parquet", title=["One"], date=values))
        assert not rows(items)[0].published
        assert tally.left_out["time that stands for no time"].count == 1, values.type
    whole = 36_000
    for values in (
        pa.array([whole], pa.time32("s")),
        pa.array([whole * 1_000], pa.time32("ms")),
        pa.array([whole * 10**6], pa.time64("us")),
        pa.array([whole * 10**9], pa.time64("ns")),
        pa.array([whole * 10**9], pa.duration("ns")),
    ):
        path = parquet(tmp_path / "a.parquet", title=["One"], date=values)
        with pytest.raises(SourceError, match="'10:00:00'"):
            read(path)
        items, tally = told(path, undated=True)
        assert not rows(items)[0].published
        assert tally.left_out["time"].count == 1, values.type


def test_a_time_out_of_range_costs_nothing_but_itself(tmp_path: Path) -> None:
    days = pa.array([90_000_000] + [20_000] * 30, pa.int32()).cast(pa.date32())
    infinite = pa.array([float("inf")] + [1.7e9] * 30)
    for values in (days, infinite):
        file = parquet(tmp_path / "a.parquet", title=[f"Headline {number}" for number in range(31)], date=values)
        items, tally = told(file)
        assert [row.published for row in rows(items)] == [False] + [True] * 30
        assert tally.left_out["time"].count == 1


def test_a_cell_that_is_no_utf8_costs_its_row_alone(tmp_path: Path) -> None:
    bad = pa.array([b"ab\xff\xfe", b"Brindle dam", b"Pell"]).view(pa.string())
    items = read(parquet(tmp_path / "a.parquet", title=bad, source=["S", "S", "S"]))
    assert [row.headline.title for row in rows(items)] == ["Brindle dam", "Pell"]
    assert [reject.line for reject in rejects(items)] == [1]
    assert "cannot be decoded" in rejects(items)[0].reason


def test_nested_columns_are_found_and_reached_by_path(tmp_path: Path) -> None:
    file = parquet(
        tmp_path / "a.parquet",
        headline=[{"main": "One", "kicker": None}],
        source=[{"id": 1, "name": "Velm"}],
        meta=[{"links": [{"href": "https://v.example/1"}]}],
    )
    (row,) = rows(read(file, mapping={"url": "meta.links.href"}))
    assert (row.headline.title, row.headline.source, row.headline.url) == ("One", "Velm", "https://v.example/1")
    assert titles(file, mapping={"title": "source.name"}) == ["Velm"]


@pytest.mark.parametrize("part", ["head", "tail", "middle", "footer"])
def test_damaged_files_are_a_clear_error_at_once(tmp_path: Path, part: str) -> None:
    table = pa.table({"title": [f"Headline {number} {number**5}" for number in range(5_000)]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    if part == "head":
        content = content[:100]
    elif part == "tail":
        content = content[:-1]
    else:
        start = len(content) // 2 if part == "middle" else len(content) - 300
        content[start : start + 60] = b"\xff" * 60
    started = time.monotonic()
    with pytest.raises(SourceError, match=r"a\.parquet cannot be read as Parquet"):
        read(write(tmp_path / "a.parquet", bytes(content)))
    assert time.monotonic() - started < 10


class _Keys(encryption.KmsClient):  # type: ignore[misc] # pyarrow has no types
    """A key service that keeps keys as they are."""

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:  # noqa: ARG002
        return base64.b64encode(key_bytes).decode()

    def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:  # noqa: ARG002
        return base64.b64decode(wrapped_key)


@pytest.mark.parametrize("plain_footer", [True, False])
def test_an_encrypted_file_is_named_as_one(tmp_path: Path, plain_footer: bool) -> None:
    table = pa.table({"title": ["Ferry sails again"], "url": ["https://desk.example/ferry"]})
    path = tmp_path / "a.parquet"
    properties = encryption.CryptoFactory(lambda _: _Keys()).file_encryption_properties(
        encryption.KmsConnectionConfig(),
        encryption.EncryptionConfiguration("footer", column_keys={"columns": ["title"]}, plaintext_footer=plain_footer),
    )
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    with pytest.raises(SourceError, match=r"a\.parquet is an encrypted Parquet file\. Write it without encryption\."):
        read(path)


def test_odd_columns_cost_nothing_but_themselves(tmp_path: Path) -> None:
    arrays = {
        "title": pa.array([None, "Two"]),
        "headline": pa.array(["One", None]),
        "source": pa.array([[("name", "Velm Courier")], None], pa.map_(pa.string(), pa.string())),
        "time": pa.array([36_000, None], pa.time32("s")),
    }
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(arrays), path)
    items, tally = told(path, undated=True)
    assert [(row.headline.title, row.headline.source) for row in rows(items)] == [("One", "Velm Courier"), ("Two", "")]
    assert tally.left_out["time"].count == 1
    pq.write_table(pa.Table.from_arrays([pa.array(["First"]), pa.array(["Second"])], names=["title", "title"]), path)
    assert titles(path) == ["First"]


def test_bytes_changed_at_random_give_a_clear_error_or_rows_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"title": [f"Title {n}" for n in range(500)], "date": ["2026-11-27"] * 500}), path)
    content = path.read_bytes()
    chance = random.Random(7)
    for number in range(60):
        changed = bytearray(content)
        for _ in range(chance.choice([1, 20, 200])):
            changed[chance.randrange(0 if number % 2 else len(changed) - 700, len(changed))] = chance.randrange(256)
        path.write_bytes(changed)
        began = time.process_time()
        with suppress(SourceError):
            read(path)
        assert time.process_time() - began < 10


def test_a_table_of_one_text_in_many_rows_is_refused_for_its_size(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"title": ["x" * 1_000] * 200_000}), path, compression="zstd")
    began = time.process_time()
    with pytest.raises(SourceError, match="unpacks to more than 200 times its size"):
        read(path)
    assert time.process_time() - began < 10


ARTICLE = {
    "title": "Mill shuts", "url": "https://v.example/1", "published_at": datetime(2026, 10, 12), "source": "Velm",
    "language": "en", "description": "Since May",
}  # fmt: skip


@pytest.mark.parametrize("name", ["article", "data", "detail", "_source", "payload"])
@pytest.mark.parametrize("beside", [{}, {"rank": 7}, {"score": 0.5, "kind": "news"}])
def test_a_column_of_whole_headlines_is_read_as_json_is(tmp_path: Path, name: str, beside: dict[str, Any]) -> None:
    row = {name: ARTICLE, **beside}
    pq.write_table(pa.Table.from_pylist([row, {**row, name: {**ARTICLE, "title": None}}]), tmp_path / "a.parquet")
    items = read(tmp_path / "a.parquet")
    ((headline, *_),) = rows(items)
    assert (headline.title, headline.url, headline.source) == ("Mill shuts", "https://v.example/1", "Velm")
    assert (headline.description, headline.language, headline.published_at) == ("Since May", "en", MOMENT)
    assert len(rejects(items)) == 1


def test_a_list_of_headlines_in_a_cell_is_read(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(
        [{"page": n, "articles": [{"title": f"Mill {n}"}, {"title": f"Lake {n}"}]} for n in (1, 2)]
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert titles(tmp_path / "a.parquet") == ["Mill 1", "Lake 1", "Mill 2", "Lake 2"]
