"""Runs the benchmarks that need minutes, not hours: `python -m benchmarks [--quick]`.

Tables on screen, JSON in `benchmarks/results`, the figures of `docs/benchmarks.md` by `python -m benchmarks.report`.
"""

import argparse
import sys

from benchmarks import graph, incremental, layout, pages
from benchmarks.machine import RESULTS

SIZES = [1_000, 3_000, 10_000, 30_000, 300_000]
QUICK_SIZES = [2_000]
QUICK_LAYOUT_SIZES = [3_000]
QUICK_CONTENDERS = [
    name for name in graph.CONTENDERS if name != "fast_hdbscan"
]  # which compiles for half a minute or more


def main() -> int:
    """The command line; how many bars are missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes only, under two minutes")
    quick = parser.parse_args().quick
    kind = "quick" if quick else "default"
    sizes = [str(size) for size in (QUICK_SIZES if quick else SIZES)]
    neighbours = ["15"] if quick else ["15", "30", "50"]
    contenders = QUICK_CONTENDERS if quick else graph.CONTENDERS
    graph.main(
        [
            *("--rows", *sizes),
            *("--neighbours", *neighbours),
            *("--contenders", *contenders),
            *("--json", str(RESULTS / f"graph-{kind}.json")),
        ]
    )
    rows = "5000" if quick else "20000"
    incremental.main(["--rows", rows, "--json", str(RESULTS / f"incremental-{kind}.json")])
    missed = layout.main(
        [
            *("--rows", *map(str, QUICK_LAYOUT_SIZES if quick else layout.ROWS)),
            *("--chain", "0") * quick,
            *("--json", str(RESULTS / f"layout-{kind}.json")),
        ]
    )
    if not quick:
        missed += pages.main(["--json", str(RESULTS / "pages.json")])
    return missed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
