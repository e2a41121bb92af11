"""Generated collections with exact neighbour lists, prepared before anything is timed.

Up to 100,000 rows: unit vectors of 512 dimensions in clusters of very unequal size, like headlines. Above: clustered points
in three dimensions, whose true neighbours a k-d tree finds in a minute or two.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

DIMENSIONS = 512
MOST_HEADLINES = 100_000
_QUERIED_AT_ONCE = 500_000


def headline_vectors(rows: int, seed: int) -> npt.NDArray[np.float32]:
    """(rows, 512) unit vectors: stories of 1 to some hundred rows, a third of the rows alone."""
    rng = np.random.default_rng(seed)
    stories = max(2, rows // 12)
    centres = rng.standard_normal((stories, DIMENSIONS), np.float32)
    share = 1 / np.arange(1, stories + 1) ** 0.7
    story = rng.choice(stories, rows, p=share / share.sum())
    spread = np.where(rng.random(rows) < 1 / 3, 3.0, rng.uniform(0.4, 1.2, rows)).astype(np.float32)
    vectors: npt.NDArray[np.float32] = centres[story]
    for start in range(0, rows, 20_000):
        part = slice(start, start + 20_000)
        noise = rng.standard_normal((len(vectors[part]), DIMENSIONS), np.float32)
        vectors[part] += spread[part, None] * noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def points(rows: int, seed: int) -> npt.NDArray[np.float32]:
    """(rows, 3) in clusters of about 200, of different densities, overlapping a little."""
    rng = np.random.default_rng(seed)
    clusters = max(10, rows // 200)
    cluster = rng.integers(0, clusters, rows)
    size = 0.3 * clusters ** (-1 / 3) * np.exp(0.5 * rng.standard_normal(clusters))
    found = rng.random((clusters, 3))[cluster] + size[cluster][:, None] * rng.standard_normal((rows, 3))
    single: npt.NDArray[np.float32] = found.astype(np.float32)
    return single


def prepare(folder: Path, rows: int, neighbours: int, seed: int) -> None:
    """Writes `vectors.npy`, `indices.npy` and `distances.npy` of one collection into `folder`, unless they exist.

    Lists are nearest first, so that the first columns are the lists of fewer neighbours.
    """
    ready = folder / "ready"
    if ready.exists() and int(ready.read_text()) >= neighbours:
        return
    folder.mkdir(parents=True, exist_ok=True)
    ready.unlink(missing_ok=True)
    vectors = headline_vectors(rows, seed) if rows <= MOST_HEADLINES else points(rows, seed)
    np.save(folder / "vectors.npy", vectors)
    indices = np.lib.format.open_memmap(folder / "indices.npy", "w+", np.int32, (rows, neighbours))
    distances = np.lib.format.open_memmap(folder / "distances.npy", "w+", np.float32, (rows, neighbours))
    if rows <= MOST_HEADLINES:
        _exact_lists(vectors, indices, distances)
    else:
        _tree_lists(vectors, indices, distances)
    indices.flush()
    distances.flush()
    ready.write_text(str(neighbours))


def _exact_lists(
    vectors: npt.NDArray[np.float32], indices: npt.NDArray[np.int32], distances: npt.NDArray[np.float32]
) -> None:
    from clustering.neighbours import ExactSearcher, update_graph

    ids = [f"{row:08d}" for row in range(len(vectors))]
    graph, _ = update_graph(
        None, ids, lambda some: vectors[[int(name) for name in some]], ExactSearcher(), k=indices.shape[1], spare=0
    )
    indices[:] = graph.indices
    distances[:] = np.sqrt(np.maximum(0, 2 - 2 * graph.similarities))


def _tree_lists(
    vectors: npt.NDArray[np.float32], indices: npt.NDArray[np.int32], distances: npt.NDArray[np.float32]
) -> None:
    from scipy.spatial import cKDTree

    tree = cKDTree(vectors)
    k = indices.shape[1]
    for start in range(0, len(vectors), _QUERIED_AT_ONCE):
        part = slice(start, min(len(vectors), start + _QUERIED_AT_ONCE))
        lengths, found = tree.query(vectors[part], k + 1, workers=-1)
        itself = np.arange(part.start, part.stop)[:, None]
        others = found != itself
        others[others.all(axis=1), -1] = False  # with more copies than a list holds, one stands for the row itself
        indices[part] = found[others].reshape(-1, k)
        distances[part] = lengths[others].reshape(-1, k)
