"""From the shape of a date to where its year, month, day, time and zone stand.

The shape of a text is the text with each digit as 0: `Fri, 00 Nov 0000 00:00:00 +0000`. What stands where depends on
the shape alone, so it is found once for each shape and kept; reading a further text of that shape is slicing.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cache, lru_cache

from newstide.core.offsets import is_range, may_be_range
from newstide.core.time_names import Names, fold, names_of
from newstide.core.zones import find_zone

LONGEST = 100  # characters; no date is longer
SHAPE = str.maketrans("123456789", "000000000")

Span = slice | None
_Put = Callable[[str], None]  # appends a text to the canonical form, with its place in the shape

_DIGITS = re.compile("0+")
_WORD = re.compile(r"[^\W\d_](?:[^\W\d]|[/\u0300-\u036f])*")
# Words between the parts of a date that say nothing: "on", "at", "o'clock", "year" in the 16 languages.
_FILLERS = re.compile(
    r"(?:at|on|of|the|der|del?|las?|los|um|uhr|uur|a|o|le|om|kl|alle|ore|as|hrs?|horas?|heures?|godz|r|г|года|в|saat|في|الساعة)"
    r"(?![^\W\d_])"
    "|เวลา|น|พ\\.?ศ|ค\\.?ศ|วันที่|วัน|ที่"
)
_ORDINALS = ("st", "nd", "rd", "th", "er", "e", "o")
_WEEKDAY_ALONE = re.compile(r"[(\uff08]([日月火水木金土一二三四五六일월화수목금토])[)\uff09]")
_WEEKDAYS_ALONE = {
    name: day for names in ("月火水木金土日", "一二三四五六", "월화수목금토일") for day, name in enumerate(names)
}
_NUMBERS_ALONE = re.compile(r"(?<!0)00?([-–/. ]) ?00?\1 ?0000(?!0)")  # a day and a month as numbers, and a year
_UNITS = str.maketrans("年月時时點点分秒", "ymhhhhis")
_HANGUL_UNITS = {"년": "y", "월": "m", "일": "d", "시": "h", "분": "i", "초": "s"}
_COMMENTS = re.compile(r"\s+m=[+-][\d.]+$|(?<=[+-]0000)\s*\([^()]*\)$")  # as Go and JavaScript append them

_YEAR = r"(?P<year>0000|'?00)"
_DATES = {
    "ymd": r"(?P<year>0000)(?P<sep>[-–/.: ] ?)(?P<month>00?)(?P=sep)(?P<day>00?)\.?",
    "compact": r"(?P<year>0000)(?P<month>00)(?P<day>00)",
    "units": r"(?P<year>0000) ?<y> ?(?P<month>00?) ?<m> ?(?P<day>00?) ?<d>",
    "unit month": r"(?P<year>0000) ?<y> ?M ?(?P<day>00?) ?<d>",
    "yMd": r"(?P<year>0000)[-–/. ]?M[-–/. ]?(?P<day>00?)",
    "dMy": rf"(?P<day>00?)[-–/. ]*M[-–/. ]*{_YEAR}",
    "Mdy": r"M[-–/. ]*(?P<day>00?)[-–/. ]+(?P<year>0000|'00)",
    "two": rf"(?P<first>00?)(?P<sep>[-–/. ]) ?(?P<second>00?)(?P=sep) ?{_YEAR}",
    "week": r"(?P<year>0000)-?w(?P<week>00)-?(?P<weekday>0)",
    "ordinal": r"(?P<year>0000)-(?P<ordinal>000)",
}
_SECONDS = r"(?::(?P<second_>00?)(?:[.,:](?P<fraction>0{1,12}))?)?"
_TIMES = {
    "colons": rf"(?:P ?)?(?P<hour>00?):(?P<minute>00?){_SECONDS}(?: ?P)?",
    "dots": r"(?:P ?)?(?P<hour>00?)\.(?P<minute>00)(?:\.(?P<second_>00)(?:\.(?P<fraction>0{1,12}))?)?(?: ?P)?",
    "h": r"(?P<hour>00?) ?h ?(?P<minute>00)?",
    "units": r"(?:P ?)?(?P<hour>00?) ?<h> ?(?:(?P<minute>00?) ?<i> ?(?:(?P<second_>00?) ?<s>)?)?",
    "half": r"(?:(?P<hour>00?) ?P)",
}
_DASHES = r"(?P<hour>00)-(?P<minute>00)-(?P<second_>00)"  # behind a date, as in a file's name
_BARE = r"(?P<hour>00)(?:(?P<minute>00)(?:(?P<second_>00)(?:[.,](?P<fraction>0{1,12}))?)?)?"  # after a T alone
_NAMED = r"[(\[]?Z[)\]]?"
# Behind a minus stands no space: 10:00 - 11:00 is a range. Seconds stand behind a plus and two digits of each.
_OFFSET = (
    r"Z? ?(?P<sign>[-\u2212]|\+ ?)(?P<zone_hour>00?)(?::?(?P<zone_minute>00)(?:(?<=[+ ]00:00):00|(?<=[+ ]0000)00)?)?"
)
_ZONE = rf"(?:{_OFFSET}(?: ?{_NAMED})?| ?{_NAMED}|(?P<twice> ?Z ?[(\[]Z[)\]]))"  # twice: Java's Z[UTC]
# Of a day alone: in "27 Nov 2026 - 10:00" stands a time, and in 20261127-0930.
_DAY_ZONE = rf"(?:(?: |(?=.00:)|(?=\+))(?P<sign>[-+\u2212])(?P<zone_hour>00):?(?P<zone_minute>00)| ?{_NAMED})"
_JOINED = r"(?: ?t ?| | [-–] |_|:|(?<=<d>))"


@cache
def _patterns() -> list[re.Pattern[str]]:
    # Compiled when the first shape is looked at: a feed's parser imports this file, and reads no times.
    patterns = []
    for date in _DATES.values():
        patterns.append(f"{date}{_DAY_ZONE}?")
        patterns.append(f"{date} ?t ?{_BARE}{_ZONE}?")
        patterns.append(f"{date}(?: ?t ?| |_|-){_DASHES}(?: ?{_NAMED})?")
        for time in _TIMES.values():
            patterns.append(f"{date}{_JOINED}{time}(?: ?{_ZONE})?")
            patterns.append(f"{time}(?: ?{_ZONE})? (?:[-–] )?{date}")
            patterns.append(f"{time} {date} ?{_ZONE}")
    # As date(1) and Twitter write it.
    patterns += [rf"M (?P<day>00?) {time}(?: ?{_ZONE})? (?P<year>0000)" for time in _TIMES.values()]
    return [re.compile(pattern) for pattern in patterns]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts stand in any text of one shape; None where there is no such part.

    Attributes:
        month: Where the month's number stands, or its number, from its name.
        first, second: The day and the month, in an order that the shape does not tell.
        half: Whether it is the second half of the day; None where the time has 24 hours.
        zone: The zone that the shape names; before an offset, one that is not UTC: Etc/GMT+5 is five hours west.
        doubt: Whether the offset may be the end of a range: 08:00-09:00; `zone` is then what stands behind it.
        said_weekdays: The weekdays that the shape's name of one can mean, Monday as 0; empty where it names none.
        maybe_year_first: 26/11/27 may be 2026-11-27, or the 26th; `year` is what stands last.
        unknown: Whether the shape names a zone that is not known.
        buddhist: Years from 2400 on are the Thai calendar's.
        usual: Year, month, day, hour, minute and second stand there, and nothing that changes what they mean.
    """

    year: slice
    month: slice | int | None
    day: Span
    first: Span
    second: Span
    said_weekdays: frozenset[int]
    maybe_year_first: bool
    week: Span
    weekday: Span
    ordinal: Span
    hour: Span
    minute: Span
    second_: Span
    fraction: Span
    half: bool | None
    sign: int
    zone_hour: Span
    zone_minute: Span
    zone: tzinfo | None
    doubt: bool
    unknown: bool
    buddhist: bool
    usual: bool


