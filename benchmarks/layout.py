"""Compares the map's update after +1 % of the rows with a fresh fit: time, moves, and trustworthiness.

    python -m benchmarks.layout                 # generated vectors
    python -m benchmarks.layout FOLDER          # also the titles of abp_stream.parquet there, by the default model

Times are processor seconds of one core, with compiled code. The bars: an update costs at most a tenth of a fresh fit up to
10,000 rows and a twentieth above; a point of both maps moves by at most 0.10 of the map's spread (median); trustworthiness
is within 0.01 of the fresh fit's, after one update and after a chain that has renewed the whole window. The benchmark names
missed bars and exits with 1. `--docs` writes the tables of `docs/map.md`.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import document
from benchmarks.data import headline_vectors
from benchmarks.machine import RESULTS, machine_card, machine_line, write_json
from clustering.map.layout import Layout, lay_out
from clustering.neighbours import ExactSearcher, update_graph
from newstide.core.settings import DEFAULT_MODEL, LayoutSettings, Settings

SEED = 42
K = 30
ROWS = (3_000, 5_000, 10_000, 25_000)
REAL = "abp_stream"
PAGE = Path(__file__).parents[1] / "docs" / "map.md"

MOST_MOVED = 0.10  # median move, as a share of the map's spread
MOST_LOST = 0.01  # loss of trustworthiness
TENTH_UP_TO = 10_000  # rows

_ASKED = 2_000  # rows whose nearest rows are searched among all
_NEAREST = 10
_BLOCK = 500  # rows of a block of similarities
_CHAIN_ROWS = 3_000  # the window of the chain of updates
_CHAIN_STEPS = 100  # steps, each of which replaces a hundredth of the window

Vectors = npt.NDArray[np.float32]
Lists = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]


def run(vectors: Vectors) -> dict[str, Any]:
    """Measures one size: the last map holds all rows but the last 1 %."""
    rows = len(vectors)
    old = rows - rows // 100
    ids = _ids(0, rows)
    before, now = _lists(vectors[:old]), _lists(vectors)
    settings = LayoutSettings(seed=SEED)
    last = lay_out(vectors[:old], *before, ids[:old], None, settings)
    fresh, fresh_seconds = _timed(lambda: lay_out(vectors, *now, ids, None, settings))
    renewed, seconds = _timed(lambda: lay_out(vectors, *now, ids, last, settings))
    trust = {name: trustworthiness(vectors, one.positions) for name, one in (("fresh", fresh), ("update", renewed))}
    return {
        "rows": rows,
        "neighbours": renewed.neighbours,
        "fresh_seconds": fresh_seconds,
        "update_seconds": seconds,
        "ratio": seconds / fresh_seconds,
        "ratio_bar": 1 / 10 if rows <= TENTH_UP_TO else 1 / 20,
        "moved": renewed.moved,
        "moved_fresh": lay_out(vectors, *now, ids, _all_new(last), settings).moved,
        "trust_fresh": trust["fresh"],
        "trust_update": trust["update"],
        "trust_difference": trust["update"] - trust["fresh"],
    }


def run_chain(vectors: Vectors) -> dict[str, Any]:
    """Measures a chain of updates in which the window moves on until all its rows are new.

    Args:
        vectors: The vectors of twice as many rows as the window holds.
    """
    window = len(vectors) // 2
    step = window // _CHAIN_STEPS
    settings = LayoutSettings(seed=SEED)
    part = vectors[:window]
    layout = lay_out(part, *_lists(part), _ids(0, window), None, settings)
    moved = []
    for begin in range(step, window + 1, step):
        part = vectors[begin : begin + window]
        layout = lay_out(part, *_lists(part), _ids(begin, begin + window), layout, settings)
        moved.append(layout.moved or 0.0)
    fresh = lay_out(part, *_lists(part), _ids(0, window), None, settings)
    trust = {name: trustworthiness(part, one.positions) for name, one in (("fresh", fresh), ("update", layout))}
    return {
        "rows": window,
        "updates": len(moved),
        "moved": max(moved),
        "trust_fresh": trust["fresh"],
        "trust_update": trust["update"],
        "trust_difference": trust["update"] - trust["fresh"],
    }


def misses(row: dict[str, Any]) -> list[str]:
    """A sentence for each bar that a result misses."""
    said = []
    if "ratio" in row and row["ratio"] > row["ratio_bar"]:
        said.append(f"an update takes {row['ratio']:.3f} of a fresh fit's time, more than {row['ratio_bar']:.3f}")
    if row["moved"] > MOST_MOVED:
        said.append(f"a point of both maps moves by {row['moved']:.3f} of the spread, more than {MOST_MOVED}")
    if row["trust_difference"] < -MOST_LOST:
        said.append(f"trustworthiness falls by {-row['trust_difference']:.4f}, more than {MOST_LOST}")
    return [f"{row['vectors']}, {row['rows']:,} rows: {what}" for what in said]


def trustworthiness(vectors: Vectors, positions: Vectors, asked: int = _ASKED) -> float:
    """Trustworthiness (Venna and Kaski 2001): 1 where a row's nearest on the map are near it in the vectors, too.

    Args:
        vectors: (n, dim) unit rows.
        positions: (n, 2)
        asked: Number of random rows whose 10 nearest on the map are found, and ranked among all n.
    """
    from scipy.spatial import cKDTree

    n = len(vectors)
    some = np.random.default_rng(SEED).permutation(n)[:asked]
    found = cKDTree(positions).query(positions[some], _NEAREST + 1)[1]
    strangers = 0
    for start in range(0, len(some), _BLOCK):
        rows, near = some[start : start + _BLOCK], found[start : start + _BLOCK]
        others = near != rows[:, None]
        others[others.all(axis=1), -1] = (
            False  # with more rows on one spot than are found, one stands for the row itself
        )
        near = near[others].reshape(-1, _NEAREST)
        alike = vectors[rows] @ vectors.T
        alike[np.arange(len(rows)), rows] = -np.inf
        ordered = np.sort(alike, axis=1)
        for row, own in enumerate(np.take_along_axis(alike, near, axis=1)):
            rank = n - np.searchsorted(ordered[row], own, side="right") + 1
            strangers += int(np.maximum(rank - _NEAREST, 0).sum())
    return 1 - 2 * strangers / (len(some) * _NEAREST * (2 * n - 3 * _NEAREST - 1))


def _ids(begin: int, end: int) -> npt.NDArray[np.object_]:
    return np.array([f"{row:08d}" for row in range(begin, end)], dtype=object)


def _lists(vectors: Vectors) -> Lists:
    names = _ids(0, len(vectors)).tolist()
    graph, _ = update_graph(
        None, names, lambda some: vectors[[int(name) for name in some]], ExactSearcher(), k=K, spare=0
    )
    return graph.indices, graph.similarities


def _all_new(layout: Layout) -> Layout:
    """The last map with so few of its rows that the next map is fitted anew, and aligned to these rows."""
    kept = np.random.default_rng(SEED).permutation(len(layout.ids))[: len(layout.ids) // 2]
    return Layout(layout.ids[kept], layout.positions[kept], False, layout.neighbours, None)


def _timed(action: Callable[[], Layout]) -> tuple[Layout, float]:
    started = time.process_time()
    return action(), time.process_time() - started


def _warm() -> None:
    """Lets numba compile or load the kernels of both fits."""
    vectors = headline_vectors(200, SEED)
    lists, ids, settings = _lists(vectors), _ids(0, 200), LayoutSettings(seed=SEED)
    lay_out(vectors, *lists, ids, lay_out(vectors, *lists, ids, None, settings), settings)


def _real(folder: Path, embeddings: Path) -> Vectors:
    """Vectors of the distinct titles of the folder's stream, in order of time, by the default model."""
    import pandas as pd

    from benchmarks import quality

    rows = pd.read_parquet(folder / f"{REAL}.parquet").sort_values("published_at", kind="stable")
    titles = rows.drop_duplicates("title")["title"].tolist()
    vectors = quality.embeddings(embeddings, DEFAULT_MODEL, titles)
    assert vectors is not None
    return vectors


