"""The map's positions: UMAP on the run's graph, started from the last map and fitted back onto it.

Numeric only: arrays in, arrays out. A headline that was on the last map stays where its readers know it; new ones start
among their neighbours.

Three things keep the map in place. UMAP stretches each axis of a given start to the length 10: the start is turned to
where it is as wide as high, so that it keeps its shape, and UMAP's curve and step are stretched with it, so that the map
is as much at rest there as it was at its own size. Its steps are small: at the usual rate an update both moves more and
keeps neighbourhoods worse than a fresh fit does. And what comes out is fitted back with the scale that keeps the spread
of the shared rows, since the least-squares scale would shrink the map a little in every run.
"""

import logging
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clustering.arrays import Flags, Indices, Labels, Values, Vectors
from newstide.core import logs
from newstide.core.files import replacing
from newstide.core.settings import LayoutSettings

log = logs.get("layout")

Positions = Vectors

_VERSION = 2
_FEWEST = 15  # rows that UMAP is asked for; fewer are laid out by their principal components
_ROWS_A_NEIGHBOUR = 4  # where most rows are neighbours of most, any map is as good as any other, and none stays
_FEWEST_SHARED = 3  # rows that fix a similarity transform
_UPDATE_LEARNING_RATE = 0.1  # of UMAP's 1: half the moves, and neighbourhoods as good as a fresh fit's after many runs
_FULL_RATE_FROM = 3_000  # rows; the fewer, the more one of them tosses about at the same rate
_UMAP_EXTENT = 10.0  # of each axis of a start, once UMAP has stretched it
_PLACED_NEIGHBOURS = 10  # nearest ones on the last map, at whose median a new row starts
_JITTER = 1e-3  # of the spread
_NO_EXTENT = 1e-6  # of a map of copies of one headline
_NO_INDEX = r"precomputed_knn\[2\]"  # how UMAP's warnings begin
_LISTS_IGNORED = r"precomputed_knn has a"


@dataclass(frozen=True, slots=True)
class Layout:
    """A map.

    Attributes:
        ids: (n,) of str.
        positions: (n, 2).
        fresh: Whether it was fitted anew rather than started from the last one.
        neighbours: UMAP's n_neighbors: the setting, or the graph's k plus the row itself, or a quarter of the rows where
            that is less; 0 = no UMAP.
        moved: Median move of the rows of the last map, as a share of its spread (root mean square distance from its
            centre); None where there was none.
        weights: Fingerprint of the model whose vectors it shows.
    """

    ids: npt.NDArray[np.object_]
    positions: Positions
    fresh: bool
    neighbours: int
    moved: float | None
    weights: str = ""


