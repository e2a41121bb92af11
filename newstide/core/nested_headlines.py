"""The headline that an object without a title holds under a name that nobody knows, or packed in one of its texts."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from newstide.core.errors import InvalidHeadline
from newstide.core.field_values import beside_headlines, filled
from newstide.core.json_texts import documents_of
from newstide.core.known_names import field_of, plain_name
from newstide.core.packings import is_packed

_DEPTH = 4  # objects within each other that are searched
# Names of objects whose title is that of a person, a picture, a place, not a headline's.
_OTHERS = frozenset({
    "audio", "author", "authors", "avatar", "blog", "board", "byline", "category", "channel", "collection", "company",
    "copyright", "creator", "editor", "enclosure", "entity", "event", "gallery", "geo", "icon", "image", "images",
    "journalist", "keyword", "license", "location", "logo", "media", "meta", "metadata", "newspaper", "organization",
    "owner", "page", "pagination", "person", "photo", "picture", "place", "podcast", "product", "profile", "query",
    "rating", "rights", "seo", "section", "series", "social", "sponsor", "subject", "tag", "thumbnail", "topic", "user",
    "video", "website", "writer",
})  # fmt: skip
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}\s*")
_STANDARD = str.maketrans("-_", "+/")  # of the alphabet that may stand in addresses
_BEGIN = 8  # characters of base64 whose bytes show whether they are JSON

Titled = Callable[[Mapping[str, Any]], bool]


class Nested(NamedTuple):
    """A headline within another object, and the source, language and time that stand around it."""

    headline: Mapping[str, Any]
    beside: Mapping[str, Any]


def lone_headline(record: Mapping[str, Any], has_title: Titled) -> Nested | None:
    """The headline that an object holds under an unknown name; None where it holds none, or several.

    An object with a link or a text of its own holds none: it is a headline without a title.

    Args:
        record: The object, without a title of its own.
        has_title: Says whether an object is a headline.
    """
    found = list(_titled(record, has_title, {}, _DEPTH))
    return found[0] if len(found) == 1 else None


def packed_headline(record: Mapping[str, Any], leads: Callable[[Any], bool]) -> str | bytes | None:
    """The one text in an object, or in objects within it, that is JSON with headlines; None where it has none, or several.

    Args:
        record: The object, without a title of its own.
        leads: Says whether a JSON value is a headline or holds one.

    Returns:
        The text, or the bytes of which the text is the base64.
    """
    found = list(_packed(record, leads, _DEPTH))
    return found[0] if len(found) == 1 else None


def _titled(record: Mapping[str, Any], has_title: Titled, beside: Mapping[str, Any], depth: int) -> Iterator[Nested]:
    inners = [
        inner
        for name, inner in record.items()
        if isinstance(inner, Mapping) and field_of(name) in (None, "description") and plain_name(name) not in _OTHERS
    ]
    if not inners or _is_untitled(record):
        return
    beside = filled(beside_headlines(record), beside)
    for inner in inners:
        if has_title(inner):
            yield Nested(inner, beside)
        elif depth > 1:
            yield from _titled(inner, has_title, beside, depth - 1)


def _is_untitled(record: Mapping[str, Any]) -> bool:
    """Whether an object is a headline without a title: it has a link or a text of its own."""
    return any(
        isinstance(value, str) and value and field_of(name) in ("url", "description") for name, value in record.items()
    )


def _packed(record: Mapping[str, Any], leads: Callable[[Any], bool], depth: int) -> Iterator[str | bytes]:
    for value in record.values():
        if isinstance(value, str):
            packed = _unpacked(value)
            if packed is not None and _opens(packed, leads):
                yield packed
        elif isinstance(value, Mapping) and depth > 1:
            yield from _packed(value, leads, depth - 1)


def _unpacked(text: str) -> str | bytes | None:
    """A text that may be JSON, or the bytes that it holds as base64 and that may be JSON, packed or not."""
    if text.lstrip()[:1] in ("{", "["):
        return text
    if _BASE64.fullmatch(text) is None:
        return None
    try:
        text = text.strip().rstrip("=").translate(_STANDARD)
        begin = base64.b64decode(text[:_BEGIN])
        if begin.lstrip()[:1] in (b"{", b"[") or is_packed(begin):
            return base64.b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        pass
    return None


def _opens(packed: str | bytes, leads: Callable[[Any], bool]) -> bool:
    if isinstance(packed, bytes):
        if is_packed(packed):
            return True
        packed = packed.decode("utf-8", "replace")
    try:
        return any(map(leads, documents_of(packed)))
    except InvalidHeadline:
        return False
