"""Times as the world writes them: the whole string is read, or nothing of it."""

import math
import re
import time
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import times as times_benchmark
from newstide.core import time_orders
from newstide.core.errors import SettingsError
from newstide.core.offsets import OFFSETS
from newstide.core.text import iso_time
from newstide.core.time_names import LANGUAGES
from newstide.core.time_orders import find_order, order_of
from newstide.core.times import Fault, ParsedTime, Zone, parse_time, parse_zone
from newstide.core.zones import ABBREVIATIONS

TEN = datetime(2026, 11, 27, 10, tzinfo=UTC)


def at(value: object, **how: object) -> str:
    """What is read, as ISO 8601; else the fault."""
    parsed = parse_time(value, **how)  # type: ignore[arg-type]
    if parsed is None:
        return "none"
    return iso_time(parsed.milliseconds) if parsed.milliseconds is not None else f"{parsed.fault}"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-27T10:00:00Z",
        "2026-11-27T10:00Z",
        "2026-11-27T10Z",
        "2026-11-27 10:00:00.000000000 +0000 UTC m=+0.000000001",
        "2026-11-27T11:00:00,0+01",
        "20261127T100000Z",
        "20261127T1530+0530",
        "2026-W48-5T10:00Z",
        "2026-331T10:00:00Z",
        "2026/11/27 11:00:00 +0100",
        "Fri, 27 Nov 2026 10:00:00 GMT",
        "Fri, 27 Nov 2026 11:00:00 CET",
        "Fri, 27 Nov 2026 19:00:00 JST",
        "27 Nov 26 10:00 Z",
        "Friday, 27-Nov-26 10:00:00 GMT",
        "Fri Nov 27 10:00:00 UTC 2026",
        "Fri Nov 27 10:00:00 +0000 2026",
        "Fri Nov 27 2026 11:00:00 GMT+0100 (Central European Standard Time)",
        "27/Nov/2026:11:00:00 +0100",
        "Nov 27, 2026, 5:00 a.m. ET",
        "November 27th, 2026 at 5am EST",
        "2026-11-27T11:00:00+01:00[Europe/Berlin]",
        "2026-11-27 11:00 Europe/Berlin",
        "10:00 GMT, 27 November 2026",
        "27.11.2026 15:30 IST",
        "11/27/2026 10:00:00 AM UTC",
        "2026年11月27日(金) 午前10時00分 UTC",
        "2026年11月27日 星期五 上午10:00 UTC",
        "2026년 11월 27일 금요일 오전 10:00 UTC",
        "\uff12\uff10\uff12\uff16-11-27T10:00:00Z",
        "1795773600",
        "1795773600000",
        "1795773600000000",
        "1795773600000000000",
        "1.7957736e9",
        "1795773600.0",
    ],
)
def test_one_moment_is_read_in_each_of_its_spellings(text: str) -> None:
    assert at(text) == "2026-11-27T10:00:00Z"
    assert at(f"  {text}\n") == "2026-11-27T10:00:00Z"
    assert at(f"{text} and more") == at(f"about {text}") == Fault.UNREADABLE


FORMS = ("d MMMM y", "d. MMM y", "EEEE, d MMMM y", "EEE d MMM y", "MMMM d, y")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_month_and_weekday_of_the_sixteen_languages_is_read_with_and_without_the_headlines_language(
    language: str,
) -> None:
    from babel.dates import format_date

    for number in range(0, 366, 5):
        day = date(2026, 1, 1) + timedelta(days=number)
        for form in () if language[:2] in ("zh", "ja", "ko") else FORMS:  # there months are numbers
            text = format_date(day, form, locale=language)
            for tag in ("", language.replace("_", "-")):
                # Croatian means other months by them.
                shared = not tag and bool({"listopada", "lis", "lip"} & set(re.findall(r"\w+", text)))
                assert at(text, language=tag) == (Fault.AMBIGUOUS if shared else f"{day}T00:00:00Z"), (text, tag)
        for usual in ("medium", "long", "full"):
            text = format_date(day, usual, locale=language)
            if not set(text) <= set("0123456789-/. \u200f"):
                assert at(text, language=language.replace("_", "-")) == f"{day}T00:00:00Z", text


