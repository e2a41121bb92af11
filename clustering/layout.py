"""The map's positions: UMAP on the graph there is, started from the last map and fitted back onto it.

Numeric only: arrays in, arrays out. A headline that was on the last map stays where its readers know it; new ones start
among their neighbours.
"""

import logging
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from newstide.settings import LayoutSettings

Positions = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]
Vectors = npt.NDArray[np.float32]

_VERSION = 1
_FEWEST = 15  # rows that UMAP is asked for; fewer are laid out by their principal components
_FEWEST_SHARED = 3  # rows that fix a similarity transform


@dataclass(frozen=True, slots=True)
class Layout:
    """A map.

    Attributes:
        ids: (n,) of str.
        positions: (n, 2).
        fresh: Whether it was fitted anew rather than started from the last one.
        neighbours: UMAP's n_neighbors: the setting, or the graph's k plus the row itself where that is less; 0 = no UMAP.
        moved: Median move of the rows of the last map, as a share of its spread (root mean square distance from its
            centre); None where there was none.
    """

    ids: npt.NDArray[np.object_]
    positions: Positions
    fresh: bool
    neighbours: int
    moved: float | None


def lay_out(
    vectors: Vectors,
    indices: Rows,
    similarities: Vectors,
    ids: npt.NDArray[np.object_],
    previous: Layout | None,
    settings: LayoutSettings,
) -> Layout:
    """Lays out rows that have a neighbour graph.

    Args:
        vectors: (n, dim) unit rows.
        indices: (n, k) neighbours, most similar first; no row lists itself; -1 = missing.
        similarities: (n, k) cosines.
        ids: (n,)
        previous: The last map, or None.
        settings: UMAP's parameters.
    """
    n = len(ids)
    start, known = _start(ids, indices, previous)
    fresh = previous is None or not n or known.mean() < 1 - settings.refit_share
    neighbours = min(settings.neighbours, indices.shape[1] + 1, n)
    if n < _FEWEST or neighbours < 3:
        positions, neighbours = _principal_components(vectors), 0
    else:
        positions = _umap(vectors, indices, similarities, neighbours, None if fresh else start, settings)
    moved = None
    if previous is not None and known.any():
        positions = _fitted(positions, start, known)
        spread = _spread(start[known])
        moved = float(np.median(np.linalg.norm(positions[known] - start[known], axis=1)) / spread)
    return Layout(ids, positions.astype(np.float32), fresh, neighbours, moved)


def save_layout(path: Path, layout: Layout) -> None:
    """Writes the map beside and swaps it in.

    Raises:
        OSError: The disk is full or not writable; the old file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.tmp")
    with beside.open("wb") as file:
        np.savez(file, version=_VERSION, ids=layout.ids.astype(str), positions=layout.positions)
    beside.replace(path)


def load_layout(path: Path) -> Layout | None:
    """The map on disk; None where it is missing, damaged or of another version: the next one is fitted anew."""
    try:
        with np.load(path, allow_pickle=False) as content:
            ids, positions = content["ids"].astype(object), content["positions"]
            if (
                int(content["version"]) != _VERSION
                or positions.shape != (len(ids), 2)
                or not np.isfinite(positions).all()
            ):
                return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return Layout(ids, positions.astype(np.float32), fresh=False, neighbours=0, moved=None)


def _start(
    ids: npt.NDArray[np.object_], indices: Rows, previous: Layout | None
) -> tuple[Positions, npt.NDArray[np.bool_]]:
    """Where rows were on the last map, new ones at the median of their neighbours that were; and which were."""
    n = len(ids)
    start = np.full((n, 2), np.nan, np.float32)
    if previous is None or not len(previous.ids):
        return start, np.zeros(n, np.bool_)
    place = {id_: row for row, id_ in enumerate(previous.ids.tolist())}
    old = np.fromiter((place.get(id_, -1) for id_ in ids), np.int64, n)
    known = old >= 0
    start[known] = previous.positions[old[known]]
    centre = np.median(previous.positions, axis=0)
    for row in np.flatnonzero(~known):
        near = indices[row][indices[row] >= 0]
        placed = start[near[known[near]]]
        start[row] = np.median(placed[:10], axis=0) if len(placed) else centre
    return start, known


def _umap(
    vectors: Vectors,
    indices: Rows,
    similarities: Vectors,
    neighbours: int,
    start: Positions | None,
    settings: LayoutSettings,
) -> Positions:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fixed seed means one core, and umap says so each time
        import umap

        logging.getLogger("umap").setLevel(logging.ERROR)
        lists, distances = _with_self(indices, similarities, neighbours)
        options = {} if start is None else {"init": _jittered(start), "n_epochs": settings.update_epochs}
        model = umap.UMAP(
            n_neighbors=neighbours,
            min_dist=settings.min_dist,
            random_state=settings.seed,
            precomputed_knn=(lists, distances),
            **options,
        )
        positions = np.asarray(model.fit_transform(vectors), np.float32)
    return _without_gaps(positions)


def _with_self(indices: Rows, similarities: Vectors, neighbours: int) -> tuple[Rows, Vectors]:
    """UMAP's lists: the row itself first, then its nearest as euclidean distances. A short list repeats its last."""
    n = len(indices)
    own = np.arange(n, dtype=np.int32)[:, None]
    lists = np.concatenate([own, indices[:, : neighbours - 1]], axis=1).astype(np.int32)
    alike = np.concatenate([np.ones((n, 1), np.float32), similarities[:, : neighbours - 1]], axis=1)
    for column in range(1, lists.shape[1]):
        missing = lists[:, column] < 0
        lists[missing, column] = lists[missing, column - 1]
        alike[missing, column] = alike[missing, column - 1]
    distances = np.sqrt(np.maximum(0, 2 - 2 * alike.astype(np.float64)))
    return lists, distances.astype(np.float32)


