"""Which numbers behind a time are its offset from UTC, and which are the end of a range or a second time.

An offset counts only where a zone has it, or had it lately. A minus without blanks also stands between the two ends of a
range: `08:00-09:00`.
"""

import re

# Minutes east of UTC that zones have, or had in this century.
OFFSETS = frozenset(
    [*range(-720, 841, 60), -570, -270, -210, -150, 210, 270, 330, 345, 390, 510, 525, 570, 630, 690, 765, 825]
)
_LEAST, _LEAST_WITHOUT_SECONDS = -720, -600
_CLOCK_WORD = re.compile(
    r"(?<![^\W\d_])(?:uhr|uur|hrs?|horas?|heures?|ore|godz|kl|saat)(?![^\W\d_])|น\.?$", re.IGNORECASE
)
_AS_CLOCK = re.compile("00?(?::|(?!0))")


def written(minutes: int) -> str:
    """Minutes east of UTC as ISO 8601 writes them, `-03:30`."""
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


# At the end of an ISO time with these, nothing more need be asked where it has seconds.
SURE = frozenset(written(minutes) for minutes in OFFSETS if minutes >= -540)


def is_offset(east: float, seconds: bool) -> bool:
    """Whether minutes east of UTC are an offset; behind a time without seconds, -11:00 is rather the end of a range."""
    return east in OFFSETS and east >= (_LEAST if seconds else _LEAST_WITHOUT_SECONDS)


def ends_range(east: float, minutes: int) -> bool:
    """Whether minutes east of UTC, where a minus stands between two times, are the later end of a range.

    Args:
        east: The minutes; below zero where the time of the clock behind the minus is -east minutes after midnight.
        minutes: From midnight to the time before the minus.
    """
    return -east > minutes


def may_be_range(shape: str, at: int) -> bool:
    """Whether the minus at this place of a shape, behind a time without seconds, may stand between two times.

    None stands so behind a blank, or before four digits in a row where a colon is in the time: `10:00-0500`.
    """
    return not shape[at - 1].isspace() and _AS_CLOCK.match(shape, at + 1) is not None


def is_range(shape: str, at: int, zone_digits: int, *, minutes: bool) -> bool:
    """Whether a time without seconds and the number behind its minus are a range, whatever the digits are.

    Args:
        shape: The text with each digit as 0.
        at: Where the minus stands.
        zone_digits: How many digits the hour behind the minus has.
        minutes: Whether minutes stand before or behind the minus.
    """
    tight = not shape[at - 1].isspace()
    return not minutes or (tight and zone_digits < 2) or _CLOCK_WORD.search(shape, 0 if tight else at) is not None
