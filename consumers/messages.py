"""Reads messages as headlines: an object with a title is one; its unreadable values are left out and counted."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from newstide.core.envelopes import Found, open_bare, open_message
from newstide.core.error_answers import fault_of_error, may_be_error
from newstide.core.errors import InvalidHeadline
from newstide.core.field_names import pick
from newstide.core.field_values import named, value_of
from newstide.core.headline import MAX_ID_BYTES, Headline, as_formerly, derive_id, from_fields
from newstide.core.ids import stands_alone
from newstide.core.settings import ConsumerSettings, LimitSettings
from newstide.core.text import clean_plain
from newstide.core.times import Zone, parse_time
from newstide.core.unforeseen import unforeseen

_TEXTS = ("description", "source", "url", "language")


class Item(NamedTuple):
    """A headline, or the reason for a refusal, with the record from which it came.

    Attributes:
        record: The record as kafka-python returned it.
        raw: The value in the record, for a dead letter.
        place: The value's place in the record's array, from 1; 0: the record holds one value alone.
        headline: The headline; None where the value was refused.
        fault: Why the value was refused; empty where it was not.
        link: The link as the message gives it.
        day: The time as the message gives it, epoch milliseconds; None where it gives none.
        former: The headline as an earlier version read it, where that differs.
        ahead: Whether the headline's time was too far ahead, and so was replaced.
        unread: Names of fields whose value could not be read, and of what else is left out.
        unknown: Names in the message that belong to no field.
    """

    record: Any
    raw: Any = None
    place: int = 0
    headline: Headline | None = None
    fault: str = ""
    link: str = ""
    day: int | None = None
    former: Headline | None = None
    ahead: bool = False
    unread: tuple[str, ...] = ()
    unknown: Sequence[str] = ()

    @property
    def derived_ids(self) -> tuple[str, ...]:
        """The ids for a headline whose id another headline has, the first that is free; none for a refused value.

        The first is that of the link as it was given. Where that names no page (`n/a`), many headlines have it: then
        source, title and day count.
        """
        headline = self.headline
        if headline is None:
            return ()
        return tuple(derive_id(link, headline.source, headline.title, self.day) for link in (self.link, ""))


@dataclass(frozen=True, slots=True)
class MessageReader:
    """Reads messages by the settings.

    Args:
        consumer: Names of fields, the time zone, the largest size of a message.
        limits: The limits of a headline's values.
    """

    consumer: ConsumerSettings
    limits: LimitSettings
    zone: tzinfo = field(init=False)
    names: Mapping[str, str] = field(init=False)
    _ahead_ms: float = field(init=False)
    _most_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", {str(name): path for name, path in self.consumer.fields.items()})
        object.__setattr__(self, "_ahead_ms", self.limits.ahead.total_seconds() * 1000)
        object.__setattr__(self, "_most_bytes", self.consumer.max_message_bytes)
        object.__setattr__(self, "zone", ZoneInfo(self.consumer.timezone))

    def items(self, record: Any, now_ms: int) -> Iterable[Item]:
        """The items of a record, one after another; a message without a value has none.

        An error that nobody foresaw refuses what was read when it came, and ends nothing.

        Args:
            record: The record as kafka-python returned it, with its timestamp in epoch milliseconds. A sender may set
                any timestamp: one too far ahead of now, or -1 (no timestamp), counts as now.
            now_ms: The current time, epoch milliseconds.
        """
        value = record.value
        if value is None:
            return ()
        if len(value) > (limit := self._most_bytes):
            return (Item(record, fault=f"The message has {len(value):,} bytes; {limit:,} are allowed."),)
        late = record.timestamp > now_ms + self._ahead_ms
        timestamp = now_ms if late or record.timestamp < 0 else record.timestamp
        try:
            if not record.headers and (bare := open_bare(value, self.names)) is not None:
                return (self._read(record, bare, timestamp, late=late),)
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs one message
            return (Item(record, fault=unforeseen(error)),)
        return self._opened(record, timestamp, late=late)

    def _opened(self, record: Any, timestamp: int, *, late: bool) -> Iterator[Item]:
        try:
            for found in open_message(record.value, record.headers, own=self.names, most_bytes=self._most_bytes):
                yield self._item(record, found, timestamp, late=late)
        except InvalidHeadline as error:
            yield Item(record, fault=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs one message
            yield Item(record, fault=unforeseen(error))

    def _item(self, record: Any, found: Found, timestamp: int, *, late: bool) -> Item:
        try:
            item = self._read(record, found, timestamp, late=late)
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs one message
            item = Item(record, found.raw, found.place, fault=unforeseen(error))
        return item._replace(unread=found.left_out + item.unread) if found.left_out else item

    def _read(self, record: Any, found: Found, timestamp: int, *, late: bool) -> Item:
        if found.fields is None:
            return Item(record, found.raw, found.place, fault=found.fault)
        values, unknown, passed_over = pick(found.fields, self.names)
        if unknown and may_be_error(unknown) and (fault := fault_of_error(found.fields)):
            return Item(record, found.raw, found.place, fault=fault, unknown=unknown)
        unread = list(passed_over)
        title = values.get("title")
        fields: dict[str, Any] = {"title": title if title.__class__ is str else value_of("title", title)}
        for name in _TEXTS:
            value = values.get(name)
            fields[name] = value if value is None or value.__class__ is str else self._text(name, value, unread)
        given = values.get("published_at")
        published = None if given is None else self._time(given, fields["language"] or "", unread)
        fields["published_at"] = published
        if "id" in values:
            fields["id"] = self._id(found, values["id"], unread)
        if found.origin is not None and not fields.get("id") and not fields["url"]:
            place = f"\n{found.part}" if found.part else ""
            fields["id"] = derive_id("", found.origin.source, f"{found.origin.id}{place}", None)
        try:
            decoded = from_fields(fields, timestamp, self.limits)
        except InvalidHeadline as error:
            return Item(record, found.raw, found.place, fault=str(error), unknown=unknown)
        headline = decoded.headline
        link = headline.url
        if fields["url"] and not link:
            unread.append("url")
            link = clean_plain(fields["url"])
        if fields["language"] and not headline.language:
            unread.append("language")
        ahead = decoded.ahead or (late and published is None)
        former = as_formerly(fields, headline, self.limits)
        return Item(
            record, found.raw, found.place, headline, "", link, published, former, ahead, tuple(unread), unknown
        )

    def _text(self, name: str, value: Any, unread: list[str]) -> str | None:
        text = value_of(name, value)
        if text is not None and not isinstance(text, str):
            unread.append(name)
            return None
        return text

    def _time(self, value: Any, language: str, unread: list[str]) -> int | None:
        if value.__class__ is not str:
            value = value_of("published_at", value)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int, float))):
                unread.append("published_at")
                return None
        parsed = parse_time(value, language=language, timezone=self.zone)
        if parsed is not None and parsed.milliseconds is None and (inner := named("published_at", value)) is not value:
            parsed = parse_time(inner, language=language, timezone=self.zone)  # an object as a text
        if parsed is None:
            return None
        if parsed.milliseconds is None:
            unread.append("published_at")
        elif parsed.zone is Zone.UNKNOWN:
            unread.append("time zone")
        return parsed.milliseconds

    def _id(self, found: Found, given: Any, unread: list[str]) -> str | None:
        """The headline's id: a message's `id` counts as it is; an enveloped id, or one of another name, by its form."""
        value = given if isinstance(given, (int, float, list)) else value_of("id", given)
        text = clean_plain(str(value)) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
        own = not found.enveloped and ("id" in (found.fields or ()) or "id" in self.names)
        fits = 0 < len(text.encode()) <= MAX_ID_BYTES
        if fits and (own or stands_alone(text)):
            return text
        unread.append("id")
        return None
