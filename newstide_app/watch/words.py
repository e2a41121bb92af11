"""Words that are looked for in a title: `flood* OR "high water" -insurance`."""

import re
import unicodedata

from newstide.core.errors import SettingsError

_TOKEN = re.compile(r'(-?)"([^"]*)"|(\S+)')
# Scripts that put no spaces between words: a word is found anywhere in them.
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_HELP = 'Write words side by side where all are wanted: flood* OR "high water" -insurance.'


class Words:
    """Which titles are wanted.

    Words side by side are all wanted; of words joined by `OR` one is enough; a phrase in quotes is wanted as it stands; a
    word or phrase behind a minus is not wanted; an asterisk at the end stands for any ending. Upper and lower case and
    accents written in two ways are the same. Words are whole words, but for scripts without spaces.

    Args:
        text: As above.

    Raises:
        SettingsError: A quotation mark is not closed, or `OR` stands alone.
    """

    def __init__(self, text: str) -> None:
        if text.count('"') % 2:
            raise SettingsError(f"The words {text!r} have a quotation mark that is not closed.", _HELP)
        self._wanted: list[list[re.Pattern[str]]] = []
        self._unwanted: list[re.Pattern[str]] = []
        joined = False
        for found in _TOKEN.finditer(text):
            minus, phrase, word = found.groups()
            if word == "OR":
                if joined or not self._wanted:
                    raise SettingsError(f"In the words {text!r}, OR does not stand between two words.", _HELP)
                joined = True
                continue
            if word is not None:
                minus, phrase = ("-", word[1:]) if word.startswith("-") and len(word) > 1 else ("", word)
            if not phrase.strip(" *"):
                raise SettingsError(f"The words {text!r} hold an empty word.", _HELP)
            if minus and joined:
                raise SettingsError(f"In the words {text!r}, OR does not stand between two wanted words.", _HELP)
            if minus:
                self._unwanted.append(_pattern(phrase))
            elif joined:
                self._wanted[-1].append(_pattern(phrase))
            else:
                self._wanted.append([_pattern(phrase)])
            joined = False
        if joined or not (self._wanted or self._unwanted):
            raise SettingsError(f"The words {text!r} end too early.", _HELP)

    def match(self, title: str) -> bool:
        """Whether a title is wanted."""
        text = _folded(title)
        return all(any(one.search(text) for one in some) for some in self._wanted) and not any(
            one.search(text) for one in self._unwanted
        )


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).casefold()).split())


def _pattern(phrase: str) -> re.Pattern[str]:
    begin = _folded(phrase).rstrip("*")
    before = "" if _UNSPACED.match(begin[0]) or not begin[0].isalnum() else r"(?<!\w)"
    open_ended = phrase.endswith("*") or _UNSPACED.match(begin[-1]) or not begin[-1].isalnum()
    return re.compile(before + re.escape(begin) + ("" if open_ended else r"(?!\w)"))