def lay_out(
    vectors: Vectors,
    indices: Indices,
    similarities: Vectors,
    ids: npt.NDArray[np.object_],
    previous: Layout | None,
    settings: LayoutSettings,
    weights: str = "",
) -> Layout:
    """Lays out rows that have a neighbour graph.

    Args:
        vectors: (n, dim) unit rows.
        indices: (n, k) neighbours, most similar first; no row lists itself; -1 = missing.
        similarities: (n, k) cosines.
        ids: (n,)
        previous: The last map, or None.
        settings: UMAP's parameters.
        weights: Fingerprint of the model that made the vectors. A last map of another model is no start for its own: the
            rows are laid out anew, and only turned, scaled and moved onto it.

    Returns:
        The map, the same for the same input: the seed is one of the settings. Fewer than 15 rows, lists of one neighbour,
        and rows of which none has a neighbour are laid out by their principal components. What of the last map is broken
        is as if it had not been there.

    Raises:
        ValueError: The arrays' lengths do not belong together.
    """
    n = len(ids)
    if len(vectors) != n or indices.shape != similarities.shape or len(indices) != n:
        raise ValueError(f"{n} ids, {len(vectors)} vectors and lists of {indices.shape}, {similarities.shape}")
    previous = _sound(previous)
    start, known = _start(ids, indices, previous)
    fresh = previous is None or not _is_start(previous, known, weights, settings)
    neighbours = min(settings.neighbours, indices.shape[1] + 1, n // _ROWS_A_NEIGHBOUR)
    if n < _FEWEST or neighbours < 3 or not (indices >= 0).any():
        positions, neighbours = _principal_components(vectors), 0
    else:
        positions = _umap(vectors, indices, similarities, neighbours, None if fresh else start, settings)
    moved = None
    if previous is not None and known.any():
        positions = _fitted(positions, start, known)
        spread = _spread(start[known])
        moved = float(np.median(np.linalg.norm(positions[known] - start[known], axis=1)) / spread)
    return Layout(ids, positions.astype(np.float32), fresh, neighbours, moved, weights)


def _sound(previous: Layout | None) -> Layout | None:
    """The last map without rows that have no finite place; None where ids and places do not belong together."""
    if previous is None or previous.positions.shape != (len(previous.ids), 2):
        return None
    sound = np.isfinite(previous.positions).all(axis=1)
    return replace(previous, ids=previous.ids[sound], positions=previous.positions[sound]) if sound.any() else None


def _is_start(previous: Layout, known: Flags, weights: str, settings: LayoutSettings) -> bool:
    """Whether UMAP can go on from the last map: enough of the rows are on it, it has an extent, and the model is its own."""
    shared = len(known) and known.mean() >= 1 - settings.refit_share
    return bool(shared and previous.weights == weights and np.ptp(previous.positions, axis=0).max() > _NO_EXTENT)


def save_layout(path: Path, layout: Layout) -> None:
    """Writes the map so that `path` holds the old file or the whole new one, whatever happens.

    Raises:
        OSError: The disk is full or not writable; the old file stays.
    """
    names = [name.encode() for name in layout.ids.tolist()]
    with replacing(path) as file:
        np.savez(
            file,
            version=_VERSION,
            weights=layout.weights,
            id_lengths=np.array([len(name) for name in names], np.int32),
            id_bytes=np.frombuffer(b"".join(names), np.uint8),
            positions=layout.positions,
        )


def load_layout(path: Path) -> Layout | None:
    """The map on disk; None where the file is missing, damaged or of another version: the next map is then fitted anew."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            version = int(content["version"])
            if version != _VERSION:
                raise ValueError(f"the file has version {version}, not {_VERSION}")
            weights, positions = str(content["weights"]), content["positions"]
            ids = _ids(content["id_bytes"].tobytes(), content["id_lengths"])
        if positions.shape != (len(ids), 2) or not np.isfinite(positions).all():
            raise ValueError(f"{len(ids)} ids have positions of {positions.shape}, or some are not finite")
    except Exception as error:  # noqa: BLE001 - a damaged file makes zipfile and numpy raise nearly anything
        log.warning(
            "the last map cannot be read; the map of this run is fitted anew", path=str(path), reason=str(error)
        )
        return None
    return Layout(ids, positions.astype(np.float32), fresh=False, neighbours=0, moved=None, weights=weights)


def _ids(text: bytes, lengths: Indices) -> npt.NDArray[np.object_]:
    ends = np.cumsum(lengths, dtype=np.int64).tolist()
    begins = [0, *ends][: len(ends)]
    names: npt.NDArray[np.object_] = np.empty(len(ends), object)
    names[:] = [text[begin:end].decode() for begin, end in zip(begins, ends, strict=True)]
    return names


def _start(ids: npt.NDArray[np.object_], indices: Indices, previous: Layout | None) -> tuple[Positions, Flags]:
    """A start for each row: its place on the last map, or the median of its neighbours' places; and which were on it."""
    n = len(ids)
    start = np.full((n, 2), np.nan, np.float32)
    if previous is None or not len(previous.ids):
        return start, np.zeros(n, np.bool_)
    place = {id_: row for row, id_ in enumerate(previous.ids.tolist())}
    old = np.fromiter((place.get(id_, -1) for id_ in ids), np.int64, n)
    known = old >= 0
    start[known] = previous.positions[old[known]]
    placed = known.copy()
    while len(waiting := np.flatnonzero(~placed)):  # a new story's rows may have only one another: in rounds
        reached = _place_at_neighbours(start, placed, waiting, indices)
        if not reached:
            start[waiting] = np.median(previous.positions, axis=0)
            break
    return start, known


def _place_at_neighbours(start: Positions, placed: Flags, waiting: Labels, indices: Indices) -> bool:
    """Places those of the waiting rows that have placed neighbours; whether there was any. Changes the first two."""
    lists = indices[waiting]
    usable = (lists >= 0) & placed[np.maximum(lists, 0)]
    usable &= np.cumsum(usable, axis=1) <= _PLACED_NEIGHBOURS
    some = usable.any(axis=1)
    places = np.where(usable[some, :, None], start[lists[some]], np.nan)
    start[waiting[some]] = np.nanmedian(places, axis=1)
    placed[waiting[some]] = True
    return bool(some.any())


def _umap(
    vectors: Vectors,
    indices: Indices,
    similarities: Vectors,
    neighbours: int,
    start: Positions | None,
    settings: LayoutSettings,
) -> Positions:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _NO_INDEX)  # which would place headlines that come later; a run lays out all
        warnings.filterwarnings("error", _LISTS_IGNORED)  # UMAP would search neighbours of its own
        warnings.filterwarnings("ignore", category=ImportWarning)  # of what it can do besides
        import umap

        logging.getLogger("umap").setLevel(logging.ERROR)
        lists, distances = _with_self(indices, similarities, neighbours)
        options = {} if start is None else _from(start, settings)
        model = umap.UMAP(
            n_neighbors=neighbours,
            min_dist=settings.min_dist,
            random_state=settings.seed,
            n_jobs=1,  # what a fixed seed means anyway
            precomputed_knn=(lists, distances),
            **options,
        )
        positions = np.asarray(model.fit_transform(vectors), np.float32)
    return _without_gaps(positions)


