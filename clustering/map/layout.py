"""The map's positions: UMAP on the run's graph for a first map; later ones start from the last and follow UMAP's forces.

Numeric only: arrays in, arrays out. A headline that was on the last map stays where its readers know it; new ones start
among their neighbours. An update moves what is new and what lies near it, and leaves all else where it is. Once a tenth of
the rows has come in that way, the whole map is relaxed.

Two things keep a relaxed map in place. Its steps are small: at the usual rate an update both moves more and keeps
neighbourhoods worse than a fresh fit does. And what comes out is fitted back with the scale that keeps the spread of the
shared rows, since the least-squares scale would shrink the map a little in every run.
"""

import logging
import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clustering.arrays import Flags, Indices, Labels, Vectors
from clustering.kernel_cache import careful_caches, checked
from clustering.kernels import kernel
from clustering.map.settling import Forces, settled
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
_RELAXED_AT = 0.1  # share of the rows that came in since the whole map was relaxed
_NEAR = 10  # neighbours of a new row that move with it, and of those that list it among so many
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
        drift: Share of the rows that have come in since all of it was laid out or relaxed.
    """

    ids: npt.NDArray[np.object_]
    positions: Positions
    fresh: bool
    neighbours: int
    moved: float | None
    weights: str = ""
    drift: float = 0.0


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
    drift = 0.0 if fresh or previous is None else previous.drift + float(1 - known.mean())
    moving = np.ones(n, np.bool_)
    if n < _FEWEST or neighbours < 3 or not (indices >= 0).any():
        positions, neighbours, drift = _principal_components(vectors), 0, 0.0
    elif fresh:
        positions = _umap(vectors, indices, similarities, neighbours, settings)
    else:
        if drift <= _RELAXED_AT:
            moving = _near(~known, indices)
        positions = _updated(start, moving, *_with_self(indices, similarities, neighbours), settings)
        drift = drift if drift <= _RELAXED_AT else 0.0
    moved = None
    if previous is not None and known.any():
        if moving.all():
            positions = _fitted(positions, start, known)
        spread = _spread(start[known])
        moved = float(np.median(np.linalg.norm(positions[known] - start[known], axis=1)) / spread)
    return Layout(ids, positions.astype(np.float32), fresh, neighbours, moved, weights, drift)


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
            drift=layout.drift,
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
            drift = float(content["drift"]) if "drift" in content else 0.0
            ids = _ids(content["id_bytes"].tobytes(), content["id_lengths"])
        if positions.shape != (len(ids), 2) or not np.isfinite(positions).all():
            raise ValueError(f"{len(ids)} ids have positions of {positions.shape}, or some are not finite")
    except Exception as error:  # noqa: BLE001 - a damaged file makes zipfile and numpy raise nearly anything
        log.warning(
            "the last map cannot be read; the map of this run is fitted anew", path=str(path), reason=str(error)
        )
        return None
    return Layout(ids, positions.astype(np.float32), False, 0, None, weights, drift)


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
    return placed(start, indices, np.median(previous.positions, axis=0)), known


def placed(positions: Positions, indices: Indices, nowhere: Positions | None = None) -> Positions:
    """The positions, with a place for each row that has none: the median of its nearest placed neighbours' places.

    Args:
        positions: (n, 2), NaN where a row has no place.
        indices: (n, k) neighbours, most similar first.
        nowhere: (2,) for rows that no chain of neighbours ties to a placed one; by default the median of all places.
    """
    start, there = positions.copy(), np.isfinite(positions[:, 0])
    if nowhere is None:
        nowhere = np.median(positions[there], axis=0) if there.any() else np.zeros(2, np.float32)
    while len(waiting := np.flatnonzero(~there)):  # a new story's rows may have only one another: in rounds
        if not _place_at_neighbours(start, there, waiting, indices):
            start[waiting] = nowhere
            break
    return start


def _place_at_neighbours(start: Positions, there: Flags, waiting: Labels, indices: Indices) -> bool:
    """Places those of the waiting rows that have placed neighbours; whether there was any. Changes the first two."""
    found = medians(start, there, waiting, indices)
    reached = np.isfinite(found[:, 0])
    start[waiting[reached]] = found[reached]
    there[waiting[reached]] = True
    return bool(reached.any())


@kernel()
def medians(start: Positions, there: Flags, waiting: Labels, indices: Indices) -> Positions:
    """(waiting, 2) the median of the nearest placed neighbours' places; NaN where none is placed."""
    found = np.full((len(waiting), 2), np.nan, np.float32)
    values = np.empty((2, _PLACED_NEIGHBOURS), np.float32)
    for number in range(len(waiting)):
        count = 0
        for other in indices[waiting[number]]:
            if other >= 0 and there[other] and count < _PLACED_NEIGHBOURS:
                values[0, count], values[1, count] = start[other, 0], start[other, 1]
                count += 1
        if count:
            found[number, 0], found[number, 1] = _median(values[0], count), _median(values[1], count)
    return found


