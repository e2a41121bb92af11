"""The JSON documents in a text: one, several one after another, or lines of which some are broken."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from newstide.core.errors import InvalidHeadline
from newstide.core.text import shorten

MOST_LEVELS = 3_000  # levels of nesting that a message's JSON may have
LEVELS_READ = 200  # a headline's values lie less deep; Python's parser manages about a thousand levels
_MOST_BROKEN = 100  # texts in a message that are no JSON, after which the rest of it is not searched for JSON
_LONGEST_NUMBER = 300  # digits of an integer that is read as one
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_SPACE = re.compile("[\\s,\\x00\\x1e\ufeff]*")
# Also what stands between the texts of a JSON sequence (RFC 7464), of joined files, and at the end of what C programs write.
BLANK = "\x00\x1e\ufeff \t\r\n"
_LINE = re.compile("[^\r\n\x1e]+")
_AFTER_LINE = re.compile("[\\s\\x00\\x1e\ufeff]*([,:}\\]]?)")


@dataclass(frozen=True, slots=True)
class Broken:
    """Something in a message that cannot be read as JSON, as a dead letter holds it, and why."""

    raw: Any
    fault: str


def documents_of(text: str) -> list[Any]:
    """The JSON documents that a text holds, one after another; a `Broken` for each text between them that is no JSON.

    After such a text, reading goes on at the next line that is JSON, as a broken line of JSON lines costs no other.

    Raises:
        InvalidHeadline: The text holds no JSON document.
    """
    deep = text.count("[") + text.count("{") > LEVELS_READ
    found: list[Any] = []
    broken: list[Broken] = []
    place = _after_space(text, 0)
    while place < len(text) or not found:
        try:
            document, end = _deep(text, place) if deep else JSON.raw_decode(text, place)
        except (ValueError, RecursionError, InvalidHeadline) as error:
            end, fault = _next_document(text, place, error), f"The message is not JSON: {shorten(str(error), 200)}"
            if isinstance(error, InvalidHeadline):
                fault = str(error)
            if len(broken) >= _MOST_BROKEN:
                end, fault = len(text), f"{_MOST_BROKEN} texts in the message are not JSON; what follows is not read."
            document = Broken(text[place:end], fault)
            broken.append(document)
        found.append(document)
        place = _after_space(text, end)
    if len(broken) == len(found):
        raise InvalidHeadline(broken[0].fault)
    return found


def _deep(text: str, place: int) -> tuple[Any, int]:
    """The document at a place and its end; `null` stands for what lies deeper than a headline does.

    Raises:
        ValueError: It is no JSON.
        InvalidHeadline: It is nested too deeply.
    """
    depth = deepest = 0
    for token in _TOKEN.finditer(text, place):
        bracket = token.group()
        if bracket in "[{":
            depth += 1
            deepest = max(depth, deepest)
            if depth > MOST_LEVELS:
                break
        elif bracket in "]}":
            depth -= 1
        if depth <= 0:
            if deepest <= LEVELS_READ:
                break
            return JSON.decode(without_depths(text[place : token.end()])), token.end()
    if deepest <= LEVELS_READ:
        return JSON.raw_decode(text, place)
    if depth > MOST_LEVELS:
        raise InvalidHeadline(f"The message's JSON is nested more than {MOST_LEVELS:,} levels deep.")
    raise json.JSONDecodeError("Brackets are not closed", text, place)


def _next_document(text: str, place: int, error: Exception) -> int:
    """Where the next document may begin, after the one at `place` that cannot be read; the text's end if nowhere.

    A line at or after which the parser stopped begins the next document if it begins with a bracket. Any other line does
    if it is JSON by itself and neither a comma nor a closing bracket follows: it is no part of the broken document.
    """
    stopped = error.pos if isinstance(error, json.JSONDecodeError) else place
    lines = _LINE.finditer(text, place)
    next(lines, None)
    for line in lines:
        first = line.group().lstrip("\x00\ufeff")[:1]
        if first in ("[", "{") and line.end() > stopped:
            return line.start()
        if _stands_alone(line.group()) and not (_AFTER_LINE.match(text, line.end()) or line)[1]:
            return line.start()
    return len(text)


def _stands_alone(line: str) -> bool:
    """Whether a line is a JSON object or array, or a string that holds one."""
    text = line.strip(BLANK)
    if text[:1] not in ("{", "[", '"') or text[-1:] not in ("}", "]", '"'):
        return False
    try:
        value = JSON.decode(text)
    except (ValueError, RecursionError):
        return False
    return not isinstance(value, str) or value.lstrip()[:1] in ("{", "[", '"')


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
            if depth == LEVELS_READ + 1:
                kept.append(text[since : token.start()] + "null")
        elif bracket in "]}":
            if depth == LEVELS_READ + 1:
                since = token.end()
            depth -= 1
    return "".join(kept) + (
        "" if depth > LEVELS_READ else text[since:]
    )  # what is never closed is no JSON, and may be deep


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return place if match is None else match.end()


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else digits


def _nothing(_name: str) -> None:
    """Reads NaN and infinities as None: JSON has no such numbers, and producers write them for a missing value."""


_CONSTANT: Callable[[str], Any] = _nothing
# Not strict: many a program writes line breaks and tabs into JSON texts as they are.
JSON = json.JSONDecoder(parse_constant=_CONSTANT, parse_int=_integer, strict=False)