def _from(start: Positions, settings: LayoutSettings) -> dict[str, Any]:
    """UMAP's options for going on from a start.

    UMAP's curve is 1 / (1 + a d^2b). Where all distances are multiplied by f, a f^-2b in place of a and f^2 times the
    learning rate give the same steps, multiplied by f.
    """
    from umap.umap_ import find_ab_params

    turned = _as_wide_as_high(_jittered(start, settings.seed))
    stretch = _UMAP_EXTENT / max(float(np.ptp(turned, axis=0).max()), 1e-9)
    a, b = find_ab_params(1.0, settings.min_dist)
    return {
        "init": turned,
        "n_epochs": settings.update_epochs,
        "a": a * stretch ** (-2 * b),
        "b": b,
        "learning_rate": _UPDATE_LEARNING_RATE * min(1, len(start) / _FULL_RATE_FROM) * stretch**2,
    }


def _with_self(indices: Indices, similarities: Vectors, neighbours: int) -> tuple[Indices, Vectors]:
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


def _jittered(start: Positions, seed: int) -> Positions:
    """Moves rows apart that lie on one spot: the forces between them have no direction."""
    noise = np.random.default_rng(seed).normal(scale=_JITTER, size=start.shape)
    return (start + noise * max(_spread(start), 1e-6)).astype(np.float32)


def _as_wide_as_high(start: Positions) -> Positions:
    """The start, turned by the angle at which its extents are equal. There is one: a quarter turn swaps them."""
    around = start.astype(np.float64) - start.mean(axis=0)

    def turned(angle: float) -> Values:
        cosine, sine = np.cos(angle), np.sin(angle)
        return np.asarray(around @ np.array([[cosine, sine], [-sine, cosine]]))

    def excess(angle: float) -> float:
        width, height = np.ptp(turned(angle), axis=0)
        return float(width - height)

    low, high = 0.0, np.pi / 2
    sign = 1 if excess(low) >= 0 else -1
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if sign * excess(middle) >= 0 else (low, middle)
    return turned(low).astype(np.float32)


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


def _fitted(positions: Positions, target: Positions, known: Flags) -> Positions:
    """The positions under the similarity transform that brings the known rows back to where they were.

    Rotation or reflection by orthogonal Procrustes (Schoenemann 1966); the scale is the ratio of the spreads.
    """
    here, there = positions[known].astype(np.float64), target[known].astype(np.float64)
    middle, goal = here.mean(axis=0), there.mean(axis=0)
    here, there = here - middle, there - goal
    if known.sum() < _FEWEST_SHARED or np.allclose(here, 0) or np.allclose(there, 0):
        return np.asarray(positions - middle + goal, np.float32)
    left, _, right = np.linalg.svd(here.T @ there)
    scale = np.sqrt((there**2).sum() / (here**2).sum())
    return np.asarray((positions - middle) @ (left @ right) * scale + goal, np.float32)


def _spread(positions: Positions) -> float:
    return max(float(np.sqrt(((positions - positions.mean(axis=0)) ** 2).sum(axis=1).mean())), 1e-9)