@dataclass(slots=True)
class _NamedParts:
    """The parts of a date that the words of a shape give: month, half of the day, zone."""

    months: list[frozenset[int]]
    maybe: list[frozenset[int]]  # a name that is a weekday's, too
    weekdays: list[frozenset[int]]
    halves: list[bool]
    zones: list[tzinfo | None]
    places: list[int]  # where in the shape the canonical text's characters stand


@lru_cache(4096)
def layout_of(shape: str, language: str) -> Layout | str:
    """The layout of a shape, or why the shape has none: `unreadable`, or `ambiguous` where a name is two months."""
    found: Layout | str = "unreadable"
    for names in _names(language):
        found = _layout(shape, names, language)
        if not isinstance(found, str):
            break
    return found


def _names(language: str) -> list[Names]:
    tried = [names_of(language)] if language else []
    return [names for names in (*tried, names_of("en"), names_of("")) if names is not None]


def _layout(shape: str, names: Names, language: str) -> Layout | str:
    text = _COMMENTS.sub("", shape)
    alone = _WEEKDAY_ALONE.search(text)
    canonical, words = _canonical(_WEEKDAY_ALONE.sub(lambda found: " " * len(found[0]), text), names)
    if canonical is None or words is None:
        return "unreadable"
    if alone is not None:
        words.weekdays.append(frozenset([_WEEKDAYS_ALONE[alone[1]]]))
    for pattern in _patterns():
        match = pattern.fullmatch(canonical)
        if match is not None:
            return _made(match, words, shape, language)
    return "unreadable"


