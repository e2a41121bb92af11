"""The value of a headline's field, however its producer nests it: `{"name": ...}`, `[...]`, `{"$date": ...}`.

Files and messages read values by the same rules, so that the same headline has the same id at either entrance.
"""

import ast
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from newstide.core.instants import Instant
from newstide.core.known_names import field_of
from newstide.core.languages import language_tag
from newstide.core.nulls import NULLS
from newstide.core.text import clean, is_no_title
from newstide.core.time_names import LANGUAGES
from newstide.core.times import Fault, Zone, parse_time

# Where a value is an object, the keys under which that object holds the value itself (`string`, `long`: Avro's JSON).
WITHIN: Mapping[str, tuple[str, ...]] = {
    "title": ("main", "rendered", "title", "text", "value", "#text", "_text", "$t", "string", "@value"),
    "description": ("rendered", "text", "value", "content", "#text", "_text", "$t", "name", "title", "string", "@value"),
    "source": ("name", "title", "label", "domain", "#text", "_text", "id", "string", "@value"),
    "url": ("url", "href", "link", "canonical", "permalink", "#text", "_text", "$t", "string", "@id"),
    "published_at": (
        "$date", "$numberLong", "$numberDouble", "value", "datetime", "dateTime", "date", "seconds", "_seconds", "#text",
        "_text", "$t", "string", "long", "@value", "iso",
    ),
    "language": ("code", "iso", "id", "name", "value", "string"),
    "id": ("$oid", "#text", "_text", "value", "string"),
}  # fmt: skip
# Names under which an object without a title holds the headline itself: `{"_source": {...}}`.
WRAPPERS = (
    "_source", "data", "attributes", "node", "article", "item", "post", "doc", "document", "story", "fields", "payload",
    "value", "message", "record", "after", "fullDocument", "Message", "detail", "entry", "content", "body", "object",
    "resource", "result", "news", "newsItem", "snippet", "properties", "current", "new", "new_val", "NewImage", "dynamodb",
)  # fmt: skip
BEHIND_UTC = " UTC"  # what `in_utc` puts behind a time, and `several_values` takes off again
_ZONES = ("timezone", "timeZone", "tz", "zone")  # beside a time in an object, as PHP and calendars write it
_SHARED = ("source", "language", "published_at")  # the fields whose value all headlines in an object may share
_OF_HEADLINES = frozenset({"url", "source", "published_at", "description"})  # fields that a title's object has not
_TRANSLATED = ("title", "description")  # the fields whose text may stand there in several languages
_TYPES = frozenset({"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"})  # of DynamoDB's values
_OTHERS = ("value", "name", "#text")  # the keys for fields that are no headline's
_LONGEST_OBJECT = 20_000  # characters of a cell that may be an object
_EXACT = 2**53  # from which on a float may stand for several whole numbers
_LINK = re.compile(r"\s*https?://\S", re.IGNORECASE)
_DEPTH = 4  # levels of values within values that are searched


def value_of(field: str, value: Any) -> Any:
    """A value in the form that a headline's field needs: a text, or a number for a time or a title.

    An object stands for what it names, a list for its texts (descriptions) or its first value; a title's list must have
    one. NaN and empty values are None. What cannot be read stays as it is, so that its reader can say so.
    """
    if value is None or value.__class__ is str:
        return value
    found = _read(field, value, _DEPTH)
    if found is not None:
        return found
    return None if (not value and value is not False) or value != value else value  # noqa: PLR0124 - NaN


def named(field: str, value: Any) -> Any:
    """A field's value; of a text that is an object or a list, as tables have it whose cells held these, the value in it.

    Such a text is JSON, or what Python shows. One that holds no text for the field stays, unless it is the field's own
    object without a value, which is empty. A list of several titles stays a list, which nothing reads.
    """
    if value.__class__ is not str or value[:1] not in ("{", "[") or len(value) > _LONGEST_OBJECT:
        return value
    if value.rstrip()[-1:] not in ("}", "]"):  # `[Video] Mill shuts`
        return value
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            found = read(value)
            if found in ([], {}):
                return ""
            name = value_of(field, found) if isinstance(found, Mapping | list) else None
            if isinstance(name, str) or (field == "published_at" and isinstance(name, int | float | Instant)):
                return name
            if isinstance(found, list) and field == "title" and sum(isinstance(one, str) for one in found) > 1:
                return found
            return "" if _is_own_object(field, found) else value
    return value


