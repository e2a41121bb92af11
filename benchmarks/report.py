"""Writes the figures of `docs/benchmarks.md` from the results that benchmarks left: `python -m benchmarks.report FILE...`.

The text outside the two markers is kept; the plot of time against rows goes beside it.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.graph import CONTENDERS, growth
from benchmarks.machine import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PLOT = PAGE.with_name("benchmarks-time.html")
START, END = "<!-- figures: start -->", "<!-- figures: end -->"


def figures(files: Sequence[Path]) -> str:
    """The results as Markdown."""
    graphs: list[dict[str, Any]] = []
    increments: list[dict[str, Any]] = []
    cards: list[dict[str, Any]] = []
    for file in files:
        content = json.loads(file.read_text())
        cards.append(content["machine"])
        for row in content["rows"]:
            (graphs if "contender" in row else increments).append(row)
    parts = [_machine(cards)]
    parts += [_graph_table(graphs, k) for k in sorted({row["neighbours"] for row in graphs})]
    if (exponent := growth([row for row in graphs if row["neighbours"] == 15])) is not None:
        parts.append(
            f"Time to the tree grows with the rows to the power of {exponent:.2f} (k = 15, from 100,000 rows)."
        )
    if increments:
        parts.append(_increment_table(increments))
    return "\n\n".join(parts)


def plot(files: Sequence[Path], target: Path) -> None:
    """Time against rows, both logarithmic, k = 15: an HTML page that loads plotly from its usual address."""
    import plotly.graph_objects as go

    rows = [row for file in files for row in json.loads(file.read_text())["rows"] if row.get("neighbours") == 15]
    drawing = go.Figure()
    for name in CONTENDERS:
        some = sorted((row["rows"], row["seconds"]) for row in rows if row["contender"] == name and "seconds" in row)
        if some:
            drawing.add_scatter(x=[size for size, _ in some], y=[seconds for _, seconds in some], name=name)
    drawing.update_xaxes(type="log", title="rows").update_yaxes(type="log", title="seconds")
    drawing.update_layout(title="From neighbour lists (or vectors) to clusters, k = 15", template="plotly_white")
    drawing.write_html(target, include_plotlyjs="cdn")


def _machine(cards: Sequence[dict[str, Any]]) -> str:
    card = cards[0]
    versions = ", ".join(f"{name} {number}" for name, number in card["versions"].items())
    loads = ", ".join(str(one["load_at_start"]) for one in cards)
    return (
        f"{card['processor']}, {card['cores']} cores, {card['memory_gb']} GB; Python {card['python']}; {versions}; "
        f"seed {card['seed']}. Load of the machine when each run started: {loads}."
    )


def _graph_table(rows: Sequence[dict[str, Any]], k: int) -> str:
    found = {(row["rows"], row["contender"]): row for row in rows if row["neighbours"] == k}
    sizes = sorted({size for size, _ in found})
    names = [name for name in CONTENDERS if any((size, name) in found for size in sizes)]
    lines = [f"Seconds (of all cores' work), peak memory; k = {k}", "", "| rows | " + " | ".join(names) + " |"]
    lines.append("|" + "---|" * (len(names) + 1))
    lines += [
        f"| {size:,} | " + " | ".join(_cell(found.get((size, name), {})) for name in names) + " |" for size in sizes
    ]
    return "\n".join(lines)


def _cell(row: dict[str, Any]) -> str:
    if "seconds" not in row:
        return str(row.get("left_out", ""))
    return f"{_seconds(row['seconds'])} ({_seconds(row['cpu_seconds'])}), {row['peak_mb']:,.0f} MB"


def _seconds(value: float) -> str:
    return f"{value:.3f} s" if value < 1 else f"{value:.1f} s"


def _increment_table(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| rows | rebuild | faiss | +1 % | cheaper | -1 % | cheaper | lists |", "|" + "---|" * 8]
    for row in sorted(rows, key=lambda one: int(one["rows"])):
        identical = row["plus_lists_identical"] and row["minus_lists_identical"]
        lines.append(
            f"| {row['rows']:,} | {row['rebuild_seconds']:.1f} s | {row['faiss_seconds']:.1f} s "
            f"| {row['plus_seconds']:.3f} s | {row['plus_factor']:.0f}x "
            f"| {row['minus_seconds']:.3f} s | {row['minus_factor']:.0f}x | {'identical' if identical else 'different'} |"
        )
    return "\n".join(lines)


def _results() -> list[Path]:
    return sorted(file for kind in ("graph", "incremental") for file in RESULTS.glob(f"{kind}*.json"))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*", default=_results())
    files = parser.parse_args(arguments).files
    text = PAGE.read_text()
    before, after = text.partition(START)[0], text.partition(END)[2]
    PAGE.write_text(f"{before}{START}\n\n{figures(files)}\n\n{END}{after}")
    plot(files, PLOT)


if __name__ == "__main__":
    main()
