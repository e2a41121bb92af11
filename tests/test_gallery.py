"""The list of runs."""

import json
import re
from pathlib import Path

import pytest
from test_snapshot import make_snapshot

from clustering.gallery import write_index
from clustering.snapshot import write_snapshot


def _runs_in(index: Path) -> list[str]:
    return re.findall(r'class="card" href="(run-\d+\.html)"', index.read_text())


def test_runs_are_listed_newest_first_with_what_they_did(tmp_path: Path) -> None:
    for run in (1, 2, 3):
        write_snapshot(tmp_path, make_snapshot(run=run), max_points=1000)
    index = write_index(tmp_path)
    assert _runs_in(index) == ["run-000003.html", "run-000002.html", "run-000001.html"]
    page = index.read_text()
    assert "60 headlines" in page
    assert "6 stories" in page
    assert "1 born" in page
    assert page.count("<canvas data-page") == 3


def test_of_very_many_runs_the_newest_are_listed_and_fewer_pictured(tmp_path: Path) -> None:
    write_snapshot(tmp_path, make_snapshot(), max_points=1000)
    for run in range(2, 700):
        for kind in ("html", "json"):
            (tmp_path / f"run-{run:06d}.{kind}").write_bytes((tmp_path / f"run-000001.{kind}").read_bytes())
    index = write_index(tmp_path)
    assert _runs_in(index) == [f"run-{run:06d}.html" for run in range(699, 199, -1)]
    page = index.read_text()
    assert page.count("<canvas data-page") == 200
    assert "the newest 500 of 699 runs" in page
    assert index.stat().st_size < 1_500_000


def test_a_damaged_or_lone_file_is_passed_over(tmp_path: Path) -> None:
    for run in (1, 2, 3, 4):
        write_snapshot(tmp_path, make_snapshot(run=run), max_points=1000)
    (tmp_path / "run-000001.json").write_text("{")
    (tmp_path / "run-000002.html").unlink()
    facts = json.loads((tmp_path / "run-000003.json").read_text())
    (tmp_path / "run-000003.json").write_text(json.dumps({**facts, "thumbnail": "<script>"}))
    assert _runs_in(write_index(tmp_path)) == ["run-000004.html"]


@pytest.mark.parametrize("made", [True, False])
def test_before_the_first_run_the_list_is_empty(tmp_path: Path, made: bool) -> None:
    directory = tmp_path / "pages"
    if made:
        directory.mkdir()
    assert "No runs yet" in write_index(directory).read_text()


def test_a_failed_write_leaves_the_old_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_snapshot(tmp_path, make_snapshot(), max_points=1000)
    before = write_index(tmp_path).read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("clustering.snapshot.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_index(tmp_path)
    assert (tmp_path / "index.html").read_text() == before
