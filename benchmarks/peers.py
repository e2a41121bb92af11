"""Times what else can be done with the same rows: `python -m benchmarks.peers --rows 10000 50000 --json FILE`.

Rows made like news (`benchmarks.news`) are given as vectors and titles, without a store, to newstide, to the way of the
tutorial's notebook, and to BERTopic (`pip install "newstide[quality]"`). Each clusters, names and maps all of them, as far
as it does that, and then takes in 1 % more. Each size has a process of its own, which is ended after `--timeout` seconds or
where the memory does not suffice; larger sizes are then left out.
"""

import argparse
import json
import resource
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import document
from benchmarks.labels import made, searcher_of
from benchmarks.machine import in_own_process, kept_rows, machine_card, machine_line, write_json
from benchmarks.scale_page import PAGE
from newstide.core.settings import Settings
from tests.harness.measured import measured

Vectors = npt.NDArray[np.float32]
Step = Callable[[Vectors, pd.DataFrame, int], None]

SEED = 42
_WARM_ROWS = 500  # whose work is not timed: whatever compiles, compiles then
_FEWEST_NEW = 100  # rows that are taken in later: of fewer, BERTopic makes no topics
_MOST_MEMORY = 0.85  # of what is free


def newstide() -> Iterator[Step]:
    """Graph, clusters, names and map, brought up to date for what is new."""
    from clustering.map.bounded import lay_out_some
    from clustering.neighbours import choose_searcher, update_graph
    from clustering.pages.colours import chosen_rows
    from clustering.stories.clusters import cluster_rows
    from clustering.stories.naming import name_stories

    settings = Settings()
    wanted = settings.clustering
    graph = layout = before = None

    def step(vectors: Vectors, headlines: pd.DataFrame, _known: int) -> None:
        nonlocal graph, layout, before
        ordered = headlines.sort_values("id")
        place = dict(zip(ordered["id"], ordered.index, strict=True))
        some = ordered.reset_index(drop=True)
        kind = choose_searcher("auto", len(some), is_lite=True, exact_rows=wanted.exact_rows, previous=graph)
        graph, _ = update_graph(
            graph,
            some["id"].tolist(),
            lambda ids: vectors[[place[id_] for id_ in ids]],
            searcher_of(kind, wanted),
            k=wanted.graph_neighbours,
            spare=wanted.spare_neighbours,
        )
        previous = None if before is None else some["id"].map(before).fillna(-1).to_numpy(np.int64)
        clusters = cluster_rows(graph, some, wanted, previous=previous)
        name_stories(clusters.labels, clusters.centred, some, clusters.threshold.theta)
        shown = some.assign(cluster_label=clusters.labels, label_probability=clusters.probabilities)
        drawn = chosen_rows(shown, settings.pages.max_points)
        layout = lay_out_some(graph, drawn, layout, settings=settings.layout).layout
        before = dict(zip(some["id"], clusters.labels.tolist(), strict=True))

    yield step
    yield step


def notebook() -> Iterator[Step]:
    """The tutorial's way: a dense matrix for hdbscan, and UMAP of the vectors; for more rows, all of it again."""
    from hdbscan import HDBSCAN
    from umap import UMAP

    from clustering.neighbours import ExactSearcher, update_graph
    from clustering.tree.tutorial import NEIGHBOURS, as_searched

    def step(vectors: Vectors, headlines: pd.DataFrame, _known: int) -> None:
        ids = headlines["id"].tolist()
        place = dict(zip(ids, range(len(ids)), strict=True))
        graph, _ = update_graph(
            None, ids, lambda some: vectors[[place[id_] for id_ in some]], ExactSearcher(), k=NEIGHBOURS - 1, spare=0
        )
        matrix = np.full((len(vectors), len(vectors)), np.inf)
        for row, (others, distances) in enumerate(zip(*as_searched(graph.indices, graph.similarities), strict=True)):
            matrix[row, others] = distances
        HDBSCAN(min_samples=3, min_cluster_size=3, metric="precomputed").fit(matrix)
        UMAP(n_neighbors=80, n_components=2, min_dist=0.1, random_state=SEED, n_jobs=1).fit_transform(vectors)

    yield step
    yield step


