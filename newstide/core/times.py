"""Publication times as files, feeds and messages write them: the whole string is read, or nothing of it.

`parse_time` is the one reader for every entrance. The layout of a text is found once and kept (`time_layouts`), names of
months come from the CLDR and zones from IANA; what no layout fits is put to dateutil, whose answer counts only where it
depends on no guess. `docs/sending.md` lists what is read.
"""

import math
import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from newstide.core.digits import as_ascii, is_odd
from newstide.core.errors import SettingsError
from newstide.core.offsets import SURE, ends_range, is_offset
from newstide.core.text import shorten
from newstide.core.time_guesses import guessed
from newstide.core.time_layouts import LONGEST, SHAPE, Layout, layout_of
from newstide.core.time_orders import Order, readings, year_of
from newstide.core.zones import find_zone

LATEST_MS = 253_402_300_799_999  # 9999-12-31, the last day ISO 8601 and pandas agree on

_NONE = frozenset({"", "-", "nan", "nat", "none", "null", "n/a", "na", "<na>", "undefined", "\\n"})
_NUMBER = re.compile(r"[+-]?0+(?:\.0*)?(?:e[+-]?0{1,3})?", re.IGNORECASE)
_LAST_ZEROS = 100  # a whole hour's seconds end in two zeros, which the shortest form of a number leaves out
_NUMBERS_BEGIN = ("0", "+", "-")
_CALENDAR = re.compile(r"(?:19[7-9]\d|20\d\d)\d{4}(?:\d{4}(?:\d\d)?)?")
_UNIX_ZERO = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = datetime(1, 1, 1)
_DAY_MS = 86_400_000
_QUARTER_MS = 900_000
_FARTHEST_ZONE_MS = 14 * 3_600_000
_MINUTE = timedelta(minutes=1)
# From, below, to milliseconds: s, ms, us and ns since 1970. A number below 1e8 is a year or a row's. Nanoseconds count from
# 1995 on: below lie the ticks of .NET (6.4e17 in 2026) and of Windows (1.34e17), which count from the years 1 and 1601.
_EPOCHS = ((1e8, 1e11, 1000.0), (1e11, 1e14, 1.0), (1e14, 1e17, 1e-3), (788_918_400e9, 1e20, 1e-6))
_SERIAL_ZERO = date(1899, 12, 30).toordinal()  # of spreadsheets
_SERIALS = (20_000, 80_000)
_DOT_NET = re.compile(r"\\?/Date\((\d{1,15})(?:[+-]\d{4})?\)\\?/")


class Fault(StrEnum):
    """Why a given time has no moment."""

    UNREADABLE = "unreadable"
    AMBIGUOUS = "ambiguous"  # 03/04/2026, a month's name that two languages give to different months, MSK+3
    CONTRARY = "contrary"  # 31/12/2026 where the month stands first
    ZERO = "zero"  # what programs write for a missing time: 0001-01-01, 0000-00-00, 0
    RANGE = "out of range"  # outside the years 1970 to 9999


_REASONS = {
    Fault.UNREADABLE: "is no time that can be read",
    Fault.AMBIGUOUS: "can be two different times",
    Fault.CONTRARY: "has day and month in the other order",
    Fault.ZERO: "stands for no time",
    Fault.RANGE: "lies outside the years 1970 to 9999",
}


class Zone(StrEnum):
    """Where the zone of a time comes from."""

    GIVEN = "given"
    MISSING = "missing"  # the time names no zone: the argument `timezone` counts
    UNKNOWN = "unknown"  # the time names an unknown zone: the argument `timezone` counts


class ParsedTime(NamedTuple):
    """A time that was given: epoch milliseconds in UTC, or None and the fault."""

    milliseconds: int | None
    fault: Fault | None = None
    zone: Zone = Zone.GIVEN

    def reason(self, value: Any) -> str:
        """What is wrong with the value that was given, in a sentence; empty where nothing is."""
        return "" if self.fault is None else f"{shorten(_shown(value))!r} {_REASONS[self.fault]}."


