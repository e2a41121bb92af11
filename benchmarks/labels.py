"""Times the way from vectors to labels, without a store: `python -m benchmarks.labels --rows 1000000 --json FILE`.

Rows made like news (`benchmarks.news`) get their neighbour graph, by the searcher that a run would choose, and their
clusters; then rows are added (`--later`), and both steps are made again. Printed are seconds, the most memory that the
process held, and the share of the 30 nearest that the lists hold of 1,000 sampled rows: of all, of the rows that were added
(insertion), and of these in the lists of the others (reverse insertion).
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.approximate import memory_of, true_neighbours
from benchmarks.bars import Bar
from benchmarks.machine import machine_card, write_json
from benchmarks.news import BEGIN, DAY, News, real_day
from clustering.neighbours import CellSearcher, ExactSearcher, NeighbourGraph, Searcher, choose_searcher, update_graph
from clustering.stories.clusters import cluster_rows
from newstide.core import logs
from newstide.core.settings import ClusteringSettings, Settings

Vectors = npt.NDArray[np.float32]
Kind = Literal["auto", "exact", "cells"]

SEED = 42
RECALL = 0.98  # the bar
_SAMPLE = 1_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the number of missed bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--later", type=int, nargs="*", default=[], help="how many rows are added, step by step")
    parser.add_argument("--searcher", choices=["auto", "exact", "cells"], default="auto")
    parser.add_argument("--json", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    logs.configure("warning", json=False)
    card, found = machine_card(SEED), []
    for row in measured(chosen.rows, chosen.later, chosen.searcher):
        found.append(row)
        write_json(chosen.json, card, found)
    Console(width=150).print(_table(found))
    return sum(not bar.met for bar in bars_of(found))


def measured(rows: int, later: Sequence[int], searcher: Kind = "auto") -> Iterator[dict[str, Any]]:
    """The first build of so many rows, and the steps with more of them."""
    settings = Settings()
    vectors, headlines = made(rows + sum(later))
    wanted = settings.clustering
    graph: NeighbourGraph | None = None
    labels: npt.NDArray[np.int64] | None = None
    for number, count in enumerate(np.cumsum([rows, *later]).tolist()):
        some = headlines.iloc[:count].sort_values("id", ignore_index=True)
        row_of = dict(zip(headlines["id"].iloc[:count], range(count), strict=True))
        kind = choose_searcher(searcher, count, is_lite=True, exact_rows=wanted.exact_rows, previous=graph)
        by = searcher_of(kind, wanted)
        began, worked = time.perf_counter(), time.process_time()
        after, report = update_graph(
            graph,
            some["id"].tolist(),
            lambda ids, row_of=row_of: vectors[[row_of[id_] for id_ in ids]],  # type: ignore[misc]
            by,
            k=wanted.graph_neighbours,
            spare=wanted.spare_neighbours,
            recall_sample=wanted.recall_sample,
            recall_floor=wanted.recall_floor,
            seed=SEED,
        )
        graphed, graph_work = time.perf_counter(), time.process_time()
        before = None if labels is None or graph is None else _carried(graph, labels, after)
        labels = cluster_rows(after, some, wanted, previous=before).labels
        ended, cluster_work = time.perf_counter(), time.process_time()
        yield {
            "step": f"+{later[number - 1]:,}" if number else "first build",
            "rows": count,
            "searcher": kind,
            "rebuilt": report.rebuilt,
            "graph_seconds": round(graphed - began, 1),
            "graph_processor_seconds": round(graph_work - worked, 1),
            "clusters_seconds": round(ended - graphed, 1),
            "clusters_processor_seconds": round(cluster_work - graph_work, 1),
            "clusters": int(labels.max(initial=-1)) + 1,
            "memory_mb": memory_of("VmHWM") // 2**20,
            **_recalls(graph, after, wanted.graph_neighbours),
        }
        graph = after


def searcher_of(kind: str, wanted: ClusteringSettings) -> Searcher:
    """The searcher of a run without a store."""
    if kind == "exact":
        return ExactSearcher(wanted.memory_mb)
    return CellSearcher(wanted.memory_mb, wanted.seed, wanted.graph_neighbours)


def bars_of(found: Sequence[dict[str, Any]]) -> list[Bar]:
    """The bars: the recall of each kind."""
    return [
        Bar(f"{row['step']}, {kind}", row[kind], RECALL, "", at_least=True)
        for row in found
        for kind in ("recall", "insertion", "reverse_insertion")
        if row[kind] is not None
    ]


def made(rows: int) -> tuple[Vectors, pd.DataFrame]:
    """Vectors and headlines, in the order of their times."""
    day = real_day(Settings().cache_dir / "benchmarks")
    vectors = np.empty((rows, day.vectors.shape[1]), np.float32)
    columns: dict[str, list[Any]] = {name: [] for name in ("id", "title", "source", "language", "published_at")}
    done = 0
    for part in News(day, rows, SEED).take(rows, BEGIN, BEGIN + 7 * DAY):
        vectors[done : done + len(part)] = [row.embedding for row in part]
        done += len(part)
        for name, values in columns.items():
            values += [getattr(row.headline, name) for row in part]
    return vectors, pd.DataFrame(columns)


def _carried(graph: NeighbourGraph, labels: npt.NDArray[np.int64], after: NeighbourGraph) -> npt.NDArray[np.int64]:
    """The clusters of before, as stories of the rows of now."""
    of = dict(zip(graph.ids.tolist(), labels.tolist(), strict=True))
    return np.fromiter((of.get(id_, -1) for id_ in after.ids.tolist()), np.int64, len(after.ids))


def _recalls(before: NeighbourGraph | None, graph: NeighbourGraph, k: int) -> dict[str, float | None]:
    """How much of the true lists of sampled rows is there."""
    rng = np.random.default_rng(SEED)
    n = len(graph.ids)
    known = set() if before is None else set(before.ids.tolist())
    is_new = np.fromiter((id_ not in known for id_ in graph.ids.tolist()), np.bool_, n)
    if before is None:
        held, _ = _compared(graph, np.sort(rng.choice(n, min(n, _SAMPLE), replace=False)), k)
        return {"recall": _share(held), "insertion": None, "reverse_insertion": None}
    old, new = np.flatnonzero(~is_new), np.flatnonzero(is_new)
    held, _ = _compared(graph, np.sort(rng.choice(new, min(len(new), _SAMPLE), replace=False)), k)
    back, true = _compared(graph, np.sort(rng.choice(old, min(len(old), 10 * _SAMPLE), replace=False)), k)
    return {"recall": _share(back), "insertion": _share(held), "reverse_insertion": _share(back[is_new[true]])}


def _compared(
    graph: NeighbourGraph, rows: npt.NDArray[np.int64], k: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """(len(rows), k) the true neighbours of some rows, and whether their lists hold them."""
    true = true_neighbours(graph.vectors, rows, k)
    held = np.stack([np.isin(one, own) for one, own in zip(true, graph.indices[rows], strict=True)])
    return held, true


def _share(held: npt.NDArray[np.bool_]) -> float | None:
    return round(float(held.mean()), 4) if held.size else None


def _table(found: Sequence[dict[str, Any]]) -> Table:
    table = Table(*[name.replace("_", " ") for name in found[0]])
    for row in found:
        table.add_row(
            *[
                "-" if value is None else f"{value:,}" if value.__class__ is int else str(value)
                for value in row.values()
            ]
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main())