_SPANS = (
    *("day", "first", "second", "week", "weekday", "ordinal"),
    *("hour", "minute", "second_", "fraction", "zone_hour", "zone_minute"),
)


def _made(match: re.Match[str], words: _NamedParts, shape: str, language: str) -> Layout | str:
    groups = match.groupdict()
    places = words.places

    def span(name: str) -> Span:
        if groups.get(name) is None:
            return None
        start, end = match.span(name)
        while match.string[start] == "'":
            start += 1
        return slice(places[start], places[end - 1] + 1)

    month: slice | int | None = span("month")
    if "M" in match.string:
        numbers = words.months[0]
        if len(numbers) > 1:
            return "ambiguous"
        (month,) = numbers
    year = span("year")
    assert year is not None  # noqa: S101 - every pattern has one
    if words.zones and None in words.zones and not groups.get("hour"):
        return "unreadable"
    sign = match.string[match.start("sign")] if groups.get("sign") else ""
    given = [zone for zone in words.zones if zone is not None]
    named = bool(sign) and match.string[: match.start("sign")].rstrip().endswith("Z")
    doubt = bool(sign not in ("", "+") and not named and groups.get("hour") and not groups.get("second_"))
    if doubt:
        at = places[match.start("zone_hour")] - 1
        minutes = bool(groups.get("minute") or groups["zone_minute"])
        if is_range(shape, at, len(groups["zone_hour"]), minutes=minutes):
            return "unreadable"
        doubt = "t" not in match.string and may_be_range(shape, at)
    if (doubt and None in words.zones) or (groups.get("twice") and words.zones[0] is not UTC):
        return "unreadable"
    thai = language.partition("-")[0].lower() == "th" or any("\u0e00" <= character <= "\u0e7f" for character in shape)
    spans = {name: span(name) for name in _SPANS}
    return Layout(
        year=year,
        month=month,
        **spans,
        said_weekdays=frozenset.intersection(*words.weekdays) if words.weekdays else frozenset(),
        maybe_year_first=groups.get("first") is not None and len(groups["year"]) == 2,
        half=words.halves[0] if words.halves else None,
        sign={"": 0, "+": 1}.get(sign, -1),
        zone=given[0] if given and (not sign or doubt or (named and given[0] is not UTC)) else None,
        doubt=doubt,
        unknown=bool(words.zones) and not given and not sign,
        buddhist=thai,
        usual=month is not None
        and None not in map(spans.get, ("day", "hour", "minute", "second_"))
        and not (spans["fraction"] or words.halves or thai),
    )  # fmt: skip


def _canonical(shape: str, names: Names) -> tuple[str | None, _NamedParts | None]:
    """The shape with its words as single letters: M a month, P a half of the day, Z a zone, t, <y>, <m>, ... units."""
    plain = fold(shape)
    runs = iter(_DIGITS.finditer(shape))
    out: list[str] = []
    words = _NamedParts([], [], [], [], [], [])

    def put(text: str, place: int = -1) -> None:
        out.append(text)
        words.places.extend(place + number if place >= 0 else -1 for number in range(len(text)))

    at = int(plain.startswith("'"))  # a spreadsheet's mark of a text
    while at < len(plain):
        character = plain[at]
        if character == "0":
            run = next(runs)
            put(run[0], run.start())
            at += len(run[0])
        elif (name := names.pattern.match(plain, at)) is not None and name[0]:
            _say(name[0], names, words, put)
            at = name.end()
            if plain[at : at + 1] == "." and not plain[at + 1 : at + 2].isdigit():
                at += 1
        elif (taken := _unit(plain, at, put)) or (taken := _word(plain, at, shape, words, put, out)):
            at += taken
        elif character in " \t\u00a0\u202f,،、·•|" and not (character == "," and _fraction(out, plain, at)):
            put(" ")
            at += 1
        elif character in "-+/.:,'()[]_\u2212\u2010\u2011\u2012\u2013\u2014":
            # Hyphens, which may be signs, and dashes, which are none: 10:00–11:00 is a range.
            put("-" if character in "\u2010\u2011" else "–" if character in "\u2012\u2013\u2014" else character)
            at += 1
        else:
            return None, None
    return _tidied("".join(out), words)


