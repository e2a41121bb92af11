"""Puts results of `benchmarks.scale` into `docs/scale.md`: `python -m benchmarks.scale_page FILE ...`.

One table of all sizes, the machine under it, and a curve of seconds against rows, both logarithmic.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import document
from benchmarks.machine import machine_line
from benchmarks.scale import STEPS

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
CURVE = PAGE.with_name("scale.svg")
_COLOURS = ("#1f6f8b", "#b5562a", "#5b7f2b", "#7a4a8f", "#555555")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 340, 60, 130, 20, 44


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    chosen = parser.parse_args(arguments)
    results = sorted((json.loads(file.read_text()) for file in chosen.files), key=lambda one: one["rows"][0]["rows"])
    document.replace(PAGE, "scale", figures(results))
    CURVE.write_text(drawn([row for one in results for row in one["rows"]]))


def figures(results: Sequence[dict[str, Any]]) -> str:
    """The results, of one size each, as Markdown."""
    names = ("rows", "graph", "clusters", "names", "write", "map")
    head = ("rows", "step", "s", "processor s", *names[:-1], "map and pages", "stories written", "reclusterer; Lite")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for one in results:
        for row in one["rows"]:
            if row["step"] == STEPS[0]:
                continue
            report = row["report"]
            cells = [
                f"{row['rows']:,}",
                row["step"],
                f"{row['seconds']:,.1f}",
                f"{row['processor_seconds']:,.1f}",
                *(f"{report['seconds'].get(name, 0):.1f}" for name in names),
                f"{report['written']:,} of {report['stories']:,}",
                f"{row['peak_mb']:,.0f}; {row['milvus'].get('peak_mb', 0):,.0f} MB",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    machines = [f"{one['rows'][0]['rows']:,} rows: {machine_line(one['machine'])}" for one in results]
    curve = f"![Seconds of a run by the number of rows]({CURVE.name})"
    return "\n".join([*lines, "", *(f"* {machine}" for machine in machines), "", curve])


def drawn(rows: Sequence[dict[str, Any]]) -> str:
    """The curve as SVG: a line for each step, from decade to decade."""
    timed = [row for row in rows if row["step"] != STEPS[0]]
    x_span = [math.log10(value([row["rows"] for row in timed])) for value in (min, max)]
    seconds = [row["seconds"] for row in timed]
    y_span = [math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))]

    def place(rows: float, seconds: float) -> tuple[float, float]:
        x, y = (
            (math.log10(one) - low) / max(high - low, 1e-9) for one, (low, high) in ((rows, x_span), (seconds, y_span))
        )
        return _LEFT + x * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - y * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for decade in range(y_span[0], y_span[1] + 1):
        _, y = place(10 ** x_span[0], 10**decade)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10**decade:,g} s</text>')
    for size in sorted({row["rows"] for row in timed}):
        x, _ = place(size, seconds[0])
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 16}" text-anchor="middle">{size:,}</text>')
    ends: list[tuple[float, float, str, str]] = []
    for colour, step in zip(_COLOURS, STEPS[1:], strict=True):
        points = [place(row["rows"], row["seconds"]) for row in timed if row["step"] == step]
        if not points:
            continue
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        ends.append((points[-1][1], points[-1][0], colour, step))
    free = 0.0
    for y, x, colour, step in sorted(ends):
        free = max(y, free)  # a name that would lie on another moves down
        parts.append(f'<text x="{x + 10:.1f}" y="{free + 4:.1f}" fill="{colour}">{step}</text>')
        free += 15
    return document.svg(_WIDTH, _HEIGHT, parts)


if __name__ == "__main__":
    main()
