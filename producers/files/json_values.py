"""The JSON values in a file's text: one a line, or one after another."""

import json
from collections.abc import Iterator
from typing import Any

from newstide.core.errors import InvalidHeadline
from newstide.core.json_texts import BLANK, without_depths
from newstide.core.text import shorten
from producers.files.encodings import Line, printable, undecodable
from producers.files.options import Item


def is_lines(first: str) -> bool:
    """Whether the first line of a JSON file says that each line is a record of its own."""
    text = first.strip(BLANK)
    return not text.startswith(("{", "[")) or is_object(text)


def parsed_lines(lines: Iterator[Line]) -> Iterator[tuple[int, Any]]:
    """The value of each line with its number; the refused row where a line holds none."""
    for number, text, whole in lines:
        if not text.strip():
            continue
        if not whole:
            yield number, Item(number, {}, shorten(text, 200), "The line is too long.")
            continue
        if not text.isascii() and (byte := undecodable(text)) is not None:
            reason = f"The line cannot be decoded: byte 0x{byte:02x}."
        else:
            try:
                yield number, parse_json(text.strip(BLANK))
                continue
            except RecursionError:
                reason = "The line's JSON is nested too deeply."
            except ValueError as error:
                reason = f"The line is not JSON: {shorten(str(error), 200)}"
        yield number, Item(number, {}, printable(shorten(text.strip(), 200)), reason)


def parse_json(text: str) -> Any:
    """Parses one JSON value; integers of any length are accepted.

    Raises:
        ValueError: The text is no JSON value.
        RecursionError: The value is nested too deeply.
    """
    try:
        return _PLAIN.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer of more digits than Python converts
        return _LONG.decode(text)
    except RecursionError:
        try:
            return _LONG.decode(without_depths(text))
        except InvalidHeadline:
            raise RecursionError from None


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < 1_000 else digits


# Not strict: many a program writes line breaks and tabs into JSON texts as they are.
_PLAIN = json.JSONDecoder(strict=False)
_LONG = json.JSONDecoder(strict=False, parse_int=_integer)


def documents_in(text: str) -> Iterator[Any]:
    """The JSON values of a text, one after another."""
    place = 0
    while place < len(text):
        document, place = _LONG.raw_decode(text, place)
        yield document
        while place < len(text) and text[place] in f"{BLANK},":
            place += 1


def is_object(text: str) -> bool:
    """Whether a text is one JSON object."""
    try:
        return isinstance(parse_json(text), dict)
    except (ValueError, RecursionError):
        return False
