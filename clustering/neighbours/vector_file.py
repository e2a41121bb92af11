"""The vectors of a graph on disk, in a file to which each run adds the new ones alone.

A vector has a place in the file and keeps it. Which place is whose, and a digest of each vector, stand in the graph's own
file. New vectors take places that no row has, and are on the disk before the graph that names them: a run that is killed
leaves the graph before it as it was. Afterwards places that no row has any more are overwritten with zeros. Where most
places are free, the vectors are written to a new file.
"""

import os
import uuid
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from clustering.arrays import Indices, Labels, Vectors
from clustering.kernels import kernel, parallel_range
from clustering.neighbours.neighbour_lists import gather
from newstide.core.errors import CacheDamaged

Digests = npt.NDArray[np.uint64]

_NAME = "vectors-{}.bin"
_WAY_OUT = "The file is a cache: the next run rebuilds it."
_AT_ONCE = 65_536  # vectors written
_NUMBER = np.dtype("<f4")
_OFFSET = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the vectors of rows lie on disk.

    Attributes:
        name: Of the file.
        places: (n,) of each row; -1: its vector is not in the file.
        digests: (n,) of each vector that is.
        free: Places that no row had when the file was read, ascending.
        count: Places that the file had then.
    """

    name: str
    places: Indices
    digests: Digests
    free: Indices
    count: int

    def carried_over(self, old_row: Indices) -> "Stored":
        """For another set of rows; `old_row` says which row each of them was, -1 = none."""
        kept = old_row >= 0
        places, digests = np.full(len(old_row), -1, np.int32), np.zeros(len(old_row), np.uint64)
        places[kept], digests[kept] = self.places[old_row[kept]], self.digests[old_row[kept]]
        return Stored(self.name, places, digests, self.free, self.count)


_NOTHING = Stored("", np.empty(0, np.int32), np.empty(0, np.uint64), np.empty(0, np.int32), 0)


def write(folder: Path, vectors: Vectors, stored: Stored | None) -> Stored:
    """Writes the vectors that are not on disk yet, and returns where all of them are.

    Args:
        folder: Of the file.
        vectors: (n, dim)
        stored: Where those of them are that were read from this folder, since when nothing was written; None: nowhere.

    Raises:
        OSError: The disk is full or not writable; what the graph on disk names is as it was.
    """
    n = len(vectors)
    if not n:
        return _NOTHING
    if stored is None or not (folder / stored.name).is_file() or _is_sparse(stored):
        name = _NAME.format(uuid.uuid4().hex)
        places, digests, new = np.arange(n, dtype=np.int32), digests_of(vectors), np.arange(n)
    else:
        name, digests = stored.name, stored.digests.copy()
        new = np.flatnonzero(stored.places < 0)
        places = stored.places.copy()
        behind = np.arange(stored.count, stored.count + len(new))
        places[new] = np.concatenate([stored.free, behind])[: len(new)]
        digests[new] = digests_of(vectors[new])
    _put(folder / name, places[new], vectors, new)
    return Stored(name, places, digests, np.empty(0, np.int32), int(places.max()) + 1)


def read(folder: Path, name: str, dim: int, places: Indices, digests: Digests) -> tuple[Vectors, Stored]:
    """The vectors of rows, and where they are; mapped into memory where they lie in the order of the rows.

    Raises:
        CacheDamaged: The file is missing, cut off or changed.
    """
    if not len(places):
        return np.empty((0, dim), np.float32), _NOTHING
    vectors, count = _vectors_at(folder / name, dim, places, digests)
    return vectors, Stored(name, places, digests, _free(places, count), count)


def some(folder: Path, stored: Stored, dim: int, rows: Labels) -> Vectors:
    """(len(rows), dim) the vectors of rows, all of which are on disk.

    Raises:
        CacheDamaged: The file is missing, cut off or changed.
    """
    vectors, _ = _vectors_at(folder / stored.name, dim, stored.places[rows], stored.digests[rows])
    return vectors


def clear(folder: Path, stored: Stored, dim: int) -> None:
    """Overwrites what no row has any more, and removes the files of earlier graphs; call it once the graph is on disk."""
    remove(folder, but=stored.name)
    if stored is _NOTHING:
        return
    content = _mapped(folder / stored.name, dim, "r+")
    free = _free(stored.places, len(content))
    content[free[content[free].any(axis=1)]] = 0


def remove(folder: Path, *, but: str = "") -> None:
    """Removes the files of vectors from a folder, but for one of this name."""
    for path in folder.glob(_NAME.format("*")):
        if path.name != but:
            path.unlink(missing_ok=True)


def _is_sparse(stored: Stored) -> bool:
    """Whether more places are free than not."""
    there = int((stored.places >= 0).sum())
    return len(stored.free) > there


def _free(places: Indices, count: int) -> Indices:
    is_free = np.ones(count, np.bool_)
    is_free[places] = False
    return np.flatnonzero(is_free).astype(np.int32)


def _vectors_at(path: Path, dim: int, places: Indices, digests: Digests) -> tuple[Vectors, int]:
    """The vectors at some places, mapped into memory where they are the first ones, and how many places there are."""
    content, n = _mapped(path, dim), len(places)
    if int(places.max(initial=-1)) >= len(content):
        raise CacheDamaged(f"The file {path} is cut off: it has {len(content)} vectors.", _WAY_OUT)
    if np.array_equal(places, np.arange(n)):
        vectors = content[:n]
    else:
        vectors = np.empty((n, dim), np.float32)
        gather(content, places, vectors)
    if not np.array_equal(digests_of(vectors), digests):
        raise CacheDamaged(f"The file {path} is changed: a vector fails its checksum.", _WAY_OUT)
    return vectors, len(content)


def _mapped(path: Path, dim: int, mode: Literal["c", "r+"] = "c") -> Vectors:
    """By default, what is written to the array stays in memory, and kernels need no variant for read-only arrays."""
    try:
        count = path.stat().st_size // (dim * _NUMBER.itemsize)
        return np.asarray(np.memmap(path, _NUMBER, mode, shape=(count, dim)))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CacheDamaged(f"The file {path} cannot be read: {reason}.", _WAY_OUT) from None


def _put(path: Path, places: Indices, vectors: Vectors, rows: Labels) -> None:
    """Writes rows to their places, which ascend, and waits until they are on the disk."""
    is_new = not path.exists()
    ends = np.flatnonzero(np.diff(places, append=-1) != 1) + 1  # of rows whose places follow one another
    try:
        with path.open("xb" if is_new else "r+b") as file:
            for begin, end in pairwise([0, *ends.tolist()]):
                file.seek(int(places[begin]) * vectors.shape[1] * _NUMBER.itemsize)
                for start in range(begin, end, _AT_ONCE):
                    file.write(vectors[rows[start : min(start + _AT_ONCE, end)]].astype(_NUMBER, copy=False).data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        if is_new:
            path.unlink(missing_ok=True)
        raise


def digests_of(vectors: Vectors) -> Digests:
    """(n,) a digest of each vector: FNV-1a (Fowler, Noll, Vo) in 64 bits, of its numbers instead of its bytes."""
    return _digests(np.ascontiguousarray(vectors).view(np.uint32))


@kernel(parallel=True)
def _digests(numbers: npt.NDArray[np.uint32]) -> Digests:
    result = np.empty(len(numbers), np.uint64)
    for row in parallel_range(len(numbers)):
        digest = _OFFSET
        for number in numbers[row]:
            digest = (digest ^ np.uint64(number)) * _PRIME
        result[row] = digest
    return result
