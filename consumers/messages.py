"""Reads messages as headlines: an object with a title is one; its unreadable values are left out and counted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from newstide.core.envelopes import Found, open_message
from newstide.core.errors import InvalidHeadline
from newstide.core.field_names import pick, text_within
from newstide.core.headline import MAX_ID_BYTES, Headline, derive_id, from_fields
from newstide.core.ids import stands_alone
from newstide.core.settings import ConsumerSettings, LimitSettings
from newstide.core.text import clean_plain
from newstide.core.times import Zone, parse_time

_TEXTS = ("description", "source", "url", "language")


@dataclass(frozen=True, slots=True)
class Item:
    """A headline, or the reason for a refusal, with the record from which it came.

    Attributes:
        record: The record as kafka-python returned it.
        raw: The value in the record, for a dead letter.
        place: The value's place in the record's array, from 1; 0: the record holds one value alone.
        headline: The headline; None where the value was refused.
        fault: Why the value was refused; empty where it was not.
        derived_id: The id that the headline gets where another headline has its id.
        former: The headline as an earlier version read it, where that differs.
        ahead: Whether the headline's time was too far ahead, and so was replaced.
        unread: Names of fields whose value could not be read.
        unknown: Names in the message that belong to no field.
    """

    record: Any
    raw: Any = None
    place: int = 0
    headline: Headline | None = None
    fault: str = ""
    derived_id: str = ""
    former: Headline | None = None
    ahead: bool = False
    unread: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", {str(name): path for name, path in self.consumer.fields.items()})
        object.__setattr__(self, "zone", ZoneInfo(self.consumer.timezone))

    def items(self, record: Any, now_ms: int) -> Iterator[Item]:
        """The items of a record, one after another; a message without a value has none.

        Args:
            record: The record as kafka-python returned it, with its timestamp in epoch milliseconds. A sender may set
                any timestamp: one too far ahead of now, or -1 (no timestamp), counts as now.
            now_ms: The current time, epoch milliseconds.
        """
        if record.value is None:
            return
        limit = self.consumer.max_message_bytes
        if len(record.value) > limit:
            yield Item(record, fault=f"The message has {len(record.value):,} bytes; {limit:,} are allowed.")
            return
        late = record.timestamp > now_ms + self.limits.ahead.total_seconds() * 1000
        timestamp = now_ms if late or record.timestamp < 0 else record.timestamp
        try:
            for found in open_message(record.value, record.headers, own=self.names, most_bytes=limit):
                yield self._item(record, found, timestamp, late=late)
        except InvalidHeadline as error:
            yield Item(record, fault=str(error))

    def _item(self, record: Any, found: Found, timestamp: int, *, late: bool) -> Item:
        if found.fields is None:
            return Item(record, found.raw, found.place, fault=found.fault)
        values, unknown = pick(found.fields, self.names)
        unread: list[str] = []
        fields: dict[str, Any] = {"title": text_within("title", values.get("title"))}
        for name in _TEXTS:
            fields[name] = self._text(name, values.get(name), unread)
        published = self._time(values.get("published_at"), fields["language"] or "", unread)
        fields["published_at"] = published
        fields["id"] = self._id(found, values, unread)
        if not fields["id"] and not fields["url"] and found.origin is not None:
            place = f"\n{found.place}" if found.place else ""
            fields["id"] = derive_id("", found.origin.source, f"{found.origin.id}{place}", None)
        try:
            decoded = from_fields(fields, timestamp, self.limits)
        except InvalidHeadline as error:
            return Item(record, found.raw, found.place, fault=str(error), unknown=tuple(unknown))
        headline = decoded.headline
        if fields["url"] and not headline.url:
            unread.append("url")
        derived = headline.id  # as it is where the message brings none
        if fields["id"]:
            derived = derive_id(clean_plain(fields["url"] or ""), headline.source, headline.title, published)
        ahead = decoded.ahead or (late and published is None)
        return Item(
            record,
            found.raw,
            found.place,
            headline,
            derived_id=derived,
            former=decoded.former,
            ahead=ahead,
            unread=tuple(unread),
            unknown=tuple(unknown),
        )

    def _text(self, name: str, value: Any, unread: list[str]) -> str | None:
        text = text_within(name, value)
        if text is None and value is None:
            return None
        if not isinstance(text, str):
            unread.append(name)
            return None
        return text

    def _time(self, value: Any, language: str, unread: list[str]) -> int | None:
        value = text_within("published_at", value)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int, float))):
            unread.append("published_at")
            return None
        parsed = parse_time(value, language=language, timezone=self.zone)
        if parsed is None:
            return None
        if parsed.milliseconds is None:
            unread.append("published_at")
        elif parsed.zone is Zone.UNKNOWN:
            unread.append("time zone")
        return parsed.milliseconds

    def _id(self, found: Found, values: Mapping[str, Any], unread: list[str]) -> str | None:
        """The headline's id: a message's `id` counts as it is; an enveloped id, or one of another name, by its form."""
        value = text_within("id", values.get("id"))
        if value is None and values.get("id") is None:
            return None
        text = clean_plain(str(value)) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
        own = not found.enveloped and ("id" in (found.fields or ()) or "id" in self.names)
        fits = 0 < len(text.encode()) <= MAX_ID_BYTES
        if fits and (own or stands_alone(text)):
            return text
        unread.append("id")
        return None
