"""What a message holds: one object or many, bare or in an envelope, however it is packed.

`open_message` unpacks gzip, JSON in JSON and the envelopes of CloudEvents, Kafka Connect and Debezium, and finds the
objects that should be headlines. `field_names` knows what their fields are called.
"""

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from newstide.core.errors import InvalidHeadline
from newstide.core.field_names import has_title
from newstide.core.field_values import WRAPPERS, unwrapped
from newstide.core.text import shorten
from newstide.core.titled_arrays import json_feed_items, table_of, titled_arrays
from newstide.core.unforeseen import unforeseen

MOST_LEVELS = 3_000  # levels of nesting that a message's JSON may have
_LEVELS_READ = 200  # a headline's values lie less deep; Python's parser manages about a thousand levels
_JSON_IN_JSON = 3  # times that a JSON text may lie within a JSON text
_MOST_BROKEN = 100  # texts in a message that are no JSON, after which the rest of it is not searched for JSON
_LONGEST_NUMBER = 300  # digits of an integer that is read as one
_ENVELOPES = frozenset({"specversion", "payload", "op", "__deleted", "items"})  # names by which envelopes are known
_DOCUMENT = re.compile(r"^[\[{]", re.MULTILINE)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
# Also what stands between the texts of a JSON sequence (RFC 7464), of joined files, and at the end of what C programs write.
_SPACE = re.compile("[\\s,\\x00\\x1e\ufeff]*")


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
    if value[:1] != b"{" or value.count(b"[") + value.count(b"{") > _LEVELS_READ:
        return None
    try:
        text = value.decode()
        fields, end = _JSON.raw_decode(text)
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
        most_bytes: The largest size to which a compressed value may unpack.

    Raises:
        InvalidHeadline: The message cannot be read at all; the error's message is the reason.
    """
    envelope = _binary_event(headers)
    documents = _documents(_text_of(value, most_bytes))
    many = len(documents) > 1
    numbers = _Places(many or isinstance(documents[0], list), most_bytes)
    for document in documents:
        yield from _opened(document, envelope, envelope is not None, numbers, own or {}, 0)


class _Places:
    """Numbers the values that have been found in an array; knows to how many bytes each may unpack."""

    def __init__(self, counts: bool, most_bytes: int) -> None:
        self.counts = counts
        self.most_bytes = most_bytes
        self._last = 0

    def next(self) -> int:
        self._last += 1
        return self._last if self.counts else 0


@dataclass(frozen=True, slots=True)
class _Rest:
    """A text before, between or after the JSON documents of a message, which cannot be read as JSON."""

    text: str
    fault: str


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
    if isinstance(value, _Rest):
        return value.text
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _found(
    value: Any, origin: Origin | None, enveloped: bool, places: _Places, own: Mapping[str, str], texts: int
) -> Iterator[Found]:
    packed = isinstance(value, bytes)
    if packed or (isinstance(value, str) and texts < _JSON_IN_JSON and value.lstrip()[:1] in ("{", "[", '"')):
        try:
            documents = _documents(_text_of(value, places.most_bytes) if packed else value)
        except InvalidHeadline as error:
            yield Found(_raw(value), place=places.next(), fault=str(error))
            return
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
    elif isinstance(value, _Rest):
        yield Found(value.text, place=places.next(), fault=value.fault)
    else:
        what = "element" if places.counts else "message"
        yield Found(value, place=places.next(), fault=f"The {what} is a JSON {type(value).__name__}, not an object.")


def _unwrapped(value: dict[str, Any], own: Mapping[str, str]) -> Iterator[tuple[Any, Origin | None, bool]]:
    """Yields an envelope's content, its origin and True; or the object and False. A deleted row yields nothing."""
    if _is_deleted(value):
        return
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
        yield inner, None, True
    elif (table := table_of(value, lambda fields: has_title(fields, own))) is not None:
        yield table, None, True
    elif len(arrays := titled_arrays(value, lambda fields: has_title(fields, own))) == 1:
        yield next(iter(arrays.values())), None, True
    else:
        yield value, None, False


def _is_deleted(value: Mapping[str, Any]) -> bool:
    """Whether an object says that a row was deleted, as Debezium's unwrapped rows, Maxwell and Canal do."""
    if str(value.get("__deleted", "")).lower() == "true":
        return True
    return "database" in value and "table" in value and str(value.get("type")).lower() == "delete"


def _with_objects(value: dict[str, Any]) -> dict[str, Any]:
    """The object with its wrapping texts that are JSON objects as objects: `{"message": "{...}"}`."""
    opened_ = dict(value)
    for name in WRAPPERS:
        text = value.get(name)
        if isinstance(text, str) and text.lstrip()[:1] == "{":
            with suppress(InvalidHeadline):
                opened_[name] = next((one for one in _documents(text) if isinstance(one, dict)), text)
    return opened_


