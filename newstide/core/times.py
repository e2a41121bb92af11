"""Publication times as files, feeds and messages write them: the whole string is read, or nothing of it.

`parse_time` is the one reader for every entrance.
"""

from datetime import UTC, date, datetime, time, tzinfo
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from newstide.core.errors import InvalidHeadline
from newstide.core.text import shorten

LATEST_MS = 253_402_300_799_999  # 9999-12-31, the last day ISO 8601 and pandas agree on

Order = Literal["day", "month"]  # which of the two stands first where both are numbers


class Fault(StrEnum):
    """Why a given time has no moment."""

    UNREADABLE = "unreadable"
    AMBIGUOUS = "ambiguous"  # 03/04/2026, a month's name that two languages give to different months
    ZERO = "zero"  # what programs write for none: 0001-01-01, 0000-00-00, 0
    RANGE = "out of range"  # outside the years 1970 to 9999


class Zone(StrEnum):
    """Where the zone of a time comes from."""

    GIVEN = "given"
    MISSING = "missing"  # the time says none: the argument `timezone` counts
    UNKNOWN = "unknown"  # it names one that nobody knows: the argument `timezone` counts


class ParsedTime(NamedTuple):
    """A time that was given: epoch milliseconds in UTC, or None and the fault."""

    milliseconds: int | None
    fault: Fault | None = None
    zone: Zone = Zone.GIVEN

    def reason(self, value: Any) -> str:
        """What is wrong with the value that was given, in a sentence; empty where nothing is."""
        return "" if self.fault is None else f"{shorten(str(value))!r} {_REASONS[self.fault]}."


_REASONS = {
    Fault.UNREADABLE: "is no time that can be read",
    Fault.AMBIGUOUS: "can be two different days",
    Fault.ZERO: "stands for no time",
    Fault.RANGE: "lies outside the years 1970 to 9999",
}


def parse_time(
    value: Any, *, language: str = "", timezone: tzinfo = UTC, order: Order | None = None, serial: bool = False
) -> ParsedTime | None:
    """Reads a time.

    Args:
        value: A string, a number, a date or a datetime.
        language: The headline's, as a BCP 47 tag; it decides where a name is two months.
        timezone: What times without a (known) zone are in.
        order: Whether the day or the month stands first where both are numbers; without it such a date is read only
            where one number alone can be the month.
        serial: Numbers from 20,000 to 80,000 are a spreadsheet's serial days (files only).

    Returns:
        The moment or the fault; None where no time was given at all (empty, NaN, `null`).
    """
    del language, order, serial
    if value is None or (isinstance(value, str) and value.strip().casefold() in ("", "nan", "nat", "none", "null")):
        return None
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        elif isinstance(value, date):
            moment = value if isinstance(value, datetime) else datetime.combine(value, time())
        else:
            try:
                moment = datetime.fromisoformat(str(value).strip())
            except ValueError:
                moment = parsedate_to_datetime(str(value))
        zone = Zone.MISSING if moment.tzinfo is None else Zone.GIVEN
        milliseconds = round((moment if moment.tzinfo else moment.replace(tzinfo=timezone)).timestamp() * 1000)
    except (ValueError, OverflowError, OSError, InvalidHeadline):
        return ParsedTime(None, Fault.UNREADABLE)
    return ParsedTime(milliseconds, None, zone) if 0 <= milliseconds <= LATEST_MS else ParsedTime(None, Fault.RANGE)
