"""The bars of the graph engine, each beside its measured figure: ratios and times of one run, on two cores."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

Row = dict[str, Any]

LARGE = 100_000  # rows from which on growth is measured
_LARGEST = 10_000_000  # rows up to which growth is judged: over fewer, a processor's caches weigh too much
_LEAST_MB = 0.1  # smaller amounts of memory are not measurable
_TIMES: dict[tuple[int, str], tuple[float, float]] = {  # k = 15: seconds and MB at most
    (100_000, "tree"): (1, 500),
    (100_000, "labels"): (5, 500),
    (100_000, "labels by library"): (5, 500),
    (1_000_000, "tree"): (4, 2_000),
    (1_000_000, "labels"): (60, 2_000),
    (10_000_000, "tree"): (75, 6_000),
}
_CHEAPER = {"plus": 40, "minus": 20}
_INCREMENT_ROWS = (20_000, 100_000)
_SELECTION_ROWS, _SELECTION_SECONDS, _SELECTION_MB = 1_000_000, 15, 1_000


@dataclass(frozen=True, slots=True)
class Bar:
    """A measured figure and the bound that it has to keep."""

    what: str
    figure: float
    bound: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure keeps the bound."""
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound

    def cells(self) -> tuple[str, str, str, str]:
        """The cells of a table: what was measured, the figure, the bar, and whether the bar is met."""
        sign = ">=" if self.at_least else "<="
        return self.what, _shown(self.figure, self.unit), f"{sign} {self.bound:,} {self.unit}".strip(), self.verdict

    @property
    def verdict(self) -> str:
        """In a word."""
        return "pass" if self.met else "FAIL"


def bars(rows: Sequence[Row]) -> list[Bar]:
    """All bars whose figures are among the rows of results."""
    graphs = [row for row in rows if "contender" in row]
    return [*_against_tutorial(graphs), *_times(graphs), *_growth(graphs), *_increments(rows), *_selection(rows)]


def growth(rows: Sequence[Row], neighbours: int, contender: str = "tree") -> tuple[float, int, int] | None:
    """The exponent of time over rows between the smallest and the largest size from 100,000 on, and these two sizes."""
    times = {
        row["rows"]: row["seconds"]
        for row in rows
        if row.get("contender") == contender
        and row["neighbours"] == neighbours
        and row["rows"] >= LARGE
        and "seconds" in row
    }
    if len(times) < 2:
        return None
    small, large = min(times), max(times)
    return math.log(times[large] / times[small]) / math.log(large / small), small, large


def table(rows: Sequence[Row]) -> Table:
    """The bars as a table for the terminal."""
    shown = Table("what", "figure", "bar", "met", title="Bars")
    for bar in bars(rows):
        shown.add_row(*bar.cells(), style="" if bar.met else "bold red")
    return shown


def markdown(rows: Sequence[Row]) -> str:
    """The bars as a Markdown table."""
    lines = [f"| {' | '.join(bar.cells())} |" for bar in bars(rows)]
    return "\n".join(["| what | figure | bar | met |", "|---|---|---|---|", *lines])


def _against_tutorial(rows: Sequence[Row]) -> Iterator[Bar]:
    done = {(row["neighbours"], row["contender"]): row for row in rows if row["rows"] == 10_000 and "seconds" in row}
    for k in sorted(k for k, name in done if name == "tutorial" and (k, "labels") in done):
        theirs, ours = done[k, "tutorial"], done[k, "labels"]
        what = f"10,000 rows, k = {k}, lists to labels: tutorial / labels"
        yield Bar(f"{what}, time", theirs["seconds"] / ours["seconds"], 50, "x", at_least=True)
        memory = theirs["peak_mb"] / max(ours["peak_mb"], _LEAST_MB)
        yield Bar(f"{what}, memory", memory, 20, "x", at_least=True)


def _times(rows: Sequence[Row]) -> Iterator[Bar]:
    done = {(row["rows"], row["contender"]): row for row in rows if row["neighbours"] == 15 and "seconds" in row}
    for (size, name), (seconds, memory) in _TIMES.items():
        if (size, name) in done:
            what = f"{size:,} rows, k = 15, {name}"
            yield Bar(f"{what}, time", done[size, name]["seconds"], seconds, "s")
            yield Bar(f"{what}, memory", done[size, name]["peak_mb"], memory, "MB")


def _growth(rows: Sequence[Row]) -> Iterator[Bar]:
    if (found := growth(rows, 15)) is not None:
        exponent, small, large = found
        if (small, large) != (LARGE, _LARGEST):
            return
        yield Bar(f"growth of time to the tree, {small:,} to {large:,} rows, k = 15: exponent", exponent, 1.25, "")


def _increments(rows: Sequence[Row]) -> Iterator[Bar]:
    for row in rows:
        if "plus_factor" in row and row["rows"] in _INCREMENT_ROWS:
            for kind, sign in (("plus", "+1 %"), ("minus", "-1 %")):
                same = "lists identical" if row[f"{kind}_lists_identical"] else "LISTS DIFFER"
                factor = row[f"{kind}_factor"] if row[f"{kind}_lists_identical"] else 0.0
                what = f"{row['rows']:,} rows {sign}, {same}: rebuild / update"
                yield Bar(what, factor, _CHEAPER[kind], "x", at_least=True)


def _selection(rows: Sequence[Row]) -> Iterator[Bar]:
    for row in rows:
        if "selection_seconds" in row and row["rows"] == _SELECTION_ROWS:
            what = f"{row['rows']:,} rows x {row['dimensions']}, calibrated selection"
            yield Bar(f"{what}, time", row["selection_seconds"], _SELECTION_SECONDS, "s")
            yield Bar(f"{what}, memory beyond the vectors", row["peak_mb"], _SELECTION_MB, "MB")


def _shown(figure: float, unit: str) -> str:
    number = f"{figure:.2f}" if figure < 10 else f"{figure:,.0f}"
    return f"{number} {unit}".strip()
