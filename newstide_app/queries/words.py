"""Search words, as feeds and watches read them: `flood OR "high water" -insurance`.

The pages' script reads them alike (`clustering/pages/assets/script/search.js`); tests/data/words.json holds both to it.
"""

import re
import unicodedata
from collections.abc import Iterable

_PART = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')
_OR = "OR"
# Of scripts that put no space between words: Thai, Lao, Myanmar, Khmer, kana, Han.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\ua9e0-\ua9ff\uaa60-\uaa7f"
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_INSIDE = rf"[^\W_{_UNSPACED}]"  # a letter or a number that another may follow in the same word


class Words:
    """Which texts are wanted.

    Words side by side are all wanted; of words joined by `OR` one is enough; a word behind a minus is not wanted. A word is
    wanted from its beginning on: `flood` finds floods. Quotes want words as they stand, one or several: `"high water"`,
    `"flood"`; an asterisk at the end takes any ending: `"high wat*"`. Case, accents, `ß` and `ss` are no difference. In
    scripts that put no spaces between words, a word is found anywhere.

    Args:
        text: As somebody types it. What makes no sense is passed over.

    Attributes:
        problem: What was passed over first; empty where all of it makes sense.
    """

    def __init__(self, text: str) -> None:
        self.problem = "a quotation mark is not closed" if text.count('"') % 2 else ""
        self._wanted: list[list[re.Pattern[str]]] = []
        self._unwanted: list[re.Pattern[str]] = []
        either = False
        for minus, phrase, word in _PART.findall(text):
            if word == _OR and not minus:
                if either or not self._wanted:
                    self._passed_over("OR does not stand between two words")
                either = bool(self._wanted)
                continue
            pattern = _pattern(phrase or word, quoted=not word)
            if pattern is None:
                self._passed_over("a word is empty")
                continue
            if minus and either:
                self._passed_over("OR does not stand between two wanted words")
            if minus:
                self._unwanted.append(pattern)
            elif either:
                self._wanted[-1].append(pattern)
            else:
                self._wanted.append([pattern])
            either = False
        if either:
            self._passed_over("OR does not stand between two words")
        if not (self._wanted or self._unwanted):
            self._passed_over("there is no word")

    def match(self, texts: Iterable[str]) -> bool:
        """Whether these texts together have what is wanted, and nothing that is not."""
        text = "\n".join(map(folded, texts))
        return all(any(one.search(text) for one in some) for some in self._wanted) and not any(
            one.search(text) for one in self._unwanted
        )

    def _passed_over(self, what: str) -> None:
        self.problem = self.problem or what


def folded(text: str) -> str:
    """A text as it is compared: without case, accents and what else makes no difference, words one space apart."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", text) if unicodedata.category(one)[0] != "M")
    return " ".join(plain.lower().replace("ς", "σ").replace("ß", "ss").split())


def _pattern(text: str, *, quoted: bool) -> re.Pattern[str] | None:
    term = folded(text)
    open_ended = re.search(r"[^\W_]\*$", term) is not None
    term = term.removesuffix("*") if open_ended else term
    if not term.strip(" *-"):
        return None
    before = rf"(?<!{_INSIDE})" if re.match(_INSIDE, term) else ""
    after = rf"(?!{_INSIDE})" if quoted and not open_ended and re.match(_INSIDE, term[-1]) else ""
    return re.compile(before + re.escape(term) + after)
