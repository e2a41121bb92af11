"""Times newstide's clustering of neighbour lists, and the tutorial's, hdbscan's, fast_hdbscan's and scikit-learn's.

    python -m benchmarks.graph --rows 1000000 --neighbours 15 --json FILE

Prints seconds, and memory beyond the process's base and the lists (for contenders that start from vectors: the vectors).
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import bars
from benchmarks.contenders import FROM_BOTH, FROM_LISTS, FROM_VECTORS, MIN_CLUSTER_SIZE, MIN_SAMPLES
from benchmarks.data import MOST_HEADLINES, prepare
from benchmarks.machine import in_own_process, machine_card, write_json

SEED = 42
TIMEOUT = 900.0  # seconds for one contender
# Rows above which a contender is left out: the tutorial's matrix would not fit, the others take too many minutes.
MOST_ROWS = {
    "tutorial": 10_000,
    "tutorial mode": 1_000_000,
    "labels by library": 1_000_000,
    "tree, bridged": MOST_HEADLINES,  # larger collections do not consist of unit vectors
}
MOST_HEADLINES_RAW = {"hdbscan": 5_000, "fast_hdbscan": 10_000, "scikit-learn": 10_000}
MOST_POINTS_RAW = {"hdbscan": 300_000, "fast_hdbscan": 1_000_000, "scikit-learn": 0}
CONTENDERS = (*FROM_LISTS, *FROM_BOTH, *FROM_VECTORS)


def run(
    rows: int,
    neighbours: Sequence[int],
    folder: Path,
    contenders: Sequence[str] = CONTENDERS,
    timeout: float = TIMEOUT,
) -> list[dict[str, Any]]:
    """Times all contenders on one collection, each in its own process; those that start from vectors, once for all k."""
    place = folder / str(rows)
    prepare(place, rows, max(neighbours), SEED)
    found = []
    for k in (*neighbours, None):
        for name in contenders:
            if (name in FROM_VECTORS) == (k is None):
                result = {"contender": name, "rows": rows, "neighbours": k}
                result |= {"min_samples": MIN_SAMPLES, "min_cluster_size": MIN_CLUSTER_SIZE}
                if rows > most_rows(name, rows):
                    result["left_out"] = "too large for it"
                else:
                    result |= in_own_process("benchmarks.contenders", [name, str(place), str(k or 1)], timeout)
                found.append(result)
    return found


def most_rows(name: str, rows: int) -> int:
    """The largest collection of this kind that a contender is given."""
    if name in MOST_HEADLINES_RAW:
        return (MOST_HEADLINES_RAW if rows <= MOST_HEADLINES else MOST_POINTS_RAW)[name]
    return MOST_ROWS.get(name, sys.maxsize)


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """The results as a table."""
    shown = Table(
        "rows",
        "k",
        "contender",
        "seconds",
        "core seconds",
        "peak MB",
        "clusters",
        "noise",
        "pieces",
        title="Lists to clusters",
    )
    for row in rows:
        cells = [f"{row['rows']:,}", str(row["neighbours"] or "-"), row["contender"]]
        if "left_out" in row:
            cells += [row["left_out"]]
        else:
            cells += [f"{row['seconds']:.3f}", f"{row['cpu_seconds']:.3f}", f"{row['peak_mb']:,.0f}"]
            cells += [f"{row['clusters']:,}", f"{row['noise']:.2f}"] if "clusters" in row else ["", ""]
            cells += [f"{row['components']:,}"] if "components" in row else []
        shown.add_row(*cells)
    return shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 3_000, 10_000])
    parser.add_argument("--neighbours", type=int, nargs="+", default=[15, 30, 50])
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds for one contender")
    parser.add_argument("--folder", type=Path, help="folder that keeps the prepared collections for another run")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    card = machine_card(SEED)
    console = Console(width=140)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for rows in chosen.rows:
            some = run(rows, chosen.neighbours, chosen.folder or Path(temporary), chosen.contenders, chosen.timeout)
            console.print(table(some))
            found += some
            if chosen.json:  # written after each size, so that a later failure loses nothing
                write_json(chosen.json, card, found)
    console.print(bars.table(found))


if __name__ == "__main__":
    main()
