"""Names of months, weekdays and halves of the day, from the Unicode CLDR (through Babel)."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

# The languages of use-multilingual, and regions of theirs that have other names for months.
LANGUAGES = (
    "ar", "zh_Hans", "zh_Hant", "nl", "en", "de", "fr", "it", "pt", "es", "ja", "ko", "ru", "pl", "th", "tr",
)  # fmt: skip
# The one language of the CLDR, beside some of few readers, that gives their names of months to other months.
_CONTRARY = ("hr",)
_REGIONS = ("ar_SY", "ar_DZ", "ar_MA", "ar_TN", "de_AT", "en_AU", "es_PE", "pt_PT", "ru_UA")
# What people write beside the CLDR's.
_MONTHS = {
    "sept": 9,
    "setiembre": 9,
    "mayis": 5,
    "maerz": 3,
    "mrz": 3,
    "janv": 1,
    "juil": 7,
    "ноя": 11,
    "сен": 9,
    "фев": 2,
}
_WEEKDAYS = {"tues": 1, "weds": 2, "thur": 3, "thurs": 3}
_HALVES = {
    "am": False, "a.m": False, "a.m.": False, "a. m": False, "pm": True, "p.m": True, "p.m.": True, "p. m": True,
    "ص": False, "م": True, "上午": False, "下午": True, "午前": False, "午後": True, "오전": False, "오후": True,
    "öö": False, "ös": True,
}  # fmt: skip
_DROPPED = re.compile("[\u0300-\u036f\u064b-\u0655\u200e\u200f]")  # accents, and what tells Arabic vowels
# Scripts that write no space between words, and Hangul as NFKD takes it apart.
_NO_SPACES = re.compile("[\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of some languages, folded.

    Attributes:
        months: Name to numbers of months; more than one where languages differ.
        weekdays: Name to weekdays, Monday as 0; more than one where languages differ.
        halves: Name to whether it is the day's second half.
        pattern: Finds any of them, the longest first, as a whole word.
    """

    months: Mapping[str, frozenset[int]]
    weekdays: Mapping[str, frozenset[int]]
    halves: Mapping[str, bool]
    pattern: re.Pattern[str]


def fold(text: str) -> str:
    """Text without case and accents, by which names are compared; it has the digits that it had."""
    plain = _DROPPED.sub("", unicodedata.normalize("NFKD", text.casefold())).replace("ı", "i")
    return plain.replace("\u0640", "")  # Arabic's stretching stroke


@lru_cache(64)
def names_of(language: str) -> Names | None:
    """The names of one language, by its BCP 47 tag, and English's; of all where it is empty. None: it is unknown."""
    from babel import Locale, UnknownLocaleError

    try:
        locales = [Locale.parse(name) for name in ((language.replace("-", "_"), "en") if language else _all())]
    except (UnknownLocaleError, ValueError, TypeError):
        primary = language.partition("-")[0]
        return names_of(primary) if primary != language else None
    months: dict[str, set[int]] = defaultdict(set)
    weekdays: dict[str, set[int]] = defaultdict(set, {name: {day} for name, day in _WEEKDAYS.items()})
    halves = {fold(name): half for name, half in _HALVES.items()}
    for locale in locales:
        for number, name in _listed(locale.months):
            months[name].add(number)
        for day, name in _listed(locale.days):
            weekdays[name].add(day)
        for half, name in _listed(locale.day_periods):
            if half in ("am", "pm"):
                halves[name] = half == "pm"
    for number, name in () if language else _named_elsewhere():
        if name in months:
            months[name].add(number)
    for name, number in _MONTHS.items():
        months.setdefault(name, {number})
    return Names(
        {name: frozenset(numbers) for name, numbers in months.items()},
        {name: frozenset(days) for name, days in weekdays.items()},
        halves,
        _pattern({*months, *weekdays, *halves}),
    )


def _all() -> Iterable[str]:
    return (*LANGUAGES, *_REGIONS)


def _named_elsewhere() -> Iterable[tuple[int, str]]:
    from babel import Locale

    return chain.from_iterable(_listed(Locale.parse(name).months) for name in _CONTRARY)


def _listed(data: Mapping[str, Any]) -> Iterable[tuple[Any, str]]:
    """Each key with its names of every form and width but a single letter; names that hold digits are left out."""
    for form in ("format", "stand-alone"):
        for width in ("wide", "abbreviated", "short"):
            for key, value in dict(data.get(form, {}).get(width, {})).items():
                name = fold(value).strip().rstrip(".")
                letters = [character for character in name if character.isalpha()]
                if not any(map(str.isdecimal, name)) and len(unicodedata.normalize("NFC", "".join(letters))) > 1:
                    yield key, name


def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    parts = []
    for name in sorted(names, key=lambda name: (-len(name), name)):
        inner = re.escape(name).replace(r"\ ", r"\s")
        parts.append(inner if _NO_SPACES.search(name) else rf"(?<![^\W\d_]){inner}(?![^\W\d_])")
    return re.compile("|".join(parts))
