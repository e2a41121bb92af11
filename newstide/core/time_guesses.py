"""Times that have no layout of ours, as dateutil reads them: only where its answer depends on no guess."""

import re
from datetime import datetime, timedelta, timezone, tzinfo

from newstide.core.offsets import is_offset
from newstide.core.zones import find_zone

_YEAR = re.compile(r"\d{4}")
_YEARS = re.compile(r"(?<![\d+-])(?:19|20)\d\d(?!\d)")
# A second time, of which dateutil takes the last; an offset behind a name, whose sign it turns; minutes or seconds alone.
_BEYOND = re.compile(
    r":\d\d.*?(?:[A-Za-z] ?[+-] ?\d|(?<![-+:\d])\d\d?:\d\d|[ap]m.*\d ?[ap]m)| / |^(?!.*\d ?h).*\d ?[ms](?:in|ec)?\b",
    re.IGNORECASE,
)
_EAST = re.compile(r"\+|z|ut|gmt|wet", re.IGNORECASE)
_SECONDS = re.compile(r":\d\d:\d\d(?:[.,]\d+)? ?[-+]\d\d:?\d\d\b")
# A part that dateutil fills in differs between the two.
_DEFAULTS = (datetime(2000, 1, 1), datetime(1999, 2, 2))


def guessed(text: str) -> datetime | None:
    """The moment that dateutil finds, where it fills in nothing and no order of day, month and year matters."""
    from dateutil import parser

    year = _YEAR.search(text)
    if year is None or not text.isascii() or _BEYOND.search(text) or len(_YEARS.findall(text)) > 1:
        return None
    seconds = _SECONDS.search(text) is not None

    def zone(name: str | None, east: int | None) -> tzinfo | None:
        if east is None:
            return find_zone(name) if name else None
        minus = east < 0 or _EAST.search(text) is None
        if not is_offset(east / 60, seconds) or (minus and not seconds):  # rather a range, or a clock with dashes
            raise ValueError(east)
        return timezone(timedelta(seconds=east))

    found: set[datetime] = set()
    try:
        for default in _DEFAULTS:
            for day_first, year_first in ((False, False), (True, False), (False, True), (True, True)):
                found.add(parser.parse(text, default=default, dayfirst=day_first, yearfirst=year_first, tzinfos=zone))
    except (ValueError, OverflowError, TypeError, AttributeError):
        return None
    moment = found.pop()
    return None if found or moment.year != int(year[0]) else moment
