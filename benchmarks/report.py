"""Writes the figures of `docs/benchmarks.md` from the results that benchmarks left: `python -m benchmarks.report [FILE...]`.

Of several results for one size, the latest counts. The plot of time against rows goes to `benchmarks/results`.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import bars, document
from benchmarks.graph import CONTENDERS
from benchmarks.machine import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PLOT = RESULTS / "time.html"
Row = dict[str, Any]
_KINDS = ("contender", "plus_factor", "selection_seconds")  # keys that identify the rows of these benchmarks
_PASSES = 7  # passes over the edges, each reading a number of every neighbour: 2 for core distances, 5 for the forest


def read(files: Sequence[Path]) -> tuple[list[Row], list[Row]]:
    """The rows of these benchmarks, and the machines' cards; files of other benchmarks are ignored.

    Raises:
        SystemExit: No file holds results of these benchmarks.
    """
    results = []
    for file in files:
        content = json.loads(file.read_text())
        rows = content.get("rows", []) if isinstance(content, dict) else []
        if some := [row for row in rows if any(key in row for key in _KINDS)]:
            results.append((content["machine"], some))
    if not results:
        raise SystemExit(f"No results of the graph engine's benchmarks in {RESULTS}. Run make bench first.")
    results.sort(key=lambda result: str(result[0]["measured_at"]))
    last: dict[tuple[Any, ...], Row] = {}
    for _, some in results:
        for row in some:
            kind = next(key for key in _KINDS if key in row)
            last[kind, row["rows"], row.get("neighbours"), row.get("contender")] = row
    return list(last.values()), [card for card, _ in results]


def figures(files: Sequence[Path]) -> str:
    """The results as Markdown."""
    rows, cards = read(files)
    graphs = [row for row in rows if "contender" in row]
    parts = [_machine(cards)]
    if bars.bars(rows):
        parts.append(bars.markdown(rows))
    parts += [_graph_table(graphs, k) for k in _neighbours(graphs)]
    for k in _neighbours(graphs):
        if (found := bars.growth(graphs, k)) is not None:
            exponent, small, large = found
            parts.append(
                f"Time to the tree grows with the rows to the power of {exponent:.2f}, {small:,} to {large:,}, k = {k}."
            )
    parts += _limits(graphs)
    if increments := [row for row in rows if "plus_factor" in row]:
        parts.append(_increment_table(increments))
    return "\n\n".join(parts)


def plot(files: Sequence[Path], target: Path) -> None:
    """Time against rows, both logarithmic, k = 15: an HTML page that loads plotly.js from its public address."""
    import plotly.graph_objects as go

    drawing = go.Figure()
    for name, line in lines(read(files)[0]).items():
        drawing.add_scatter(x=[size for size, _ in line], y=[seconds for _, seconds in line], name=name)
    drawing.update_xaxes(type="log", title="rows").update_yaxes(type="log", title="seconds")
    drawing.update_layout(title="From neighbour lists (or vectors) to clusters, k = 15", template="plotly_white")
    drawing.write_html(target, include_plotlyjs="cdn")


def lines(rows: Sequence[Row]) -> dict[str, list[tuple[int, float]]]:
    """For each contender, (rows, seconds) of each size, ascending."""
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in CONTENDERS}
    for row in rows:
        if row.get("contender") in found and row["neighbours"] in (15, None) and "seconds" in row:
            found[row["contender"]].append((row["rows"], row["seconds"]))
    return {name: sorted(line) for name, line in found.items() if line}


def _machine(cards: Sequence[Row]) -> str:
    card = cards[-1]
    versions = ", ".join(f"{name} {number}" for name, number in card["versions"].items())
    loads = ", ".join(str(one["load_at_start"]) for one in cards)
    return (
        f"{card['processor']}, {card['cores']} cores, {card['memory_gb']} GB; Python {card['python']}; {versions}; "
        f"seed {card['seed']}. Load of the machine when each run started: {loads}."
    )


def _neighbours(rows: Sequence[Row]) -> list[int]:
    return sorted({row["neighbours"] for row in rows} - {None})


def _graph_table(rows: Sequence[Row], k: int) -> str:
    found = {(row["rows"], row["contender"]): row for row in rows if row["neighbours"] in (k, None)}
    sizes = sorted({row["rows"] for row in rows if row["neighbours"] == k})
    names = [name for name in CONTENDERS if any((size, name) in found for size in sizes)]
    table = [f"Seconds (of all cores' work), peak memory; k = {k}", "", "| rows | " + " | ".join(names) + " |"]
    table.append("|" + "---|" * (len(names) + 1))
    table += [
        f"| {size:,} | " + " | ".join(_cell(found.get((size, name), {})) for name in names) + " |" for size in sizes
    ]
    return "\n".join(table)


def _cell(row: Row) -> str:
    if "seconds" not in row:
        return str(row.get("left_out", ""))
    return f"{_seconds(row['seconds'])} ({_seconds(row['cpu_seconds'])}), {row['peak_mb']:,.0f} MB"


def _seconds(value: float) -> str:
    return f"{value:.3f} s" if value < 1 else f"{value:.1f} s"


def _limits(rows: Sequence[Row]) -> list[str]:
    """The tree's time as a multiple of the time to read its lists, at the largest size measured."""
    done = {(row["rows"], row["contender"]): row for row in rows if row["neighbours"] == 15 and "seconds" in row}
    sizes = [size for size, name in done if name == "one pass" and (size, "tree") in done and size >= bars.LARGE]
    found = []
    for size in sorted(sizes):
        once, whole = done[size, "one pass"]["seconds"], done[size, "tree"]["seconds"]
        found.append(
            f"{size:,} rows, k = 15: reading one number of every listed neighbour takes {_seconds(once)} "
            f"({1e9 * once / (15 * size):.1f} ns each). The tree makes {_PASSES} such passes, {_seconds(_PASSES * once)}, "
            f"and takes {_seconds(whole)}: {whole / (_PASSES * once):.1f} times this limit."
        )
    return found


def _increment_table(rows: Sequence[Row]) -> str:
    table = ["| rows | rebuild | faiss | +1 % | cheaper | -1 % | cheaper | lists |", "|" + "---|" * 8]
    for row in sorted(rows, key=lambda one: int(one["rows"])):
        identical = row["plus_lists_identical"] and row["minus_lists_identical"]
        faiss = "-" if row["faiss_seconds"] is None else f"{row['faiss_seconds']:.1f} s"
        table.append(
            f"| {row['rows']:,} | {row['rebuild_seconds']:.1f} s | {faiss} "
            f"| {row['plus_seconds']:.3f} s | {row['plus_factor']:.0f}x "
            f"| {row['minus_seconds']:.3f} s | {row['minus_factor']:.0f}x | {'identical' if identical else 'different'} |"
        )
    return "\n".join(table)


def _results() -> list[Path]:
    return sorted(file for kind in ("graph", "incremental") for file in RESULTS.glob(f"{kind}*.json"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*", default=_results())
    files = parser.parse_args(arguments).files
    document.replace(PAGE, "figures", figures(files))
    plot(files, PLOT)


if __name__ == "__main__":
    main()