@kernel()
def _median(values: Vectors, count: int) -> float:
    """Of the first `count` values, which it sorts; numpy's takes ten times as long to compile."""
    for place in range(1, count):
        value, before = values[place], place - 1
        while before >= 0 and values[before] > value:
            values[before + 1] = values[before]
            before -= 1
        values[before + 1] = value
    return float((values[(count - 1) // 2] + values[count // 2]) / 2)


def _umap(
    vectors: Vectors, indices: Indices, similarities: Vectors, neighbours: int, settings: LayoutSettings
) -> Positions:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _NO_INDEX)  # which would place headlines that come later; a run lays out all
        warnings.filterwarnings("error", _LISTS_IGNORED)  # UMAP would search neighbours of its own
        umap = umap_compiled_once()
        logging.getLogger("umap").setLevel(logging.ERROR)
        model = umap.UMAP(
            n_neighbors=neighbours,
            min_dist=settings.min_dist,
            init="pca",  # as good a start as the graph's eigenvectors, for which UMAP takes a fifth of its time
            random_state=settings.seed,
            n_jobs=1,  # what a fixed seed means anyway
            precomputed_knn=_with_self(indices, similarities, neighbours),
        )
        positions = np.asarray(model.fit_transform(vectors), np.float32)
    return _without_gaps(positions)


@cache
def umap_compiled_once() -> Any:
    """The package umap, which keeps what it compiles on disk like our kernels, and not for one process alone."""
    with warnings.catch_warnings(), careful_caches():  # much of it is compiled as it is imported
        warnings.filterwarnings("ignore", category=ImportWarning)  # of what it can do besides
        import umap

    for function in (
        umap.umap_.smooth_knn_dist,
        umap.umap_.compute_membership_strengths,
        umap.layouts._nb_optimize_layout_euclidean_single_epoch,
    ):
        with suppress(RuntimeError):  # there is no folder for it
            function.enable_caching()
            checked(function)
    return umap


def _near(new: Flags, indices: Indices) -> Flags:
    """The new rows, those that they list first, and those that list them first."""
    first = indices[:, :_NEAR]
    moving = new.copy()
    listed = first[new]
    moving[listed[listed >= 0]] = True
    moving |= (new[first] & (first >= 0)).any(axis=1)
    return moving


def _updated(
    start: Positions, moving: Flags, lists: Indices, distances: Vectors, settings: LayoutSettings
) -> Positions:
    """The last map, new rows among their neighbours, after some epochs of UMAP's forces on the rows that move."""
    a, b = _curve(settings.min_dist)
    rate = _UPDATE_LEARNING_RATE * min(1, len(start) / _FULL_RATE_FROM)
    forces = Forces(a, b, rate, settings.update_epochs, settings.seed)
    apart = np.where(moving[:, None], _jittered(start, settings.seed), start)
    return settled(apart, moving, lists, distances, forces)


@cache
def _curve(min_dist: float) -> tuple[float, float]:
    """The a and b of UMAP's curve 1 / (1 + a d^2b), fitted to 1 up to `min_dist` and exp(min_dist - d) from there on."""
    from scipy.optimize import curve_fit

    distances = np.linspace(0, 3, 300)
    wanted = np.where(distances < min_dist, 1.0, np.exp(min_dist - distances))
    (a, b), _ = curve_fit(lambda x, a, b: 1 / (1 + a * x ** (2 * b)), distances, wanted)
    return float(a), float(b)


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
