"""What a message holds: one object or many, bare or in an envelope, however it is packed.

`open_message` unpacks gzip, JSON in JSON and the envelopes of CloudEvents, Kafka Connect and Debezium, and finds the
objects that should be headlines. `field_names` knows what their fields are called.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from newstide.core.errors import InvalidHeadline
from newstide.core.field_names import has_title, pick
from newstide.core.field_values import WRAPPERS, beside_wrapped, unwrapped, value_of
from newstide.core.json_texts import JSON, LEVELS_READ, Broken, documents_of, without_depths
from newstide.core.packings import Unpacker
from newstide.core.titled_arrays import json_feed_items, table_of, titled_arrays
from newstide.core.unforeseen import unforeseen

__all__ = ["Found", "Origin", "open_bare", "open_message", "without_depths"]

_PACKED_WITHIN = 3  # times that a JSON text may lie within a JSON text, or a packed one within a packed one
_ENVELOPES = frozenset({"specversion", "payload", "op", "__deleted", "items"})  # names by which envelopes are known


@dataclass(frozen=True, slots=True)
class Origin:
    """The source and the id that an envelope states; together they identify what the envelope holds."""

    source: str
    id: str


class Found(NamedTuple):
    """Something in a message that should be a headline.

    Attributes:
        raw: The JSON value as it came.
        fields: The object's fields; None where `raw` is no object.
        place: The number of the value in the message's array, from 1; 0 where the message holds one value alone.
        enveloped: Whether the value was in an envelope.
        origin: The source and id that the envelope states; None where it states none.
        fault: Why `raw` is no object; empty where it is one.
    """

    raw: Any
    fields: Mapping[str, Any] | None = None
    place: int = 0
    enveloped: bool = False
    origin: Origin | None = None
    fault: str = ""


def open_bare(value: bytes, own: Mapping[str, str]) -> Found | None:
    """A message without headers that is one object with a title and no envelope, as most are; None for any other."""
    if value[:1] != b"{" or value.count(b"[") + value.count(b"{") > LEVELS_READ:
        return None
    try:
        text = value.decode()
        fields, end = JSON.raw_decode(text)
    except ValueError:
        return None
    if end != len(text) or not has_title(fields, own) or not _ENVELOPES.isdisjoint(fields):
        return None
    return Found(fields, fields)


def open_message(
    value: bytes,
    headers: Sequence[tuple[str, bytes]] = (),
    *,
    own: Mapping[str, str] | None = None,
    most_bytes: int = 65_536,
) -> Iterator[Found]:
    """Finds the values in a message that should be headlines. The envelope of a deleted row yields nothing.

    Args:
        value: The message's value.
        headers: The message's headers; those of a CloudEvent in binary mode are the envelope.
        own: Field to the producer's own name or dotted path; see `field_names.pick`.
        most_bytes: The largest size to which all that is packed in the message may unpack together.

    Raises:
        InvalidHeadline: The message cannot be read at all; the error's message is the reason.
    """
    envelope = _binary_event(headers)
    unpacker = Unpacker(most_bytes)
    documents = documents_of(unpacker.text_of(value))
    many = len(documents) > 1
    numbers = _Places(many or isinstance(documents[0], list), unpacker)
    for document in documents:
        yield from _opened(document, envelope, envelope is not None, numbers, own or {}, 0)


class _Places:
    """Numbers the values that have been found in an array; unpacks what lies packed within them."""

    def __init__(self, counts: bool, unpacker: Unpacker) -> None:
        self.counts = counts
        self.unpacker = unpacker
        self._last = 0

    def next(self) -> int:
        self._last += 1
        return self._last if self.counts else 0


def _opened(
    value: Any, origin: Origin | None, enveloped: bool, places: _Places, own: Mapping[str, str], texts: int
) -> Iterator[Found]:
    """As `_found`; an error that nobody foresaw costs this value alone."""
    try:
        yield from _found(value, origin, enveloped, places, own, texts)
    except Exception as error:  # noqa: BLE001 - whatever it is, it costs one message
        yield Found(_raw(value), place=places.next(), fault=unforeseen(error))


def _raw(value: Any) -> Any:
    """A value as a dead letter holds it, which is JSON."""
    if isinstance(value, Broken):
        return value.raw
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _found(
    value: Any, origin: Origin | None, enveloped: bool, places: _Places, own: Mapping[str, str], texts: int
) -> Iterator[Found]:
    packed = isinstance(value, bytes)
    if packed or (isinstance(value, str) and texts < _PACKED_WITHIN and value.lstrip()[:1] in ("{", "[", '"')):
        try:
            if texts >= _PACKED_WITHIN:
                raise InvalidHeadline(f"The message is packed more than {_PACKED_WITHIN} times, one within another.")
            documents = documents_of(places.unpacker.text_of(value) if packed else value)
        except InvalidHeadline as error:
            yield Found(_raw(value), place=places.next(), fault=str(error))
            return
        places.counts |= len(documents) > 1
        for document in documents:
            yield from _opened(document, origin, enveloped, places, own, texts + 1)
    elif isinstance(value, list):
        if not value:
            yield Found(value, place=places.next(), fault="The array is empty.")
        places.counts = True
        for element in value:
            yield from _opened(element, origin, enveloped, places, own, texts)
    elif isinstance(value, dict):
        for inner, its_origin, in_one in _unwrapped(value, own):
            if in_one:
                yield from _opened(inner, its_origin or origin, True, places, own, texts)
            else:
                yield Found(value, value, places.next(), enveloped, origin)
    elif isinstance(value, Broken):
        yield Found(value.raw, place=places.next(), fault=value.fault)
    else:
        kind = "null" if value is None else type(value).__name__
        what = "element" if places.counts else "message"
        yield Found(value, place=places.next(), fault=f"The {what} is a JSON {kind}, not an object.")


def _unwrapped(value: dict[str, Any], own: Mapping[str, str]) -> Iterator[tuple[Any, Origin | None, bool]]:
    """Yields an envelope's content, its origin and True; or the object and False. A deleted row yields nothing."""
    if _is_deleted(value):
        return
    if "old" in value and "database" in value and "table" in value:  # Canal and Maxwell: what a changed row was before
        value = {name: inner for name, inner in value.items() if name != "old"}
    if "specversion" in value and ("data" in value or "data_base64" in value):
        yield _event_data(value), _origin(value.get("source"), value.get("id")), True
    elif value.keys() == {"schema", "payload"}:
        if value["payload"] is not None:
            yield value["payload"], None, True
    elif "op" in value and ("after" in value or "before" in value):
        after = value.get("after")
        if after is not None:
            yield after, _row_origin(value.get("source"), after), True
    elif (items := json_feed_items(value)) is not None:
        yield items, None, True
    elif has_title(value, own):
        yield value, None, False
    elif (inner := unwrapped(_with_objects(value), lambda fields: has_title(fields, own))) is not None:
        yield inner, _stated(value, own), True
    elif (table := table_of(value, lambda fields: has_title(fields, own))) is not None:
        yield table, None, True
    elif len(arrays := titled_arrays(value, lambda fields: has_title(fields, own))) == 1:
        yield next(iter(arrays.values())), None, True
    else:
        yield value, None, False