def test_the_headlines_language_decides_where_a_name_is_two_months() -> None:
    assert at("5 listopada 2026", language="pl") == "2026-11-05T00:00:00Z"
    assert at("5 listopada 2026", language="hr") == "2026-10-05T00:00:00Z"
    assert at("5 листопада 2026", language="uk-UA") == "2026-11-05T00:00:00Z"
    for name in ("listopada", "listopad", "lis", "lip"):
        assert at(f"27. {name} 2026.") == at(f"27 {name} 2026", language="en") == Fault.AMBIGUOUS
    assert at("5 lip 2026", language="pl") == "2026-07-05T00:00:00Z"
    assert at("5 lip 2026", language="hr") == "2026-06-05T00:00:00Z"
    assert at("5 mar 2026", language="tr") == at("mar. 5 mar. 2026", language="fr") == "2026-03-05T00:00:00Z"


def test_names_are_read_whatever_their_case_and_accents() -> None:
    assert {at(text) for text in ("27 AOÛT 2026", "27 aout 2026", "27 Août 2026")} == {"2026-08-27T00:00:00Z"}
    assert {at(text) for text in ("27 KASIM 2026", "27 kasım 2026")} == {"2026-11-27T00:00:00Z"}
    assert at("27 มี.ค. 2569 10:00 น.") == at("27 มีนาคม 2569 10:00") == "2026-03-27T10:00:00Z"
    assert at("٢٧ نوفمبر ٢٠٢٦") == at("27 تشرين الثاني 2026") == "2026-11-27T00:00:00Z"


@pytest.mark.parametrize("name", sorted(ABBREVIATIONS))
def test_each_abbreviation_of_the_table_is_a_zone(name: str) -> None:
    parsed = parse_time(f"27 Nov 2026 10:00 {name}")
    moment = int(TEN.timestamp() * 1000) - ABBREVIATIONS[name] * 60_000
    assert parsed == ParsedTime(moment, None, Zone.GIVEN)


def test_a_missing_or_unknown_zone_is_that_of_the_argument_and_said() -> None:
    berlin = parse_zone("Europe/Berlin")
    for text in ("2026-11-27T11:00:00", "27 Nov 2026 11:00", "20261127110000", "202611271100"):
        assert parse_time(text, timezone=berlin) == ParsedTime(int(TEN.timestamp() * 1000), None, Zone.MISSING), text
    for zone in ("XYZ", "Europe/Nowhere"):
        parsed = parse_time(f"27 Nov 2026 11:00 {zone}", timezone=berlin)
        assert parsed == ParsedTime(int(TEN.timestamp() * 1000), None, Zone.UNKNOWN)
    assert parse_time("27 Jul 2026 11:00", timezone=berlin) == parse_time("27 Jul 2026 09:00")
    with pytest.raises(SettingsError, match="Europe/Nowhere"):
        parse_zone("Europe/Nowhere")


def test_day_and_month_as_numbers_are_read_only_where_their_order_is_known() -> None:
    assert at("03/04/2026") == at("3-4-2026 10:00") == at("03.04.26") == at("26-11-27") == Fault.AMBIGUOUS
    assert at("04/04/2026") == "2026-04-04T00:00:00Z"
    assert at("18/07/2020") == at("7/18/2020") == at("7/18/20") == "2020-07-18T00:00:00Z"
    assert at("03/04/2026", order="day") == "2026-04-03T00:00:00Z"
    assert at("03/04/2026", order="month") == "2026-03-04T00:00:00Z"
    assert at("18/07/2020", order="month") == at("7/18/2020", order="day") == Fault.CONTRARY
    assert at("32/07/2020", order="day") == at("18/19/2020") == at("00/04/2026") == Fault.UNREADABLE


