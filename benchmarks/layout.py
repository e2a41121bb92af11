"""The map's update after +1 % of the rows, against a fresh fit: time, moves, and how well neighbourhoods are kept.

    python -m benchmarks.layout --rows 10000 25000 --json FILE
    python -m benchmarks.layout --vectors VECTORS.npy --rows 10000

Processor seconds of one core, the compiled code warm. `VECTORS.npy` holds unit rows of real headlines; without it they are
made up. The bars: a survivor moves by at most 0.10 of the map's spread (median), an update costs at most an eighth of a
fresh fit up to 10,000 rows and a third at 25,000, trustworthiness stays within 0.01.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.data import headline_vectors
from benchmarks.machine import machine_card, write_json
from clustering.layout import Layout, lay_out
from clustering.neighbours import ExactSearcher, update_graph
from newstide.settings import LayoutSettings

SEED = 42
K = 30
JUDGED = 3_000  # rows whose neighbourhoods are compared: all pairs of more are too many
NEAREST = 10

Vectors = npt.NDArray[np.float32]
Lists = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]


def run(vectors: Vectors) -> dict[str, Any]:
    """One size."""
    rows = len(vectors)
    old = rows - rows // 100
    ids = np.array([f"{row:08d}" for row in range(rows)], dtype=object)
    before, now = _lists(vectors[:old]), _lists(vectors)
    settings = LayoutSettings(seed=SEED)
    small = _lists(vectors[:200])
    lay_out(vectors[:200], *small, ids[:200], lay_out(vectors[:200], *small, ids[:200], None, settings), settings)
    last = lay_out(vectors[:old], *before, ids[:old], None, settings)
    fresh, fresh_seconds = _timed(lambda: lay_out(vectors, *now, ids, None, settings))
    renewed, seconds = _timed(lambda: lay_out(vectors, *now, ids, last, settings))
    return {
        "rows": rows,
        "neighbours": renewed.neighbours,
        "fresh_seconds": fresh_seconds,
        "update_seconds": seconds,
        "factor": fresh_seconds / seconds,
        "moved": renewed.moved,
        "fresh_moved": lay_out(vectors, *now, ids, _all_new(last), settings).moved,
        "fresh_trustworthiness": _trustworthiness(vectors, fresh),
        "update_trustworthiness": _trustworthiness(vectors, renewed),
    }


def _lists(vectors: Vectors) -> Lists:
    names = [f"{row:08d}" for row in range(len(vectors))]
    graph, _ = update_graph(
        None, names, lambda some: vectors[[int(name) for name in some]], ExactSearcher(), k=K, spare=0
    )
    return graph.indices, graph.similarities


def _all_new(layout: Layout) -> Layout:
    """The last map with so few rows of it that the next one is fitted anew, and fitted onto them."""
    kept = np.random.default_rng(SEED).permutation(len(layout.ids))[: len(layout.ids) // 2]
    return Layout(layout.ids[kept], layout.positions[kept], False, layout.neighbours, None)


def _timed(action: Callable[[], Layout]) -> tuple[Layout, float]:
    started = time.process_time()
    return action(), time.process_time() - started


def _trustworthiness(vectors: Vectors, layout: Layout) -> float:
    from sklearn.manifold import trustworthiness

    some = np.random.default_rng(SEED).permutation(len(vectors))[:JUDGED]
    return float(trustworthiness(vectors[some], layout.positions[some], n_neighbors=NEAREST, metric="cosine"))


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """The results as a table."""
    shown = Table(
        *("rows", "fresh s", "update s", "cheaper", "moved", "moved, fresh", "trust, fresh", "trust, update"),
        title="The map, +1 %",
    )
    for row in rows:
        shown.add_row(
            f"{row['rows']:,}",
            f"{row['fresh_seconds']:.1f}",
            f"{row['update_seconds']:.2f}",
            f"{row['factor']:.1f}x",
            f"{row['moved']:.3f}",
            f"{row['fresh_moved']:.3f}",
            f"{row['fresh_trustworthiness']:.4f}",
            f"{row['update_trustworthiness']:.4f}",
        )
    return shown


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[5_000, 10_000, 25_000])
    parser.add_argument("--vectors", type=Path, help=".npy of unit rows")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    card = machine_card(SEED)
    found = []
    for rows in chosen.rows:
        vectors = np.load(chosen.vectors)[:rows] if chosen.vectors else headline_vectors(rows, SEED)
        found.append(run(vectors))
    Console(width=120).print(table(found))
    if chosen.json:
        write_json(chosen.json, card, found)


if __name__ == "__main__":
    main()
