"""The publication times of one file: the order of day and month, and whether the times can be read at all.

A wrong time cannot be corrected later, since the first headline of an id stays. So the first rows are examined before one
is sent.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import chain
from typing import Any

from newstide.core.errors import SourceError
from newstide.core.field_values import named
from newstide.core.instants import Instant
from newstide.core.text import iso_time, shorten
from newstide.core.time_orders import Order, order_of
from newstide.core.times import Fault, ParsedTime, Zone, parse_time, within
from producers.files.columns import IN_UTC, UNREAD_TIME
from producers.files.options import Item, Options
from producers.tally import Tally

_ROWS = 10_000  # rows that are examined before the first is sent, where times are rare or their order is unclear
_GIVEN = 1_000  # times that show whether the file's times can be read
_EPOCH = datetime(1970, 1, 1)


class Dates:
    """Reads the times of one file.

    Args:
        file: The file's name, for errors.
        options: The layout and zone of times, and the share of unreadable ones that is accepted.
        tally: Counts the times that were left out.
        latest: Returns the latest time that a headline may have now, epoch milliseconds.
    """

    def __init__(self, file: str, options: Options, tally: Tally, latest: Callable[[], float]) -> None:
        self._file, self._options, self._tally, self._latest = file, options, tally, latest
        self._order: Order | None = None

    def looked_ahead(self, items: Iterator[Item]) -> Iterator[Item]:
        """The same items, after an examination of the first ones.

        Raises:
            SourceError: Too many times cannot be read, or times contradict each other.
        """
        taken: list[Item] = []
        given: list[tuple[Any, str, ParsedTime]] = []
        hints: dict[Order, tuple[int, Any]] = {}
        unclear = False
        for item in items:
            taken.append(item)
            value = item.fields.get("published_at")
            if (parsed := self._parsed(value, item)) is not None:
                if (hint := self._hint(value, item)) is not None:
                    hints.setdefault(hint, (item.line, value))
                unclear = unclear or parsed.fault is Fault.AMBIGUOUS
                if (unread := item.fields.get(UNREAD_TIME)) is not None:
                    value, parsed = unread, ParsedTime(None, Fault.UNREADABLE)
                if len(given) < _GIVEN and parsed.fault is not Fault.ZERO:
                    given.append((value, str(item.fields.get("language") or ""), parsed))
            timeless = len(taken) >= _GIVEN and "published_at" not in self._tally.columns
            if len(taken) >= _ROWS or timeless or (len(given) >= _GIVEN and (hints or not unclear)):
                break
        self._settle(hints)
        self._require_readable(given)
        return chain(taken, items)

    def read(self, item: Item) -> int | None:
        """The time of a row, epoch milliseconds; None where the row has no time, or an unreadable one.

        Raises:
            SourceError: The time contradicts the order of day and month in the rows before.
        """
        value = item.fields.get("published_at")
        if (unread := item.fields.get(UNREAD_TIME)) is not None:
            self._tally.leave_out("time", unread, item.line)
        parsed = self._parsed(value, item)
        if parsed is None:
            return None
        if parsed.milliseconds is None:
            if parsed.fault is Fault.CONTRARY and not self._options.undated:
                raise SourceError(
                    f"{self._file} has the {self._order} first in its dates, but not in line {item.line:,}: "
                    f"{shorten(str(value))!r}.",
                    "Say the layout with --time-format, or send such dates as none with --undated.",
                )
            self._tally.leave_out(
                "time that stands for no time" if parsed.fault is Fault.ZERO else "time", value, item.line
            )
            return None
        if parsed.zone is Zone.MISSING and not item.fields.get(IN_UTC):
            self._tally.zone = str(self._options.zone)
            self._tally.zoneless += 1
        elif parsed.zone is Zone.UNKNOWN:
            self._tally.leave_out("unknown time zone", value, item.line)
        if self._tally.times is None:
            self._tally.times = (
                str(value),
                iso_time(parsed.milliseconds),
            )
        return parsed.milliseconds

    def _parsed(self, value: Any, item: Item, order: Order | None = None) -> ParsedTime | None:
        if value is None or value == "":
            return None
        fields, options = item.fields, self._options
        zone = UTC if fields.get(IN_UTC) else options.zone
        if value.__class__ is Instant:
            return self._of_instant(value, zone)
        if options.time_format is not None and isinstance(value, str | int | float):
            return self._of_format(str(value).strip(), zone)
        language = fields.get("language")
        if language.__class__ is not str:
            language = ""
        parsed = parse_time(value, language=language, timezone=zone, order=order or self._order, serial=True)
        if parsed is not None and parsed.milliseconds is None and (inner := named("published_at", value)) is not value:
            return self._parsed(inner, item, order)  # a table's cell that holds an object as a text
        return parsed

    def _of_format(self, text: str, zone: tzinfo) -> ParsedTime | None:
        if not text:
            return None
        try:
            moment = datetime.strptime(text, self._options.time_format or "")
            local = moment if moment.tzinfo else moment.replace(tzinfo=zone)
            return within(round(local.timestamp() * 1000), Zone.GIVEN if moment.tzinfo else Zone.MISSING)
        except (ValueError, OverflowError):
            return ParsedTime(None, Fault.UNREADABLE)

    def _of_instant(self, instant: Instant, zone: tzinfo) -> ParsedTime:
        given = Zone.GIVEN if instant.utc else Zone.MISSING
        if instant.utc or zone is UTC:
            return within(instant.milliseconds, given)
        try:
            moment = (_EPOCH + timedelta(milliseconds=instant.milliseconds)).replace(tzinfo=zone)
            return within(round(moment.timestamp() * 1000), given)
        except (OverflowError, ValueError):
            return ParsedTime(None, Fault.RANGE)

    def _hint(self, value: Any, item: Item) -> Order | None:
        """Which of day, month and year stands first, where the value can be read in only one order."""
        if not isinstance(value, str) or self._options.time_format is not None:
            return None
        if value[:4].isdigit():  # the year stands first
            return None
        language = item.fields.get("language")
        return order_of(value, language if isinstance(language, str) else "")

    def _settle(self, hints: dict[Order, tuple[int, Any]]) -> None:
        if len(hints) > 1 and not self._options.undated:
            (line, value), (other_line, other), *_ = sorted(hints.values())
            raise SourceError(
                f"{self._file} has dates in two layouts: {shorten(str(value))!r} (line {line:,}) and "
                f"{shorten(str(other))!r} (line {other_line:,}). Nothing of it was sent.",
                "Say the layout with --time-format, or send what is unclear without a time with --undated.",
            )
        if len(hints) == 1:
            ((self._order, (_, value)),) = hints.items()
            self._tally.note(f"dates have the {self._order} first, as {shorten(str(value))!r} shows")

    def _require_readable(self, given: list[tuple[Any, str, ParsedTime]]) -> None:
        if self._options.undated:
            return
        wrong = [
            value
            for value, language, time in given
            if not self._is_readable(time if time.milliseconds is not None else self._again(value, language))
        ]
        if wrong and len(wrong) > self._options.max_rejected * len(given):
            shown = ", ".join(f"{shorten(str(value), 40)!r}" for value in list(dict.fromkeys(map(str, wrong)))[:3])
            raise SourceError(
                f"{self._file} has times that cannot be read or are ahead of now, {len(wrong):,} of the first "
                f"{len(given):,}: {shown}. Nothing of it was sent.",
                "Say their layout with --time-format, as '%d.%m.%Y %H:%M', or send it without these times: --undated.",
            )

    def _again(self, value: Any, language: str) -> ParsedTime | None:
        """What a value is now that the file's order is known."""
        return self._parsed(value, Item(0, {"language": language}, None))

    def _is_readable(self, time: ParsedTime | None) -> bool:
        return time is not None and time.milliseconds is not None and time.milliseconds <= self._latest()