def _fraction(out: list[str], plain: str, at: int) -> bool:
    """Whether a comma stands before a fraction of a second: 10:00:00,123."""
    return plain[at + 1 : at + 2] == "0" and "".join(out[-4:]).endswith(":00")


def _say(name: str, names: Names, words: _NamedParts, put: _Put) -> None:
    key = re.sub(r"\s", " ", name)
    if key in names.halves:
        words.halves.append(names.halves[key])
        put("P")
    elif key in names.months and key in names.weekdays:
        words.maybe.append(names.months[key])
        words.weekdays.append(names.weekdays[key])  # counts only where both day and month are numbers
        put("?")
    elif key in names.months:
        words.months.append(names.months[key])
        put("M")
    else:
        words.weekdays.append(names.weekdays[key])
        put("W")


def _unit(plain: str, at: int, put: _Put) -> int:
    """How many characters a unit of the date takes, as in 2026年 or 26일."""
    if plain[at] in "年月時时点點分秒":
        put(f"<{plain[at].translate(_UNITS)}>")
        return 1
    if plain[at] in "日号號":
        put("<d>")
        return 1
    for name, unit in _HANGUL.items():
        if plain.startswith(name, at):
            put(f"<{unit}>")
            return len(name)
    return 0


def _word(plain: str, at: int, shape: str, words: _NamedParts, put: _Put, out: list[str]) -> int:
    """How many characters a word that is no name takes; 0 where the word is unknown."""
    found = _WORD.match(plain, at)
    if found is None:
        return 0
    word = found[0]
    after_digit = bool(out) and out[-1].startswith("0")
    if word in ("t", "h") or (word == "w" and after_digit) or (word == "w" and out and out[-1] == "-"):
        put(word)
    elif word in _ORDINALS and after_digit and not plain[at + len(word) : at + len(word) + 1].isdigit():
        put("")
    elif (filler := _FILLERS.match(plain, at)) is not None and filler.end() - at >= len(word):
        put(" ")
        return filler.end() - at + (plain[filler.end() : filler.end() + 1] == ".")
    elif (zone := find_zone(_as_written(word, shape))) is not None:
        words.zones.append(zone)
        put("Z")
    elif (len(word) in range(2, 6) and word.isascii() and word.upper() in shape) or re.fullmatch(
        r"[a-z]+/[a-z_/]+", word
    ):
        words.zones.append(None)
        put("Z")
    else:
        return 0
    return len(word)


def _as_written(word: str, shape: str) -> str:
    """A word of the folded shape in the case that it has in the shape: IANA's names have one."""
    place = shape.casefold().find(word)
    return shape[place : place + len(word)] if place >= 0 else word


def _tidied(text: str, words: _NamedParts) -> tuple[str | None, _NamedParts | None]:
    """Weekdays taken out with what surrounds them, runs of spaces made one; at most one of each kind of word."""
    if "?" in text:
        alone = "M" not in text and _NUMBERS_ALONE.search(text) is None
        place = text.rindex("?")  # of two, the weekday stands first: "mar 17 mar 2026"
        text = text[:place].replace("?", "W") + ("M" if alone else "W") + text[place + 1 :]
        if alone:
            words.months = words.maybe[-1:]
    keep = [True] * len(text)
    for found in re.finditer(r"\s*[(\[]?W[)\]]?\.?\s*", text):
        for number in range(*found.span()):
            keep[number] = False
        if found.start() and found.end() < len(text):
            keep[found.start()] = True
            text = text[: found.start()] + " " + text[found.start() + 1 :]
    for found in re.finditer(r" +", text):
        for number in range(found.start() + 1, found.end()):
            keep[number] = False
    left = [(character, place) for character, place, kept in zip(text, words.places, keep, strict=True) if kept]
    while left and left[0][0] == " ":
        left.pop(0)
    while left and left[-1][0] in " .":
        left.pop()
    words.places = [place for _, place in left]
    tidy = "".join(character for character, _ in left)
    if tidy.count("M") > 1 or tidy.count("P") > 1 or len(words.halves) != tidy.count("P"):
        return None, None
    return tidy, words


_HANGUL = {fold(name): unit for name, unit in _HANGUL_UNITS.items()}
