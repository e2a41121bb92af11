"""Times the calibrated selection on a tree of many rows, with times and the last run's stories, as in production.

    python -m benchmarks.selection --rows 1000000 --dim 384 --json benchmarks/results/selection.json

Rows are unit vectors in clusters of very unequal size. Their tree is built before the timing, from lists within each cluster
and one link to the next. Prints seconds, and memory beyond the vectors and the tree, of a process of its own.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from benchmarks import bars
from benchmarks.machine import machine_card, write_json
from newstide.core.settings import Settings
from tests.harness.measured import measured

SEED = 42
_NEIGHBOURS = 15
_LARGEST = 300  # most rows of a cluster
_WARM_ROWS = 2_000


def made(
    rows: int, dim: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Vectors (rows, dim), lists (rows, 15) of row numbers and distances, and each row's cluster (rows,)."""
    rng = np.random.default_rng(SEED)
    vectors = np.empty((rows, dim), np.float32)
    indices = np.full((rows, _NEIGHBOURS), -1, np.int32)
    distances = np.zeros((rows, _NEIGHBOURS), np.float32)
    cluster = np.empty(rows, np.int64)
    start = number = 0
    while start < rows:
        size = min(rows - start, int(min(_LARGEST, 1 + rng.pareto(1.2) * 4)))
        part = slice(start, start + size)
        some = rng.standard_normal(dim, np.float32) + 0.7 * rng.standard_normal((size, dim), np.float32)
        vectors[part] = some / np.linalg.norm(some, axis=1, keepdims=True)
        cluster[part] = number
        apart = np.sqrt(np.maximum(0, 2 - 2 * vectors[part] @ vectors[part].T))
        np.fill_diagonal(apart, np.inf)
        width = min(size - 1, _NEIGHBOURS - 1)
        nearest = np.argsort(apart, axis=1)[:, :width]
        indices[part, :width] = start + nearest
        distances[part, :width] = np.take_along_axis(apart, nearest, axis=1)
        if start:
            indices[start, -1] = start - 1
            distances[start, -1] = np.sqrt(max(0.0, 2 - 2 * float(vectors[start] @ vectors[start - 1])))
        start, number = start + size, number + 1
    return vectors, indices, distances, cluster


def select(rows: int, dim: int) -> dict[str, Any]:
    """Measures one size in this process."""
    from clustering.stories.reattach import reattached
    from clustering.stories.selection import select_calibrated
    from clustering.stories.similarity import random_pair_threshold
    from clustering.time_damping import TimeDamping
    from clustering.tree import build_hierarchy

    settings = Settings().clustering
    vectors, indices, distances, cluster = made(rows, dim)
    rng = np.random.default_rng(SEED)
    times = (cluster * 0.618 % 7) + rng.random(rows)  # days: a story lasts one
    previous = np.where(rng.random(rows) < 0.7, cluster, -1)
    theta = random_pair_threshold(vectors, settings.deviations, SEED).theta
    scale = settings.time_scale.total_seconds() / 86_400

    def selected(n: int) -> tuple[float, float, float]:
        parent = build_hierarchy(np.minimum(indices[:n], n - 1), distances[:n], min_samples=1).parent
        damping = TimeDamping(times[:n], settings.time_weight, scale)
        with measured() as choosing:
            chosen = select_calibrated(
                parent,
                vectors[:n],
                theta,
                exponent=settings.size_exponent,
                min_size=settings.min_cluster_size,
                stories=previous[:n],
                inertia=settings.inertia,
                damping=damping,
            )
        with measured() as rejoining:
            reattached(chosen.labels, previous[:n], vectors[:n], theta, damping=damping)
        return choosing.seconds, rejoining.seconds, max(choosing.peak_mb, rejoining.peak_mb)

    selected(min(rows, _WARM_ROWS))
    choosing, rejoining, peak = selected(rows)
    return {
        "rows": rows,
        "dimensions": dim,
        "selection_seconds": choosing + rejoining,
        "choosing_seconds": choosing,
        "rejoining_seconds": rejoining,
        "peak_mb": peak,
        "vectors_mb": vectors.nbytes / 2**20,
    }


def run(rows: int, dim: int) -> dict[str, Any]:
    """Measures one size in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.selection", "--rows", str(rows), "--dim", str(dim), "--here"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def line(row: dict[str, Any]) -> str:
    """The result as a sentence."""
    return (
        f"Calibrated selection of {row['rows']:,} rows x {row['dimensions']}, with times and the last run's stories: "
        f"{row['selection_seconds']:.1f} s ({row['choosing_seconds']:.1f} s choosing, {row['rejoining_seconds']:.1f} s "
        f"rejoining), {row['peak_mb']:,.0f} MB beyond the vectors' {row['vectors_mb']:,.0f} MB."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--here", action="store_true", help="measure in this process and print JSON")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    if chosen.here:
        print(json.dumps(select(chosen.rows, chosen.dim)))
        return
    card = machine_card(SEED)
    row = run(chosen.rows, chosen.dim)
    console = Console(width=120)
    console.print(line(row), highlight=False)
    console.print(bars.table([row]))
    if chosen.json:
        write_json(chosen.json, card, [row])


if __name__ == "__main__":
    main()
