"""The last run's map on disk: a cache that is whole, or none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from structlog.testing import capture_logs

from clustering.map.layout import Layout, load_layout, save_layout


def ids_of(begin: int, end: int) -> npt.NDArray[np.object_]:
    return np.array([f"id-{number}" for number in range(begin, end)], dtype=object)


def layout_of(rows: int) -> Layout:
    """Places drawn from a fixed seed: what is kept does not depend on how they were found."""
    places = np.random.default_rng(rows).normal(size=(rows, 2)).astype(np.float32)
    return Layout(ids_of(0, rows), places, True, 0, None)


@pytest.fixture(scope="module")
def first() -> Layout:
    return layout_of(1_400)


@pytest.fixture(scope="module")
def second() -> Layout:
    return layout_of(1_500)


def test_a_map_comes_back_from_disk_as_it_was(tmp_path: Path, second: Layout) -> None:
    path = tmp_path / "cache" / "layout.npz"
    save_layout(path, replace(second, weights="abc", drift=0.07))
    back = load_layout(path)
    assert back is not None
    assert (back.weights, back.drift) == ("abc", 0.07)
    assert back.ids.tolist() == second.ids.tolist()
    assert np.array_equal(back.positions, second.positions)
    assert [file.name for file in path.parent.iterdir()] == ["layout.npz"]


def test_one_long_id_does_not_lengthen_the_others(tmp_path: Path) -> None:
    ids = np.array([*ids_of(0, 10_000), "é" * 64, ""], dtype=object)
    save_layout(tmp_path / "layout.npz", Layout(ids, np.zeros((10_002, 2), np.float32), True, 0, None))
    back = load_layout(tmp_path / "layout.npz")
    assert back is not None
    assert back.ids.tolist() == ids.tolist()
    assert (tmp_path / "layout.npz").stat().st_size < 10_002 * 25


def test_a_map_of_an_earlier_version_is_none_and_logged(tmp_path: Path) -> None:
    np.savez(tmp_path / "layout.npz", version=1, ids=np.array(["a"]), positions=np.zeros((1, 2), np.float32))
    with capture_logs() as logged:
        assert load_layout(tmp_path / "layout.npz") is None
    assert "version 1" in logged[0]["reason"]


def test_an_empty_map_comes_back_too(tmp_path: Path) -> None:
    save_layout(tmp_path / "layout.npz", Layout(ids_of(0, 0), np.empty((0, 2), np.float32), True, 0, None))
    back = load_layout(tmp_path / "layout.npz")
    assert back is not None
    assert not len(back.ids)


def test_a_missing_map_is_none(tmp_path: Path) -> None:
    assert load_layout(tmp_path / "layout.npz") is None


@pytest.mark.parametrize("where", [0.0, 0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_map_is_none_and_logged(tmp_path: Path, second: Layout, where: float, damage: str) -> None:
    path = tmp_path / "layout.npz"
    save_layout(path, second)
    content = bytearray(path.read_bytes())
    place = int(where * len(content))
    if damage == "cut":
        content = content[:place]
    else:
        content[place] ^= 0xFF
    path.write_bytes(content)
    with capture_logs() as logged:
        back = load_layout(path)
    if back is None:
        assert "fitted anew" in logged[0]["event"]
    else:  # a flipped bit in the zip's own padding changes nothing
        assert np.array_equal(back.positions, second.positions)
        assert back.ids.tolist() == second.ids.tolist()


def test_whichever_byte_of_its_directory_is_damaged_the_map_is_none_or_whole(tmp_path: Path, second: Layout) -> None:
    """Some flags make zipfile raise what has nothing to do with files: that a password is wanted, say."""
    path = tmp_path / "layout.npz"
    save_layout(path, second)
    whole = path.read_bytes()
    for place in (*range(80), *range(len(whole) - 300, len(whole))):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        back = load_layout(path)
        assert back is None or np.array_equal(back.positions, second.positions)


def test_a_map_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, first: Layout, second: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "layout.npz"
    save_layout(path, first)

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_layout(path, second)
    back = load_layout(path)
    assert back is not None
    assert len(back.ids) == len(first.ids)
    assert [file.name for file in tmp_path.iterdir()] == ["layout.npz"]
