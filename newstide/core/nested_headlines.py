"""Headlines that an object without a title holds under names that nobody knows, or packed in its texts.

Which title is meant is not guessed: only one place may hold headlines, and it must look like a headline's.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from newstide.core.errors import InvalidHeadline
from newstide.core.field_values import holds_headline, stepped_into, untyped, value_of, wrapper_in
from newstide.core.json_texts import documents_of
from newstide.core.known_names import field_of
from newstide.core.packings import is_packed

Titled = Callable[[Mapping[str, Any]], bool]
Path = tuple[str, ...]

_DEPTH = 4  # objects within each other that are searched
# Words in the names of objects whose title is not a headline's, or is what a headline was before.
_OTHERS = frozenset({
    "agency", "album", "ancestor", "attachment", "audio", "author", "avatar", "banner", "before", "blog", "board",
    "brand", "breadcrumb", "byline", "category", "channel", "chart", "chat", "collection", "company", "contributor",
    "copyright", "creator", "deleted", "delta", "diff", "editor", "enclosure", "entity", "event", "feed", "figure",
    "gallery", "geo", "graphic", "group", "header", "headers", "icon", "image", "images", "img", "info", "journalist",
    "keyword", "keywords", "language", "license", "link", "links", "location", "logo", "media", "member", "menu", "meta",
    "metadata", "navigation", "newspaper", "next", "old", "organization", "original", "outlet", "owner", "page",
    "pagination", "parent", "patch", "person", "photo", "photos", "picture", "pictures", "place", "podcast", "prev",
    "previous", "prior", "product", "profile", "publication", "publisher", "query", "quote", "rating", "reference",
    "related", "removed", "reporter", "rights", "schema", "section", "seo", "series", "site", "social", "sponsor",
    "subject", "tag", "tags", "team", "thumb", "thumbnail", "topic", "topics", "update", "updated", "user", "video",
    "videos", "was", "website", "writer",
})  # fmt: skip
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_STANDARD = str.maketrans("-_", "+/")  # of the alphabet that may stand in addresses
_BEGIN = 8  # characters of base64 whose bytes show whether they are JSON


def names_another(name: str) -> bool:
    """Whether an object under this name has a title that is no headline's: `author`, `leadPhoto`, `old_val`."""
    return not _OTHERS.isdisjoint(word.lower() for word in _WORD.findall(name))


def nested_paths(record: Mapping[str, Any], is_headline: Titled) -> list[Path]:
    """Where an object holds headlines under unknown names; empty where it is a headline itself, though without a title.

    Args:
        record: The object, without a title of its own.
        is_headline: Says whether an object is certainly a headline, or an envelope of one: a title alone does not suffice.
    """
    return list(_paths(record, is_headline, _DEPTH))


def is_more_than_title(element: Any) -> bool:
    """Whether an element of an array has more than a title, which a keyword has too, or wraps another object."""
    return isinstance(element, Mapping) and (holds_headline(element) or wrapper_in(element) is not None)


def along(record: Mapping[str, Any], path: Path) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The object at a path, and the same with what stands beside the path where it lacks it, as `unwrapped` fills it."""
    inner, beside = record, dict(record)
    for name in path:
        inner, beside = stepped_into(beside, name)
    return inner, beside


def packed_headlines(record: Mapping[str, Any], leads: Callable[[Any], bool]) -> list[tuple[Path, Any]]:
    """The texts in an object that are JSON with headlines, with the names under which they stand.

    Args:
        record: The object, without a title of its own.
        leads: Says whether a JSON value is a headline or holds one.

    Returns:
        Path to a text, to a list of texts, or to the bytes of which the text is the base64.
    """
    return list(_packed(record, leads, _DEPTH))


def unpacked(text: str) -> str | bytes | None:
    """A text that may be JSON, or the bytes that it holds as base64 and that may be JSON, packed or not; else None."""
    if text.lstrip()[:1] in ("{", "["):
        return text
    text = "".join(text.split()) if len(text) > _BEGIN and not text.isspace() and " " not in text else ""
    if _BASE64.fullmatch(text) is None:
        return None
    try:
        text = text.rstrip("=").translate(_STANDARD)
        begin = base64.b64decode(text[:_BEGIN])
        if begin.lstrip()[:1] in (b"{", b"[") or is_packed(begin):
            return base64.b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        pass
    return None


def _paths(record: Mapping[str, Any], is_headline: Titled, depth: int) -> Iterator[Path]:
    inners = [(name, inner) for name, inner in record.items() if isinstance(inner, Mapping) and _may_hold(name)]
    if not inners or _is_untitled(record):
        return
    for name, inner in inners:
        plain = untyped(inner) or inner
        if is_headline(plain):
            yield (name,)
        elif depth > 1:
            yield from ((name, *path) for path in _paths(plain, is_headline, depth - 1))


def _may_hold(name: Any) -> bool:
    return isinstance(name, str) and field_of(name) in (None, "description") and not names_another(name)


def _is_untitled(record: Mapping[str, Any]) -> bool:
    """Whether an object is a headline without a title: it names a title that is empty, or has a link or a text."""
    for name, value in record.items():
        field = field_of(name)
        if field == "title" or (field == "url" and isinstance(value_of(field, value), str)):
            return True
        if field == "description" and isinstance(value, str) and value.strip() and unpacked(value) is None:
            return True
    return False


def _packed(record: Mapping[str, Any], leads: Callable[[Any], bool], depth: int) -> Iterator[tuple[Path, Any]]:
    if _is_untitled(record):
        return
    for name, value in record.items():
        if not _may_hold(name):
            continue
        if isinstance(value, str):
            packed = unpacked(value)
            if packed is not None and _opens(packed, leads):
                yield (name,), packed
        elif isinstance(value, list):
            if any(isinstance(text, str) and _opens(unpacked(text), leads) for text in value):
                yield (name,), [unpacked(text) or text if isinstance(text, str) else text for text in value]
        elif isinstance(value, Mapping) and depth > 1:
            yield from (((name, *path), packed) for path, packed in _packed(value, leads, depth - 1))


def _opens(packed: str | bytes | None, leads: Callable[[Any], bool]) -> bool:
    if packed is None:
        return False
    if isinstance(packed, bytes):
        if is_packed(packed):
            return True
        packed = packed.decode("utf-8", "replace")
    try:
        return any(map(leads, documents_of(packed)))
    except InvalidHeadline:
        return False


def several_titles(paths: Sequence[Path]) -> str:
    """Why an object with headlines at several places is refused."""
    named = ", ".join(f"`{'.'.join(path)}`" for path in paths[:5])
    return f"Titles stand at several places in it: {named}. Set consumer.fields to name the one that counts."