def _jittered(start: Positions) -> Positions:
    """Rows on one spot would never part: forces between them have no direction."""
    noise = np.random.default_rng(0).normal(scale=1e-3, size=start.shape)
    jittered: Positions = (start + noise * _spread(start)).astype(np.float32)
    return jittered


def _without_gaps(positions: Positions) -> Positions:
    """UMAP gives a row without edges no position: it is put at the rim."""
    lost = ~np.isfinite(positions).all(axis=1)
    if not lost.any():
        return positions
    known = positions[~lost]
    centre = known.mean(axis=0) if len(known) else np.zeros(2)
    radius = 1.2 * np.abs(known - centre).max(initial=1.0)
    angles = np.linspace(0, 2 * np.pi, int(lost.sum()), endpoint=False)
    positions[lost] = centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return positions


def _principal_components(vectors: Vectors) -> Positions:
    n = len(vectors)
    if n == 0:
        return np.empty((0, 2), np.float32)
    around = (vectors - vectors.mean(axis=0)).astype(np.float64)
    if n < 3 or np.allclose(around, 0):
        angles = np.arange(n) * (2 * np.pi / n)
        circle: Positions = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
        return circle if n > 1 else np.zeros((1, 2), np.float32)
    left, sizes, _ = np.linalg.svd(around, full_matrices=False)
    along = left[:, :2] * sizes[:2]
    along *= np.where(along[np.abs(along).argmax(axis=0), [0, 1]] < 0, -1, 1)
    positions: Positions = (along / max(np.abs(along).max(), 1e-9) * 5).astype(np.float32)
    return positions


def _fitted(positions: Positions, target: Positions, known: npt.NDArray[np.bool_]) -> Positions:
    """The positions under the similarity transform that brings the known rows nearest to where they were.

    Scale, rotation, reflection and translation by orthogonal Procrustes (Schoenemann 1966).
    """
    here, there = positions[known].astype(np.float64), target[known].astype(np.float64)
    middle, goal = here.mean(axis=0), there.mean(axis=0)
    if known.sum() < _FEWEST_SHARED or np.allclose(here, middle) or np.allclose(there, goal):
        turn, scale = np.eye(2), 1.0
    else:
        left, sizes, right = np.linalg.svd((here - middle).T @ (there - goal))
        turn, scale = left @ right, sizes.sum() / ((here - middle) ** 2).sum()
    fitted: Positions = ((positions - middle) @ turn * scale + goal).astype(np.float32)
    return fitted


def _spread(positions: Positions) -> float:
    return max(float(np.sqrt(((positions - positions.mean(axis=0)) ** 2).sum(axis=1).mean())), 1e-9)
