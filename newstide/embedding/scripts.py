"""Which scripts a model's vocabulary writes, and whether it can read a title.

A text in another script becomes unknown tokens, and all such texts look alike to the model. Scripts are Unicode's, by their
ISO 15924 codes: `Beng`, `Latn`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from fontTools import unicodedata

from newstide.embedding.base import ModelCard

# The scripts of the packaged models, as `written_scripts` finds them.
USE_SCRIPTS = ("Arab", "Cyrl", "Hang", "Hani", "Hira", "Kana", "Latn", "Thai")
E5_SCRIPTS = (
    *("Arab", "Armn", "Beng", "Cyrl", "Deva", "Ethi", "Geor", "Grek", "Gujr", "Guru", "Hang", "Hani", "Hebr", "Hira"),
    *("Kana", "Khmr", "Knda", "Laoo", "Latn", "Mlym", "Mymr", "Orya", "Sinh", "Taml", "Telu", "Thai"),
)

_WORDS = 100  # tokens of two letters and more: with fewer of a script, the model has seen too few words to learn it
_FEWEST = 4  # letters that a title must have to be judged
_ANY = frozenset({"Zyyy", "Zinh", "Zzzz"})  # common, inherited and unknown characters: they belong to no script
_BYTE_LEVEL, _MANY = (
    "Ġ",
    1_000,
)  # vocabularies of bytes begin a word with this Maltese letter; no other has so many words with it


def unreadable_script(title: str, card: ModelCard) -> str | None:
    """The script for which the model cannot read a title; None where the model can read the title.

    The model cannot read it where the title has four letters or more (categories L and M), and over half of them are of
    scripts that the vocabulary does not write.

    Returns:
        The code of the script that most of these letters are of.
    """
    if card.scripts is None or (title.isascii() and "Latn" in card.scripts):
        return None
    known = _known(card.scripts)
    strange = {one for one in set(title).difference(known) if not _writes(card.scripts, one, known)}
    if not strange:
        return None
    letters = Counter(one for one in title if unicodedata.category(one)[0] in "LM")
    others: Counter[str] = Counter()
    for one in strange:
        others[unicodedata.script(one)] += letters[one]
    if letters.total() < _FEWEST or 2 * others.total() <= letters.total():
        return None
    return max(sorted(others), key=others.__getitem__)


@cache
def _known(_scripts: tuple[str, ...]) -> set[str]:
    """The characters of which `_writes` has found that they do not speak against a title; a run asks it of every title."""
    return set()


def _writes(scripts: tuple[str, ...], one: str, known: set[str]) -> bool:
    """Whether a character is no letter or mark, or one of a script that the vocabulary writes."""
    if unicodedata.category(one)[0] in "LM" and _ANY.union(scripts).isdisjoint(unicodedata.script_extension(one)):
        return False
    known.add(one)
    return True


def unreadable_scripts(titles: Sequence[str], card: ModelCard) -> tuple[npt.NDArray[np.bool_], Counter[str]]:
    """(n,) which of the titles the model can read, and how many it cannot, by script."""
    found = [unreadable_script(title, card) for title in titles]
    return np.array([script is None for script in found], np.bool_), Counter(one for one in found if one is not None)


def script_name(code: str) -> str:
    """`Bengali` of `Beng`."""
    return str(unicodedata.script_name(code, default=code))


def written_scripts(pieces: Iterable[str]) -> tuple[str, ...] | None:
    """The scripts that a vocabulary writes, by its tokens' texts; None for tokens of bytes, which write all scripts."""
    words: Counter[str] = Counter()
    of_bytes = 0
    for piece in pieces:
        of_bytes += piece.startswith(_BYTE_LEVEL)
        letters = [one for one in piece if unicodedata.category(one)[0] in "LM"]
        if len(letters) < 2 or words[script := unicodedata.script(letters[0])] >= _WORDS:
            continue
        words[script] += all(script in unicodedata.script_extension(letter) for letter in letters[1:])
    if of_bytes > _MANY:
        return None
    return tuple(sorted(script for script, count in words.items() if count >= _WORDS and script not in _ANY))
