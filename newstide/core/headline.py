"""A headline, and the contract of the message that carries it through Kafka.

`decode` turns a message into a `Headline` or says why not; `encode` is its inverse. Both sides of the topic use them,
so the contract stands here once.
"""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from newstide.core.errors import InvalidHeadline
from newstide.core.field_values import named
from newstide.core.ids import names_a_site
from newstide.core.languages import language_tag
from newstide.core.nulls import LONGEST_NULL, NULLS
from newstide.core.outlets import without_outlet
from newstide.core.text import (
    clean,
    clean_formerly,
    clean_plain,
    is_no_title,
    iso_time,
    reads_as_formerly,
    shorten,
)
from newstide.core.times import LATEST_MS, Zone
from newstide.core.times import parse_time as read_time

# A collection's columns have these lengths, so they are no settings: another length needs another schema.
MAX_TITLE = 2_000  # characters
MAX_SOURCE = 256  # characters; longer ones are cut
MAX_URL = 2_048  # characters; longer ones are left out
MAX_ID_BYTES = 128  # of UTF-8: Milvus servers count a VARCHAR in bytes
REPLAYS = "replays"  # a Kafka header: how often a message was sent again from the dead letters
CUT = "cut"  # a Kafka header of a truncated dead letter: how many bytes the whole message has

_LINK = re.compile(r"https?://[^\s/]", re.IGNORECASE)
_OBJECT_BEGINS = frozenset("{[")  # of an object or a list as text
_NEXT_LINK = re.compile(r"[,;|]?\s+(?:[|,;]\s+)?(?=https?://)", re.IGNORECASE)


class _Clean(Protocol):
    def __call__(self, text: str, *, lines: bool = False) -> str: ...


class Headline(NamedTuple):
    """One news item. Missing texts are empty strings; `published_at` is epoch milliseconds, UTC."""

    id: str
    title: str
    published_at: int
    description: str = ""
    source: str = ""
    url: str = ""
    language: str = ""

    @property
    def title_alone(self) -> str:
        """The title as it is embedded: without an outlet at its end, where the headline itself says that it is one."""
        return without_outlet(self.title, self.source, self.url)


class Limits(Protocol):
    """What a headline may claim: the settings' group `limits`."""

    @property
    def description(self) -> int:
        """Characters; longer ones are cut."""

    @property
    def ahead(self) -> timedelta:
        """How far a headline's time may be ahead of its message's, and the message's ahead of the clock."""


@dataclass(frozen=True, slots=True)
class _Defaults:
    """The settings' defaults, for callers that pass no limits."""

    description: int = 8_000
    ahead: timedelta = timedelta(hours=1)


DEFAULTS: Limits = _Defaults()


class Decoded(NamedTuple):
    """A headline read from a message, and whether its time or the message's was too far ahead and so was replaced.

    `former` is the headline as version 0.1 read it, where the two differ: tombstones of that version hold its digests.
    """

    headline: Headline
    ahead: bool = False
    former: Headline | None = None


