"""Counts that add up: what was read, refused and left out, why, and an example of each."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from newstide.core.text import shorten
from producers.rows import Rejected

_VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d,.]*|0x[0-9a-f]+")
_SHOWN = 3  # reasons
PLAIN = ("CSV", "JSON", "JSON lines", "Parquet", "a headline a line")  # notes that need no saying
_REASONS = 1_000  # told apart; a file of nothing but different faults fills no memory


@dataclass(slots=True)
class Found:
    """How often something was found, and the first of it."""

    count: int
    example: str


@dataclass(slots=True)
class Tally:
    """What became of the rows of one file (or of all feeds together).

    Attributes:
        name: Of the file.
        given: Headlines handed on.
        rejected: Rows that are no headline.
        twice: Rows that repeat one before them.
        known: Items of a feed that an earlier look has sent.
        edited: Those of them that have another title now; the first one stays.
        own_ids: Headlines that carry the id their row has.
        reasons: Why rows were rejected.
        left_out: What could not be read of headlines that were sent: dates, ids, links.
        notes: What was found out about the file, each a short sentence.
        columns: Column of each field.
        names: All columns of the file, as far as they were seen.
        nothing: What is to be said where no headline was handed on and none refused.
        times: The first time that was read, as it stands there and in ISO 8601.
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
    columns: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    nothing: str = "it holds no rows."
    times: tuple[str, str] | None = None

    @property
    def read(self) -> int:
        """Rows that were looked at."""
        return self.given + self.rejected + self.twice

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "read": self.read}

    def reject(self, row: Rejected) -> None:
        """Counts a rejected row under its reason, whatever value the reason names."""
        self.rejected += 1
        _count(self.reasons, _VALUE.sub("…", row.reason), f"{row.reason} ({row.file}:{row.line})")

    def leave_out(self, what: str, value: Any, line: int) -> None:
        """Counts what could not be read of a headline that is sent all the same."""
        found = self.left_out.get(what)
        if found is None:
            self.left_out[what] = Found(1, f"{shorten(str(value), 40)!r} in {self.name}:{line}")
        else:
            found.count += 1

    def note(self, text: str) -> None:
        """Remembers what was found out about the file, once."""
        if text not in self.notes:
            self.notes.append(text)


def described(tallies: Sequence[Tally]) -> list[str]:
    """Why rows were rejected, the most frequent reasons first, and what was left out: a line each, with an example."""
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
