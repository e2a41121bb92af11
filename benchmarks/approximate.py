"""Compares approximate neighbour lists with the true ones: `python -m benchmarks.approximate FOLDER --rows 50000 200000`.

Rows made like news (`benchmarks.news`) are searched exactly, by newstide's cells, and by faiss (IVF, HNSW) and pynndescent
where these are installed, each in a process of its own. For each: seconds, the memory that the search took beside vectors,
and the share of the 30 nearest that it found of 1,000 rows. Then the stories from lists of cells are compared with those
from the true lists, for the labelled sets of FOLDER too.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks import document
from benchmarks.machine import RESULTS, machine_card, machine_line, write_json
from benchmarks.news import BEGIN, DAY, News, RealDay, real_day
from benchmarks.quality import SETS, embeddings
from clustering.neighbours import CellSearcher, ExactSearcher, NeighbourGraph
from clustering.neighbours.neighbour_lists import NeighbourLists, Points, Searcher
from clustering.stories.clusters import cluster_rows
from newstide.core.settings import Settings
from newstide_app.evaluation import read_labelled
from newstide_app.scores import score

Vectors = npt.NDArray[np.float32]
Lists = npt.NDArray[np.int32]

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
MODEL = "multilingual-e5-small"
SEED = 42
WIDTH, COUNTED = 40, 30  # of a list; of these, what the clustering sees
_SAMPLE = 1_000
_AT_ONCE = 100  # rows that are compared with all
EXACT = "newstide, exact"
CELLS = "newstide, cells"
BAR_ARI = 0.98


def _by(searcher: Searcher, vectors: Vectors) -> Lists:
    n = len(vectors)
    lists = NeighbourLists.unwritten(n, WIDTH)
    rows, none = np.arange(n, dtype=np.int32), np.zeros(n, np.bool_)
    searcher.fill(Points.of([str(row) for row in range(n)], vectors), lists, rows, none, none)
    return lists.indices


def _by_faiss(description: str, search: tuple[str, int], vectors: Vectors) -> Lists:
    import faiss

    index = faiss.index_factory(vectors.shape[1], description, faiss.METRIC_INNER_PRODUCT)
    faiss.ParameterSpace().set_index_parameter(index, *search)
    index.train(vectors)
    index.add(vectors)
    found: Lists = index.search(vectors, WIDTH + 1)[1].astype(np.int32)
    return found


def _by_pynndescent(vectors: Vectors) -> Lists:
    from pynndescent import NNDescent  # type: ignore[import-untyped]

    index = NNDescent(vectors, metric="cosine", n_neighbors=WIDTH + 1, random_state=SEED, low_memory=True)
    found: Lists = index.neighbor_graph[0]
    return found


CONTENDERS: dict[str, Callable[[Vectors], Lists]] = {
    EXACT: lambda vectors: _by(ExactSearcher(), vectors),
    CELLS: lambda vectors: _by(CellSearcher(), vectors),
    "faiss, IVF, 16 of n/500 cells": lambda vectors: _by_faiss(
        f"IVF{len(vectors) // 500},Flat", ("nprobe", 16), vectors
    ),
    "faiss, HNSW32, efSearch 128": lambda vectors: _by_faiss("HNSW32", ("efSearch", 128), vectors),
    "pynndescent": _by_pynndescent,
}


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="folder of the labelled files")
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000])
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--json", type=Path, default=RESULTS / "approximate.json")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.name}")
    chosen = parser.parse_args()
    card = machine_card(SEED)
    searched: list[dict[str, Any]] = []
    clustered: list[dict[str, Any]] = []
    for rows in chosen.rows:
        vectors, headlines = made(real_day(Settings().cache_dir / "benchmarks"), rows)
        found = dict(compared(vectors, chosen.contenders, searched, rows))
        if EXACT in found and CELLS in found:
            clustered.append({"what": f"{rows:,} rows like news", **agreement(headlines, vectors, found)})
            print(clustered[-1], flush=True)
        write_json(chosen.json, card, [*searched, *clustered])
    for name in SETS if chosen.data else ():
        labelled = read_labelled(chosen.data / f"{name}.parquet", needs_time=False)
        set_vectors = embeddings(Settings().cache_dir / "quality", MODEL, labelled["title"].tolist())
        if set_vectors is not None:
            clustered.append({"what": name, **of_set(labelled, set_vectors)})
            print(clustered[-1], flush=True)
        write_json(chosen.json, card, [*searched, *clustered])
    text = f"{_table(searched)}\n\n{_clustered_table(clustered)}\n\n{machine_line(card)}"
    print(text)
    if chosen.write:
        document.replace(PAGE, "approximate", text)


def made(day: RealDay, rows: int) -> tuple[Vectors, pd.DataFrame]:
    """Vectors and headlines of rows made like news, ascending by id."""
    parts = News(day, rows, SEED).take(rows, BEGIN, BEGIN + 7 * DAY)
    taken = sorted((row for part in parts for row in part), key=lambda row: row.headline.id)
    headlines = pd.DataFrame(
        {name: [getattr(row.headline, name) for row in taken] for name in ("id", "title", "language", "published_at")}
    )
    return np.stack([row.embedding for row in taken]), headlines


def compared(
    vectors: Vectors, contenders: Sequence[str], searched: list[dict[str, Any]], rows: int
) -> list[tuple[str, Lists]]:
    """The lists of each contender; what it took is appended to `searched`."""
    sample = np.sort(np.random.default_rng(SEED).choice(len(vectors), min(_SAMPLE, len(vectors)), replace=False))
    true = true_neighbours(vectors, sample, COUNTED)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "vectors.npy", vectors)
        for name in contenders:
            context = multiprocessing.get_context("spawn")
            process = context.Process(target=_measure, args=(name, Path(folder)))
            process.start()
            process.join()
            if process.exitcode != 0:
                print(f"{name} is left out: it ended with {process.exitcode}", file=sys.stderr)
                continue
            result = np.load(Path(folder) / "lists.npz")
            lists: Lists = result["lists"]
            hits = [
                np.isin(wanted, own[own != row][:COUNTED]).mean()
                for wanted, own, row in zip(true, lists[sample], sample, strict=True)
            ]
            searched.append(
                {
                    "rows": rows,
                    "contender": name,
                    "seconds": round(float(result["seconds"]), 1),
                    "memory_mb": round(float(result["memory"]) / 2**20),
                    "recall": round(float(np.mean(hits)), 4),
                }
            )
            print(searched[-1], flush=True)
            found.append((name, lists))
    return found


def true_neighbours(vectors: Vectors, rows: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
    """(len(rows), k) the nearest others of some rows, in no order."""
    true = np.empty((len(rows), k), np.int64)
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        alike = vectors[part] @ vectors.T
        alike[np.arange(len(part)), part] = -np.inf
        true[start : start + len(part)] = np.argpartition(-alike, k, axis=1)[:, :k]
    return true


def _measure(name: str, folder: Path) -> None:
    """Runs one contender; it has searched some rows before, so that compiling does not count."""
    vectors = np.load(folder / "vectors.npy")
    CONTENDERS[name](np.ascontiguousarray(vectors[:3_000]))
    before = memory_of("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # from here on, the most is measured
    started = time.perf_counter()
    lists = CONTENDERS[name](vectors)
    seconds = time.perf_counter() - started
    np.savez(folder / "lists.npz", lists=lists, seconds=seconds, memory=memory_of("VmHWM") - before)


def memory_of(what: str) -> int:
    """Bytes that this process holds (`VmRSS`), or held at most (`VmHWM`)."""
    return int(Path("/proc/self/status").read_text().split(f"{what}:")[1].split()[0]) * 1024


def agreement(headlines: pd.DataFrame, vectors: Vectors, found: dict[str, Lists]) -> dict[str, Any]:
    """How alike the stories from lists of cells are to those from the true lists."""
    true, ours = (_labels(headlines, vectors, found[name]) for name in (EXACT, CELLS))
    alone = np.where(true < 0, true.max(initial=-1) + 1 + np.arange(len(true)), true)
    scores = score([str(label) for label in alone.tolist()], ours)
    return {"ari": round(scores.ari, 4), "f1": round(scores.f1, 4)}


def of_set(labelled: pd.DataFrame, vectors: Vectors) -> dict[str, Any]:
    """B-cubed F1 of a labelled set's stories, from true lists and from those of cells."""
    order = np.argsort(labelled["id"].to_numpy(object), kind="stable")
    headlines, own = labelled.iloc[order].reset_index(drop=True), np.ascontiguousarray(vectors[order])
    headlines = headlines.assign(published_at=0)  # a labelled file's times leak its labels
    lists = {EXACT: _by(ExactSearcher(), own), CELLS: _by(CellSearcher(), own)}
    truth = headlines["story_id"].tolist()
    exact, cells = (score(truth, _labels(headlines, own, lists[name])).f1 for name in (EXACT, CELLS))
    return {**agreement(headlines, own, lists), "exact": round(exact, 4), "cells": round(cells, 4)}