def parse_time(
    value: Any, *, language: str = "", timezone: tzinfo = UTC, order: Order | None = None, serial: bool = False
) -> ParsedTime | None:
    """Reads a time.

    Args:
        value: A string, a number, a date or a datetime.
        language: The headline's, as a BCP 47 tag; it decides where a name is two months.
        timezone: The zone of times that name no (known) zone.
        order: Whether the day, the month or the year stands first where all are numbers; without it such a date is
            read only where it can mean one day alone.
        serial: Numbers from 20,000 to 80,000 are a spreadsheet's serial days (files only).

    Returns:
        The moment or the fault; None where no time was given at all (empty, NaN, `null`).
    """
    if isinstance(value, str):
        text = value.strip()
        if len(text) > LONGEST:
            return _UNREADABLE
        if text[4:5] == "-" == text[7:8] and (iso := _iso(text, timezone)) is not None:
            return iso
        shape = text.translate(SHAPE)
        if not text.isascii() and is_odd(shape):
            text = as_ascii(text)
            shape = text.translate(SHAPE)
        found = _numeric(text, shape, timezone, serial)
        if found is not None:
            return found
        layout = layout_of(shape, language)
        if isinstance(layout, Layout):
            return _read(text, layout, timezone, order)
        if text.casefold() in _NONE:
            return None
        return _AMBIGUOUS if layout == "ambiguous" else _otherwise(text, timezone)
    if value is None or value != value:  # noqa: PLR0124 - NaN, NaT
        return None
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return _of_number(value, timezone, serial)
    if isinstance(value, date):
        return _of_date(value, timezone)
    return _UNREADABLE


def parse_zone(name: str) -> tzinfo:
    """A time zone by its IANA name, as `Europe/Berlin`.

    Raises:
        SettingsError: No time zone has that name.
    """
    zone = find_zone(name)
    if zone is None:
        raise SettingsError(f"There is no time zone {name!r}.", "Use an IANA name, as Europe/Berlin.")
    return zone


def _iso(text: str, timezone: tzinfo) -> ParsedTime | None:
    """The usual forms of ISO 8601, which the standard library reads fastest; None where the text has another form."""
    if text[10:11] not in ("T", " ") or text[13:14] != ":" or text[-1] not in "0123456789Z":
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    zone = moment.tzinfo
    if zone is not UTC and zone is not None and moment.year > 1 and (text[-6:] not in SURE or text[16] == "-"):
        if (text[10] == " " and text[16] != ":") or text[-6] == text[-3] == ":":  # it may be a range
            return None
        east = moment.utcoffset()
        if east is not None and not is_offset(east / _MINUTE, text[16] == ":"):
            return _UNREADABLE
    if zone is None or moment.year <= 1 or moment.microsecond:
        return _of_date(moment, timezone)
    since = moment - _EPOCH
    return within((since.days * 86_400 + since.seconds) * 1000)


def _read(text: str, layout: Layout, timezone: tzinfo, order: Order | None) -> ParsedTime:
    if layout.usual and (year := int(text[layout.year])) > 99:
        found = _usual(text, year, layout, timezone)
        if found is not None:
            return found
    day = _day(text, layout, order)
    if isinstance(day, ParsedTime):
        return day
    clock = _clock(text, layout)
    if clock is None:
        return _UNREADABLE
    return _placed(day, clock, text, layout, timezone)


def _usual(text: str, year: int, layout: Layout, timezone: tzinfo) -> ParsedTime | None:
    """What nearly every text of a usual layout is, a date and a time of the clock; None where it is anything else."""
    month = layout.month
    hour, minute, second = int(text[layout.hour]), int(text[layout.minute]), int(text[layout.second_])  # type: ignore[index]
    if hour > 23 or minute > 59 or second > 59:
        return None
    try:
        day = date(year, month if month.__class__ is int else int(text[month]), int(text[layout.day])).toordinal()  # type: ignore[index]
    except ValueError:
        return None
    return _placed(day, ((hour * 60 + minute) * 60 + second) * 1000, text, layout, timezone)


def _day(text: str, layout: Layout, order: Order | None) -> int | ParsedTime:
    """The proleptic ordinal of the day."""
    if layout.maybe_year_first:
        return _chosen(text, layout, order)
    year = year_of(text, layout)
    if year is None:
        return _AMBIGUOUS
    if year <= 1:
        return _ZERO
    try:
        if layout.first is not None and layout.second is not None and order in ("day", "month"):
            of_month, of_day = (layout.second, layout.first) if order == "day" else (layout.first, layout.second)
            day = date(year, int(text[of_month]), int(text[of_day])).toordinal()
            if not layout.said_weekdays or (day - 1) % 7 in layout.said_weekdays:
                return day
        if layout.day is not None:
            month = layout.month
            return date(
                year, month if isinstance(month, int) else int(text[month or layout.day]), int(text[layout.day])
            ).toordinal()
        if layout.week is not None and layout.weekday is not None:
            return date.fromisocalendar(year, int(text[layout.week]), int(text[layout.weekday])).toordinal()
        if layout.ordinal is not None:
            number = int(text[layout.ordinal])
            first_day = date(year, 1, 1).toordinal()
            return (
                first_day + number - 1 if 1 <= number <= date(year, 12, 31).toordinal() - first_day + 1 else _UNREADABLE
            )
    except ValueError:
        pass
    return _UNREADABLE if layout.first is None else _chosen(text, layout, order)


