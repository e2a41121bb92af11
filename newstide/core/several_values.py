"""Which value counts where an object or a row has several for one field, under several of its names."""

import re
from collections.abc import Sequence
from typing import Any

from newstide.core.field_values import BEHIND_UTC, is_readable, value_of
from newstide.core.instants import Instant
from newstide.core.text import iso_time
from newstide.core.times import Fault, ParsedTime, Zone, parse_time, within

_CLOCK = re.compile(r"[T\s]*\d{1,2}[:.h]\d{2}(?!\d)")  # how a time of day begins
_DAY_MS = 86_400_000
_FLAGS = frozenset({"0", "1", "true", "false", "yes", "no", "t", "f", "y", "n"})


def chosen(field: str, values: Sequence[Any], *, in_file: bool = False) -> Any:
    """The value that counts: the first that can be read, else the first.

    Of times, a day alone gives way to a full time of that day, else has a time of day that stands beside it.

    Args:
        field: The headline's field.
        values: Those that are not blank, at least one, the first that counts first.
        in_file: Numbers may be a spreadsheet's days, and the file shows the order of day and month.
    """
    if field == "published_at":
        return _time(values, in_file)
    return next((value for value in values if is_readable(field, value)), values[0])


def is_sure(field: str, value: Any) -> bool:
    """Whether a value counts whatever the other names hold."""
    if field == "published_at":
        if value.__class__ is not str or ":" not in value:
            return isinstance(value, Instant) and not value.day
        return (parsed := parse_time(value)) is not None and parsed.milliseconds is not None
    return is_readable(field, value)


def is_flag(value: Any) -> bool:
    """Whether a value says yes or no, as a column `published` often does: then it is no time."""
    return value is True or value is False or (isinstance(value, str) and value.strip().casefold() in _FLAGS)


def is_no_time(value: Any) -> bool:
    """Whether a value was meant as a time and cannot be read as one; a time of day alone can stand beside a day."""
    text, parsed = _moment(value, in_file=True)
    if parsed is None or (isinstance(text, str) and _CLOCK.match(text)):
        return False
    return parsed.fault in (Fault.UNREADABLE, Fault.RANGE)


def _time(values: Sequence[Any], in_file: bool) -> Any:
    read = [(value, *_moment(value, in_file)) for value in values]
    first = next((one for one in read if one[2] is not None and _counts(one[2], in_file)), None)
    if first is None:
        return next((value for value, _, _ in read if isinstance(value, Instant)), values[0])
    value, text, day = first
    if not isinstance(text, str) or day is None or not _is_day(text, day):
        return value
    for other, other_text, moment in read:
        if moment is not None and not _is_day(other_text, moment) and _is_of(day, text, moment, other_text):
            return other
    for _, clock, _ in read:
        if isinstance(clock, str) and _CLOCK.match(clock):
            bare, zone, _ = text.strip().partition(BEHIND_UTC)
            joined = f"{bare} {clock.strip().removeprefix('T')}"
            for told in (f"{joined}{zone}", joined):
                if (parsed := parse_time(told)) is not None and parsed.fault is not Fault.UNREADABLE:
                    return told
    return value


def _moment(value: Any, in_file: bool) -> tuple[Any, ParsedTime | None]:
    """The text or number in a value, and its time; None where it has none."""
    text = value_of("published_at", value)
    if isinstance(text, Instant):
        moment = within(text.milliseconds, Zone.GIVEN if text.utc else Zone.MISSING)
        day = text.day and moment.milliseconds is not None
        return iso_time(text.milliseconds)[:10] if day else text, moment
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return text, None
    return text, parse_time(text, serial=in_file)


def _counts(parsed: ParsedTime, in_file: bool) -> bool:
    return parsed.milliseconds is not None or (in_file and parsed.fault in (Fault.AMBIGUOUS, Fault.CONTRARY))


def _is_day(text: Any, parsed: ParsedTime) -> bool:
    """Whether a time is a day alone: it names no time of day and no zone."""
    if not isinstance(text, str) or ":" in text:
        return False
    if parsed.milliseconds is None:
        return parsed.fault is Fault.AMBIGUOUS
    in_no_zone = parsed.zone is Zone.MISSING or text.endswith(BEHIND_UTC)
    return in_no_zone and parsed.milliseconds % _DAY_MS == 0


def _is_of(day: ParsedTime, day_text: str, moment: ParsedTime, text: Any) -> bool:
    """Whether a moment lies in the day, in UTC or as it is written: that of another day is when a page was changed."""
    if moment.milliseconds is None or day.milliseconds is None:
        return False
    written = isinstance(text, str) and text.strip()[:10] == day_text.strip().removesuffix(BEHIND_UTC)
    return written or 0 <= moment.milliseconds - day.milliseconds < _DAY_MS
