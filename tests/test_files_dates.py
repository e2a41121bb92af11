"""The times of one file: what tells the order of day and month, and what tells their zone."""

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from newstide.core.errors import SourceError
from tests.harness.reading import rows, told, write
from tests.test_messages import headline


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    "layout",
    ["Fri {}/{}/2026", "10:00 {}/{}/2026", "{}–{}–2026", "'{}/{}/2026", "\u200e{}/{}/2026", "'{}.{}.2026 10:00",
     " {} {} 2026", "\u200e{}\u200e/\u200e{}\u200e/2026",
     "{}\u2010{}\u20102026", "Friday, {}.{}.2026", "10:00:05, {}.{}.2026"],
)  # fmt: skip
def test_a_sure_date_tells_the_order_of_day_and_month_in_every_layout(tmp_path: Path, layout: str) -> None:
    file = write(
        tmp_path / "a.tsv", f"title\tdate\nOne\t{layout.format('03', '04')}\nTwo\t{layout.format('27', '08')}\n"
    )
    items, tally = told(file)
    first = datetime.fromtimestamp((rows(items)[0].headline.published_at or 0) / 1000, UTC)
    assert (first.month, first.day, tally.left_out) == (4, 3, {})
    assert "dates have the day first" in " ".join(tally.notes)


@pytest.mark.parametrize(
    "name", ["date_gmt", "created_utc", "dategmt", "Date (UTC)", "publishedAtUTC", "utc_date", "time GMT"]
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_times_of_a_column_that_says_utc_are_utc_whatever_zone_is_told(tmp_path: Path, name: str, kind: str) -> None:
    value = "2026-10-01 10:00:00"
    text = f"title,{name}\nOne,{value}\n" if kind == "csv" else json.dumps({"title": "One", name: value})
    items, tally = told(
        write(tmp_path / f"a.{kind}", text), zone=ZoneInfo("Asia/Tokyo"), mapping={"published_at": name}
    )
    assert [row.headline.published_at for row in rows(items)] == [ms("2026-10-01T10:00:00")]
    assert tally.zoneless == 0


@pytest.mark.parametrize(
    "name", ["date_gmt", "Date (UTC)", "publishedAtUTC", "pubDateGMT", "published_utc", "utcTime", "timestamp_utc"]
)
def test_a_time_under_a_name_that_says_utc_is_read_in_files_and_messages(tmp_path: Path, name: str) -> None:
    record = json.dumps({"title": "One", name: "2026-10-01 10:00:00"})
    items, _ = told(write(tmp_path / "a.jsonl", record), zone=ZoneInfo("Asia/Tokyo"))
    assert [row.headline.published_at for row in rows(items)] == [ms("2026-10-01T10:00:00")]
    found = headline({"title": "One", name: "2026-09-01 10:00:00"}, timezone="Asia/Tokyo")
    assert found.published_at == ms("2026-09-01T10:00:00")
    found = headline({"title": "One", name: "2026-09-01T10:00:00+02:00"}, timezone="Asia/Tokyo")
    assert found.published_at == ms("2026-09-01T08:00:00")


@pytest.mark.parametrize("name", ["date", "date (UTC+9)", "published", "outcome"])
def test_times_of_other_columns_are_in_the_zone_that_is_told(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / "a.csv", f"title,{name}\nOne,2026-10-01 10:00:00\n")
    items, tally = told(file, zone=ZoneInfo("Asia/Tokyo"), mapping={"published_at": name})
    assert [row.headline.published_at for row in rows(items)] == [ms("2026-10-01T01:00:00")]
    assert tally.zoneless == 1


def test_a_record_without_the_column_that_says_utc_is_in_the_zone_that_is_told(tmp_path: Path) -> None:
    records = [{"title": "One", "date_gmt": "2026-10-01 10:00:00"}, {"title": "Two", "date": "2026-10-01 10:00:00"}]
    items, _ = told(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, records))), zone=ZoneInfo("Asia/Tokyo"))
    assert [row.headline.published_at for row in rows(items)] == [ms("2026-10-01T10:00:00"), ms("2026-10-01T01:00:00")]


FALLS = [
    ("title,date,date_gmt\nOne,2026-10-01 12:00:00,\n", "2026-10-01T10:00:00"),
    ("title,date,date_gmt\nOne,2026-10-01 12:00:00,0000-00-00 00:00:00\n", "2026-10-01T10:00:00"),
    ("title,date,date_gmt\nOne,2026-10-01 12:00:00,2026-10-01 10:00:00\n", "2026-10-01T10:00:00"),
    ("title,date,created_utc\nOne,,2026-10-01 10:00:00\n", "2026-10-01T10:00:00"),
    ("title,date,created_utc\nOne,whenever,2026-10-01 10:00:00\n", "2026-10-01T10:00:00"),
    ("title,date_utc,time\nOne,2026-10-01,10:00:00\n", "2026-10-01T10:00:00"),
    ("title,date,time\nOne,2026-10-01,12:00:00\n", "2026-10-01T10:00:00"),
    ("title,date_gmt,date\nOne,13.09.2026 10:00,\nTwo,,13.09.2026 12:00\n", "2026-09-13T10:00:00"),
]


