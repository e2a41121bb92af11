"""Files are replaced whole or not at all, and what a killed writer left is swept away."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from newstide.core.files import replace_text, replacing, sweep_half_written

_WRITER = """
import sys
from pathlib import Path
from newstide.core.files import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "page.html"
    replace_text(path, "old\r\nas it is \N{SNOWMAN}\n")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == "old\r\nas it is \N{SNOWMAN}\n".encode()
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), ValueError("of a library")])
def test_whatever_fails_the_old_file_stays_and_nothing_lies_beside_it(tmp_path: Path, fault: Exception) -> None:
    path = tmp_path / "graph.bin"
    replace_text(path, "old")

    def fail_half_way() -> None:
        with replacing(path) as file:
            file.write(b"half of it")
            raise fault

    with pytest.raises(type(fault)):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_does_not_keep_what_is_written_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "graph.bin"
    replace_text(path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_swept_and_what_is_being_written_or_is_not_ours_stays(tmp_path: Path) -> None:
    for name in ("notes.part", ".hidden", "page.html", ".page.html.tmp"):
        (tmp_path / name).write_text("not ours")
    for name in (".run-000001.html.0123456789abcdef0123456789abcdef.tmp", "graph.bin.4711.part", ".layout.npz.tmp"):
        (tmp_path / name).write_text("of an earlier version")
    there = {path.name for path in tmp_path.iterdir()}
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path / "page.html")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        (beside,) = {path.name for path in tmp_path.iterdir()} - there
        assert len(sweep_half_written(tmp_path)) == 3
        assert (tmp_path / beside).exists(), "it is being written"
    finally:
        writer.kill()
        writer.communicate()
    assert [path.name for path in sweep_half_written(tmp_path)] == [beside]
    assert {path.name for path in tmp_path.iterdir()} == {"notes.part", ".hidden", "page.html", ".page.html.tmp"}
    assert (tmp_path / "page.html").read_text() == "not ours"
    assert sweep_half_written(tmp_path / "nowhere") == []
