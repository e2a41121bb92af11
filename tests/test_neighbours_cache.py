"""The graph on disk: what was written is read, and anything else is refused."""

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.neighbours import ExactSearcher, NeighbourGraph, load_graph, save_graph, update_graph
from newstide.core.errors import CacheDamaged
from newstide.embedding.base import ModelCard

Array = npt.NDArray[Any]

CARD = ModelCard("use-multilingual", 8, "ab12")


def graph_of(ids: Sequence[str], seed: int = 0) -> NeighbourGraph:
    vectors = np.random.default_rng(seed).normal(size=(len(ids), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return update_graph(None, ids, lambda _: vectors, ExactSearcher(), k=4, spare=2)[0]


def same(one: NeighbourGraph, two: NeighbourGraph) -> None:
    assert one.ids.tolist() == two.ids.tolist()
    assert (one.k, one.exact) == (two.k, two.exact)
    for name in ("vectors", "wide_indices", "wide_similarities"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def names_in(folder: Path) -> list[str]:
    """The files of a folder, without the part of their names that is drawn by lot."""
    return sorted(re.sub(r"^vectors-[0-9a-f]{32}\.bin$", "vectors", file.name) for file in folder.iterdir())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "graph.bin"
    save_graph(path, graph_of([f"h{row}" for row in range(40)]), CARD)
    return path


@settings(max_examples=30, deadline=None)
@given(ids=st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=30))
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, ids: set[str]) -> None:
    path = tmp_path_factory.mktemp("graph") / "graph.bin"
    graph = graph_of(sorted(ids))
    save_graph(path, graph, CARD)
    same(load_graph(path, CARD), graph)


def test_a_loaded_graph_can_be_brought_up_to_date(saved: Path) -> None:
    graph = load_graph(saved, CARD)
    stay = graph.ids.tolist()[5:]
    left, report = update_graph(graph, stay, lambda _: pytest.fail("read again"), ExactSearcher(), k=4, spare=2)
    fresh, _ = update_graph(None, stay, lambda _: graph.vectors[5:], ExactSearcher(), k=4, spare=2)
    assert report.removed == 5
    np.testing.assert_array_equal(left.indices, fresh.indices)


def test_a_new_graph_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "graph.bin"
    save_graph(path, graph_of(["a", "b", "c"]), CARD)
    newer = graph_of(["d", "e"], seed=1)
    save_graph(path, newer, CARD)
    same(load_graph(path, CARD), newer)
    assert names_in(path.parent) == ["graph.bin", "vectors"]


def test_what_killed_runs_left_beside_the_graph_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "graph.bin"
    for name in ("graph.bin.17.part", "graph.bin.4711.part", "layout.npz"):
        (tmp_path / name).write_bytes(b"half a graph")
    save_graph(path, graph_of(["a", "b"]), CARD)
    assert names_in(tmp_path) == ["graph.bin", "layout.npz", "vectors"]


def test_a_missing_file_is_damage(tmp_path: Path) -> None:
    with pytest.raises(CacheDamaged, match="No such file"):
        load_graph(tmp_path / "none", CARD)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_damage(saved: Path, data: st.DataObject) -> None:
    content = bytearray(saved.read_bytes())
    header = content.index(b"{")
    place = data.draw(st.integers(0, len(content) - 1))
    flipped = saved.with_name("flipped")
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    flipped.write_bytes(content)
    padding = place > header and saved.read_bytes()[place] == 0
    try:
        loaded = load_graph(flipped, CARD)
    except CacheDamaged:
        return
    assert padding  # the only bytes that carry nothing
    same(loaded, load_graph(saved, CARD))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_file_cut_off_anywhere_is_damage(saved: Path, data: st.DataObject) -> None:
    content = saved.read_bytes()
    cut = saved.with_name("cut")
    cut.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(CacheDamaged):
        load_graph(cut, CARD)


def test_bytes_behind_the_end_are_damage(saved: Path) -> None:
    longer = saved.with_name("longer")
    longer.write_bytes(saved.read_bytes() + b"x")
    with pytest.raises(CacheDamaged, match="1 bytes too many"):
        load_graph(longer, CARD)


@pytest.mark.parametrize(
    "card",
    [ModelCard("bge-m3", 8, "ab12"), ModelCard("use-multilingual", 8, "ff"), ModelCard("use-multilingual", 9, "ab12")],
)
def test_another_models_graph_is_refused_and_named(saved: Path, card: ModelCard) -> None:
    with pytest.raises(CacheDamaged, match=r"belongs to the model .*'use-multilingual', 8, 'ab12'"):
        load_graph(saved, card)


def test_another_version_is_refused(saved: Path) -> None:
    older = saved.with_name("older")
    older.write_bytes(saved.read_bytes().replace(b"newstide graph 2\n", b"newstide graph 0\n", 1))
    with pytest.raises(CacheDamaged, match="another version"):
        load_graph(older, CARD)


def test_a_full_disk_leaves_the_old_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "graph.bin"
    graph = graph_of(["a", "b", "c"])
    save_graph(path, graph, CARD)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_graph(path, graph_of(["d", "e"]), CARD)
    monkeypatch.undo()
    same(load_graph(path, CARD), graph)
    assert names_in(tmp_path) == ["graph.bin", "vectors"]
