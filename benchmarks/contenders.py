"""One way to cluster one prepared collection, timed in a process of its own: `python -m benchmarks.contenders NAME FOLDER`.

The process loads what its way starts from, runs it once on a few rows (so that nothing is compiled on the clock), and prints
its best seconds and the peak memory beyond that as a line of JSON.
"""

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import Measured, measured

Lists = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]

MIN_SAMPLES, MIN_CLUSTER_SIZE = 3, 3  # the tutorial's
_WARM_ROWS = 300
_MOST_RUNS, _SECONDS = 5, 4.0
_SECONDS_FOR_TWO = 30.0


def tree(lists: Lists) -> int:
    """Ours: lists to dendrogram. Clusters are not chosen yet."""
    from clustering.hierarchy import build_hierarchy

    return len(build_hierarchy(*lists, min_samples=MIN_SAMPLES).parent)


def labels(lists: Lists) -> npt.NDArray[np.int64]:
    """Ours: lists to labels, as in production."""
    from clustering.hierarchy import cluster_neighbours

    return cluster_neighbours(*lists, min_samples=MIN_SAMPLES, min_cluster_size=MIN_CLUSTER_SIZE).labels


def labels_by_library(lists: Lists) -> npt.NDArray[np.int64]:
    """Our tree, and the library's own choice of clusters however many there are."""
    from clustering.hierarchy import build_hierarchy
    from clustering.hierarchy.clusters import library_clusters

    hierarchy = build_hierarchy(*lists, min_samples=MIN_SAMPLES)
    return library_clusters(hierarchy, MIN_CLUSTER_SIZE, "eom", most_for_library=sys.maxsize)[0]


def tutorial_mode(lists: Lists) -> npt.NDArray[np.int64]:
    """Ours: the tutorial's labels, without its matrix."""
    from clustering.tutorial import labels_of_search

    return labels_of_search(*_as_tutorial(lists))[0]


def tutorial(lists: Lists) -> npt.NDArray[np.int64]:
    """The tutorial's way: a dense matrix of infinities, given to hdbscan."""
    from hdbscan import HDBSCAN

    indices, distances = _as_tutorial(lists)
    matrix = np.full((len(indices), len(indices)), np.inf, dtype=np.float64)
    for row, others in enumerate(indices):
        matrix[row, others] = distances[row]
    model = HDBSCAN(min_samples=MIN_SAMPLES, min_cluster_size=MIN_CLUSTER_SIZE, metric="precomputed").fit(matrix)
    return np.asarray(model.labels_)


def hdbscan_raw(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The hdbscan library on the vectors."""
    from hdbscan import HDBSCAN

    model = HDBSCAN(min_samples=MIN_SAMPLES, min_cluster_size=MIN_CLUSTER_SIZE).fit(vectors)
    return np.asarray(model.labels_)


def fast_hdbscan_raw(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """fast_hdbscan on the vectors."""
    from fast_hdbscan import HDBSCAN

    return np.asarray(HDBSCAN(min_samples=MIN_SAMPLES, min_cluster_size=MIN_CLUSTER_SIZE).fit(vectors).labels_)


def sklearn_raw(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """scikit-learn's HDBSCAN on the vectors; it counts a row itself among its samples."""
    from sklearn.cluster import HDBSCAN

    model = HDBSCAN(min_samples=MIN_SAMPLES + 1, min_cluster_size=MIN_CLUSTER_SIZE, copy=False, n_jobs=-1)
    return np.asarray(model.fit(vectors).labels_)


FROM_LISTS: dict[str, Callable[[Lists], Any]] = {
    "tree": tree,
    "labels": labels,
    "labels by library": labels_by_library,
    "tutorial mode": tutorial_mode,
    "tutorial": tutorial,
}
FROM_VECTORS: dict[str, Callable[[npt.NDArray[np.float32]], Any]] = {
    "hdbscan": hdbscan_raw,
    "fast_hdbscan": fast_hdbscan_raw,
    "scikit-learn": sklearn_raw,
}


def _as_tutorial(lists: Lists) -> Lists:
    """The row itself first, and squared distances."""
    indices, distances = lists
    n = len(indices)
    return (
        np.concatenate((np.arange(n, dtype=np.int32)[:, None], indices), axis=1),
        np.concatenate((np.zeros((n, 1), np.float32), distances**2), axis=1),
    )


def _best_of(action: Callable[[], Any]) -> tuple[Any, list[Measured]]:
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


def main() -> None:
    """Runs the contender that the command line names."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    warnings.simplefilter("ignore")
    if name in FROM_LISTS:
        lists = np.load(folder / "indices.npy"), np.load(folder / "distances.npy")
        few = (lists[0][:_WARM_ROWS] % _WARM_ROWS, lists[1][:_WARM_ROWS])
        FROM_LISTS[name](few)
        found, results = _best_of(lambda: FROM_LISTS[name](lists))
    else:
        vectors = np.load(folder / "vectors.npy")
        FROM_VECTORS[name](vectors[:_WARM_ROWS])
        found, results = _best_of(lambda: FROM_VECTORS[name](vectors))
    row: dict[str, Any] = {
        "seconds": min(result.seconds for result in results),
        "cpu_seconds": min(result.cpu_seconds for result in results),
        "peak_mb": results[0].peak_mb,
        "runs": len(results),
    }
    if isinstance(found, np.ndarray):
        row |= {"clusters": int(found.max()) + 1, "noise": float((found < 0).mean())}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
