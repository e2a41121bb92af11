"""Times updates of the neighbour graph by +1 % and -1 % of the rows, against the fastest rebuild.

    python -m benchmarks.incremental --rows 100000 --json FILE

Only the graph step is timed, with the exact searcher; the rebuild is newstide's or faiss's flat index, whichever is faster.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import bars
from benchmarks.data import DIMENSIONS, headline_vectors
from benchmarks.machine import machine_card, write_json
from clustering.neighbours import ExactSearcher, NeighbourGraph, update_graph

SEED = 42
K, SPARE = 30, 10
REPEATS, FEW_REPEATS = 5, 2


def run(rows: int) -> dict[str, Any]:
    """Times one size: the best of two rebuilds each, and of five updates."""
    step = rows // 100
    vectors = headline_vectors(rows + step, SEED)
    ids = [f"{name:08x}" for name in np.random.default_rng(SEED).permutation(rows + step)]
    row_of = {name: row for row, name in enumerate(ids)}

    def update(previous: NeighbourGraph | None, some: Sequence[str]) -> NeighbourGraph:
        return update_graph(
            previous, some, lambda asked: vectors[[row_of[name] for name in asked]], ExactSearcher(), k=K, spare=SPARE
        )[0]

    update(update(None, ids[:500]), ids[5:505])  # compiles the kernels
    small, rebuild = _timed(lambda: update(None, ids[:rows]), FEW_REPEATS)
    grown, plus = _timed(lambda: update(small, ids), REPEATS)
    large, rebuild_large = _timed(lambda: update(None, ids), FEW_REPEATS)
    shrunk, minus = _timed(lambda: update(large, ids[:rows]), REPEATS)
    faiss = _faiss_seconds(small)
    fastest = min(seconds for seconds in (rebuild, rebuild_large, faiss) if seconds is not None)
    return {
        "rows": rows,
        "dimensions": DIMENSIONS,
        "rebuild_seconds": min(rebuild, rebuild_large),
        "faiss_seconds": faiss,
        "plus_seconds": plus,
        "minus_seconds": minus,
        "plus_factor": fastest / plus,
        "minus_factor": fastest / minus,
        "plus_lists_identical": _identical(grown, large),
        "minus_lists_identical": _identical(shrunk, small),
    }


def _timed(action: Callable[[], NeighbourGraph], repeats: int) -> tuple[NeighbourGraph, float]:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = action()
        times.append(time.perf_counter() - started)
    return result, min(times)


def _faiss_seconds(graph: NeighbourGraph) -> float | None:
    """Seconds of a search of the same rows by faiss; None where faiss is not installed."""
    try:
        import faiss
    except ImportError:
        return None
    times = []
    for _ in range(FEW_REPEATS):
        started = time.perf_counter()
        index = faiss.IndexFlatIP(graph.vectors.shape[1])
        index.add(graph.vectors)
        index.search(graph.vectors, K + SPARE + 1)
        times.append(time.perf_counter() - started)
    return min(times)


def _identical(one: NeighbourGraph, two: NeighbourGraph) -> bool:
    return (
        one.ids.tolist() == two.ids.tolist()
        and np.array_equal(one.indices, two.indices)
        and np.array_equal(one.similarities, two.similarities)
    )


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """The results as a table."""
    shown = Table(
        "rows", "rebuild s", "faiss s", "+1 % s", "cheaper", "-1 % s", "cheaper", "lists", title="Incremental graph"
    )
    for row in rows:
        identical = row["plus_lists_identical"] and row["minus_lists_identical"]
        shown.add_row(
            f"{row['rows']:,}",
            f"{row['rebuild_seconds']:.2f}",
            "-" if row["faiss_seconds"] is None else f"{row['faiss_seconds']:.2f}",
            f"{row['plus_seconds']:.4f}",
            f"{row['plus_factor']:.0f}x",
            f"{row['minus_seconds']:.4f}",
            f"{row['minus_factor']:.0f}x",
            "identical" if identical else "DIFFERENT",
        )
    return shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    card = machine_card(SEED)
    console = Console(width=120)
    found: list[dict[str, Any]] = []
    for rows in chosen.rows:
        found.append(run(rows))
        if chosen.json:
            write_json(chosen.json, card, found)
    console.print(table(found))
    console.print(bars.table(found))


if __name__ == "__main__":
    main()
