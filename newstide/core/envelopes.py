"""What a message holds: one object or many, bare or in an envelope, however it is packed.

`open_message` unpacks gzip, JSON in JSON and the envelopes of CloudEvents, Kafka Connect and Debezium, and finds the
objects that should be headlines. `field_names` knows what their fields are called.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from newstide.core.deletions import is_change, is_deleted, tells_of_deletion
from newstide.core.envelope_kinds import (
    Origin,
    binary_event,
    event_data,
    is_changed_row,
    is_empty_record,
    is_envelope,
    is_event,
    origin_of,
    row_origin,
    time_of,
)
from newstide.core.errors import InvalidHeadline
from newstide.core.field_names import has_title, pick
from newstide.core.field_values import (
    WRAPPERS,
    beside_headlines,
    beside_wrapped,
    filled,
    holds_headline,
    untyped,
    unwrapped,
    value_of,
    wrapper_in,
)
from newstide.core.json_texts import JSON, LEVELS_READ, Broken, documents_of
from newstide.core.nested_headlines import (
    Titled,
    along,
    is_more_than_title,
    nested_paths,
    packed_headlines,
    several_titles,
    unpacked,
)
from newstide.core.packings import Unpacker
from newstide.core.titled_arrays import json_feed_items, table_of, titled_arrays
from newstide.core.titled_groups import EMPTY_GROUP, are_groups, of_groups, times_around
from newstide.core.unforeseen import unforeseen

__all__ = ["Found", "Origin", "open_bare", "open_message"]

_PACKED_WITHIN = 3  # times that a JSON text may lie within a JSON text, or a packed one within a packed one
_WRAPPED_WITHIN = 4  # wrapping objects within each other in which an envelope is looked for
_ENVELOPES = frozenset({"specversion", "payload", "op", "__deleted", "items"})  # names by which envelopes are known


class Found(NamedTuple):
    """Something in a message that should be a headline.

    Attributes:
        raw: The JSON value as it came.
        fields: The object's fields; None where `raw` is no object.
        place: The number of the value in the message's array, from 1; 0 where the message holds one value alone.
        enveloped: Whether the value was in an envelope.
        origin: The source and id that the envelope states; None where it states none.
        fault: Why `raw` is no object; empty where it is one.
        part: The number of the value in an array that its origin's envelope holds, from 1; 0 where that holds one value.
        left_out: What stood beside it and is no headline's, and so is counted among the values that are left out.
    """

    raw: Any
    fields: Mapping[str, Any] | None = None
    place: int = 0
    enveloped: bool = False
    origin: Origin | None = None
    fault: str = ""
    part: int = 0
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Around:
    """What stands around a value in its message: the envelope's origin, what fills a headline's gaps, the packings."""

    origin: Origin | None
    enveloped: bool
    parts: "_Places"  # numbers what the origin's envelope holds
    beside: Mapping[str, Any]
    texts: int = 0  # packings and JSON texts in which the value lies
    times: Sequence[Any] = ()  # of the objects around an array, which fill those that its elements lack

    def within(self, inner: "_Inner") -> "_Around":
        """What stands around the content of an envelope or wrapper."""
        parts = self.parts if inner.origin is None else _Places(False, self.parts.unpacker)
        beside = filled(inner.beside, self.beside) if self.beside else inner.beside
        return _Around(inner.origin or self.origin, True, parts, beside, self.texts, inner.times)


class _Inner(NamedTuple):
    """What an envelope or another object holds; the object itself where `wrapped` is False."""

    value: Any
    origin: Origin | None = None
    wrapped: bool = True
    beside: Mapping[str, Any] = {}
    times: Sequence[Any] = ()


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
    named = {name.lower(): content for name, content in headers or () if content is not None}
    origin = binary_event(named)
    unpacker = Unpacker(most_bytes)
    documents = documents_of(unpacker.text_of(value))
    many = len(documents) > 1 or isinstance(documents[0], list)
    beside = {} if origin is None else time_of({"time": named.get("ce_time", b"").decode("utf-8", "replace")})
    around = _Around(origin, origin is not None, _Places(many, unpacker), beside)
    places = _Places(many, unpacker)
    yield from _documents(documents, around, places, own or {})


class _Places:
    """Numbers the values that have been found in an array; unpacks what lies packed within them."""

    def __init__(self, counts: bool, unpacker: Unpacker) -> None:
        self.counts = counts
        self.unpacker = unpacker
        self._last = 0

    def next(self) -> int:
        self._last += 1
        return self._last if self.counts else 0


def _documents(documents: list[Any], around: _Around, places: _Places, own: Mapping[str, str]) -> Iterator[Found]:
    """What a text holds: one object with a title is a headline, several may be groups."""
    yield from (
        _each(documents, around, places, own) if len(documents) > 1 else _opened(documents[0], around, places, own)
    )


def _opened(value: Any, around: _Around, places: _Places, own: Mapping[str, str]) -> Iterator[Found]:
    """As `_found`; an error that nobody foresaw costs this value alone."""
    try:
        yield from _found(value, around, places, own)
    except Exception as error:  # noqa: BLE001 - whatever it is, it costs one message
        yield Found(_raw(value), place=places.next(), fault=unforeseen(error))


def _raw(value: Any) -> Any:
    """A value as a dead letter holds it, which is JSON."""
    if isinstance(value, Broken):
        return value.raw
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _found(value: Any, around: _Around, places: _Places, own: Mapping[str, str]) -> Iterator[Found]:
    texts = around.texts
    if isinstance(value, str) and texts < _PACKED_WITHIN and isinstance(held := unpacked(value), bytes):
        value = held
    packed = isinstance(value, bytes)
    if packed or (isinstance(value, str) and texts < _PACKED_WITHIN and value.lstrip()[:1] in ("{", "[", '"')):
        try:
            if texts >= _PACKED_WITHIN:
                raise InvalidHeadline(f"The message is packed more than {_PACKED_WITHIN} times, one within another.")
            documents = documents_of(places.unpacker.text_of(value) if packed else value)
        except InvalidHeadline as error:
            yield Found(_raw(value), place=places.next(), fault=str(error))
            return
        _count(len(documents) > 1, around, places)
        yield from _documents(documents, replace(around, texts=texts + 1), places, own)
    elif isinstance(value, list):
        if not value:
            yield Found(value, place=places.next(), fault="The array is empty.")
        _count(True, around, places)
        yield from _each(value, around, places, own)
    elif isinstance(value, dict):
        for inner in _unwrapped(value, own):
            if inner.wrapped:
                yield from _opened(inner.value, around.within(inner), places, own)
            else:
                fields = filled(inner.value, around.beside) if around.beside else inner.value
                part = around.parts.next()
                yield Found(value, fields, places.next(), around.enveloped, around.origin, part=part)
    elif isinstance(value, Broken):
        yield Found(value.raw, place=places.next(), fault=value.fault)
    else:
        kind = "null" if value is None else type(value).__name__
        what = "element" if places.counts else "message"
        yield Found(value, place=places.next(), fault=f"The {what} is a JSON {kind}, not an object.")


def _each(values: list[Any], around: _Around, places: _Places, own: Mapping[str, str]) -> Iterator[Found]:
    """As `_opened`, of several values, or of the headlines in them where they are groups; the first counts empty ones."""
    left_out: tuple[str, ...] = ()
    titled = partial(has_title, own=own)
    if are_groups(values, titled, around.times):
        values, empty = of_groups(values, titled, around.times)
        left_out = (EMPTY_GROUP,) * len(empty)
    for value in values:
        for found in _opened(value, around, places, own):
            yield found._replace(left_out=found.left_out + left_out) if left_out else found
            left_out = ()


def _count(many: bool, around: _Around, places: _Places) -> None:
    """From here on, values have numbers, if they are many."""
    places.counts |= many
    around.parts.counts |= many


def _unwrapped(value: dict[str, Any], own: Mapping[str, str]) -> Iterator[_Inner]:
    """Yields what an envelope holds, or the object itself. A deleted row yields nothing."""
    if is_deleted(value):
        return
    value = untyped(value) or value
    if is_changed_row(value):
        value = {name: inner for name, inner in value.items() if name != "old"}
    titled = partial(has_title, own=own)
    if is_empty_record(value) and not titled(value):
        return
    if is_event(value):
        yield _Inner(event_data(value), origin_of(value.get("source"), value.get("id")), beside=time_of(value))
    elif value.keys() == {"schema", "payload"}:
        yield _Inner(value["payload"])
    elif (items := json_feed_items(value)) is not None:
        yield _Inner(items)
    elif titled(value):
        yield _Inner(value, wrapped=False)
    elif is_change(value):
        if (after := value.get("after")) is not None:
            yield _Inner(after, row_origin(value.get("source"), after))
    elif not tells_of_deletion(objects := _with_objects(value)):
        yield _wrapped(value, objects, titled, own)


def _wrapped(value: dict[str, Any], objects: dict[str, Any], titled: Titled, own: Mapping[str, str]) -> _Inner:
    """What an object without a title wraps, in other objects, arrays or texts; the object itself where that is nothing."""
    if (envelope := _envelope_within(objects, titled)) is not None:
        return envelope
    if (inner := unwrapped(objects, titled)) is not None:
        return _Inner(inner, _stated(value, own))
    if (table := table_of(value, titled)) is not None:
        return _Inner(table)
    arrays = titled_arrays(objects, lambda fields: titled(fields) or is_envelope(fields))
    where, elements = next(iter(arrays.items()), ("", []))
    if len(arrays) == 1 and any(
        is_more_than_title(one) or (isinstance(one, dict) and is_envelope(one)) for one in elements
    ):
        return _Inner(elements, times=times_around(objects, where))
    if (nested := _nested(value, objects, titled, own)) is not None:
        return nested
    arrays = titled_arrays(objects, lambda fields: _holds_nested(fields, titled)) or arrays
    if len(arrays) > 1:
        return _Inner(Broken(value, several_titles([(path,) for path in arrays])))
    for where, elements in arrays.items():
        return _Inner(elements, times=times_around(objects, where))
    return _Inner(value, wrapped=False)


def _nested(value: dict[str, Any], objects: dict[str, Any], titled: Titled, own: Mapping[str, str]) -> _Inner | None:
    """What an object without a title holds under an unknown name, or in a text; a reason where that is at several places."""
    paths = nested_paths(objects, lambda fields: is_envelope(fields) or (titled(fields) and holds_headline(fields)))
    if len(paths) == 1:
        inner, with_beside = along(objects, paths[0])
        if is_envelope(inner):
            return _Inner(inner, beside=_beside(objects, paths[0], own))
        return _Inner(with_beside, _stated(value, own))
    packed = packed_headlines(value, partial(_leads, titled=titled))
    if len(packed) == 1 and not paths:
        ((path, text),) = packed
        return _Inner(text, _stated(value, own), beside=_beside(value, path, own))
    several = [*paths, *(path for path, _ in packed)]
    return _Inner(Broken(value, several_titles(several))) if several else None


def _beside(record: Mapping[str, Any], path: Sequence[str], own: Mapping[str, str]) -> Mapping[str, Any]:
    """The source, language and time that stand along a path."""
    beside: Mapping[str, Any] = {}
    for name in path:
        beside = filled(beside_headlines(record, own), beside)
        record = record[name]
    return beside


def _leads(inner: Any, titled: Titled) -> bool:
    """Whether a JSON value that was packed in a text is a headline, or holds one."""
    if isinstance(inner, list):
        return any(_leads(one, titled) for one in inner)
    if not isinstance(inner, dict):
        return False
    if titled(inner) or is_envelope(inner) or unwrapped(objects := _with_objects(inner), titled) is not None:
        return True
    return bool(titled_arrays(objects, titled)) or _holds_nested(inner, titled)


def _holds_nested(fields: Mapping[str, Any], titled: Titled) -> bool:
    """Whether an element of an array is to be opened: for what it holds, or since it says that a row was deleted."""
    found = _nested(dict(fields), _with_objects(dict(fields)), titled, {})
    return (found is not None and not isinstance(found.value, Broken)) or tells_of_deletion(fields)


def _envelope_within(value: Mapping[str, Any], titled: Titled) -> _Inner | None:
    """The envelope that an object without a title wraps, with what stands beside it; None where it wraps none."""
    beside: Mapping[str, Any] = {}
    for _ in range(_WRAPPED_WITHIN):
        name = wrapper_in(value)
        if name is None:
            return None
        inner = value[name]
        beside = filled(beside_headlines(value), beside)
        if is_envelope(inner):
            return _Inner(inner, beside=beside)
        if titled(inner):
            return None
        value = _with_objects(inner)
    return None


def _with_objects(value: dict[str, Any]) -> dict[str, Any]:
    """The object with its wrapping texts that are JSON as what they hold: `{"message": "{...}"}`; several as a list."""
    opened_ = dict(value)
    for name in WRAPPERS:
        text = value.get(name)
        if isinstance(text, str) and text.lstrip()[:1] in ("{", "["):
            with suppress(InvalidHeadline):
                documents = documents_of(text)
                opened_[name] = documents[0] if len(documents) == 1 else documents
    return opened_


def _stated(wrapper: Mapping[str, Any], own: Mapping[str, str]) -> Origin | None:
    """The origin that an object states beside the headline that it wraps."""
    values, *_ = pick(beside_wrapped(wrapper), own)
    return origin_of(value_of("source", values.get("source")), value_of("id", values.get("id")))