def test_the_order_comes_from_the_first_date_that_tells_it() -> None:
    assert find_order(["x", 7, None, "03/04/2026", "2026-11-27", "7/18/2020 8:05", "18/07/2020"]) == "month"
    assert find_order(["03/04/2026", "04/04/2026", "27 Nov 2026"]) is None
    assert (order_of("18.07.2020 08:05"), order_of("33/07/2020"), order_of("18-07-20")) == ("day", None, None)


def test_two_digits_may_be_a_year_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_orders, "_next_year", lambda: 2027)
    for text in ("20/05/04", "20.05.13", "20-12-11", "27/11/26", "18.07.20 10:00", "10:00 27/11/26", "26. 11. 27."):
        assert at(text) == at(text, language="ko") == Fault.AMBIGUOUS, text
        assert order_of(text) is None, text
    assert at("31/12/25") == at("12/31/25") == at("31.12.'25") == "2025-12-31T00:00:00Z"
    assert at("20/05/31") == "2020-05-31T00:00:00Z"
    assert at("98/12/31") == "1998-12-31T00:00:00Z"
    assert at("05/05/05") == "2005-05-05T00:00:00Z"
    assert at("05/06/28") == "2005-06-28T00:00:00Z", "no news is of 2028"
    assert at("31/12/29") == at("00/00/26") == Fault.UNREADABLE
    assert [order_of(text) for text in ("31/12/25", "12/31/25", "20/05/31", "31/04/2026")] == [
        "day",
        "month",
        "year",
        None,
    ]
    assert [at("20/05/13", order=order) for order in ("year", "day")] == [
        "2020-05-13T00:00:00Z",
        "2013-05-20T00:00:00Z",
    ]
    assert at("31/12/25", order="year") == at("20/05/31", order="day") == Fault.CONTRARY
    assert at("03/04/2026", order="year") == Fault.AMBIGUOUS


def test_two_digits_of_a_thai_year_are_read_only_where_one_calendar_can_mean_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time_orders, "_next_year", lambda: 2027)
    for text in ("27-Nov-26", "27/11/26", "Fri, 27 Nov 26 10:00:00 GMT", "27-Nov-70"):
        assert at(text, language="th") == Fault.AMBIGUOUS, text
    assert at("27 พ.ย. 26") == Fault.AMBIGUOUS
    assert (
        at("27 พ.ย. 69")
        == at("27-Nov-69", language="th-TH")
        == at("27/11/2569", language="th")
        == "2026-11-27T00:00:00Z"
    )
    assert at("29/02/67", language="th") == at("29/02/2567", language="th") == "2024-02-29T00:00:00Z"
    assert at("27-Nov-05", language="th") == "2005-11-27T00:00:00Z"


def test_ticks_of_dot_net_and_of_windows_are_no_nanoseconds() -> None:
    for number in (638_996_112_000_000_000, 134_132_514_224_000_000, 788_918_399_999_999_872, 1e20):
        assert at(number) == at(f"{number:.0f}") == Fault.UNREADABLE, number
    assert at("946684800000000000") == "2000-01-01T00:00:00Z"
    assert at("4102444799000000000") == "2099-12-31T23:59:59Z"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-27 10:00 - 11:00", "2026-11-27 10:00–11:00", "2026-11-27 10:00 – 11:00", "2026-11-27 10:00-11:00",
        "27 Nov 2026 14:00-16:00", "2026-11-27T14:00:00-16:00", "10:00-11:00 27 Nov 2026", "10:00 - 11:00, 27 Nov 2026",
        "2026-11-27 10:00 / 11:00", "2026-11-27 10:00:00 +01000", "2026-11-27 10:00:00 +15:00",
    ],
)  # fmt: skip
def test_a_ranges_end_and_a_number_of_odd_length_are_no_offsets(text: str) -> None:
    assert at(text) == Fault.UNREADABLE


