"""Compiles what a map needs, in a process of its own: `python -m clustering.map.warm_up SETTINGS`.

Importing UMAP and fitting it for the first time take some twenty seconds of a processor, and numba compiles one function at
a time in a process. This process works beside the one that compiles graph and stories, which then finds the map's part on
disk.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np

from clustering.arrays import Vectors
from clustering.kernel_cache import lacks_code
from clustering.map.bounded import lay_out_some
from clustering.map.layout import medians
from clustering.neighbours.graph import NeighbourGraph
from newstide.core.settings import LayoutSettings

_ROWS, _DIM, _NEIGHBOURS = 64, 16, 15
_NEW = 8


def compile_map(settings: LayoutSettings) -> None:
    """Makes a map of few rows, then one of some more, of which half are laid out and half are placed."""
    vectors: Vectors = np.random.default_rng(settings.seed).standard_normal((_ROWS, _DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first = lay_out_some(_graph(vectors[: _ROWS - _NEW]), np.arange(_ROWS - _NEW), None, settings=settings).layout
    lay_out_some(_graph(vectors), np.arange(_ROWS - _NEW // 2), first, settings=settings)


@contextmanager
def compiling_map(settings: LayoutSettings) -> Iterator[Callable[[float], bool]]:
    """While the block runs, compiles in another process what is not on disk yet; the block's end ends that process.

    Yields:
        A function that waits at most so many seconds, and returns whether there is nothing to wait for any more.
    """
    if not lacks_code(medians):  # the last that is compiled
        yield lambda _seconds: True
        return
    command = [sys.executable, "-m", "clustering.map.warm_up", settings.model_dump_json()]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def ended(seconds: float) -> bool:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return process.returncode is not None

    try:
        yield ended
    finally:
        process.kill()
        process.wait()


def _graph(vectors: Vectors) -> NeighbourGraph:
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -np.inf)
    nearest = np.argsort(-alike, axis=1, kind="stable")[:, :_NEIGHBOURS].astype(np.int32)
    ids = np.array([f"{row:04d}" for row in range(len(vectors))], object)
    return NeighbourGraph(ids, vectors, nearest, np.take_along_axis(alike, nearest, axis=1), _NEIGHBOURS - 5)


if __name__ == "__main__":
    with suppress(Exception):  # what fails here fails in a run, too, which says so
        compile_map(LayoutSettings.model_validate_json(sys.argv[1]))