def tables(rows: Sequence[dict[str, Any]], card: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "| vectors | rows | fresh s | update s | update / fresh (bar) | moved | moved if fresh "
        "| trust fresh | trust update | difference |",
        "|" + "---|" * 10,
    ]
    chains = [
        "| vectors | rows | updates | moved, at most | trust fresh | trust after them | difference |",
        "|" + "---|" * 7,
    ]
    for row in rows:
        trust = f"{row['trust_fresh']:.4f} | {row['trust_update']:.4f} | {row['trust_difference']:+.4f} |"
        if "updates" in row:
            chains.append(f"| {row['vectors']} | {row['rows']:,} | {row['updates']} | {row['moved']:.3f} | {trust}")
        else:
            lines.append(
                f"| {row['vectors']} | {row['rows']:,} | {row['fresh_seconds']:.1f} | {row['update_seconds']:.2f} "
                f"| {row['ratio']:.3f} ({row['ratio_bar']:.3f}) | {row['moved']:.3f} | {row['moved_fresh']:.3f} | {trust}"
            )
    return "\n".join([*lines, "", *chains, "", machine_line(card)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the number of missed bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help=f"folder of {REAL}.parquet")
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--chain", type=int, default=_CHAIN_ROWS, help="rows of the chain's window; 0: no chain")
    parser.add_argument("--embeddings", type=Path, default=Settings().cache_dir / "quality", help="kept here")
    parser.add_argument("--json", type=Path, default=RESULTS / "layout.json")
    parser.add_argument("--docs", action="store_true", help="write the tables of docs/map.md")
    chosen = parser.parse_args(arguments)
    card = machine_card(SEED)
    _warm()
    real = None if chosen.folder is None else _real(chosen.folder, chosen.embeddings)
    found: list[dict[str, Any]] = []
    missed: list[str] = []
    for name, most in (("made up", sys.maxsize), *([(REAL, len(real))] if real is not None else [])):

        def vectors(rows: int, name: str = name) -> Vectors:
            return headline_vectors(rows, SEED) if real is None or name != REAL else real[:rows]

        results = [run(vectors(rows)) for rows in chosen.rows if rows <= most]
        if 0 < 2 * chosen.chain <= most:
            results.append(run_chain(vectors(2 * chosen.chain)))
        for result in results:
            row = {"vectors": name, **result}
            found.append({**row, "missed": misses(row)})
            missed += misses(row)
    print(tables(found, card), *missed, sep="\n", flush=True)
    write_json(chosen.json, card, found)
    if chosen.docs:
        document.replace(PAGE, "layout", tables(found, card))
    return len(missed)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
