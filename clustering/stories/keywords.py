"""Keywords of stories by class-based TF-IDF, from words that are counted once a title and kept."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from clustering.arrays import Flags, Labels
from newstide.core.language_means import primary_language

KEYWORDS = 8  # a story
_SHORTEST = 3  # characters of a spaced word
_UNSPACED = r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]"  # kana, Han, Thai: written without spaces
_SLACK = 2  # words known for each that a title has: with more, those that no title has are forgotten

Numbers = npt.NDArray[np.int32]


class Words:
    """The words of titles as numbers: split once a title, and kept for as long as the title is asked for."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._of: dict[str, Numbers] = {}

    def of(self, titles: Sequence[str]) -> tuple[Numbers, Labels]:
        """The words of these titles, one after another, and how many each has; all other titles are forgotten."""
        known, number = self._of, self._number
        found = {}
        for title in dict.fromkeys(titles):
            own = known.get(title)
            if own is None:
                own = np.array([number.setdefault(word, len(number)) for word in split(title)], np.int32)
            found[title] = own
        self._of = found
        parts = [found[title] for title in titles]
        flat = np.concatenate(parts) if parts else np.empty(0, np.int32)
        used = np.unique(flat)
        if len(number) > _SLACK * len(used):
            self._forget_all_but(used)
            return self.of(titles)
        return flat, np.fromiter(map(len, parts), np.int64, len(parts))

    def texts(self) -> list[str]:
        """The words by number."""
        return list(self._number)

    def _forget_all_but(self, used: Numbers) -> None:
        words = self.texts()
        place = np.zeros(len(words), np.int32)
        place[used] = np.arange(len(used), dtype=np.int32)
        self._number = {words[number]: at for at, number in enumerate(used.tolist())}
        self._of = {title: place[own] for title, own in self._of.items()}


def keywords(
    titles: Sequence[str], own: Labels, languages: Iterable[str], asked: Flags, words: Words
) -> list[list[str]]:
    """Class-based TF-IDF (Grootendorst 2022): tf x log(1 + words a class on average / frequency over all classes).

    Args:
        titles: (m,) of all headlines that are in a story.
        own: (m,) the place of each one's story in `asked`.
        languages: BCP 47 tags of the headlines, whose stop words are left out.
        asked: (stories,) of which to tell the keywords; the others get none.
        words: What is kept of titles.

    Returns:
        (stories,) at most 8 each, best first, none a part of another.
    """
    flat, lengths = words.of(titles)
    story = np.repeat(own, lengths)
    texts = words.texts()
    stop = _stop_words(languages)
    telling = np.array([_is_pair(word) or (len(word) >= _SHORTEST and word not in stop) for word in texts], np.bool_)
    there = telling[flat]
    frequency = np.bincount(flat[there], minlength=len(texts))
    weight = np.log(1 + frequency.sum() / len(asked) / np.maximum(frequency, 1))
    pairs, tf = np.unique(
        (story.astype(np.int64) * max(1, len(texts)) + flat)[there & asked[story]], return_counts=True
    )
    stories, numbers = np.divmod(pairs, max(1, len(texts)))
    bounds = np.searchsorted(stories, np.arange(len(asked) + 1))
    found: list[list[str]] = []
    for at in range(len(asked)):
        part = slice(bounds[at], bounds[at + 1])
        values = (-tf[part] * weight[numbers[part]]).tolist()
        ranked = sorted(zip(values, (texts[number] for number in numbers[part].tolist()), strict=True))
        found.append(_distinct(word for _, word in ranked))
    _fill_in(found, asked, flat, story, texts)
    return found


def _fill_in(found: list[list[str]], asked: Flags, flat: Numbers, story: Labels, texts: Sequence[str]) -> None:
    """Words by frequency, stop words among them, for stories of nothing else, like "What we know so far"."""
    bare = [at for at in np.flatnonzero(asked).tolist() if not found[at]]
    if not bare:
        return
    order = np.argsort(story, kind="stable")
    bounds = np.searchsorted(story[order], np.arange(len(asked) + 1))
    for at in bare:
        counts = Counter(texts[number] for number in flat[order[bounds[at] : bounds[at + 1]]].tolist())
        found[at] = _distinct(sorted(counts, key=lambda word: (-counts[word], word)))


def split(title: str) -> list[str]:
    """A title's words: as they stand where words are spaced, as pairs of characters where they are not."""
    text = title.casefold()
    runs, rest = _unspaced().findall(text), _unspaced().sub(" ", text)
    pairs = [run[at : at + 2] for run in runs for at in range(max(len(run) - 1, 1))]
    return _word().findall(rest) + [
        pair for pair in pairs if not all("\u3040" <= character <= "\u309f" for character in pair)
    ]


def _is_pair(word: str) -> bool:
    return _unspaced().match(word) is not None


@cache
def _unspaced() -> re.Pattern[str]:
    return re.compile(f"{_UNSPACED}+")


@cache
def _word() -> re.Pattern[str]:
    """A letter and what follows it; marks are part of a word, though not of re's: a vowel sign of Hindi or Tamil is one."""
    marks = re.escape("".join(chr(code) for code in range(0x20000) if unicodedata.category(chr(code))[0] == "M"))
    inside = rf"\w{marks}"
    return re.compile(rf"(?<![{inside}])[^\W\d_][{inside}'’\u200c\u200d-]*[{inside}]")


def _stop_words(languages: Iterable[str]) -> frozenset[str]:
    from stop_words import StopWordError, get_stop_words

    found: set[str] = set()
    for language in {primary_language(tag) for tag in set(languages)} | {"en"}:
        try:
            found.update(get_stop_words(language))
        except StopWordError:  # it has no list for this language
            continue
    return frozenset(word.casefold() for word in found)


def _distinct(words: Iterable[str]) -> list[str]:
    """The first words of which none is a part of another."""
    kept: list[str] = []
    for word in words:
        if not any(word in other or other in word for other in kept):
            kept.append(word)
            if len(kept) == KEYWORDS:
                break
    return kept
