"""Counts of rows that add up: read, rejected, values left out, with reasons and an example of each."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from newstide.core.text import shorten
from producers.rows import Rejected

_VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d,.]*|0x[0-9a-f]+")
_SHOWN = 3  # reasons
PLAIN = ("CSV", "JSON", "JSON lines", "Parquet", "a headline a line")  # notes on the usual formats, which are not shown
_REASONS = 1_000  # different reasons that are kept, so that a file full of faults does not fill the memory


@dataclass(slots=True)
class Found:
    """How often a reason was found, and its first example."""

    count: int
    example: str


@dataclass(slots=True)
class Tally:
    """The outcome of the rows of one file or feed.

    Attributes:
        name: The name of the file.
        given: Headlines that the source yielded.
        rejected: Rows that are no headline.
        twice: Rows that repeat an earlier row.
        known: Items of a feed that an earlier look has sent.
        edited: Known items that have another title now; the first title stays.
        own_ids: Headlines with the id of their row.
        reasons: Why rows were rejected.
        left_out: Values of sent headlines that could not be read: dates, ids, links; and groups without headlines.
        notes: Facts about the file, each a short sentence.
        zoneless: Times that name no zone.
        zone: The zone in which they were read.
        columns: Field to the column that holds it.
        names: All columns of the file that were seen.
        nothing: The reason where the file yielded neither headlines nor rejected rows.
        times: The first time that was read, as the file writes it and in ISO 8601.
    """

    name: str = ""
    given: int = 0
    rejected: int = 0
    twice: int = 0
    known: int = 0
    edited: int = 0
    own_ids: int = 0
    reasons: dict[str, Found] = field(default_factory=dict)
    left_out: dict[str, Found] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    zoneless: int = 0
    zone: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    nothing: str = "it holds no rows."
    times: tuple[str, str] | None = None

    @property
    def read(self) -> int:
        """Rows that were looked at."""
        return self.given + self.rejected + self.twice

    @property
    def told(self) -> list[str]:
        """The notes, and how many times were read in a zone that they do not name."""
        zone = f"{self.zoneless:,} times name no zone and are read in {self.zone}"
        return [*self.notes, zone] if self.zoneless else self.notes

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "nothing": "" if self.read else self.nothing, "read": self.read}

    def reject(self, row: Rejected) -> None:
        """Counts a rejected row under its reason; the value that the reason names does not count."""
        self.rejected += 1
        _count(self.reasons, _VALUE.sub("…", row.reason), f"{row.reason} ({row.file}:{row.line})")

    def leave_out(self, what: str, value: Any, line: int | None = None) -> None:
        """Counts a value that could not be read, of a headline that is sent without it; or what is no headline's."""
        found = self.left_out.get(what)
        if found is None:
            where = self.name if line is None else f"{self.name}:{line}"
            self.left_out[what] = Found(1, f"{shorten(str(value), 40)!r} in {where}")
        else:
            found.count += 1

    def note(self, text: str) -> None:
        """Adds a note on the file, unless the tally has it already."""
        if text not in self.notes:
            self.notes.append(text)


def described(tallies: Sequence[Tally]) -> list[str]:
    """A line for each reason of rejected rows, the most frequent first, and for each kind of value left out."""
    reasons = sorted(_summed(tally.reasons for tally in tallies).values(), key=lambda found: -found.count)
    lines = [f"  rejected {found.count:,}: {found.example}" for found in reasons[:_SHOWN]]
    if len(reasons) > _SHOWN:
        lines.append(f"  rejected {sum(found.count for found in reasons[_SHOWN:]):,} for other reasons")
    left_out = _summed(tally.left_out for tally in tallies)
    return lines + [f"  left out {found.count:,}: {what}, as {found.example}" for what, found in left_out.items()]


def _summed(founds: Iterable[dict[str, Found]]) -> dict[str, Found]:
    together: dict[str, Found] = {}
    for found in founds:
        for key, value in found.items():
            before = together.get(key)
            together[key] = value if before is None else Found(before.count + value.count, before.example)
    return together


def _count(founds: dict[str, Found], key: str, example: str) -> None:
    found = founds.get(key)
    if found is not None:
        found.count += 1
    elif len(founds) < _REASONS:
        founds[key] = Found(1, example)
    else:
        founds.setdefault("other", Found(0, example)).count += 1
