"""Times one contender, a way to cluster a prepared collection, in a process of its own.

    python -m benchmarks.contenders NAME FOLDER NEIGHBOURS

The process loads the contender's input, runs the contender once on a few rows (so that no compilation is timed), and prints
its best time in seconds, and its peak memory beyond the input, as a line of JSON.
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

MIN_SAMPLES, MIN_CLUSTER_SIZE = 3, 3  # the tutorial's values
_WARM_ROWS = 300
_SHORT = MIN_SAMPLES + 1  # neighbours: with more, generated collections form one component
_MOST_RUNS, _SECONDS = 5, 4.0
_SECONDS_FOR_TWO = 30.0


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a contender: labels (n,) and the number of components of the lists, where it has them."""

    labels: npt.NDArray[np.int64] | None = None
    components: int | None = None


def tree(lists: Lists) -> Found:
    """newstide: neighbour lists to dendrogram, without choosing clusters."""
    from clustering.tree import build_hierarchy

    return Found(components=build_hierarchy(*lists, min_samples=MIN_SAMPLES).components)


def tree_bridged(lists: Lists, vectors: Vectors) -> Found:
    """newstide: lists so short that they form several components to dendrogram, with the components bridged."""
    from clustering.tree import build_hierarchy

    short = lists[0][:, :_SHORT], lists[1][:, :_SHORT]
    return Found(components=build_hierarchy(*short, min_samples=MIN_SAMPLES, vectors=vectors).components)


def labels(lists: Lists, most_for_library: int | None = None) -> Found:
    """newstide: neighbour lists to labels, as in production."""
    from clustering.tree import build_hierarchy
    from clustering.tree.extraction import MOST_FOR_LIBRARY
    from clustering.tree.hdbscan_labels import library_clusters

    hierarchy = build_hierarchy(*lists, min_samples=MIN_SAMPLES)
    most = MOST_FOR_LIBRARY if most_for_library is None else most_for_library
    return Found(library_clusters(hierarchy, MIN_CLUSTER_SIZE, "eom", most)[0], hierarchy.components)


def labels_by_library(lists: Lists) -> Found:
    """newstide: the tree, and the library's own choice of clusters, however many there are."""
    return labels(lists, sys.maxsize)


def tutorial_mode(lists: Lists) -> Found:
    """newstide: the tutorial's labels without its matrix."""
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
    """No clustering: reads one number of every listed neighbour, on all cores, as each pass over the edges has to do."""
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
    """scikit-learn's HDBSCAN on the vectors; scikit-learn counts a row itself among its samples."""
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
    """Lists as the tutorial has them: the row itself first, and squared distances; k + 1 hits give the same edges.

    The tutorial asks for 50 hits, which are 49 others.
    """
    indices, distances = lists
    n = len(indices)
    return (
        np.concatenate((np.arange(n, dtype=np.int32)[:, None], indices), axis=1),
        np.concatenate((np.zeros((n, 1), np.float32), distances**2), axis=1),
    )


def _best_of(action: Callable[[], Found]) -> tuple[Found, list[Measured]]:
    """Runs an action up to five times while that takes few seconds, and twice unless one run takes half a minute.

    The first run measures the memory; it is often slower, since it touches that memory first.
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
    """The contender, with its input loaded and its code compiled."""
    if name in FROM_VECTORS:
        vectors = np.load(folder / "vectors.npy")
        FROM_VECTORS[name](vectors[:_WARM_ROWS])
        return lambda: FROM_VECTORS[name](vectors)
    lists = _lists(folder, neighbours)
    few = (lists[0][:_WARM_ROWS] % min(_WARM_ROWS, len(lists[0])), lists[1][:_WARM_ROWS])
    labels(few, most_for_library=0)  # also compiles the code that chooses among many clusters
    if name in FROM_BOTH:
        vectors = np.load(folder / "vectors.npy")
        FROM_BOTH[name](_in_pieces(few), vectors[:_WARM_ROWS])
        return lambda: FROM_BOTH[name](lists, vectors)
    FROM_LISTS[name](few)
    return lambda: FROM_LISTS[name](lists)


def _in_pieces(lists: Lists) -> Lists:
    """Lists whose rows name neighbours of their own part only, so that there are components to bridge."""
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
