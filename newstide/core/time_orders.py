"""Which of a date's numbers are its day, its month and its year, where the layout leaves that open.

A weekday settles it where it is that of one reading alone: Sat, 11/04/2020 is in April, since 4 November is a Wednesday.

A two-digit year counts here only where news can have it: from 1970 to the next year. So 31/12/25 has the day first, and
20/05/31 the year, while 27/11/26 may have either.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any, Literal

from newstide.core.digits import as_ascii
from newstide.core.time_layouts import LONGEST, SHAPE, Layout, layout_of

Order = Literal["day", "month", "year"]  # which of them stands first where all are numbers

_BUDDHIST = 543


def year_of(text: str, layout: Layout) -> int | None:
    """The year of a text; None where its two digits can be a year of either calendar of Thailand."""
    digits = text[layout.year]
    year = int(digits)
    if len(digits) > 2:
        return year - _BUDDHIST if year >= 2400 and layout.buddhist else year
    if not layout.buddhist:
        return _common(year)
    years = _years(year, layout)
    return years[0] if len(years) == 1 else None


def readings(text: str, layout: Layout) -> dict[Order, set[int]]:
    """The days that the three numbers of a text can mean, as proleptic ordinals, by what stands first.

    Where the text names a weekday that one of these days alone is, only that day counts.
    """
    found: dict[Order, set[int]] = defaultdict(set)
    for order, year, month, day in _tried(text, layout):
        try:
            found[order].add(date(year, month, day).toordinal())
        except ValueError:
            continue
    agree = {order: {day for day in days if (day - 1) % 7 in layout.said_weekdays} for order, days in found.items()}
    settled = len(set().union(*agree.values())) == 1
    return {order: days for order, days in (agree if settled else found).items() if days}


def order_of(value: Any, language: str = "") -> Order | None:
    """Which of day, month and year stands first, where the value shows it: it is a day in one order alone."""
    if not isinstance(value, str) or len(value) > LONGEST:
        return None
    text = as_ascii(value)  # as `parse_time` reads it
    layout = layout_of(text.translate(SHAPE), language)
    if not isinstance(layout, Layout) or layout.first is None:
        return None
    orders = list(readings(text, layout))
    return orders[0] if len(orders) == 1 else None


def find_order(values: Iterable[Any]) -> Order | None:
    """The order of the first value that shows one; None where no value does."""
    return next((order for order in map(order_of, values) if order is not None), None)


def _tried(text: str, layout: Layout) -> Iterator[tuple[Order, int, int, int]]:
    """Each order with the year, month and day that the numbers are in it."""
    assert layout.first is not None and layout.second is not None  # noqa: S101, PT018 - the caller looked
    first, second, third = int(text[layout.first]), int(text[layout.second]), int(text[layout.year])
    if not layout.maybe_year_first:
        year = year_of(text, layout)
        years = _years(third, layout) if year is None else [year]
    else:
        years = _years(third, layout)
        for year in _years(first, layout):
            yield "year", year, second, third
    for year in years:
        yield "day", year, second, first
        yield "month", year, first, second


def _years(digits: int, layout: Layout) -> list[int]:
    """The years that two digits can mean in the news."""
    years = [_common(digits), *([2500 + digits - _BUDDHIST] if layout.buddhist else [])]
    return [year for year in years if 1970 <= year <= _next_year()]


def _common(digits: int) -> int:
    return digits + (1900 if digits > 68 else 2000)  # as POSIX has it


def _next_year() -> int:
    return datetime.now(UTC).year + 1
