"""The graph on disk between runs: a cache, checked to the last byte, that the caller rebuilds when it is damaged.

One file: a line of magic and version, the length and checksum of a JSON header, the header (model, shapes, checksums), then
the arrays, aligned. A new file is written beside the old one, synced, and then replaces it. The vectors, which are most of
a graph, lie in another file, to which they are added (`vector_file`).
"""

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from clustering.neighbours import vector_file
from clustering.neighbours.cells import Cells
from clustering.neighbours.graph import NeighbourGraph
from newstide.core.errors import CacheDamaged
from newstide.core.files import replacing, sweep_half_written

_MAGIC = b"newstide graph 2\n"
_WITH_VECTORS = b"newstide graph 1\n"  # an earlier version's, in which the vectors are an array like the others
_ALIGNMENT = 64
_WAY_OUT = "The file is a cache: the next run rebuilds it."
_LISTS = {"id_lengths": "<i4", "id_bytes": "|u1", "indices": "<i4", "similarities": "<f4"}
_VECTORS = {"places": "<i4", "digests": "<u8"}  # where they lie in their file
_CELLS = {"cell_mean": "<f4", "cell_centres": "<f4", "cell_of_row": "<i4", "cells_later": "<i8"}
_TYPES = _LISTS | _VECTORS | _CELLS | {"vectors": "<f4"}


class Model(Protocol):
    """Which model made the vectors."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def dim(self) -> int: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102


def save_graph(path: Path, graph: NeighbourGraph, card: Model) -> NeighbourGraph:
    """Writes the graph so that `path` holds the old graph or the whole new one, whatever happens.

    What killed processes left beside it is cleared; one process at a time writes. The folder holds one graph.

    Returns:
        The graph, which says where its vectors lie.

    Raises:
        OSError: The disk is full or not writable; the old graph stays.
    """
    sweep_half_written(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = vector_file.write(path.parent, graph.vectors, graph.stored)
    names = [name.encode() for name in graph.ids]
    arrays: dict[str, npt.NDArray[Any]] = {
        "id_lengths": np.array([len(name) for name in names], np.int32),
        "id_bytes": np.frombuffer(b"".join(names), np.uint8),
        "indices": graph.wide_indices,
        "similarities": graph.wide_similarities,
        "places": stored.places,
        "digests": stored.digests,
    }
    if (cells := graph.cells) is not None:
        parts = (cells.mean, cells.centres, cells.of_row, np.array([cells.later]))
        arrays |= dict(zip(_CELLS, parts, strict=True))
    arrays = {name: np.ascontiguousarray(array, _TYPES[name]) for name, array in arrays.items()}
    header = json.dumps(
        {
            "model": [card.name, card.dim, card.fingerprint],
            "k": graph.k,
            "exact": graph.exact,
            "vectors": stored.name,
            "dim": graph.vectors.shape[1],
            "arrays": {name: [list(array.shape), zlib.crc32(array.data)] for name, array in arrays.items()},
        }
    ).encode()
    with replacing(path) as file:
        file.write(_MAGIC + struct.pack("<II", len(header), zlib.crc32(header)) + header)
        for array in arrays.values():
            file.write(b"\0" * (-file.tell() % _ALIGNMENT))
            file.write(array.data if array.size else b"")
    vector_file.clear(path.parent, stored, graph.vectors.shape[1])
    return replace(graph, stored=stored)


def remove_graph(path: Path) -> None:
    """Removes the graph, where there is one, and its vectors."""
    path.unlink(missing_ok=True)
    vector_file.remove(path.parent)


def load_graph(path: Path, card: Model) -> NeighbourGraph:
    """Maps the graph into memory: pages are read when they are used, and need no memory of their own.

    Raises:
        CacheDamaged: A file is missing, cut off, changed, of another version, or holds another model's vectors.
    """
    try:
        # "c": what is written to the arrays stays in memory, and kernels need no variant for arrays that are read-only
        content = np.asarray(np.memmap(path, np.uint8, "c"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error  # ValueError: an empty file
        raise CacheDamaged(f"The graph {path} cannot be read: {reason}.", _WAY_OUT) from None
    header, place = _header(path, content)
    model = [card.name, card.dim, card.fingerprint]
    if header["model"] != model:
        raise CacheDamaged(f"The graph {path} belongs to the model {header['model']}, not to {model}.", _WAY_OUT)
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, (shape, checksum) in header["arrays"].items():
        place += -place % _ALIGNMENT
        size = int(np.prod(shape)) * np.dtype(_TYPES[name]).itemsize
        raw = content[place : place + size]
        place += size
        if len(raw) != size or zlib.crc32(raw.data) != checksum:
            raise CacheDamaged(f"The graph {path} is cut off or changed: {name} fails its checksum.", _WAY_OUT)
        arrays[name] = raw.view(_TYPES[name]).reshape(shape)
    if place != len(content):
        raise CacheDamaged(f"The graph {path} has {len(content) - place} bytes too many.", _WAY_OUT)
    vectors, stored = arrays.get("vectors"), None
    if vectors is None:
        vectors, stored = vector_file.read(
            path.parent, header["vectors"], header["dim"], arrays["places"], arrays["digests"]
        )
    return NeighbourGraph(
        _ids(arrays["id_bytes"].tobytes(), arrays["id_lengths"]),
        vectors,
        arrays["indices"],
        arrays["similarities"],
        int(header["k"]),
        bool(header["exact"]),
        _cells(arrays),
        stored,
    )


def _cells(arrays: Mapping[str, npt.NDArray[Any]]) -> Cells | None:
    if not arrays.keys() >= _CELLS.keys():
        return None
    mean, centres, of_row, later = (arrays[name] for name in _CELLS)
    return Cells(mean, centres, of_row, int(later[0]))


def _header(path: Path, content: npt.NDArray[np.uint8]) -> tuple[dict[str, Any], int]:
    """The header, and the place where it ends."""
    start = content[: len(_MAGIC) + 8].tobytes()
    if not start.startswith((_MAGIC, _WITH_VECTORS)) or len(start) < len(_MAGIC) + 8:
        raise CacheDamaged(
            f"The file {path} is no graph, or one of another version: it starts with {start[:20]!r}.", _WAY_OUT
        )
    length, checksum = struct.unpack("<II", start[len(_MAGIC) :])
    header = content[len(start) : len(start) + length].tobytes()
    if len(header) != length or zlib.crc32(header) != checksum:
        raise CacheDamaged(f"The graph {path} is cut off or changed: its header fails its checksum.", _WAY_OUT)
    return json.loads(header), len(start) + length


def _ids(text: bytes, lengths: npt.NDArray[np.int32]) -> npt.NDArray[np.object_]:
    ids: npt.NDArray[Any] = np.empty(len(lengths), object)
    ends = np.cumsum(lengths, dtype=np.int64).tolist()
    start = 0
    for row, end in enumerate(ends):
        ids[row] = text[start:end].decode()
        start = end
    return ids