def bertopic() -> Iterator[Step]:
    """BERTopic's default pipeline; what is new is fitted by itself and merged (`merge_models`). It draws no map."""
    from bertopic import BERTopic
    from umap import UMAP

    def fitted(vectors: Vectors, headlines: pd.DataFrame) -> Any:
        umap = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=SEED, n_jobs=1)
        model = BERTopic(umap_model=umap)
        model.fit_transform(headlines["title"].tolist(), vectors)
        return model

    first = None

    def fit(vectors: Vectors, headlines: pd.DataFrame, _known: int) -> None:
        nonlocal first
        first = fitted(vectors, headlines)

    def merge(vectors: Vectors, headlines: pd.DataFrame, known: int) -> None:
        BERTopic.merge_models([first, fitted(vectors[known:], headlines.iloc[known:])])

    yield fit
    yield merge


PEERS: dict[str, Callable[[], Iterator[Step]]] = {"newstide": newstide, "notebook": notebook, "BERTopic": bertopic}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", required=True)
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for each peer and size")
    parser.add_argument("--json", type=Path, help="file to write; without one, times one peer in this process")
    parser.add_argument("--write", action="store_true", help="put the table of --json's file into docs/scale.md")
    chosen = parser.parse_args(arguments)
    if chosen.json is None:
        print(json.dumps(_timed(chosen.peers[0], chosen.rows[0])))
        return
    card = machine_card(SEED)
    found = [
        row for row in kept_rows(chosen.json) if row["peer"] not in chosen.peers
    ]  # BERTopic has its own environment
    for name in chosen.peers:
        for rows in sorted(chosen.rows):
            arguments = ["--peers", name, "--rows", str(rows)]
            found.append({"peer": name, "rows": rows, **in_own_process("benchmarks.peers", arguments, chosen.timeout)})
            write_json(chosen.json, card, found)
            if "left_out" in found[-1]:
                break
    Console(width=120).print(table(found))
    if chosen.write:
        document.replace(PAGE, "peers", figures(found, card))


def _timed(name: str, rows: int) -> dict[str, Any]:
    """Seconds and memory of both steps, in this process."""
    most = int(psutil.virtual_memory().available * _MOST_MEMORY)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    for _ in steps(name, _WARM_ROWS):
        pass
    (first, first_mb), (later, later_mb) = steps(name, rows)
    return {"seconds": first, "later_seconds": later, "peak_mb": max(first_mb, later_mb)}


def steps(name: str, rows: int) -> Iterator[tuple[float, float]]:
    """Seconds and megabytes of a peer's two steps, in this process."""
    more = rows + max(_FEWEST_NEW, rows // 100)
    vectors, headlines = made(more)
    for count, step in zip((rows, more), PEERS[name](), strict=True):
        with measured() as work:
            step(vectors[:count], headlines.iloc[:count], rows)
        yield round(work.seconds, 2), round(work.peak_mb)


def figures(found: Sequence[dict[str, Any]], card: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = ["| | rows | all of them, s | 1 % more, s | memory, MB |", "|---|---|---|---|---|"]
    lines += [f"| {row['peer']} | {row['rows']:,} | {' | '.join(_told(row))} |" for row in found]
    return "\n".join([*lines, "", machine_line(card)])


def _told(row: dict[str, Any]) -> list[str]:
    if "left_out" in row:
        return [str(row["left_out"]), "", ""]
    return [f"{row['seconds']:.1f}", f"{row['later_seconds']:.1f}", f"{row['peak_mb']:,}"]


def table(found: Sequence[dict[str, Any]]) -> Table:
    """The results as a table."""
    shown = Table("", "rows", "all of them, s", "1 % more, s", "memory, MB", title="The same rows, without a store")
    for row in found:
        shown.add_row(row["peer"], f"{row['rows']:,}", *_told(row))
    return shown


if __name__ == "__main__":
    main()