def _labels(headlines: pd.DataFrame, vectors: Vectors, lists: Lists) -> npt.NDArray[np.int64]:
    """Stories by the default settings, from these lists."""
    similarities = np.empty(lists.shape, np.float32)
    for row, own in enumerate(lists):
        similarities[row] = np.where(own >= 0, vectors[own] @ vectors[row], -1)
    graph = NeighbourGraph(headlines["id"].to_numpy(object), vectors, lists, similarities, COUNTED)
    return cluster_rows(graph, headlines, Settings().clustering).labels


def _table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"| {row['rows']:,} | {row['contender']} | {row['seconds']:,.1f} | {row['memory_mb']:,} MB | {row['recall']:.3f} |"
        for row in rows
    ]
    return "\n".join(["| rows | searcher | s | memory | of the 30 nearest found |", "|---|---|---|---|---|", *lines])


def _clustered_table(rows: Sequence[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        f1 = f"{row['exact']:.3f}; {row['cells']:.3f}" if "exact" in row else "-"
        lines.append(f"| {row['what']} | {row['ari']:.3f} | {row['f1']:.3f} | {f1} |")
    head = ["| stories of | ARI to those of true lists | B-cubed F1 to them | F1 to the truth, true lists; cells |"]
    return "\n".join([*head, "|---|---|---|---|", *lines])


if __name__ == "__main__":
    main()