def decode(value: bytes | None, timestamp_ms: int, now_ms: int | None = None, limits: Limits = DEFAULTS) -> Decoded:
    """Reads one Kafka message of the topic `headlines`.

    Args:
        value: The message's value: a JSON object in UTF-8.
        timestamp_ms: The message's Kafka timestamp, epoch milliseconds; the publication time where none is given. Who
            sends a message may write any into it: one too far ahead of now, or -1, for none, counts as now.
        now_ms: Epoch milliseconds; None: this machine's clock.
        limits: What is cut or replaced.

    Raises:
        InvalidHeadline: The message is no headline; the error's message is the reason, naming the value.
    """
    if value is None:
        raise InvalidHeadline("The message has no value.")
    try:
        fields = _JSON.decode(value.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidHeadline(f"The message is not UTF-8: byte {error.start} is 0x{value[error.start]:02x}.") from None
    except RecursionError:
        raise InvalidHeadline("The message's JSON is nested too deeply.") from None
    except ValueError as error:
        raise InvalidHeadline(f"The message is not JSON: {shorten(str(error), 200)}") from None
    if not isinstance(fields, dict):
        raise InvalidHeadline(f"The message is a JSON {type(fields).__name__}, not an object.")
    now_ms = int(time.time() * 1000) if now_ms is None else now_ms
    ahead = timestamp_ms > now_ms + _milliseconds(limits.ahead)
    if isinstance(fields.get("published_at"), (int, float)):
        fields["published_at"] = _of_number(fields["published_at"])
    decoded = from_fields(fields, now_ms if ahead or timestamp_ms < 0 else timestamp_ms, limits)
    decoded = decoded._replace(former=as_formerly(fields, decoded.headline, limits))
    undated = fields.get("published_at") in (None, "")
    return decoded._replace(ahead=True) if ahead and undated else decoded


def from_fields(fields: Mapping[str, Any], timestamp_ms: int, limits: Limits = DEFAULTS) -> Decoded:
    """Builds a headline from named fields; see `decode` for the arguments and errors. Unknown fields are left out.

    The timestamp is trusted. How version 0.1 read the fields is left to `as_formerly`.
    """
    day = _day(fields)
    ahead = day is not None and day > timestamp_ms and day > timestamp_ms + _milliseconds(limits.ahead)
    headline = _headline(fields, day, timestamp_ms if day is None or ahead else day, limits, clean, clean_plain)
    if not headline.title:
        raise InvalidHeadline("The title is missing or empty.")
    if len(headline.title) > MAX_TITLE:
        raise InvalidHeadline(f"The title has {len(headline.title):,} characters; {MAX_TITLE:,} are allowed.")
    if is_no_title(headline.title):
        raise InvalidHeadline(f"The title {shorten(headline.title)!r} stands for a missing title.")
    return Decoded(headline, ahead)


def as_formerly(fields: Mapping[str, Any], headline: Headline, limits: Limits = DEFAULTS) -> Headline | None:
    """The headline as version 0.1 read it from its fields; None where that is the same, or none."""
    get = fields.get
    if (  # mostly the values themselves: one look at each is faster than five calls
        (((value := get("title")) is headline.title and len(value) > 1) or _was_same(value, headline.title))
        and (
            (value := get("description")) is None
            or (value is headline.description and len(value) > 1)
            or _was_same(value, headline.description)
        )
        and (
            (value := get("source")) is None
            or (value is headline.source and len(value) > 1)
            or _was_same(value, headline.source)
        )
        and (((value := get("url")) is headline.url and len(value) > 1) or _was_same(value, headline.url))
        and ((value := get("id")) is None or _was_same(value, headline.id))
    ):
        return None
    with suppress(InvalidHeadline):  # version 0.1 refused the headline
        at = headline.published_at
        former = _headline(fields, _day(fields), at, limits, clean_formerly, clean_formerly, literal=True)
        return former if former != headline else None
    return None


def clean_again(fields: Mapping[str, Any], limits: Limits = DEFAULTS) -> Headline:
    """The headline of a row as a message with its fields would be read, whatever its title and its time.

    Raises:
        InvalidHeadline: Its id is no id.
    """
    at = fields["published_at"]
    return _headline(fields, at, at, limits, clean, clean_plain)


def _day(fields: Mapping[str, Any]) -> int | None:
    """The time that the fields give, epoch milliseconds; None where they give none."""
    given = fields.get("published_at")
    return None if given is None or given == "" else parse_time(given)


def _was_same(value: Any, text: str) -> bool:
    if value is None or (value is text and len(text) != 1):  # cleaning may hand back a single character itself
        return True
    return not isinstance(value, str) or (reads_as_formerly(value) and _is_literal(value))


def _is_literal(value: str) -> bool:
    """Whether a text is what it says: it stands for no missing value, and is no object and no several links."""
    return value not in NULLS and value[:1] not in _OBJECT_BEGINS and value.count("://") < 2


def _headline(
    fields: Mapping[str, Any],
    day: int | None,
    at: int,
    limits: Limits,
    clean_text: _Clean,
    clean_name: _Clean,
    *,
    literal: bool = False,
) -> Headline:
    """The headline of these fields; its id is derived with the time `day`, if any, and its time is `at`.

    With `literal`, title, source and link are the texts that came, as version 0.1 took them. A link that is a missing value
    stays one: all headlines with it had one id, which tells none of them from the others.
    """
    get = fields.get
    title = _text("title", get("title"), clean_text, literal=literal)
    source = _text("source", get("source"), clean_text, literal=literal)[:MAX_SOURCE].strip()
    url = _text("url", get("url"), clean_name, literal=literal)
    if literal:
        url = "" if url in NULLS else url
    elif " " in url:
        url = _first_link(url)
    return Headline(  # by place, which is faster than by name
        _id(fields, source, url, title, day, clean_name),
        title,
        at,
        _text("description", get("description"), clean_text, lines=True)[: limits.description],
        source,
        url if is_link(url) else "",
        _language(get("language")),
    )


def encode(headline: Headline, *, published: bool = True) -> bytes:
    """The message of a headline: compact JSON in UTF-8, empty fields left out, times as ISO 8601 in UTC.

    Where the publication time is unknown, `published` is false and the message names no time: Kafka's timestamp counts.
    """
    fields: dict[str, Any] = {"id": headline.id, "title": headline.title}
    for name in ("description", "source", "url", "language"):
        if text := getattr(headline, name):
            fields[name] = text
    if published:
        fields["published_at"] = iso_time(headline.published_at)
    return _COMPACT.encode(fields).encode()


def derive_id(url: str, source: str, title: str, published_at: int | None) -> str:
    """The id of a headline that brings none: 32 hex digits of a SHA-256.

    Over the url, where there is one and it is not a whole site's; else over source, title and, only if a publication
    time was given, its UTC day, separated by newlines. `published_at` is epoch milliseconds.
    """
    if url and not names_a_site(url):
        key = url
    else:
        day = "" if published_at is None else iso_time(published_at)[:10]
        key = f"{source}\n{title}\n{day}"
    # An envelope's id may hold half a character, which JSON can write and UTF-8 cannot.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def parse_time(value: Any) -> int:
    """Epoch milliseconds of a time in any spelling that says its zone, or of a number that is epoch milliseconds already.

    Raises:
        InvalidHeadline: The value is neither, names no zone, or lies outside 1970-9999.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= LATEST_MS:
        return int(value)
    parsed = read_time(value)
    if parsed is None or isinstance(value, bool):
        raise InvalidHeadline(f"published_at {shorten(repr(value))} is no time.")
    if parsed.milliseconds is None or isinstance(value, (int, float)):
        why = parsed.reason(value) or f"{value} lies outside the years 1970 to 9999."
        raise InvalidHeadline(f"published_at {why}")
    if parsed.zone is not Zone.GIVEN:
        raise InvalidHeadline(f"published_at {shorten(str(value))!r} has no time zone.")
    return parsed.milliseconds


def _first_link(url: str) -> str:
    """Of several links in one text, the first: `https://v.example/1, https://v.example/2`."""
    return _NEXT_LINK.split(url, maxsplit=1)[0] if url.count("://") > 1 else url


def is_link(url: str) -> bool:
    """Whether a headline may carry this link: http or https, with a host, and not too long."""
    return len(url) <= MAX_URL and _LINK.match(url) is not None


def parse_language(value: Any) -> str:
    """The language that a text names, as a BCP 47 tag (`pt-BR`); an empty string for anything else."""
    return language_tag(value) if isinstance(value, str) else ""


def _language(value: Any) -> str:
    if value.__class__ is not str:
        return parse_language(value)
    if value[:1] in _OBJECT_BEGINS:
        return parse_language(named("language", value))
    return "" if value in NULLS else language_tag(value)


def _text(name: str, value: Any, clean_text: _Clean, *, lines: bool = False, literal: bool = False) -> str:
    """A field's text, cleaned; empty where it is what programs write for a missing one, unless it is taken literally."""
    if value is None:
        return ""
    if value.__class__ is str and not literal:
        if value[:1] in _OBJECT_BEGINS:
            value = named(name, value)
        elif len(value) <= LONGEST_NULL and value in NULLS and name != "title":  # a title is told that it is none
            return ""
    if not isinstance(value, str):
        raise InvalidHeadline(f"{name} is a JSON {type(value).__name__}, not a string: {shorten(repr(value))}.")
    return clean_text(value, lines=lines) if lines else clean_text(value)


def _id(
    fields: Mapping[str, Any], source: str, url: str, title: str, published_at: int | None, clean_name: _Clean
) -> str:
    value = fields.get("id")
    if value is None or value == "" or (isinstance(value, str) and value in NULLS):
        return derive_id(url, source, title, published_at)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InvalidHeadline(f"id is a JSON {type(value).__name__}, not a string: {shorten(repr(value))}.")
    id_ = clean_name(value)
    if not id_:
        raise InvalidHeadline(f"id {shorten(repr(value))} holds no visible character.")
    if len(id_.encode()) > MAX_ID_BYTES:
        raise InvalidHeadline(f"id {shorten(id_)!r} has {len(id_.encode())} bytes; {MAX_ID_BYTES} are allowed.")
    return id_


def _of_number(value: float) -> int:
    """Epoch milliseconds of a number in a message: seconds, milliseconds, ... by its size, or a calendar's reading."""
    parsed = None if isinstance(value, bool) else read_time(value)
    if parsed is None or parsed.milliseconds is None:
        raise InvalidHeadline(f"published_at {parsed.reason(value) if parsed else f'{value} is no time.'}")
    return parsed.milliseconds


@lru_cache  # the settings hold one duration
def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_JSON = json.JSONDecoder(parse_constant=_no_constant)
_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
