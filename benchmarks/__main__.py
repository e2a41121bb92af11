"""Runs the benchmarks that need minutes, not hours: `python -m benchmarks [--quick]`.

Tables on screen, JSON in `benchmarks/results`, the figures of `docs/benchmarks.md` by `python -m benchmarks.report`.
"""

import argparse

from benchmarks import graph, incremental
from benchmarks.machine import RESULTS

SIZES = [1_000, 3_000, 10_000, 30_000, 300_000]
QUICK_SIZES = [2_000]
QUICK_CONTENDERS = [
    name for name in graph.CONTENDERS if name != "fast_hdbscan"
]  # which compiles for half a minute or more


def main() -> None:
    """The command line."""
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


if __name__ == "__main__":
    main()
