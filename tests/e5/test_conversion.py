"""The converted model in the cache folder, whatever happens to it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from newstide.embedding import Embedder
from newstide.embedding.e5 import conversion, load
from newstide.embedding.e5.conversion import Converted, converted
from tests.harness.e5 import SETTINGS, folders, run, script_of


def test_the_model_is_converted_once_and_earlier_ones_are_swept(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "e5-small-0123456789abcdef").mkdir()
    (tmp_path / ".e5-making-killed").mkdir()
    (tmp_path / ".e5-making-killed" / "model.bin").write_bytes(b"half")
    (tmp_path / "kafka").mkdir()
    with converted(source, tmp_path) as first:
        assert folders(tmp_path) == [first.folder.name, "kafka"]
    monkeypatch.setattr(conversion, "convert", None)  # whoever calls it fails
    with converted(source, tmp_path) as second:
        assert second.folder == first.folder
    monkeypatch.undo()
    monkeypatch.setattr(conversion, "LAYOUT", conversion.LAYOUT + 1)
    with converted(source, tmp_path) as third:
        assert folders(tmp_path) == [third.folder.name, "kafka"]
        assert third.folder != first.folder


@pytest.fixture
def copy(model: Embedder, cache: Path, tmp_path: Path) -> Path:
    """A cache with a converted model that may be damaged."""
    return Path(shutil.copytree(cache, tmp_path / "copy"))


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a bit": _flip,
    "the end": lambda path: os.truncate(path, path.stat().st_size // 2),
    "everything": lambda path: path.write_bytes(b""),
    "the file": Path.unlink,
}


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.bin", "a bit"),
        ("model.bin", "the end"),
        ("tokens.model", "a bit"),
        ("config.json", "the file"),
        ("manifest.json", "the end"),
        ("manifest.json", "everything"),
        ("vocabulary.json", "everything"),
    ],
)
def test_a_damaged_model_is_found_out(name: str, damage: str, copy: Path) -> None:
    (folder,) = (copy / one for one in folders(copy))
    assert Converted.read(folder) is not None
    DAMAGE[damage](folder / name)
    assert Converted.read(folder) is None


def test_a_damaged_model_is_made_anew(copy: Path, model: Embedder) -> None:
    (folder,) = (copy / one for one in folders(copy))
    _flip(folder / "model.bin")
    again = load(SETTINGS, copy)
    np.testing.assert_allclose(again.encode(["a headline"]), model.encode(["a headline"]), atol=1e-6)
    assert Converted.read(folder) is not None


def test_processes_that_start_at_once_make_one_model_and_agree(tmp_path: Path) -> None:
    script = script_of(f"print(load(EmbeddingSettings(), Path({str(tmp_path)!r})).encode(['a headline'])[0, :4])")
    started = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=240) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    assert len({printed for printed, _ in ended}) == 1
    assert sum("converting" in said for _, said in ended) == 1, ended
    assert len(folders(tmp_path)) == 1


def test_a_process_that_is_killed_while_it_converts_leaves_no_trace(tmp_path: Path) -> None:
    script = script_of(f"load(EmbeddingSettings(), Path({str(tmp_path)!r}))")
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any("converting" in line for line in process.stderr)
    while process.poll() is None and not any(tmp_path.glob(".e5-making-*/*")):
        pass  # until something is written
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert [name for name in folders(tmp_path) if name.startswith(".e5-making-")]
    load(SETTINGS, tmp_path)
    assert len(folders(tmp_path)) == 1


def test_where_the_cache_cannot_be_written_the_model_is_made_in_a_private_folder_that_is_removed(
    model: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "occupied").write_text("a file")
    private = tmp_path / "private"
    private.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(private))
    found = load(SETTINGS, tmp_path / "occupied")
    np.testing.assert_allclose(found.encode(["a headline"]), model.encode(["a headline"]), atol=1e-6)
    assert "converted again at each start" in capsys.readouterr().err
    assert not any(private.iterdir())


def test_a_model_in_a_cache_that_only_others_may_write_is_used_as_it_is(
    copy: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(conversion, "_take", refuse)
    monkeypatch.setattr(conversion, "convert", None)
    with converted(source, copy) as found:
        assert found.folder.parent == copy


def test_a_full_disk_is_named_with_the_ways_out_and_nothing_is_left(tmp_path: Path) -> None:
    cache, private = tmp_path / "cache", tmp_path / "private"
    private.mkdir()
    printed = run(
        f"""
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            load(EmbeddingSettings(), Path({str(cache)!r}))
        except EmbedderError as error:
            print(error)
        """,
        TMPDIR=str(private),
    )
    assert str(cache) in printed
    assert str(private) in printed
    for way_out in ("NEWSTIDE_CACHE_DIR", "TMPDIR", "use-multilingual"):
        assert way_out in printed
    assert not any(private.iterdir())
    assert folders(cache) == []


def test_a_process_that_is_stuck_while_it_converts_holds_nobody_up_for_ever(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setattr(conversion, "_PATIENCE", 0.0)
    with (tmp_path / ".e5-lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with converted(source, tmp_path) as found:
            assert found.folder.parent != tmp_path
    assert not found.folder.exists()
