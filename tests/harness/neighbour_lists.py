"""A collection of vectors, and its neighbour lists by brute force."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clustering.neighbours import NeighbourGraph

Array = npt.NDArray[Any]


class Collection:
    """Vectors by id, and a record of which were asked for."""

    def __init__(self, n: int, dim: int = 16, seed: int = 0, clusters: int | None = None, spread: float = 0.3) -> None:
        rng = np.random.default_rng(seed)
        centres = rng.normal(size=(clusters or max(1, n // 20), dim))
        vectors = centres[rng.integers(0, len(centres), n)] + spread * rng.normal(size=(n, dim))
        self.vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        self.ids = [f"headline-{number:05d}" for number in rng.permutation(n)]
        self.row = {name: row for row, name in enumerate(self.ids)}
        self.asked: list[str] = []

    def fetch(self, ids: Sequence[str]) -> npt.NDArray[np.float32]:
        self.asked += ids
        found: npt.NDArray[np.float32] = self.vectors[[self.row[name] for name in ids]]
        return found

    def search(self, vectors: Array, limit: int, where: str) -> "Found":  # noqa: ARG002
        """An exact index that knows every row, whatever the window."""
        found = np.argsort(-(vectors @ self.vectors.T), axis=1)[:, :limit]
        ids = np.full((len(vectors), limit), None, object)
        ids[:, : found.shape[1]] = np.array(self.ids, object)[found]
        return Found(ids)


class Found:
    def __init__(self, ids: Any) -> None:
        self.ids = ids


def brute_force(collection: "Collection", ids: Sequence[str], width: int) -> tuple[list[str], Array, Array]:
    """Lists and cosines of the rows in ascending order of id."""
    names = sorted(ids)
    vectors = collection.vectors[[collection.row[name] for name in names]].astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = np.einsum("ij,kj->ik", vectors, vectors).astype(np.float32)
    cosines = np.clip(cosines, -1, 1)
    np.fill_diagonal(cosines, -2)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :width]
    order = order[:, : max(0, len(names) - 1)]
    indices = np.full((len(names), width), -1, np.int32)
    similarities = np.full((len(names), width), -1, np.float32)
    indices[:, : order.shape[1]] = order
    similarities[:, : order.shape[1]] = np.take_along_axis(cosines, order, axis=1)
    return names, indices, similarities


def agrees(graph: NeighbourGraph, collection: "Collection", ids: Sequence[str], *, exactly: bool = True) -> None:
    names, indices, similarities = brute_force(collection, ids, graph.k)
    assert graph.ids.tolist() == names
    np.testing.assert_array_equal(graph.vectors, collection.vectors[[collection.row[name] for name in names]])
    np.testing.assert_allclose(graph.similarities, similarities, atol=1.5e-7)
    if exactly:  # but for pairs whose cosines differ by less than their rounding
        unequal = graph.indices != indices
        assert (np.abs(graph.similarities - similarities)[unequal] <= 1.5e-7).all()
        assert unequal.mean() < 0.001


def same_lists(one: NeighbourGraph, two: NeighbourGraph) -> None:
    np.testing.assert_array_equal(one.ids, two.ids)
    if len(one.ids):  # no rows have no dimension, or their last one's
        np.testing.assert_array_equal(one.vectors, two.vectors)
    np.testing.assert_array_equal(one.indices, two.indices)
    np.testing.assert_array_equal(one.similarities, two.similarities)
