"""Compiles the kernels that tests run, once: `python -m tests.harness.warm`.

Workers that start with an empty cache would each compile the same. Numba writes a kernel's file in one step, and its
index too, so that a worker which compiles what is missing here spoils nothing. Two processes compile at once, one the
kernels of graph and map, the other the tree's; what calls both comes after them.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustering.arrays import Vectors
from clustering.map.bounded import lay_out_some
from clustering.map.layout import Layout
from clustering.neighbours import CellSearcher, ExactSearcher, MilvusSearcher, by_cells, cells, update_graph
from clustering.stories.clusters import cluster_rows
from clustering.stories.naming import name_stories
from clustering.stories.similarity import to_distance
from clustering.time_damping import TimeDamping
from clustering.tree import build_hierarchy, cluster_neighbours
from clustering.tree.tutorial import tutorial_labels
from newstide.core import logs
from newstide.core.settings import ClusteringSettings, LayoutSettings
from newstide_app.evaluation import read_labelled
from newstide_app.replay import update_exact_graph
from producers.sample import day_file
from tests.harness.day_runs import in_six_runs
from tests.harness.neighbour_lists import Collection
from tests.harness.word_vectors import word_vectors

_WAYS: tuple[dict[str, Any], ...] = (
    {"selection": "eom", "time_weight": 0.0},
    {"selection": "leaf", "centre": False},
    {"tutorial": True},
)
_NEIGHBOURS = 49


def main() -> None:
    """Starts the two processes, and clusters the bundled day in each way of selecting when both have ended."""
    parts = [subprocess.Popen([sys.executable, "-m", "tests.harness.warm", part]) for part in ("graph", "tree")]
    codes = [part.wait() for part in parts]
    if any(codes):
        raise SystemExit("The kernels could not be compiled; see above.")
    day, vectors = _day()
    list(in_six_runs(day, vectors, ClusteringSettings()))
    for chosen in _WAYS:
        settings = ClusteringSettings(**chosen)
        found = cluster_rows(update_exact_graph(None, day["id"], day["id"], vectors, settings), day, settings)
        name_stories(found.labels, found.centred, day, found.threshold.theta)


def _day() -> tuple[pd.DataFrame, Vectors]:
    day = read_labelled(Path(day_file()), needs_time=True)
    return day, word_vectors((day["title"] + " " + day["description"]).tolist())


def _compile_graph() -> None:
    """The searchers, with rows that leave and rows that come; the map of all rows, and one that is updated in part."""
    collection = Collection(300)
    for searcher in (ExactSearcher(), MilvusSearcher(collection.search)):
        graph, _ = update_graph(None, collection.ids[:250], collection.fetch, searcher, k=10, spare=5)
        graph, _ = update_graph(graph, collection.ids[50:], collection.fetch, searcher, k=10, spare=5)
    cells._ROWS_A_CELL, by_cells._FIRST_CELLS, by_cells._SAMPLE = 10, 2, 50  # so that few rows have many cells
    by_cells._COMPARED_WITH_ALL = 0
    first, _ = update_graph(None, collection.ids[:250], collection.fetch, CellSearcher(width=10), k=10, spare=5)
    update_graph(first, collection.ids[:270], collection.fetch, CellSearcher(width=10), k=10, spare=5, recall_floor=0)
    layout: Layout | None = None
    for drawn in (200, 245):
        layout = lay_out_some(graph, np.arange(drawn), layout, settings=LayoutSettings()).layout


def _compile_tree() -> None:
    """From lists in single and in double precision, with components to be joined."""
    day, vectors = _day()
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -9)
    indices = np.argsort(-cosines, axis=1)[:, :_NEIGHBOURS].astype(np.int32)
    similarities = np.take_along_axis(cosines, indices, axis=1)
    distances = to_distance(similarities)
    damping = TimeDamping(day["published_at"].to_numpy(np.float64) / 86_400_000, 0.2, 7.0)
    for lengths in (distances, distances.astype(np.float64)):
        build_hierarchy(indices[:, :2], lengths[:, :2], min_samples=1, vectors=vectors, damping=damping)
        cluster_neighbours(indices, lengths)
    tutorial_labels(indices, similarities)


if __name__ == "__main__":
    logs.configure("warning", json=False)
    {"graph": _compile_graph, "tree": _compile_tree}.get("".join(sys.argv[1:]), main)()
