"""A search text as words: all must occur; "a phrase"; OR between two; -word excludes; case and accents are ignored."""

import re
import unicodedata
from collections.abc import Iterable

_PARTS = re.compile(r'(-?)"([^"]*)"?|(\S+)')
_OR = "OR"


class Words:
    """A search text that was read once.

    Args:
        text: As a reader types it; words match from the beginning of a word on.
    """

    def __init__(self, text: str) -> None:
        self._wanted: list[list[re.Pattern[str]]] = []
        self._unwanted: list[re.Pattern[str]] = []
        either = False
        for minus, phrase, word in _PARTS.findall(text):
            if word == _OR:
                either = bool(self._wanted)
                continue
            excluded = bool(minus) or (word.startswith("-") and len(word) > 1)
            pattern = _pattern(phrase or (word[1:] if excluded else word))
            if pattern is None:
                continue
            if excluded:
                self._unwanted.append(pattern)
            elif either:
                self._wanted[-1].append(pattern)
            else:
                self._wanted.append([pattern])
            either = False

    def match(self, texts: Iterable[str]) -> bool:
        """Whether these texts together have what is wanted, and nothing that is not."""
        text = _folded("\n".join(texts))
        return all(any(one.search(text) for one in some) for some in self._wanted) and not any(
            one.search(text) for one in self._unwanted
        )


def _pattern(text: str) -> re.Pattern[str] | None:
    folded = " ".join(_folded(text).split())
    return re.compile(rf"(?<!\w){re.escape(folded)}") if folded else None


def _folded(text: str) -> str:
    plain = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    return " ".join(plain.casefold().split())
