"""Texts as newstide holds and shows them: cleaned of what harms, cut to size; times written as ISO 8601."""

import unicodedata
from datetime import UTC, datetime

_MARKS = 30  # combining marks on one letter, as in the Stream-Safe Text Format (UAX #15); ordering them is quadratic


def iso_time(milliseconds: int) -> str:
    """Epoch milliseconds as ISO 8601 in UTC, `2026-10-13T07:42:00Z`."""
    text = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(
        timespec="milliseconds" if milliseconds % 1000 else "seconds"
    )
    return text.replace("+00:00", "Z")


def clean(text: str, *, lines: bool = False) -> str:
    """Text that every later step can hold: NUL, control, bidi-override and lone surrogate characters taken out.

    Runs of white space become one space; with `lines`, line breaks are kept. A letter keeps 30 combining marks.
    """
    kept = text if text.isascii() else unicodedata.normalize("NFC", _few_marks(text))
    if not kept.isprintable():  # most texts are: ten times faster than looking at each character
        kept = "".join(character if _harmless(character) else " " for character in kept)
    if lines:
        return "\n".join(line for line in (" ".join(part.split()) for part in kept.split("\n")) if line)
    return " ".join(kept.split())


def shorten(text: str, limit: int = 60) -> str:
    """Text cut to `limit` characters for an error message, with an ellipsis where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _few_marks(text: str) -> str:
    if len(text) <= _MARKS or not any(map(unicodedata.combining, text)):
        return text
    kept = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MARKS:
            kept.append(character)
    return "".join(kept)


def _harmless(character: str) -> bool:
    if character in "\n\t":
        return True
    category = unicodedata.category(character)
    if category == "Cf":  # joiners shape Arabic, Indic scripts and emoji; overrides and isolates only deceive
        return character in "\u200c\u200d" or "\U000e0020" <= character <= "\U000e007f"
    return category not in ("Cc", "Cs", "Cn")
