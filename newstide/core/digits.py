"""Digits and letters of all scripts and widths as the plain ones that dates are read in."""

import unicodedata
from functools import lru_cache


def as_ascii(text: str) -> str:
    """Text with full-width forms as usual ones, the digits of every script as ASCII's, and nothing invisible.

    Raised, lowered and circled digits are no digits: the text keeps a sign in their place that nothing reads.
    """
    plain = text if text.isascii() else "".join("\ufffd" if _is_raised(one) else one for one in text)
    return unicodedata.normalize("NFKC", plain).translate(_DIGITS).strip()


@lru_cache(4096)
def is_odd(shape: str) -> bool:
    """Whether a shape holds forms or digits that `as_ascii` writes in another way."""
    return as_ascii(shape) != shape


def _is_raised(character: str) -> bool:
    return character.isdigit() and not character.isdecimal()


class _Digits(dict[int, str | None]):
    """For `str.translate`: every decimal digit as ASCII's, format characters left out."""

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        written = str(unicodedata.decimal(character)) if character.isdecimal() else character
        self[code] = None if unicodedata.category(character) == "Cf" else written
        return self[code]


_DIGITS = _Digits()
