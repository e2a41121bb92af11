"""Times that a file holds as numbers of a unit that it names, not as texts."""

from typing import NamedTuple


class Instant(NamedTuple):
    """A time that its file holds as a number of milliseconds since 1970, in UTC or in local time.

    Attributes:
        milliseconds: Since 1970.
        utc: Whether it is in UTC; else it is in a local time that the file does not name.
        day: Whether it is a day alone.
    """

    milliseconds: int
    utc: bool
    day: bool = False

    def __str__(self) -> str:
        return f"{self.milliseconds} ms since 1970"