def _event_data(event: Mapping[str, Any]) -> Any:
    if event.get("data") is not None or "data_base64" not in event:
        return event.get("data")
    try:
        return base64.b64decode(str(event["data_base64"]), validate=True)
    except (binascii.Error, ValueError):
        return None


def _origin(source: Any, id_: Any) -> Origin | None:
    return Origin(str(source), str(id_)) if source not in (None, "") and id_ not in (None, "") else None


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


def _text_of(value: bytes, most_bytes: int) -> str:
    if value[:2] == b"\x1f\x8b":
        value = _gunzipped(value, most_bytes)
    encoding = json.detect_encoding(value)
    if value[:1] == b"\0" and len(value) > 5 and not _is_wide(value):
        if value[5:].lstrip()[:1] not in (b"{", b"["):  # a registry puts these five bytes before JSON, too
            number = int.from_bytes(value[1:5], "big")
            raise InvalidHeadline(
                f"The message has the prefix of a schema registry (schema {number}): it is Avro or Protobuf. Have it "
                "sent as JSON, or put a converter in between."
            )
        value, encoding = value[5:], "utf-8"
    try:
        return value.decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.removesuffix("-sig").upper()
        raise InvalidHeadline(f"The message is not {name}: byte {error.start} is 0x{value[error.start]:02x}.") from None


def _is_wide(value: bytes) -> bool:
    """Whether zeros at the beginning belong to the first bracket of JSON in UTF-16 or UTF-32."""
    return value[1:2] in (b"{", b"[") or (value[:3] == b"\0\0\0" and value[3:4] in (b"{", b"["))


def _gunzipped(value: bytes, most_bytes: int) -> bytes:
    unpacked = b""
    rest = value
    try:
        while rest[:2] == b"\x1f\x8b":  # a gzip file may have several members: all are unpacked
            unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
            unpacked += unpacker.decompress(rest, most_bytes + 1 - len(unpacked))
            if len(unpacked) > most_bytes:
                raise InvalidHeadline(f"The message unpacks to more than the {most_bytes:,} bytes that are allowed.")
            if not unpacker.eof:
                raise InvalidHeadline("The message is gzip that ends too early.")
            rest = unpacker.unused_data
    except zlib.error as error:
        raise InvalidHeadline(f"The message is gzip that cannot be unpacked: {error}.") from None
    return unpacked


def _documents(text: str) -> list[Any]:
    """The JSON documents that a text holds, one after another; a `_Rest` for each text between them that is no JSON.

    After such a text, reading goes on at the next line that begins with a bracket, as a broken line of JSON lines costs
    no other.

    Raises:
        InvalidHeadline: The text holds no JSON document.
    """
    if text.count("[") + text.count("{") > _LEVELS_READ:
        text = without_depths(text)
    found: list[Any] = []
    broken: list[_Rest] = []
    place = _after_space(text, 0)
    while place < len(text) or not found:
        try:
            document, end = _JSON.raw_decode(text, place)
        except ValueError as error:
            end = _next_document(text, place, error) if len(broken) < _MOST_BROKEN else len(text)
            document = _Rest(text[place:end], f"The message is not JSON: {shorten(str(error), 200)}")
            broken.append(document)
        found.append(document)
        place = _after_space(text, end)
    if len(broken) == len(found):
        raise InvalidHeadline(broken[0].fault)
    return found


def _next_document(text: str, place: int, error: ValueError) -> int:
    """Where the next document may begin, after the one at `place` that cannot be read; the text's end if nowhere."""
    stopped = error.pos if isinstance(error, json.JSONDecodeError) else place
    line = text.rfind("\n", 0, stopped) + 1
    following = _DOCUMENT.search(text, max(line, place + 1))
    return following.start() if following is not None else len(text)


def without_depths(text: str) -> str:
    """The JSON with `null` for everything that lies deeper than a headline does.

    Raises:
        InvalidHeadline: The JSON is nested more than 3,000 levels deep.
    """
    kept: list[str] = []
    depth, since = 0, 0
    for token in _TOKEN.finditer(text):
        bracket = token.group()
        if bracket in "[{":
            depth += 1
            if depth > MOST_LEVELS:
                raise InvalidHeadline(f"The message's JSON is nested more than {MOST_LEVELS:,} levels deep.")
            if depth == _LEVELS_READ + 1:
                kept.append(text[since : token.start()] + "null")
        elif bracket in "]}":
            if depth == _LEVELS_READ + 1:
                since = token.end()
            depth -= 1
    return "".join(kept) + text[since:]


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return place if match is None else match.end()


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else digits


def _nothing(_name: str) -> None:
    """Reads NaN and infinities as None: JSON has no such numbers, and producers write them for a missing value."""


_CONSTANT: Callable[[str], Any] = _nothing
# Not strict: many a program writes line breaks and tabs into JSON texts as they are.
_JSON = json.JSONDecoder(parse_constant=_CONSTANT, parse_int=_integer, strict=False)
