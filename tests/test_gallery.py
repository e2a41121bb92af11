"""The list of runs."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from test_snapshot import BEGIN, HOUR, make_snapshot

from clustering.gallery import write_index
from clustering.pages import thin_pages, thinned
from clustering.retention import thin_old_pages
from clustering.snapshot import write_snapshot
from newstide.settings import Settings, as_environment

DAY = 24 * HOUR
MIDNIGHT = BEGIN // DAY * DAY


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


def _every_twenty_minutes(days: int) -> dict[int, int]:
    return {run + 1: MIDNIGHT + run * HOUR // 3 for run in range(days * 72)}


def _kept(pages: dict[int, int], keep_all: timedelta, keep_hourly: timedelta | None) -> dict[int, int]:
    gone = thinned(pages, keep_all, keep_hourly)
    return {run: time for run, time in pages.items() if run not in gone}


def test_old_pages_are_thinned_to_one_an_hour_then_one_a_day() -> None:
    pages = _every_twenty_minutes(10)
    newest = max(pages.values())
    kept = _kept(pages, timedelta(days=1), timedelta(days=2))
    ages = {run: (newest - time) / HOUR for run, time in kept.items()}
    assert [run for run in pages if newest - pages[run] <= DAY] == [run for run in kept if ages[run] <= 24]
    hourly = [kept[run] for run in kept if 24 < ages[run] <= 72]
    assert len({time // HOUR for time in hourly}) == len(hourly) == 48
    assert all(time % HOUR == 40 * 60_000 for time in hourly)  # the last of its hour
    daily = [kept[run] for run in kept if ages[run] > 72]
    assert len({time // DAY for time in daily}) == len(daily) == 6  # of the days before
    assert all(time % DAY == DAY - HOUR // 3 for time in daily)


def test_thinning_often_leaves_what_thinning_once_leaves() -> None:
    everything = _every_twenty_minutes(8)
    spans = timedelta(hours=30), timedelta(days=2)
    often: dict[int, int] = {}
    for run, time in everything.items():
        often = _kept({**often, run: time}, *spans)
    assert often == _kept(everything, *spans)
    assert _kept(often, *spans) == often


def test_nothing_is_thinned_where_the_setting_says_none() -> None:
    pages = _every_twenty_minutes(5)
    assert thinned(pages, None, timedelta(days=1)) == []
    assert len(_kept(pages, timedelta(0), None)) == 5 * 24
    assert thinned({}, timedelta(0), None) == []


def test_thinned_pages_are_gone_from_the_folder_the_list_and_the_links(tmp_path: Path) -> None:
    times = {1: 0, 2: HOUR // 2, 3: 2 * HOUR, 4: 2 * HOUR + 1000, 5: 3 * DAY}
    for run, time in times.items():
        write_snapshot(tmp_path, replace(make_snapshot(run=run), finished_at=MIDNIGHT + time), max_points=1000)
    write_index(tmp_path)
    assert thin_pages(tmp_path, timedelta(days=1), timedelta(days=7)) == [1, 3]
    assert _runs_in(tmp_path / "index.html") == ["run-000005.html", "run-000004.html", "run-000002.html"]
    assert sorted(path.name for path in tmp_path.glob("run-*")) == [
        f"run-{run:06d}.{kind}" for run in (2, 4, 5) for kind in ("html", "json")
    ]
    assert json.loads((tmp_path / "latest.json").read_text()) == {
        "run": 5,
        "page": "run-000005.html",
        "runs": [2, 4, 5],
    }
    assert "[2, 4, 5]" in (tmp_path / "latest.js").read_text()


def test_the_last_run_and_damaged_pages_stay_whatever_their_age(tmp_path: Path) -> None:
    for run, hours in ((1, 0), (2, 90), (3, 1), (4, 1.1)):  # the clock was set back after the second
        finished = MIDNIGHT + int(hours * HOUR)
        write_snapshot(tmp_path, replace(make_snapshot(run=run), finished_at=finished), max_points=1000)
    (tmp_path / "run-000001.json").write_text("{")
    assert thin_pages(tmp_path, timedelta(0), timedelta(0)) == [3]
    assert {path.name for path in tmp_path.glob("run-*.html")} == {f"run-{run:06d}.html" for run in (1, 2, 4)}
    latest = json.loads((tmp_path / "latest.json").read_text())
    write_snapshot(tmp_path, replace(make_snapshot(run=5), finished_at=MIDNIGHT + 2 * HOUR), max_points=1000)
    (tmp_path / "latest.json").write_text(json.dumps({**latest, "run": 4}))  # as before a run that was killed
    assert thin_pages(tmp_path, timedelta(0), timedelta(0)) == []


def test_the_setting_says_how_long_and_a_failure_waits_for_the_next_run(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, pages={"keep_all": "1d", "keep_hourly": "none"})
    for run, time in ((1, 0), (2, 1), (3, 2 * DAY)):
        page = replace(make_snapshot(run=run), finished_at=MIDNIGHT + time)
        write_snapshot(settings.snapshots_dir, page, max_points=1000)
    latest = settings.snapshots_dir / "latest.json"
    sound = latest.read_text()
    latest.write_text("{")
    assert thin_old_pages(settings) == 0
    latest.write_text(sound)
    assert thin_old_pages(settings) == 1
    assert not (settings.snapshots_dir / "run-000001.html").exists()
    assert as_environment(settings)["NEWSTIDE_PAGES_KEEP_HOURLY"] == "none"
    assert thin_old_pages(settings.updated(pages={"keep_all": None})) == 0