def _chosen(text: str, layout: Layout, order: Order | None) -> int | ParsedTime:
    """The day of three numbers in the order that is given, or in the only order in which they are one."""
    found = readings(text, layout)
    if order in found:
        days = found[order]
    elif order is None or (order == "year" and not layout.maybe_year_first):
        days = set().union(*found.values())
    else:
        return ParsedTime(None, Fault.CONTRARY) if found else _UNREADABLE
    return _AMBIGUOUS if len(days) > 1 else next(iter(days), _UNREADABLE)


def _clock(text: str, layout: Layout) -> int | None:
    """Milliseconds from midnight; None where there is no such time of day."""
    if layout.hour is None:
        return 0
    hour = int(text[layout.hour])
    minute = 0 if layout.minute is None else int(text[layout.minute])
    second = 0 if layout.second_ is None else int(text[layout.second_])
    if layout.half is not None:
        if hour > 12 and not layout.half:
            return None
        hour = hour % 12 + 12 * layout.half if hour <= 12 else hour
    if minute > 59 or second > 60 or hour > 24 or (hour == 24 and (minute or second)):
        return None
    part = 0 if layout.fraction is None else round(int(text[layout.fraction][:6].ljust(6, "0")) / 1000)
    return ((hour * 60 + minute) * 60 + second) * 1000 + part


