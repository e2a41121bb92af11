"""What stands behind a time: its offset from UTC, the end of a range, or a clock written with dashes."""

import pytest

from newstide.core.offsets import OFFSETS, written
from newstide.core.text import iso_time
from newstide.core.times import ParsedTime, Zone, parse_time, parse_zone


def moment(text: str) -> str:
    parsed = parse_time(text)
    return "" if parsed is None or parsed.milliseconds is None else iso_time(parsed.milliseconds)


@pytest.mark.parametrize(
    "text",
    ["2026-11-27 14-05-09", "2026-11-27T14-05-09", "2026-11-27_14-05-09", "2026-11-27-14-05-09", "27.11.2026 14-05-09",
     "27-11-2026-14-05-09", "20261127T14-05-09", "2026/11/27 14-05-09", "27 Nov 2026 14-05-09", "2026-331 14-05-09"],
)  # fmt: skip
def test_a_clock_of_three_numbers_with_dashes_is_read_and_names_no_zone(text: str) -> None:
    assert parse_time(text) == ParsedTime(1_795_788_309_000, None, Zone.MISSING)
    assert parse_time(text, timezone=parse_zone("Asia/Tokyo")) == ParsedTime(1_795_755_909_000, None, Zone.MISSING)
    assert parse_time(f"{text}Z") == ParsedTime(1_795_788_309_000)
    assert moment(f"{text[:-8]}25-00-00") == moment(f"{text[:-8]}14-61-00") == ""


@pytest.mark.parametrize(
    "text",
    ["2026-11-27-14-05", "27.11.2026 14-05", "2026-11-27T14-05", "2026-11-27T08-05", "2026-11-27T10-30-0",
     "2026-11-27 10-30-15-20", "2026-11-27-14:05", "20261127T10-05", "27 Nov 2026 5am-05"],
)  # fmt: skip
def test_two_numbers_with_a_dash_are_no_time_and_no_offset(text: str) -> None:
    assert moment(text) == ""


@pytest.mark.parametrize(
    "text",
    ["2026-11-27 {}", "27.11.2026 {}", "27.11.2026 {} Uhr", "Nov 27, 2026 {} ET", "27 Nov 2026, {}", "{}, 27 Nov 2026",
     "{} 27 November 2026", "2026/11/27 {}", "Fri, 27 Nov 2026 {}", "27/11/2026 {} GMT", "27 novembre 2026 à {} heures",
     "2026年11月27日 {}"],
)  # fmt: skip
@pytest.mark.parametrize(
    "hours",
    ["08:00-09:00", "8:00-9:00", "08:00-09:30", "07:00-08:30", "09:00-10:00", "10:00-10:30", "08-09", "10-11", "9:00-5:00",
     "1030-1130", "0830-0900", "08:00\u221209:00", "08:00-09", "10:00:00-11:00:00", "8:00-9:00 AM", "10.00-11.00"],
)  # fmt: skip
def test_the_end_of_a_range_is_no_offset(text: str, hours: str) -> None:
    assert moment(text.format(hours)) == ""


@pytest.mark.parametrize(
    "text",
    ["27.11.2026 22:00-02:00 Uhr", "27.11.2026 8:00 Uhr-5:00 Uhr", "Nov 27, 2026 22:00-01:00 ET",
     "27 nov 2026 22:00-02:00 uur", "Nov 27, 2026 08:00-05:00 XYZ", "2015 27 Nov 2016", "27 Nov 2016 2015"],
)  # fmt: skip
def test_a_number_with_a_zone_or_a_word_for_hours_behind_it_is_no_offset(text: str) -> None:
    assert moment(text) == ""


@pytest.mark.parametrize(
    "text",
    ["2026-11-27T05:00-05:00", "2026-11-27 05:00:00-05:00", "27 Nov 2026 05:00 -0500", "Fri, 27 Nov 2026 05:00:00 -0500",
     "2026-11-27T05-05:00", "20261127T0500-0500", "2026-11-27T0500-0500", "27 Nov 2026 05:00-0500", "2026-11-27 05:00-05",
     "2026-11-27 05:00:00-05", "Nov 27, 2026 5:00 AM-05:00", "2026-11-27 05:00-05:00 ET",
     "2026-11-27T05:00:00-05:00[America/Lima]", "2026-11-27 05:00 GMT-5", "2026-11-27 05:00:00 -0500 EST",
     "11/27/2026 5:00 AM -05:00"],
)  # fmt: skip
def test_an_offset_stays_one(text: str) -> None:
    assert moment(text) == "2026-11-27T10:00:00Z"


def test_an_offset_counts_where_a_zone_has_it() -> None:
    for east in range(-900, 901, 5):
        for text in (
            "2026-11-27T10:00:00{}",
            "2026-11-27 10:00:00 {}",
            "Fri, 27 Nov 2026 10:00:00 {}",
            "10:00:00 {} 27 Nov 2026",
        ):
            given = parse_time(text.format(written(east)))
            assert given is not None
            expected = 1_795_773_600_000 - east * 60_000 if east in OFFSETS else None
            assert given.milliseconds == expected, text.format(written(east))


def test_every_offset_of_the_zones_of_today_is_one() -> None:
    from datetime import datetime
    from zoneinfo import ZoneInfo, available_timezones

    for name in available_timezones():
        for month in (1, 7):
            east = ZoneInfo(name).utcoffset(datetime(2026, month, 1)) if name != "localtime" else None
            assert east is None or east.total_seconds() / 60 in OFFSETS, name


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "GMT", "Europe/London", "Z"])
@pytest.mark.parametrize("text", ["2026-11-27T10:00:00Z[{}]", "2026-11-27T10:00Z[{}]", "2026-11-27T10:00:00.000Z[{}]"])
def test_utc_with_a_zones_name_in_brackets_is_utc_as_java_writes_it(text: str, zone: str) -> None:
    assert parse_time(text.format(zone)) == ParsedTime(1_795_773_600_000)
    assert moment(text.format(zone).replace("Z[", "XYZ[")) == moment(text.format(zone).replace("Z[", "EST[")) == ""


@pytest.mark.parametrize(
    "text", ["27-NOV-26 10.00.00.000000 AM", "27-NOV-26 11.00.00.000000000 AM +01:00", "27-NOV-2026 10.00.00.0 AM"]
)
def test_a_fraction_behind_dots_is_read_as_oracle_writes_it(text: str) -> None:
    assert moment(text) == "2026-11-27T10:00:00Z"
