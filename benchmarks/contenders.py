"""One way to cluster one prepared collection, timed in a process of its own.

    python -m benchmarks.contenders NAME FOLDER NEIGHBOURS

The process loads what its way starts from, runs it once on a few rows (so that nothing is compiled on the clock), and prints
its best seconds and the peak memory beyond that as a line of JSON.
"""

import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clustering.kernels import kernel, parallel_range
from tests.harness.measured import Measured, measured

Vectors = npt.NDArray[np.float32]
Lists = tuple[npt.NDArray[np.int32], Vectors]

MIN_SAMPLES, MIN_CLUSTER_SIZE = 3, 3  # the tutorial's
_WARM_ROWS = 300
_SHORT = MIN_SAMPLES + 1  # neighbours: with more, made collections are in one piece
_MOST_RUNS, _SECONDS = 5, 4.0
_SECONDS_FOR_TWO = 30.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a way gives, as far as it does: labels (n,), and the components that the lists fell into."""

    labels: npt.NDArray[np.int64] | None = None
    components: int | None = None


def tree(lists: Lists) -> Found:
    """Ours: lists to dendrogram. Clusters are not chosen yet."""
    from clustering.tree import build_hierarchy

    return Found(components=build_hierarchy(*lists, min_samples=MIN_SAMPLES).components)


def tree_bridged(lists: Lists, vectors: Vectors) -> Found:
    """Ours: lists so short that they fall into pieces to dendrogram, with the pieces joined by their vectors."""
    from clustering.tree import build_hierarchy

    short = lists[0][:, :_SHORT], lists[1][:, :_SHORT]
    return Found(components=build_hierarchy(*short, min_samples=MIN_SAMPLES, vectors=vectors).components)


def labels(lists: Lists, most_for_library: int | None = None) -> Found:
    """Ours: lists to labels, as in production."""
    from clustering.tree import build_hierarchy
    from clustering.tree.extraction import MOST_FOR_LIBRARY
    from clustering.tree.hdbscan_labels import library_clusters

    hierarchy = build_hierarchy(*lists, min_samples=MIN_SAMPLES)
    most = MOST_FOR_LIBRARY if most_for_library is None else most_for_library
    return Found(library_clusters(hierarchy, MIN_CLUSTER_SIZE, "eom", most)[0], hierarchy.components)


def labels_by_library(lists: Lists) -> Found:
    """Our tree, and the library's own choice of clusters however many there are."""
    return labels(lists, sys.maxsize)


def tutorial_mode(lists: Lists) -> Found:
    """Ours: the tutorial's labels, without its matrix."""
    from clustering.tree.tutorial import labels_of_search

    return Found(labels_of_search(*_as_tutorial(lists))[0])


def tutorial(lists: Lists) -> Found:
    """The tutorial's way: a dense matrix of infinities, given to hdbscan."""
    from hdbscan import HDBSCAN

    indices, distances = _as_tutorial(lists)
    matrix = np.full((len(indices), len(indices)), np.inf, dtype=np.float64)
    for row, others in enumerate(indices):
        matrix[row, others] = distances[row]
    model = HDBSCAN(min_samples=MIN_SAMPLES, min_cluster_size=MIN_CLUSTER_SIZE, metric="precomputed").fit(matrix)
    return Found(np.asarray(model.labels_))


def one_pass(lists: Lists) -> Found:
    """No clustering: reads one number of every listed neighbour, on all cores, as each pass over the edges has to."""
    _sums_of_listed(lists[0], lists[1][:, 0].copy())
    return Found()


@kernel(parallel=True)
def _sums_of_listed(indices: npt.NDArray[np.int32], values: Vectors) -> Vectors:
    n, k = indices.shape
    sums = np.empty(n, np.float32)
    for row in parallel_range(n):
        total = np.float32(0)
        for column in range(k):
            total += values[indices[row, column]]
        sums[row] = total
    return sums


def hdbscan_raw(vectors: Vectors) -> Found:
    """The hdbscan library on the vectors."""
    from hdbscan import HDBSCAN

    model = HDBSCAN(min_samples=MIN_SAMPLES, min_cluster_size=MIN_CLUSTER_SIZE).fit(vectors)
    return Found(np.asarray(model.labels_))


def fast_hdbscan_raw(vectors: Vectors) -> Found:
    """fast_hdbscan on the vectors."""
    from fast_hdbscan import HDBSCAN

    model = HDBSCAN(min_samples=MIN_SAMPLES, min_cluster_size=MIN_CLUSTER_SIZE).fit(vectors)
    return Found(np.asarray(model.labels_))