def _placed(day: int, clock: int, text: str, layout: Layout, timezone: tzinfo) -> ParsedTime:
    milliseconds = (day - _UNIX_ZERO) * _DAY_MS + clock
    given = Zone.GIVEN
    if layout.sign and layout.zone_hour is not None:
        hour = int(text[layout.zone_hour])
        minute = 0 if layout.zone_minute is None else int(text[layout.zone_minute])
        east = layout.sign * (hour * 60 + minute)
        if east and (minute > 59 or not is_offset(east, layout.second_ is not None)):
            return _UNREADABLE
        named = None if layout.zone is None else _offset(day, clock // _QUARTER_MS, layout.zone)
        if layout.zone is not None and (layout.zone_minute is None or named != east * 60_000):
            return _AMBIGUOUS
        if layout.doubt and layout.zone is None and ends_range(east, clock // 60_000):
            return _UNREADABLE
        milliseconds -= east * 60_000
    else:
        zone = layout.zone
        if zone is None:
            zone, given = timezone, Zone.UNKNOWN if layout.unknown else Zone.MISSING
        if zone is not UTC:
            offset = _offset(day, clock // _QUARTER_MS, zone)
            if offset is None:
                return ParsedTime(None, Fault.RANGE)
            milliseconds -= offset
    return within(milliseconds, given)


@lru_cache(8192)
def _offset(day: int, quarter: int, zone: tzinfo) -> int | None:
    """Milliseconds east of UTC in a quarter of a local hour: offsets change between quarters. None: the zone says none."""
    try:
        offset = zone.utcoffset(_FIRST_DAY + timedelta(day - 1, 0, 0, quarter * _QUARTER_MS))
        return (offset.days * 86_400 + offset.seconds) * 1000 + offset.microseconds // 1000 if offset else 0
    except (OverflowError, ValueError):
        return None


def within(milliseconds: int, zone: Zone = Zone.GIVEN) -> ParsedTime:
    """A moment in the years 1970 to 9999, or the fault: 0 is what programs write for no time, here or in another zone."""
    if _FARTHEST_ZONE_MS < milliseconds <= LATEST_MS:
        return ParsedTime(milliseconds, None, zone)
    far = zone is Zone.GIVEN or milliseconds % _QUARTER_MS or milliseconds < -_FARTHEST_ZONE_MS
    if milliseconds == 0 or not (far or milliseconds > LATEST_MS):
        return _ZERO
    return ParsedTime(milliseconds, None, zone) if 0 < milliseconds <= LATEST_MS else ParsedTime(None, Fault.RANGE)


def _numeric(text: str, shape: str, timezone: tzinfo, serial: bool) -> ParsedTime | None:
    """The time of a text that is a number; None where the text is no number."""
    if shape[:1] not in _NUMBERS_BEGIN or shape[-1] not in "0." or not _NUMBER.fullmatch(shape):
        return None
    if shape.isdecimal():
        return _calendar(text, timezone) or _of_number(int(text), timezone, serial)
    found = _of_number(float(text), timezone, serial)
    return found if "e" not in shape.casefold() or _reaches_seconds(text, found) else _UNREADABLE


def _reaches_seconds(text: str, found: ParsedTime) -> bool:
    """Whether the digits of a number with an exponent tell its moment to the second: spreadsheets write 1.79E+12.

    Where they end before, the two digits that are missing may be the zeros of a whole minute.
    """
    if found.milliseconds is None:
        return True
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    unit = next((per for start, end, per in _EPOCHS if start <= number < end), None)
    if unit is None or _calendar(str(int(number)), UTC) is not None:  # a day or a calendar's reading
        return isinstance(exponent, int) and exponent <= 0
    step = 10.0**exponent * unit / 1000 if isinstance(exponent, int) else math.inf
    return step <= 1 or (step <= _LAST_ZEROS and found.milliseconds % 60_000 == 0)


def _calendar(text: str, timezone: tzinfo) -> ParsedTime | None:
    """A number that reads as YYYYMMDD, with hours and minutes, with seconds, from 1970 to 2099; else None."""
    if not _CALENDAR.fullmatch(text):
        return None
    shape = f"{'0' * 8}T{'0' * (len(text) - 8)}" if len(text) > 8 else "0" * 8
    layout = layout_of(shape, "")
    with_t = f"{text[:8]}T{text[8:]}" if len(text) > 8 else text
    found = _read(with_t, layout, timezone, None) if isinstance(layout, Layout) else None
    return found if found is not None and found.fault is not Fault.UNREADABLE else None


def _of_number(number: float | Decimal, timezone: tzinfo, serial: bool) -> ParsedTime:
    if isinstance(number, Decimal):
        number = float(number)
    if isinstance(number, float):
        if not math.isfinite(number):
            return _UNREADABLE
        if number.is_integer():
            number = int(number)
    if number == 0:
        return _ZERO
    if isinstance(number, int) and 19_700_101 <= number < 10**14:
        found = _calendar(str(number), timezone)
        if found is not None:
            return found
    if serial and _SERIALS[0] <= number <= _SERIALS[1]:
        days = math.floor(number)
        layout = layout_of("0000-00-00", "")
        assert isinstance(layout, Layout)  # noqa: S101 - of a shape that is read
        clock = round((number - days) * 86_400) * 1000
        return _placed(_SERIAL_ZERO + days, clock, "", layout, timezone)
    for start, end, to_milliseconds in _EPOCHS:
        if start <= number < end:
            return within(round(number * to_milliseconds))
    return _UNREADABLE


def _of_date(value: date, timezone: tzinfo) -> ParsedTime:
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    if moment.year <= 1:
        return _ZERO
    given = Zone.GIVEN
    try:
        if moment.tzinfo is None or moment.utcoffset() is None:
            moment, given = moment.replace(tzinfo=timezone), Zone.MISSING
        milliseconds = round(moment.timestamp() * 1000)
    except Exception:  # noqa: BLE001 - a zone made elsewhere may raise whatever it likes
        return ParsedTime(None, Fault.RANGE)
    return within(milliseconds, given)


def _otherwise(text: str, timezone: tzinfo) -> ParsedTime:
    """What a text that has no layout is."""
    if (milliseconds := _DOT_NET.fullmatch(text)) is not None:
        return _of_number(int(milliseconds[1]), timezone, serial=False)
    if "-0001" in text:
        return _ZERO
    moment = guessed(text)
    return _UNREADABLE if moment is None else _of_date(moment, timezone)


def _shown(value: Any) -> str:
    try:
        return str(value)
    except ValueError:  # an integer of more digits than Python writes
        return "a number of very many digits"


_UNREADABLE = ParsedTime(None, Fault.UNREADABLE)
_AMBIGUOUS = ParsedTime(None, Fault.AMBIGUOUS)
_ZERO = ParsedTime(None, Fault.ZERO)