def test_an_offset_behind_a_zones_name_is_read_only_where_it_is_the_zones_own() -> None:
    for name in ("Etc/GMT+5", "Etc/GMT-5", "Etc/GMT +0500", "MSK+3", "MSK+0400", "EST+5"):
        assert at(f"2026-11-27 10:00 {name}") == Fault.AMBIGUOUS, name
    for name in ("MSK+0300", "Europe/Moscow +03:00", "GMT+3", "UTC + 3", "+0300 (EST)", "+03:00:00", "+030000"):
        assert at(f"2026-11-27 13:00 {name}") == "2026-11-27T10:00:00Z", name
    assert at("Fri Nov 27 05:00:00 EST-0500 2026") == "2026-11-27T10:00:00Z"


def test_a_number_that_reads_as_a_calendar_is_that_before_it_is_an_epoch() -> None:
    assert at("201701010012") == at(201701010012) == "2017-01-01T00:12:00Z"
    assert at(20261127) == at(20261127.0) == "2026-11-27T00:00:00Z"
    assert at("20261127100000") == at(20261127100000) == "2026-11-27T10:00:00Z"
    assert at("169901010012") == "1975-05-21T10:43:30.012Z"  # no year that is meant
    assert at("202613010000") == "1976-06-03T01:23:30Z"  # no month


def test_a_spreadsheets_serial_days_count_only_where_they_are_asked_for() -> None:
    assert at(45000, serial=True) == at("45000", serial=True) == "2023-03-15T00:00:00Z"
    assert at("45000.5", serial=True) == "2023-03-15T12:00:00Z"
    assert at(45000) == at("45000.5") == at(19_999, serial=True) == Fault.UNREADABLE


@pytest.mark.parametrize(
    "value",
    [
        "0001-01-01T00:00:00Z", "0001-01-01 00:00:00 +0000 UTC", "1/1/0001 12:00:00 AM",
        "Mon, 01 Jan 0001 00:00:00 +0000", "-0001-11-30T00:00:00+00:00", "Mon, 30 Nov -0001 00:00:00 +0000",
        "0000-00-00", "0000-00-00 00:00:00", "00000000", "0", 0, 0.0, "1970-01-01T00:00:00Z",
        datetime(1, 1, 1, tzinfo=UTC), date(1, 1, 1),
    ],
)  # fmt: skip
def test_what_programs_write_for_no_time_is_none(value: object) -> None:
    assert at(value) == Fault.ZERO


@pytest.mark.parametrize(
    "value",
    [
        math.inf, -math.inf, -1, "-1", "1e999", "inf", "9" * 400, 10**400, True, [], {}, "2 hours ago", "yesterday", "today",
        "now", "10:00", "2026", "Nov 2026", "27 Nov", "Friday", "2026-02-30", "2026-13-01", "2026-11-27T25:00:00Z",
        "2026-11-27T10:61:00Z", "2026-11-27 13:00 AM", "9999-12-31T23:59:59-99:99", "2026-11-27T10:00:00Zjunk", 7,
        "27 Nov 2026 27 Nov 2026", "27 Nov Dec 2026", "2026-11-27 TBC", "1.2.3.4", "\x00", "٠", "½", "🕙", "x" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_time_is_unreadable(value: object) -> None:
    parsed = parse_time(value)
    assert parsed is not None
    assert parsed.fault in (Fault.UNREADABLE, Fault.ZERO)
    assert parsed.milliseconds is None
    assert len(parsed.reason(value)) < 130


@pytest.mark.parametrize("value", [None, "", "  ", "nan", "NaT", "null", "None", "N/A", "-", math.nan, Decimal("nan")])
def test_no_time_at_all_is_none(value: object) -> None:
    assert parse_time(value) is None


def test_times_outside_1970_to_9999_are_out_of_range() -> None:
    assert at("Wed, 31 Dec 1969 23:59:59 GMT") == at(date(1950, 1, 1)) == Fault.RANGE
    assert (
        at("9999-12-31T23:59:59-10:00")
        == at(datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=9))))
        == Fault.RANGE
    )
    assert at("9999-12-31T23:59:59Z") == "9999-12-31T23:59:59Z"