@pytest.mark.parametrize(("table", "moment"), FALLS)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_time_is_in_the_zone_of_the_column_that_it_is_from(
    tmp_path: Path, table: str, moment: str, kind: str
) -> None:
    names, *lines = [line.split(",") for line in table.strip().split("\n")]
    file = tmp_path / f"a.{kind}"
    if kind == "csv":
        write(file, table)
    elif kind == "jsonl":
        write(file, "\n".join(json.dumps(dict(zip(names, line, strict=True))) for line in lines))
    else:
        pq.write_table(pa.table({name: [line[at] or None for line in lines] for at, name in enumerate(names)}), file)
    items, _ = told(file, zone=ZoneInfo("Europe/Berlin"), undated=True)
    assert {row.headline.published_at for row in rows(items)} == {ms(moment)}


@pytest.mark.parametrize("date", ["3 hours ago", "whenever", "2026-02-30", "yesterday"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_publication_date_that_cannot_be_read_is_said_though_another_time_counts(
    tmp_path: Path, date: str, kind: str
) -> None:
    record = {"title": "One", "date": date, "created_at": "2026-10-01 10:00:00"}
    names, cells = ",".join(record), ",".join(record.values())
    file = write(tmp_path / f"a.{kind}", f"{names}\n{cells}\n" if kind == "csv" else json.dumps(record))
    with pytest.raises(SourceError, match="times that cannot be read"):
        told(file)
    items, tally = told(file, undated=True)
    assert [row.headline.published_at for row in rows(items)] == [ms("2026-10-01T10:00:00")]
    assert tally.left_out["time"].count == 1


@pytest.mark.parametrize("date", ["", "0000-00-00", "N/A", "10:00"])
def test_a_date_that_says_nothing_is_none_that_cannot_be_read(tmp_path: Path, date: str) -> None:
    items, tally = told(write(tmp_path / "a.csv", f"title,date,created_at\nOne,{date},2026-10-01 10:00:00\n"))
    assert [row.headline.published_at for row in rows(items)] == [ms("2026-10-01T10:00:00")]
    assert "time" not in tally.left_out


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
@pytest.mark.parametrize("clock", [pa.time32("s"), pa.time64("us"), pa.string()])
def test_a_day_in_parquet_is_joined_with_the_time_of_day_beside_it(
    tmp_path: Path, kind: pa.DataType, clock: pa.DataType
) -> None:
    day, at = datetime(2026, 10, 1).date(), datetime(2026, 10, 1, 12).time()
    columns = {"date": pa.array([day], kind), "time": pa.array(["12:00:00" if clock == pa.string() else at], clock)}
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"title": ["One"], **columns}), file)
    items, _ = told(file, zone=ZoneInfo("Europe/Berlin"))
    assert [row.headline.published_at for row in rows(items)] == [ms("2026-10-01T10:00:00")]


def test_times_in_a_list_are_in_the_zone_that_is_told(tmp_path: Path) -> None:
    times = pa.array([[datetime(2026, 10, 1, 12)]], pa.list_(pa.timestamp("us")))
    pq.write_table(pa.table({"title": ["One"], "date": times}), tmp_path / "a.parquet")
    items, _ = told(tmp_path / "a.parquet", zone=ZoneInfo("Europe/Berlin"))
    assert [row.headline.published_at for row in rows(items)] == [ms("2026-10-01T10:00:00")]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"date_gmt": "2026-09-01", "time": "10:00"}, "2026-09-01T10:00:00"),
        ({"date_utc": "1 September 2026", "time": "10:00 PM"}, "2026-09-01T22:00:00"),
        ({"date_gmt": "2026-09-01", "time": "10:00+02:00"}, "2026-09-01T08:00:00"),
        ({"date_utc": "2026-09-01", "created_at": "2026-09-01 23:30:00 -0500"}, "2026-09-02T04:30:00"),
        ({"date_gmt": "2026-09-01", "created_at": "2026-09-03T10:00:00Z"}, "2026-09-01T00:00:00"),
    ],
)
def test_a_day_in_utc_has_the_time_beside_it_in_messages_and_in_files(
    times: dict[str, str], expected: str, tmp_path: Path
) -> None:
    assert headline({"title": "One", **times}, timezone="Asia/Tokyo").published_at == ms(expected)
    path = write(tmp_path / "a.jsonl", json.dumps({"title": "One", **times}))
    (row,) = rows(told(path, zone=ZoneInfo("Asia/Tokyo"))[0])
    assert row.headline.published_at == ms(expected)


@pytest.mark.parametrize("name", ["first_seen_date", "Sent Time", "crawlTimestamp", "online_published"])
def test_columns_that_speak_of_times_and_are_not_taken_are_named(tmp_path: Path, name: str) -> None:
    _, tally = told(write(tmp_path / "a.csv", f"title,{name}\nOne,2026-10-01\n"))
    assert [note for note in tally.notes if "no column of times was found" in note and name in note]
    _, tally = told(write(tmp_path / "a.csv", f"title,{name},date\nOne,2026-10-01,2026-10-01\n"))
    assert not [note for note in tally.notes if "no column of times" in note]
    _, tally = told(write(tmp_path / "a.csv", "title,update\nOne,2026-10-01\n"))
    assert not [note for note in tally.notes if "no column of times" in note]


@pytest.mark.parametrize(
    "name", ["post_date", "post_date_gmt", "date_publish", "time_published", "providerPublishTime", "post_published"]
)
def test_times_of_known_layouts_are_found(tmp_path: Path, name: str) -> None:
    items, _ = told(write(tmp_path / "a.csv", f"title,{name}\nOne,2026-10-01 10:00:00\n"))
    assert [row.headline.published_at for row in rows(items)] == [ms("2026-10-01T10:00:00")]
