"""Vectors on disk: a run adds what is new, and a run that is cut off leaves the graph before it."""

import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.arrays import Vectors
from clustering.neighbours import (
    ExactSearcher,
    NeighbourGraph,
    cache,
    load_graph,
    remove_graph,
    save_graph,
    update_graph,
)
from clustering.neighbours.vector_file import digests_of, some
from newstide.core.errors import CacheDamaged
from tests.test_neighbours_cache import CARD, graph_of, same

_DIM = 8


def vectors_of(ids: Sequence[str]) -> Vectors:
    """A unit vector for each id, the same for the same id."""
    found = np.empty((len(ids), _DIM), np.float32)
    for row, id_ in enumerate(ids):
        vector = np.random.default_rng(zlib.crc32(id_.encode())).normal(size=_DIM)
        found[row] = vector / np.linalg.norm(vector)
    return found


def brought_up_to_date(previous: NeighbourGraph | None, ids: Sequence[str]) -> NeighbourGraph:
    return update_graph(previous, ids, vectors_of, ExactSearcher(), k=4, spare=2)[0]


def killed(_path: Path) -> None:
    raise KeyboardInterrupt


def file_of(folder: Path) -> Path:
    (found,) = folder.glob("vectors-*.bin")
    return found


def on_disk(folder: Path) -> Vectors:
    files = list(folder.glob("vectors-*.bin"))
    assert len(files) <= 1
    found: Vectors = np.concatenate([np.empty(0, np.float32), *(np.fromfile(file, np.float32) for file in files)])
    return found.reshape(-1, _DIM)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sets(st.integers(0, 40)), min_size=1, max_size=8), st.data())
def test_through_any_runs_and_kills_the_graph_on_disk_is_whole(
    tmp_path_factory: pytest.TempPathFactory, runs: list[set[int]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("graph") / "graph.bin"
    saved: NeighbourGraph | None = None
    for rows in runs:
        graph = brought_up_to_date(None if saved is None else load_graph(path, CARD), sorted(map(str, rows)))
        if saved is not None and data.draw(st.booleans(), "killed before the graph names the new vectors"):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(cache, "replacing", killed)
                with pytest.raises(KeyboardInterrupt):
                    save_graph(path, graph, CARD)
            same(load_graph(path, CARD), saved)
            continue
        save_graph(path, graph, CARD)
        saved = graph
        same(load_graph(path, CARD), graph)
        kept = {vector.tobytes() for vector in on_disk(path.parent) if vector.any()}
        assert kept == {vector.tobytes() for vector in graph.vectors}, "what no row has any more is overwritten"


def test_new_vectors_alone_are_written_and_take_the_places_that_are_free(tmp_path: Path) -> None:
    path = tmp_path / "graph.bin"
    save_graph(path, brought_up_to_date(None, ["a", "b", "c", "d"]), CARD)
    first = file_of(tmp_path)
    for rows, places in (
        ("abcde", "abcde"),
        ("acde", "a.cde"),
        ("acdef", "afcde"),
        ("0acdef", "afcde0"),
    ):
        save_graph(path, brought_up_to_date(load_graph(path, CARD), list(rows)), CARD)
        expected = vectors_of(list(places))
        expected[[place == "." for place in places]] = 0
        np.testing.assert_array_equal(on_disk(tmp_path), expected)
        assert file_of(tmp_path) == first


def test_the_vectors_of_some_rows_are_read_from_where_they_lie(tmp_path: Path) -> None:
    path = tmp_path / "graph.bin"
    save_graph(path, brought_up_to_date(None, list("acegi")), CARD)
    graph = save_graph(path, brought_up_to_date(load_graph(path, CARD), list("abcefi")), CARD)
    assert graph.stored is not None
    rows = np.array([5, 0, 1])
    np.testing.assert_array_equal(some(tmp_path, graph.stored, _DIM, rows), vectors_of(["i", "a", "b"]))
    content = on_disk(tmp_path)
    content[graph.stored.places[1]] += 1
    content.tofile(file_of(tmp_path))
    with pytest.raises(CacheDamaged, match="fails its checksum"):
        some(tmp_path, graph.stored, _DIM, rows)
    np.testing.assert_array_equal(some(tmp_path, graph.stored, _DIM, rows[:2]), vectors_of(["i", "a"]))


def test_where_most_places_are_free_the_vectors_are_written_to_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "graph.bin"
    save_graph(path, brought_up_to_date(None, [str(row) for row in range(20)]), CARD)
    for rows in (["1", "2"], ["1", "2", "x"]):
        graph = brought_up_to_date(load_graph(path, CARD), rows)
        save_graph(path, graph, CARD)
    assert len(on_disk(tmp_path)) == 3
    same(load_graph(path, CARD), graph)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_in_a_vector_is_damage(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("graph") / "graph.bin"
    save_graph(path, graph_of([f"h{row}" for row in range(12)]), CARD)
    file = file_of(path.parent)
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    with pytest.raises(CacheDamaged, match="fails its checksum"):
        load_graph(path, CARD)


@pytest.mark.parametrize("left", [0, 1, 7 * 4 * _DIM + 3])
def test_vectors_that_are_cut_off_are_damage(tmp_path: Path, left: int) -> None:
    path = tmp_path / "graph.bin"
    save_graph(path, graph_of([f"h{row}" for row in range(12)]), CARD)
    file = file_of(tmp_path)
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(CacheDamaged, match=r"cannot be read|cut off"):
        load_graph(path, CARD)


def test_missing_vectors_are_damage_and_a_removed_graph_leaves_none(tmp_path: Path) -> None:
    path = tmp_path / "graph.bin"
    save_graph(path, graph_of(["a", "b"]), CARD)
    file_of(tmp_path).unlink()
    with pytest.raises(CacheDamaged, match="No such file"):
        load_graph(path, CARD)
    save_graph(path, graph_of(["a", "b"]), CARD)
    remove_graph(path)
    assert not list(tmp_path.iterdir())


def test_a_graph_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path, graph = tmp_path / "graph.bin", graph_of(["a", "b", "cc"])
    arrays: dict[str, npt.NDArray[Any]] = {
        "id_lengths": np.array([1, 1, 2], np.int32),
        "id_bytes": np.frombuffer(b"abcc", np.uint8),
        "vectors": graph.vectors,
        "indices": graph.wide_indices,
        "similarities": graph.wide_similarities,
    }
    header = json.dumps(
        {
            "model": [CARD.name, CARD.dim, CARD.fingerprint],
            "k": graph.k,
            "exact": True,
            "arrays": {name: [list(array.shape), zlib.crc32(array.tobytes())] for name, array in arrays.items()},
        }
    ).encode()
    content = b"newstide graph 1\n" + struct.pack("<II", len(header), zlib.crc32(header)) + header
    for array in arrays.values():
        content += b"\0" * (-len(content) % 64) + array.tobytes()
    path.write_bytes(content)
    same(load_graph(path, CARD), graph)
    save_graph(path, brought_up_to_date(None, ["a", "b"]), CARD)
    assert path.read_bytes().startswith(b"newstide graph 2\n")


@settings(max_examples=20, deadline=None)
@given(n=st.integers(0, 5), dim=st.integers(1, 20), seed=st.integers(0, 1_000))
def test_a_digest_is_fnv_of_a_vectors_numbers(n: int, dim: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    for vector, found in zip(vectors, digests_of(vectors).tolist(), strict=True):
        digest = 0xCBF29CE484222325
        for (number,) in struct.iter_unpack("<I", vector.tobytes()):
            digest = (digest ^ number) * 0x100000001B3 % 2**64
        assert found == digest