def test_midnight_at_the_days_end_leap_seconds_and_fractions_are_read() -> None:
    assert at("2026-11-27T24:00:00Z") == "2026-11-28T00:00:00Z"
    assert at("2026-06-30T23:59:60Z") == "2026-07-01T00:00:00Z"
    assert at("2026-11-27T10:00:00.123456789Z") == at("2026-11-27 10:00:00,123 GMT") == "2026-11-27T10:00:00.123Z"
    assert at("2026-11-27 10.30") == at("27 novembre 2026 à 10h30") == "2026-11-27T10:30:00Z"


def test_dates_and_datetimes_are_read_with_zones_that_misbehave() -> None:
    class Odd(tzinfo):
        def utcoffset(self, _: datetime | None) -> timedelta:
            raise RuntimeError("odd")

        def dst(self, _: datetime | None) -> timedelta:
            raise RuntimeError("odd")

        def tzname(self, _: datetime | None) -> str:
            return "odd"

    assert at(TEN) == at(TEN.astimezone(ZoneInfo("Asia/Tokyo"))) == at(TEN.replace(tzinfo=None))
    assert at(date(2026, 11, 27)) == "2026-11-27T00:00:00Z"
    assert at(Decimal("1795773600.5")) == "2026-11-27T10:00:00.500Z"
    assert at(datetime(2026, 11, 27, tzinfo=Odd())) == Fault.RANGE


@given(st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1)), st.sampled_from(sorted(OFFSETS)))
def test_what_python_writes_is_read_back(moment: datetime, east: int) -> None:
    zoned = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=timezone(timedelta(minutes=east)))
    expected = round(zoned.timestamp() * 1000)
    for text in (
        zoned.isoformat(),
        zoned.isoformat(" "),
        f"{zoned:%d %b %Y %H:%M:%S.%f %z}",
        f"{zoned:%Y%m%dT%H%M%S.%f%z}",
    ):
        parsed = parse_time(text)
        assert parsed is not None
        assert parsed.milliseconds == expected, text


@given(
    st.text(max_size=40)
    | st.from_regex(r"[0-9]{1,4}[-/., :TZ年月日a-z+]{1,3}[0-9]{1,4}[-/., :TZ]{1,3}[0-9]{1,4}[ A-Z:+0-9]*")
)
def test_any_text_is_a_time_within_range_or_a_fault_and_never_an_error(text: str) -> None:
    parsed = parse_time(text)
    if parsed is not None and parsed.milliseconds is not None:
        assert 0 < parsed.milliseconds <= 253_402_300_799_999
    elif parsed is not None:
        assert parsed.reason(text)


def test_hostile_texts_cost_little() -> None:
    texts = ["1" * 100, "11:" * 33, "M " * 50, "(" * 100, "jan " * 25, "2026-11-27 " + "a" * 80, "0/" * 50, "A" * 100]
    started = time.process_time()
    for text in texts * 20:
        parse_time(text)
    assert time.process_time() - started < 2


@pytest.mark.alone
def test_of_every_layout_two_hundred_thousand_times_are_read_in_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    times_benchmark.main(["--rows", "1000"])  # finds each layout once
    assert times_benchmark.main(["--rows", "50000"]) == 0, capsys.readouterr().out


def test_a_time_behind_a_dash_is_no_zone() -> None:
    for text in ("Nov 27, 2026 - 10:00", "27 Nov 2026 – 10:00", "2026-11-27 - 10:00"):
        parsed = parse_time(text, timezone=ZoneInfo("Europe/Berlin"))
        assert parsed == ParsedTime(1_795_770_000_000, None, Zone.MISSING), text
    assert parse_time("2026-11-27-05:00") == ParsedTime(1_795_755_600_000), "a day's own zone, as XML writes it"
