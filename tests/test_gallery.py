"""The list of runs."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clustering.pages import page_file
from clustering.pages.index_page import evenly, write_index
from clustering.pages.redaction import clean_pages
from clustering.pages.run_page import write_snapshot
from clustering.pages.thinning import thin_pages, thinned
from clustering.run.retention import thin_old_pages
from newstide.core.settings import Settings, as_environment
from newstide.core.text import iso_time
from tests.harness.snapshots import BEGIN, HOUR, make_snapshot

DAY = 24 * HOUR
MIDNIGHT = BEGIN // DAY * DAY


def _runs_in(index: Path) -> list[str]:
    return re.findall(r'class="card" href="(run-\d+\.html)"', index.read_text())


def _cards(index: Path) -> list[str]:
    """The words of each card."""
    cards = re.findall(r'<a class="card".*?</a>', index.read_text(), re.DOTALL)
    return [" ".join(re.sub("<[^>]+>", " ", card).split()) for card in cards]


def _data(index: Path) -> dict[str, Any]:
    found = page_file.data(index.read_text())
    assert found is not None
    return found


def test_runs_are_listed_newest_first_with_what_they_did(tmp_path: Path) -> None:
    for run in (1, 2, 3):
        write_snapshot(tmp_path, make_snapshot(run=run), max_points=1000)
    index = write_index(tmp_path)
    assert _runs_in(index) == ["run-000003.html", "run-000002.html", "run-000001.html"]
    assert _cards(index)[0].startswith("Run 3 22 Sep 2026, 15:13 UTC ")
    assert _cards(index)[0].endswith("60 headlines · 6 stories · 15% in none 1 born · 0 closed · 5 grown")
    assert index.read_text().count("<canvas data-picture") == 3


def test_one_headline_in_one_story_is_said_so(tmp_path: Path) -> None:
    snapshot = make_snapshot(rows=4, stories=2)
    alone = replace(snapshot, headlines=snapshot.headlines.iloc[1:2], stories=snapshot.stories.iloc[:1])
    page = write_snapshot(tmp_path, alone, max_points=1000).read_text()
    assert "1 headline in 1 story" in page
    assert "1 headline · 1 story · 0% in none" in _cards(write_index(tmp_path))[0]


def test_a_card_tells_how_many_stories_closed_and_how_many_headlines_kept_theirs(tmp_path: Path) -> None:
    for run, kept in ((1, None), (2, 0.9731), (3, 1.0), (4, 0.0)):
        snapshot = make_snapshot(run=run)
        events = [["born"], ["born"], ["closed"], ["closed"], ["closed"], []]
        stories = snapshot.stories.assign(events=pd.Series(events, dtype=object))
        facts = {**snapshot.facts, "kept": kept}
        write_snapshot(tmp_path, replace(snapshot, stories=stories, facts=facts), max_points=1000)
    cards = _cards(write_index(tmp_path))
    assert all("2 born · 3 closed" in card for card in cards)
    ends = [re.findall(r"closed(.*)$", card)[0] for card in cards]
    words = " of headlines kept their story"
    assert ends == [f" 0.0 %{words}", f" 100.0 %{words}", f" 97.3 %{words}", ""]


def test_each_picture_has_its_largest_stories_titles_and_the_news_time(tmp_path: Path) -> None:
    snapshot = make_snapshot(rows=100)
    stories = snapshot.stories.assign(size=[5, 40, 30, 20, 10, 50], title=[f"Story <{n}>" for n in range(6)])
    stories.loc[5, "status"] = "closed"
    write_snapshot(tmp_path, replace(snapshot, stories=stories), max_points=10)
    facts = json.loads((tmp_path / "run-000001.json").read_text())
    index = write_index(tmp_path)
    card = _cards(index)[0]
    assert "UTC Story &lt;1&gt; Story &lt;2&gt; Story &lt;3&gt; newest headline 22 Sep 2026, 14:13 UTC" in card
    assert [story["title"] for story in _data(index)["runs"]["1"]["largest"]] == ["Story <1>", "Story <2>", "Story <3>"]
    for name in ("largest", "newest"):  # as an earlier version wrote them
        del facts[name]
    (tmp_path / "run-000001.json").write_text(json.dumps(facts))
    assert "newest headline" not in _cards(write_index(tmp_path))[0]
    (tmp_path / "run-000001.json").write_text(json.dumps({**facts, "largest": ["A title alone"]}))
    assert "A title alone" in _cards(write_index(tmp_path))[0]


def test_the_list_of_runs_has_titles_in_the_language_that_was_wanted_and_a_take_down_reaches_each(
    tmp_path: Path,
) -> None:
    snapshot = make_snapshot(rows=100)
    stories = snapshot.stories.copy()
    stories["titles"] = pd.Series([{"de": f"Nachricht {n}", "en": f"News {n}"} for n in range(6)], dtype=object)
    write_snapshot(tmp_path, replace(snapshot, stories=stories, wanted=["fr", "de-AT"]), max_points=1000)
    index = write_index(tmp_path)
    shown = _data(index)["runs"]["1"]["largest"]
    assert re.findall(r'<bdi dir="auto" lang="de">(Nachricht \d)</bdi>', index.read_text()) == [
        story["titles"]["de"] for story in shown
    ]
    gone = shown[0]["titles"]["de"]
    clean_pages(tmp_path, lambda *_: False, lambda title: title == gone)
    assert [story["titles"] for story in _data(index)["runs"]["1"]["largest"]] == [
        {"en": shown[0]["titles"]["en"]},
        *(story["titles"] for story in shown[1:]),
    ]
    assert gone not in index.read_text()


def test_a_title_that_is_taken_down_leaves_the_list_of_runs_even_where_its_page_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in (1, 2, 3):
        write_snapshot(tmp_path, make_snapshot(run=run), max_points=1000)
    index = write_index(tmp_path)
    titles = [story["title"] for story in _data(index)["runs"]["1"]["largest"]]
    damaged = tmp_path / "run-000002.html"
    damaged.write_bytes(damaged.read_bytes() + b"\xff")
    held = clean_pages(
        tmp_path, lambda title, *_: title == titles[0], lambda title: title == titles[0], write_them=False
    )
    assert titles[0] in index.read_text()
    assert held == clean_pages(tmp_path, lambda title, *_: title == titles[0], lambda title: title == titles[0])
    assert [page.name for page in held] == ["run-000001.html", "run-000003.html", "latest.html"]
    for path in tmp_path.glob("*.*"):
        if path != damaged and path.suffix in {".html", ".json"}:
            assert titles[0] not in re.sub(f"{titles[0]}[0-9]", "", path.read_text()), path.name
    assert _data(index)["runs"]["2"]["largest"] == []
    assert [story["title"] for story in _data(index)["runs"]["3"]["largest"][1:]] == titles[1:]
    assert len(capsys.readouterr().err) < 3_000  # of a damaged page, the log holds no more than what is wrong with it


def test_the_slider_spans_the_day_however_often_runs_are_made(tmp_path: Path) -> None:
    write_snapshot(tmp_path, make_snapshot(run=1), max_points=1000)
    facts = json.loads((tmp_path / "run-000001.json").read_text())
    minutes = 1500  # a run a minute, 25 hours
    for run in range(1, minutes + 1):
        (tmp_path / f"run-{run:06d}.html").touch()
        told = {**facts, "run": run, "finished_at": iso_time(MIDNIGHT + run * HOUR // 60), "points": [[run, 0, 3]]}
        (tmp_path / f"run-{run:06d}.json").write_text(json.dumps(told))
    data = _data(write_index(tmp_path))
    played = np.array(data["played"])
    assert played[-1] == minutes
    assert played[0] <= minutes - 24 * 60 + 1
    assert len(played) == 200
    assert 6 <= np.diff(played).min() <= np.diff(played).max() <= 9  # evenly
    assert {int(number) for number, run in data["runs"].items() if run["points"]} == set(played.tolist()) | set(
        range(minutes - 59, minutes + 1)
    )


def test_the_slider_goes_back_beyond_a_day_where_runs_are_few() -> None:
    hourly = [MIDNIGHT - hour * HOUR for hour in range(300)]
    assert evenly(hourly, 200) == list(range(200))
    assert evenly(hourly[:3], 200) == [0, 1, 2]
    assert evenly([], 200) == []
    burst = [MIDNIGHT - second * 1000 for second in range(300)] + [MIDNIGHT - 10 * HOUR]
    assert evenly(burst, 200)[-1] == 300
    assert evenly(burst, 200)[0] == 0


def test_a_headline_keeps_its_place_in_all_pictures_while_its_story_grows(tmp_path: Path) -> None:
    everything = make_snapshot(rows=900)
    for run, rows in ((1, 700), (2, 800), (3, 900)):
        shown = replace(everything, run=run, headlines=everything.headlines.head(rows))
        write_snapshot(tmp_path, shown, max_points=500)
    data = _data(write_index(tmp_path))
    pictures = [{tuple(point) for point in data["runs"][str(run)]["points"]} for run in (1, 2, 3)]
    assert pictures[0] < pictures[1] < pictures[2]
    assert 100 <= len(pictures[0]) < len(pictures[2]) <= 330
    left, bottom, right, top = data["frame"]
    inside = [left <= x <= right and bottom <= y <= top for x, y, _ in pictures[2]]
    assert all(inside)  # a story at the rim is whole


def test_a_headline_far_from_all_others_does_not_make_the_pictures_small(tmp_path: Path) -> None:
    far = make_snapshot(rows=300)
    far.headlines.loc[3, ["x", "y"]] = [900.0, -900.0]
    write_snapshot(tmp_path, far, max_points=500)
    left, bottom, right, top = _data(write_index(tmp_path))["frame"]
    assert max(right - left, top - bottom) < 30


def test_pages_written_before_pictures_had_one_frame_are_listed_without_one(tmp_path: Path) -> None:
    write_snapshot(tmp_path, make_snapshot(), max_points=1000)
    facts = json.loads((tmp_path / "run-000001.json").read_text())
    del facts["points"]
    (tmp_path / "run-000001.json").write_text(json.dumps({**facts, "thumbnail": [[50, 30, 2]]}))
    index = write_index(tmp_path)
    assert _runs_in(index) == ["run-000001.html"]
    assert "<canvas data-picture" not in index.read_text()


def test_of_very_many_runs_the_newest_are_listed_and_fewer_pictured(tmp_path: Path) -> None:
    write_snapshot(tmp_path, make_snapshot(rows=1200), max_points=1000)
    facts = json.loads((tmp_path / "run-000001.json").read_text())
    for run in range(1, 700):
        (tmp_path / f"run-{run:06d}.html").touch()
        told = {**facts, "run": run, "finished_at": iso_time(MIDNIGHT + run * HOUR // 6)}
        (tmp_path / f"run-{run:06d}.json").write_text(json.dumps(told))
    index = write_index(tmp_path)
    assert _runs_in(index) == [f"run-{run:06d}.html" for run in range(699, 199, -1)]
    page, runs = index.read_text(), _data(index)["runs"]
    assert page.count("<canvas data-picture") == 200
    assert all(len(run["largest"]) == 3 for run in runs.values())
    assert (len(runs), sum(len(run["points"]) > 0 for run in runs.values())) == (500, 200)
    assert "the newest 500 of 699 runs" in page
    assert index.stat().st_size < 1_500_000


def test_a_damaged_or_lone_file_is_passed_over(tmp_path: Path) -> None:
    for run in (1, 2, 3, 4):
        write_snapshot(tmp_path, make_snapshot(run=run), max_points=1000)
    (tmp_path / "run-000001.json").write_text("{")
    (tmp_path / "run-000002.html").unlink()
    facts = json.loads((tmp_path / "run-000003.json").read_text())
    (tmp_path / "run-000003.json").write_text(json.dumps({**facts, "points": "<script>"}))
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

    monkeypatch.setattr("os.fsync", full)
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


def test_the_setting_says_how_long_and_a_failure_waits_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path, pages={"keep_all": "1d", "keep_hourly": "none"})
    for run, time in ((1, 0), (2, 1), (3, 2 * DAY)):
        page = replace(make_snapshot(run=run), finished_at=MIDNIGHT + time)
        write_snapshot(settings.snapshots_dir, page, max_points=1000)

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system", str(path))

    with monkeypatch.context() as read_only:
        read_only.setattr(Path, "unlink", refuse)
        assert thin_old_pages(settings) == 0
    assert (settings.snapshots_dir / "run-000001.html").exists()
    (settings.snapshots_dir / "latest.json").write_text("{")  # damage stops nothing
    assert thin_old_pages(settings) == 1
    assert not (settings.snapshots_dir / "run-000001.html").exists()
    assert as_environment(settings)["NEWSTIDE_PAGES_KEEP_HOURLY"] == "none"
    assert thin_old_pages(settings.updated(pages={"keep_all": None})) == 0
