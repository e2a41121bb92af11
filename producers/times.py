"""Publication times as files write them: a zone or none, a date alone, epoch seconds or milliseconds, RFC 2822."""

import re
from datetime import UTC, date, datetime, time, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

from newstide.core.errors import InvalidHeadline, SettingsError
from newstide.core.text import shorten

_NONE = frozenset({"", "nan", "nat", "none", "null", "n/a"})
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE]\+?\d+)?")
_DAY = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_UTC = re.compile(r"\s*(?:UTC|GMT|Z)$", re.IGNORECASE)
_FIRST_EPOCH_SECOND = 100_000_000  # 1973: a smaller number is a year, a row number, no time


def parse_file_time(value: Any, zone: tzinfo = UTC) -> int | None:
    """Epoch milliseconds of a time found in a file, or None where there is none.

    Numbers are epoch seconds, milliseconds, microseconds or nanoseconds by their magnitude (eleven digits and fewer:
    seconds), or a day written YYYYMMDD.

    Args:
        value: A string, a number, a date or a datetime.
        zone: What times without a zone are in.

    Raises:
        InvalidHeadline: It is no time.
    """
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN
        return None
    if isinstance(value, str):
        text = value.strip()
        if text.casefold() in _NONE:
            return None
        if _NUMBER.fullmatch(text) and not _DAY.fullmatch(text):
            return _epoch(float(text), text)
        return _milliseconds(_moment(text), zone, text)
    if isinstance(value, bool):
        raise InvalidHeadline(f"published_at {value} is no time.")
    if isinstance(value, (int, float)):
        whole = str(int(value)) if value == int(value) else ""
        return _milliseconds(_moment(whole), zone, whole) if _DAY.fullmatch(whole) else _epoch(float(value), str(value))
    if isinstance(value, date):  # a datetime is one, too
        moment = value if isinstance(value, datetime) else datetime.combine(value, time())
        return _milliseconds(moment, zone, str(value))
    raise InvalidHeadline(f"published_at {shorten(repr(value))} is no time.")


def parse_zone(name: str) -> tzinfo:
    """A time zone by its IANA name, as `Europe/Berlin`.

    Raises:
        SettingsError: There is none of that name.
    """
    if name.upper() in ("UTC", "GMT", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise SettingsError(f"There is no time zone {name!r}.", "Use an IANA name, as Europe/Berlin.") from None


def _epoch(number: float, text: str) -> int:
    if number < _FIRST_EPOCH_SECOND:
        raise InvalidHeadline(f"published_at {shorten(text)!r} is no time: too small for epoch seconds.")
    for limit, to_milliseconds in ((1e11, 1000.0), (1e14, 1.0), (1e17, 1e-3), (1e20, 1e-6)):
        if number < limit:
            return round(number * to_milliseconds)
    raise InvalidHeadline(f"published_at {shorten(text)!r} is no time: too large for epoch nanoseconds.")


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError):
        pass
    try:  # `2026-10-13 07:42:00 UTC`, `2026/10/13`
        return datetime.fromisoformat(_UTC.sub("+00:00", text).replace("/", "-"))
    except ValueError:
        raise InvalidHeadline(f"published_at {shorten(text)!r} is no time.") from None


def _milliseconds(moment: datetime, zone: tzinfo, text: str) -> int:
    try:
        return round((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)
    except (OverflowError, ValueError):
        raise InvalidHeadline(f"published_at {shorten(text)!r} is out of range.") from None