def sklearn_raw(vectors: Vectors) -> Found:
    """scikit-learn's HDBSCAN on the vectors; it counts a row itself among its samples."""
    from sklearn.cluster import HDBSCAN

    model = HDBSCAN(min_samples=MIN_SAMPLES + 1, min_cluster_size=MIN_CLUSTER_SIZE, copy=False, n_jobs=-1)
    return Found(np.asarray(model.fit(vectors).labels_))


FROM_LISTS: dict[str, Callable[[Lists], Found]] = {
    "one pass": one_pass,
    "tree": tree,
    "labels": labels,
    "labels by library": labels_by_library,
    "tutorial mode": tutorial_mode,
    "tutorial": tutorial,
}
FROM_BOTH: dict[str, Callable[[Lists, Vectors], Found]] = {"tree, bridged": tree_bridged}
FROM_VECTORS: dict[str, Callable[[Vectors], Found]] = {
    "hdbscan": hdbscan_raw,
    "fast_hdbscan": fast_hdbscan_raw,
    "scikit-learn": sklearn_raw,
}


def _as_tutorial(lists: Lists) -> Lists:
    """The row itself first, and squared distances: k + 1 hits, so that both ways have the same edges as the others.

    The tutorial asks for 50 hits, which are 49 others.
    """
    indices, distances = lists
    n = len(indices)
    return (
        np.concatenate((np.arange(n, dtype=np.int32)[:, None], indices), axis=1),
        np.concatenate((np.zeros((n, 1), np.float32), distances**2), axis=1),
    )


def _best_of(action: Callable[[], Found]) -> tuple[Found, list[Measured]]:
    """Runs up to five times while that takes no more than some seconds, and twice unless that takes half a minute.

    The first run says how much memory it takes; often it is also the first to touch that memory, which costs it time.
    """
    results: list[Measured] = []
    while len(results) < _MOST_RUNS:
        if sum(result.seconds for result in results) > (_SECONDS_FOR_TWO if len(results) < 2 else _SECONDS):
            break
        with measured() as result:
            found = action()
        results.append(result)
    return found, results


def _lists(folder: Path, neighbours: int) -> Lists:
    names = ("indices.npy", "distances.npy")
    indices, distances = (np.array(np.load(folder / name, mmap_mode="r")[:, :neighbours], order="C") for name in names)
    return indices, distances


def prepared(name: str, folder: Path, neighbours: int) -> Callable[[], Found]:
    """The way, loaded and warm."""
    if name in FROM_VECTORS:
        vectors = np.load(folder / "vectors.npy")
        FROM_VECTORS[name](vectors[:_WARM_ROWS])
        return lambda: FROM_VECTORS[name](vectors)
    lists = _lists(folder, neighbours)
    few = (lists[0][:_WARM_ROWS] % min(_WARM_ROWS, len(lists[0])), lists[1][:_WARM_ROWS])
    labels(few, most_for_library=0)  # what chooses where there are many clusters is compiled, too
    if name in FROM_BOTH:
        vectors = np.load(folder / "vectors.npy")
        FROM_BOTH[name](_in_pieces(few), vectors[:_WARM_ROWS])
        return lambda: FROM_BOTH[name](lists, vectors)
    FROM_LISTS[name](few)
    return lambda: FROM_LISTS[name](lists)


def _in_pieces(lists: Lists) -> Lists:
    """Lists whose rows name others of their own piece only, so that there is something to bridge."""
    n, k = lists[0].shape
    piece = 2 * k
    row = np.arange(n, dtype=np.int32)[:, None]
    start = row // piece * piece
    return start + (row - start + 1 + np.arange(k, dtype=np.int32)) % np.minimum(piece, n - start), lists[1]


def main() -> None:
    """Runs the contender that the command line names."""
    name, folder, neighbours = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    warnings.simplefilter("ignore")
    found, results = _best_of(prepared(name, folder, neighbours))
    row: dict[str, Any] = {
        "seconds": min(result.seconds for result in results),
        "cpu_seconds": min(result.cpu_seconds for result in results),
        "peak_mb": results[0].peak_mb,
        "runs": len(results),
    }
    if found.components is not None:
        row["components"] = found.components
    if found.labels is not None:
        row |= {"clusters": int(found.labels.max()) + 1, "noise": float((found.labels < 0).mean())}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
