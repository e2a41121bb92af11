"""Runs the graph engine's benchmarks: `python -m benchmarks [--quick]`.

Prints tables, and writes JSON and a plot of time against rows to `benchmarks/results`; `python -m benchmarks.report` writes
the figures of `docs/benchmarks.md`. Ten million rows need more memory and an hour, so they have a command of their own:

    python -m benchmarks.graph --rows 10000000 --neighbours 15 --json benchmarks/results/graph-10m.json
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import graph, incremental, layout, pages, report, selection
from benchmarks.machine import RESULTS

SIZES = [1_000, 3_000, 10_000, 30_000, 100_000]  # k = 15, 30, 50
LARGE_SIZES = [300_000, 1_000_000]  # k = 15
INCREMENTAL_SIZES = [20_000, 100_000]
QUICK_SIZES, QUICK_INCREMENTAL_SIZES, QUICK_LAYOUT_SIZES = [1_000], [5_000], [3_000]
QUICK_CONTENDERS = [
    name for name in graph.CONTENDERS if name != "fast_hdbscan"
]  # a contender that compiles for half a minute or more


def main() -> int:
    """Runs the command line; returns the number of missed bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes only, under two minutes; into results/quick")
    quick = parser.parse_args().quick
    started = time.perf_counter()
    folder = RESULTS / "quick" if quick else RESULTS
    if quick:
        files = [_graph(folder / "graph.json", QUICK_SIZES, [15], QUICK_CONTENDERS)]
    else:
        files = [
            _graph(folder / "graph.json", SIZES, [15, 30, 50], graph.CONTENDERS),
            _graph(folder / "graph-large.json", LARGE_SIZES, [15], graph.CONTENDERS),
        ]
    sizes = QUICK_INCREMENTAL_SIZES if quick else INCREMENTAL_SIZES
    incremental.main(["--rows", *map(str, sizes), "--json", str(folder / "incremental.json")])
    report.plot(files, folder / "time.html")
    if not quick:
        selection.main(["--json", str(folder / "selection.json")])
    missed = layout.main(
        [
            *("--rows", *map(str, QUICK_LAYOUT_SIZES if quick else layout.ROWS)),
            *("--chain", "0") * quick,
            *("--json", str(folder / "layout.json")),
        ]
    )
    if not quick:
        missed += pages.main(["--json", str(folder / "pages.json")])
    print(f"{time.perf_counter() - started:.0f} seconds altogether; results in {folder}")
    return missed


def _graph(file: Path, sizes: Sequence[int], neighbours: Sequence[int], contenders: Sequence[str]) -> Path:
    graph.main(
        [
            *("--rows", *map(str, sizes)),
            *("--neighbours", *map(str, neighbours)),
            *("--contenders", *contenders),
            *("--json", str(file)),
        ]
    )
    return file


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
