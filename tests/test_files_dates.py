"""The times of one file: what tells the order of day and month, and what tells their zone."""

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

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