def _is_deleted(value: Mapping[str, Any]) -> bool:
    """Whether an object says that a row was deleted: Debezium's unwrapped rows, Maxwell, Canal, AWS DMS, MongoDB."""
    if str(value.get("__deleted", "")).lower() == "true":
        return True
    if "documentKey" in value and value.get("operationType") == "delete":
        return True
    metadata = value.get("metadata")
    if isinstance(metadata, Mapping) and "data" in value and str(metadata.get("operation")).lower() == "delete":
        return True
    return "database" in value and "table" in value and str(value.get("type")).lower() == "delete"


def _with_objects(value: dict[str, Any]) -> dict[str, Any]:
    """The object with its wrapping texts that are JSON objects as objects: `{"message": "{...}"}`."""
    opened_ = dict(value)
    for name in WRAPPERS:
        text = value.get(name)
        if isinstance(text, str) and text.lstrip()[:1] == "{":
            with suppress(InvalidHeadline):
                opened_[name] = next((one for one in documents_of(text) if isinstance(one, dict)), text)
    return opened_


def _event_data(event: Mapping[str, Any]) -> Any:
    if event.get("data") is not None:
        return event["data"]
    if event.get("data_base64") is None:
        return Broken(event, "The event holds no data.")
    try:
        return base64.b64decode(str(event["data_base64"]), validate=True)
    except (binascii.Error, ValueError):
        return Broken(event, "The event's data_base64 is not base64.")


def _origin(source: Any, id_: Any) -> Origin | None:
    return Origin(str(source), str(id_)) if source not in (None, "") and id_ not in (None, "") else None


def _stated(wrapper: Mapping[str, Any], own: Mapping[str, str]) -> Origin | None:
    """The origin that an object states beside the headline that it wraps."""
    values, _ = pick(beside_wrapped(wrapper), own)
    return _origin(value_of("source", values.get("source")), value_of("id", values.get("id")))


def _row_origin(source: Any, row: Any) -> Origin | None:
    """The origin of a database row: the name of its table, and the row's id in that table."""
    if not isinstance(source, Mapping) or not isinstance(row, Mapping):
        return None
    place = ".".join(str(source[name]) for name in ("name", "db", "schema", "table") if source.get(name))
    return _origin(place, row.get("id"))


def _binary_event(headers: Sequence[tuple[str, bytes]]) -> Origin | None:
    """The envelope of a CloudEvent in binary mode, which stands in the message's headers."""
    named = {name.lower(): content for name, content in headers or () if content is not None}
    if b"" in (named.get("ce_specversion", b""), named.get("ce_id", b""), named.get("ce_source", b"")):
        return None
    return Origin(named["ce_source"].decode("utf-8", "replace"), named["ce_id"].decode("utf-8", "replace"))