def _is_own_object(field: str, found: Any) -> bool:
    """Whether an object, or the first of a list, has a name under which the field's value stands in objects."""
    one = found[0] if isinstance(found, list) and found else found
    return isinstance(one, Mapping) and any(name in one for name in WITHIN.get(field, _OTHERS))


def at_path(record: Any, path: str) -> Any:
    """The value at a dotted path, `headline.main`; of a list on the way, the first element counts."""
    if isinstance(record, Mapping) and path in record:  # a name may hold dots itself
        return record[path]
    value = record
    for part in path.split("."):
        while isinstance(value, list) and value and not part.isdecimal():
            value = value[0]
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def unwrapped(record: Mapping[str, Any], has_title: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any] | None:
    """The headline inside an object such as `{"_source": {...}}`; None where there is none.

    The headline's own values count, under whatever names; those beside it fill only the fields that it lacks.

    Args:
        record: The object.
        has_title: Says whether an object is a headline.
    """
    if has_title(record):
        return record
    beside = record
    for _ in range(_DEPTH):
        name = wrapper_in(beside)
        if name is None:
            return None
        inner, beside = stepped_into(beside, name)
        if has_title(inner):
            return beside
    return None


def stepped_into(record: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The object that stands under a name in another, and the same with what stands beside it where it lacks it."""
    beside = dict(record)
    inner = beside.pop(name)
    inner = untyped(inner) or inner
    return inner, filled(inner, beside)


def wrapper_in(record: Mapping[str, Any]) -> str | None:
    """The name under which an object holds another that may be a headline; None where there is none."""
    known = (name for name in WRAPPERS if isinstance(record.get(name), Mapping))
    titles = (name for name, value in record.items() if isinstance(value, Mapping) and _is_title_of(name, value))
    return next(known, None) or next(titles, None)


def _is_title_of(name: str, value: Mapping[str, Any]) -> bool:
    return field_of(name) == "title" and holds_headline(value)


def holds_headline(value: Any) -> bool:
    """Whether what stands under a title's name is a whole headline, or a list that has one: `{"headline": {"title": ...}}`.

    A title's own object (`{"main": ..., "kicker": ...}`) has no link, no time and no source.
    """
    if isinstance(value, list):
        return any(isinstance(one, Mapping) and holds_headline(one) for one in value)
    if not isinstance(value, Mapping):
        return False
    fields = {field_of(name) for name, inner in value.items() if not _is_blank(inner)}
    return "title" in fields and not _OF_HEADLINES.isdisjoint(fields)


def beside_wrapped(record: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a wrapping object that stand beside what it wraps."""
    return {name: value for name, value in record.items() if name not in WRAPPERS or not isinstance(value, Mapping)}


def beside_headlines(record: Mapping[str, Any], own: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The values of an object that hold for all headlines within it: its source, its language and its time.

    Its id, link and texts are its own. A value that cannot be read fills nothing. `own` gives fields names of their own.
    """
    found: dict[str, Any] = {}
    named_so = {path: field for field, path in (own or {}).items()}
    for name, value in record.items():
        field = named_so.get(name) or field_of(name)
        if field in _SHARED and not _is_blank(value) and is_readable(field, value):
            found[name] = value
    return found


def is_readable(field: str, value: Any) -> bool:
    """Whether a value can be read as the field's. Which id counts is a question of its form, and of the entrance."""
    if field == "id":
        return True
    text = value_of(field, value)
    if field == "published_at":
        if isinstance(text, Instant):
            return True
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            return False
        parsed = parse_time(text)
        return parsed is not None and (parsed.milliseconds is not None or parsed.fault is Fault.AMBIGUOUS)
    if not isinstance(text, str) or text in NULLS or not isinstance(text := named(field, text), str):
        return False
    if field == "title":  # `N/A`, `&nbsp;` and a bare link are none
        return bool(cleaned := clean(text)) and not is_no_title(cleaned)
    if field == "url":
        return _LINK.match(text) is not None
    return bool(language_tag(text)) if field == "language" else True


def filled(inner: Mapping[str, Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    """An object's values, and of those beside it the ones of fields that it lacks. A headline with a link needs no id."""
    own = {name: value for name, value in inner.items() if not _is_blank(value)}
    has = {field_of(name) for name in beside_wrapped(own)} - {None}
    if "url" in has:
        has.add("id")
    kept = {name: value for name, value in beside.items() if field_of(name) not in has}
    return kept | {name: value for name, value in inner.items() if name in own or name not in kept}


def _is_blank(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, dict | list) and not value)


def _read(field: str, value: Any, depth: int) -> str | int | float | Instant | None:
    """A text, a number or a moment; None where the value holds none that fits the field."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, Instant):
        return value if field == "published_at" else None
    if isinstance(value, Decimal):
        return _of_decimal(field, value)
    if isinstance(value, int | float):
        if field == "id" and isinstance(value, float) and abs(value) >= _EXACT:
            return None
        if isinstance(value, float):
            if math.isnan(value):
                return None
            value = int(value) if value.is_integer() else value
        return value if field in ("published_at", "title") else _digits(value)
    if not depth:
        return None
    if isinstance(value, Mapping):
        if field in _TRANSLATED and is_by_language(value):
            return next((text for text in value.values() if text.strip()), None)
        inner = (value.get(name) for name in WITHIN.get(field, _OTHERS))
        found = next((found for one in inner if (found := _read(field, one, depth - 1)) is not None), None)
        if field == "published_at" and isinstance(found, str):
            return _with_zone(found, [f" {zone}" for name in _ZONES if isinstance(zone := value.get(name), str)])
        return found
    if isinstance(value, list | tuple):
        several = [found for one in value if (found := _read(field, one, depth - 1)) is not None]
        if field == "title" and len(several) > 1:
            return None
        if field == "description":
            return "\n".join(map(str, several)) or None
        return several[0] if several else None
    return None


def _of_decimal(field: str, value: Decimal) -> str | int | float | None:
    """The number with all its digits; a time that is no whole number as a float."""
    if not value.is_finite():
        return None
    whole = value == value.to_integral_value()
    if field == "published_at":
        return int(value) if whole else float(value)
    return str(int(value)) if whole else format(value, "f")


def is_by_language(value: Mapping[Any, Any]) -> bool:
    """Whether an object holds a text in one or more languages: `{"en": "One", "de": "Eins"}`."""
    return (
        bool(value)
        and all(isinstance(name, str) and name.replace("_", "-").split("-")[0] in LANGUAGES for name in value)
        and all(isinstance(text, str) for text in value.values())
        and list(value) != ["id"]
    )


def untyped(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The plain values of DynamoDB's typed JSON, `{"title": {"S": "One"}}`; None for other objects."""
    if not record or not all(isinstance(value, Mapping) and _TYPES.issuperset(value) for value in record.values()):
        return None
    if not all(len(value) == 1 for value in record.values()):
        return None
    return {name: _plain(value) for name, value in record.items()}


def _plain(typed: Any) -> Any:
    if not isinstance(typed, Mapping) or len(typed) != 1:
        return typed
    ((kind, value),) = typed.items()
    if kind == "M" and isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if kind == "L" and isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if kind == "NULL" else value


def _with_zone(time: str, zones: Sequence[str]) -> str:
    """The time with the first known of the zones behind it, each with a space before it; unchanged where it names one."""
    parsed = parse_time(time) if zones else None
    if parsed is None or parsed.zone is not Zone.MISSING:
        return time
    for zone in zones:
        told = parse_time(time + zone)
        if told is not None and told.milliseconds is not None and told.zone is Zone.GIVEN:
            return time + zone
    return time


def in_utc(time: Any) -> Any:
    """A time whose name says that it is in UTC, with that zone where it names none."""
    text = value_of("published_at", time)
    return _with_zone(text, [BEHIND_UTC]) if isinstance(text, str) else time


def _digits(number: float) -> str | None:
    try:
        return str(number)
    except ValueError:  # the number has thousands of digits, which Python does not write
        return None
