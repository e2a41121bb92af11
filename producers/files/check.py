"""`newstide produce --check FILE`: shows how a file is read, without sending anything."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newstide.core.errors import SourceError
from newstide.core.headline import DEFAULTS, Headline, Limits
from newstide.core.text import iso_time, shorten
from producers.files.options import Options
from producers.files.reader import read_files
from producers.rows import Row
from producers.tally import Tally, described

_SHOWN = 3  # headlines


@dataclass(slots=True)
class Check:
    """The result of reading one file to its end.

    Attributes:
        tally: Counts, columns and notes.
        first: The first headlines, each with whether the file names its time.
        dated: Headlines with a time.
        error: Why the file cannot be read (any further), or would not be sent; None where there is no such reason.
        max_rejected: The largest share of rejected rows that counts as success.
    """

    tally: Tally
    first: list[tuple[Headline, bool]] = field(default_factory=list)
    dated: int = 0
    error: SourceError | None = None
    max_rejected: float = 1.0

    @property
    def well(self) -> bool:
        """Whether sending the file would succeed."""
        tally = self.tally
        fruitless = tally.rejected and not tally.given
        return self.error is None and not fruitless and tally.rejected <= self.max_rejected * tally.read

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.tally.as_dict(),
            "dated": self.dated,
            "first": [headline._asdict() for headline, _ in self.first],
            "error": str(self.error or ""),
            "well": self.well,
        }

    def describe(self) -> str:
        """Lines for people."""
        tally = self.tally
        if self.error is not None and not tally.read:
            return f"{tally.name}: {self.error}"
        columns = ", ".join(f"{name} from {column!r}" for name, column in tally.columns.items())
        lines = [f"{tally.name}: {'; '.join(tally.told)}", f"  columns  {columns or 'none'}"]
        if tally.times is not None:
            text, moment = tally.times
            lines.append(
                f"  times    {shorten(text, 40)!r} is {moment}; {self.dated:,} of {tally.given:,} headlines have one"
            )
        else:
            lines.append("  times    none: Kafka's count")
        lines.append(f"  ids      {tally.own_ids:,} kept, {tally.given - tally.own_ids:,} derived")
        lines.append(
            f"  rows     read {tally.read:,}: {tally.given:,} headlines, {tally.rejected:,} rejected, "
            f"the same item twice {tally.twice:,}"
        )
        if not tally.read:
            lines.append(f"  {tally.nothing}")
        lines += described([tally])
        for headline, published in self.first:
            when = iso_time(headline.published_at) if published else "no time"
            source = f"{headline.source}: " if headline.source else ""
            lines.append(f"  {when}  {source}{shorten(headline.title, 100)}")
        if self.error is not None:
            lines.append(f"  {self.error}")
        return "\n".join(lines)


def check_files(paths: Sequence[str | Path], options: Options, limits: Limits = DEFAULTS) -> list[Check]:
    """Reads each file to its end and sends nothing; an unreadable file gets an error in its result.

    Raises:
        SettingsError: An option is invalid.
    """
    return [_checked(path, options, limits) for path in paths]


def _checked(path: str | Path, options: Options, limits: Limits) -> Check:
    tallies: list[Tally] = []
    check = Check(Tally(str(path)), max_rejected=options.max_rejected)
    try:
        for row in read_files([path], options=options, limits=limits, tallies=tallies):
            if isinstance(row, Row):
                check.dated += row.published
                if len(check.first) < _SHOWN:
                    check.first.append((row.headline, row.published))
    except SourceError as error:
        check.error = error
    check.tally = tallies[0]
    return check
