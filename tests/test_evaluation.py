"""Scores against worked examples and brute force, and what a labelled file may look like."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from clustering.neighbours import NeighbourGraph
from clustering.stories.clusters import Clusters, cluster_rows
from newstide.core.errors import SettingsError, SourceError
from newstide.core.headline import from_fields
from newstide.core.settings import ClusteringSettings, Settings
from newstide.core.times import LATEST_MS
from newstide_app import evaluation, replay
from newstide_app.cli.main import app
from newstide_app.evaluation import evaluate_file, read_labelled
from newstide_app.scores import score
from producers.sample import day_file


def test_perfect_labels_score_one_whatever_their_numbers() -> None:
    scores = score(["a", "a", "b", "b"], np.array([7, 7, 3, 3]))
    assert (scores.precision, scores.recall, scores.f1, scores.ami, scores.ari) == (1, 1, 1, 1, 1)
    assert (scores.noise_share, scores.clusters) == (0, 2)


def test_noise_counts_as_stories_of_one() -> None:
    scores = score(["a", "a", "b", "c"], np.array([-1, -1, -1, -1]))
    assert (scores.precision, scores.recall, scores.noise_share, scores.clusters) == (1, 0.75, 1, 0)


labelled = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-1, 3)), min_size=1, max_size=25)


@settings(deadline=None)
@given(labelled)
def test_b_cubed_is_the_mean_over_headlines_of_their_own_precision_and_recall(pairs: list[tuple[str, int]]) -> None:
    truth = [pair[0] for pair in pairs]
    given_labels = np.array([pair[1] for pair in pairs], np.int64)
    own = [label if label >= 0 else -2 - row for row, label in enumerate(given_labels)]
    precision, recall = [], []
    for row in range(len(pairs)):
        cluster = {other for other in range(len(pairs)) if own[other] == own[row]}
        story = {other for other in range(len(pairs)) if truth[other] == truth[row]}
        precision.append(len(cluster & story) / len(cluster))
        recall.append(len(cluster & story) / len(story))
    scores = score(truth, given_labels)
    assert scores.precision == pytest.approx(np.mean(precision))
    assert scores.recall == pytest.approx(np.mean(recall))


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    frame = pd.DataFrame(rows)
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True)
    return path


ROWS: list[dict[str, object]] = [
    {"id": "1", "title": "Central bank raises interest rates again", "story_id": "x"},
    {"id": "2", "title": "Interest rates raised again by the central bank", "story_id": "x"},
    {"id": "3", "title": "Volcano erupts in Iceland, flights cancelled", "story_id": "y"},
    {"id": "4", "title": "Flights cancelled as Icelandic volcano erupts", "story_id": "y"},
    {"id": "4", "title": "The same id again", "story_id": "z"},
    {"id": "5", "title": "", "story_id": "z"},
    {"id": "6", "title": "Nobody knows which story this is about", "story_id": None},
]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_every_format_gives_the_same_and_bad_rows_are_left_out(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"labels{'.parquet' if suffix == '.parquet' else '.csv'}"
    report = evaluate_file(write(tmp_path / f"file{suffix}", ROWS), Settings(), text="title", labels_out=out)
    assert (report["headlines"], report["stories"]) == (5, 2)
    labels = pd.read_parquet(out) if suffix == ".parquet" else pd.read_csv(out)
    assert labels["id"].astype(str).tolist() == ["1", "2", "3", "4", "6"]
    assert labels["cluster_label"].tolist()[:4] == [0, 0, 1, 1]
    assert report["f1"] == 1


def test_a_file_that_lacks_what_is_needed_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="story_id"):
        evaluate_file(write(tmp_path / "a.csv", [{"title": "x"}]), Settings())
    with pytest.raises(SourceError, match="published_at"):
        evaluate_file(write(tmp_path / "b.csv", ROWS), Settings(), replay=timedelta(hours=6))
    with pytest.raises(SourceError, match=r"file\.txt"):
        evaluate_file(tmp_path / "file.txt", Settings())
    (tmp_path / "empty.csv").touch()
    with pytest.raises(SourceError, match=r"empty\.csv") as caught:
        evaluate_file(tmp_path / "empty.csv", Settings())
    assert caught.value.way_out == "Name a file with the columns title and story_id."
    with pytest.raises(SourceError, match="body"):
        evaluate_file(write(tmp_path / "c.csv", ROWS), Settings(), text="body")


def test_a_file_is_read_as_production_reads_it(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": "007", "title": "Nauru votes", "story_id": "NA", "published_at": "2026-10-13T08:00:00Z"},
        {"id": "", "title": "Null island", "story_id": "null", "published_at": "2026-10-13T23:59:00Z"},
        {"id": "8", "title": "x" * 2_001, "story_id": "a", "published_at": "2026-10-13T08:00:00Z"},
        {"id": "9", "title": "Bad time", "story_id": "a", "published_at": "soon"},
        {"id": "10", "title": "No time", "story_id": "a", "published_at": ""},
    ]
    file = write(tmp_path / "file.csv", rows).rename(tmp_path / "file.CSV")
    found = {row["title"]: row for row in read_labelled(file, needs_time=True).to_dict("records")}
    assert set(found) == {"Nauru votes", "Null island", "No time", "Bad time"}
    assert [found["Nauru votes"][name] for name in ("id", "given_id", "story_id")] == ["007", "007", "NA"]
    produced = from_fields({"title": "Null island", "published_at": "2026-10-13T23:59:00Z"}, LATEST_MS).headline
    assert (found["Null island"]["id"], found["Null island"]["published_at"]) == (
        produced.id,
        produced.published_at,
    )
    assert found["Null island"]["given_id"] is None
    for title in ("No time", "Bad time"):
        assert found[title]["published_at"] == found["Nauru votes"]["published_at"]


def test_what_of_a_labelled_file_does_not_count_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, Any]] = []
    monkeypatch.setattr("newstide_app.evaluation.log.warning", lambda _text, **values: said.append(values))
    file = write(tmp_path / "file.csv", [{**row, "published_at": "soon"} for row in ROWS])
    assert len(read_labelled(file, needs_time=True)) == 5
    reasons = [f"  rejected 1: The title is missing or empty. ({file}:7)", f"  left out 7: time, as 'soon' in {file}:2"]
    assert said == [{"rows": 7, "rejected": 1, "reasons": reasons}, {"rows": 1}]
    said.clear()
    read_labelled(write(tmp_path / "good.csv", ROWS[:4]), needs_time=False)
    assert said == []


def test_labels_join_the_file_they_are_of_by_its_own_ids(tmp_path: Path) -> None:
    frame = pd.DataFrame([{**row, "id": int(str(row["id"]))} for row in ROWS])
    frame.to_parquet(tmp_path / "file.parquet")
    evaluate_file(tmp_path / "file.parquet", Settings(), text="title", labels_out=tmp_path / "labels.PARQUET")
    labels = pd.read_parquet(tmp_path / "labels.PARQUET")
    assert labels["id"].dtype == frame["id"].dtype
    assert len(frame[frame["title"] != ""].merge(labels, on="id")) == 6


@pytest.mark.parametrize("name", ["labels.xlsx", "labels", "nowhere/labels.csv", "."])
def test_labels_that_cannot_be_written_are_refused_before_anything_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="--labels"):
        evaluate_file(tmp_path / "not-there.csv", Settings(), labels_out=tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_labels_never_replace_the_file_they_are_of(tmp_path: Path) -> None:
    file = write(tmp_path / "ok.csv", ROWS)
    before = file.read_bytes()
    (tmp_path / "link.csv").symlink_to(file)
    (tmp_path / "hard.csv").hardlink_to(file)
    (tmp_path / "sub").mkdir()
    for out in (file, tmp_path / "link.csv", tmp_path / "hard.csv", tmp_path / "sub" / ".." / "ok.csv"):
        for read in (file, tmp_path / "link.csv"):
            with pytest.raises(SettingsError, match="the file that is read") as caught:
                evaluate_file(read, Settings(), labels_out=out)
            assert str(out) in caught.value.message
            assert caught.value.way_out
    assert file.read_bytes() == before


def test_a_name_too_long_for_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--labels"):
        evaluate_file(tmp_path / "not-there.csv", Settings(), labels_out=tmp_path / f"{'a' * 300}.csv")


NO_STORY = ("", " ", "nan", "NaN", "None", "null", "NULL", "N/A", "#N/A", "<NA>")


def test_a_file_in_which_no_headline_has_a_story_is_refused(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"title": f"Title {n}", "cluster": name} for n, name in enumerate(NO_STORY)]
    file = write(tmp_path / "file.csv", rows)
    with pytest.raises(SourceError, match=r"No headline of .*file\.csv has a story: the column 'cluster'") as caught:
        read_labelled(file, needs_time=False, mapping={"story_id": "cluster"})
    assert "--column story_id=" in caught.value.way_out
    assert len(read_labelled(file, needs_time=False, needs_stories=False)) == len(rows)


def test_what_tools_write_for_nothing_is_no_story(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"title": f"Title {n}", "story_id": name} for n, name in enumerate(NO_STORY)]
    rows.append({"title": "A story", "story_id": "Nancy"})
    found = read_labelled(write(tmp_path / "file.csv", rows), needs_time=False)
    assert sorted(found["story_id"]) == [""] * len(NO_STORY) + ["Nancy"]


def test_the_flags_of_the_command_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights: list[float] = []
    original = cluster_rows

    def watched(graph: NeighbourGraph, frame: pd.DataFrame, chosen: ClusteringSettings, **more: Any) -> Clusters:
        weights.append(chosen.time_weight)
        return original(graph, frame, chosen, **more)

    monkeypatch.setattr(evaluation, "cluster_rows", watched)
    rows = [
        {
            **row,
            "description": "The same long description of everything there is in the news of the day",
            "published_at": at,
        }
        for row, at in zip(ROWS[:4], ("2020-01-01", "2021-01-01", "2020-01-01", "2021-01-01"), strict=True)
    ]
    file, out = str(write(tmp_path / "file.csv", rows)), tmp_path / "labels.csv"

    def report(*flags: str) -> dict[str, Any]:
        result = CliRunner().invoke(app, ["evaluate", file, "--json", *flags])
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    plain = report("--text", "title", "--labels", str(out))
    assert (plain["text"], plain["selection"], plain["f1"]) == ("title", "calibrated", 1)
    assert pd.read_csv(out)["cluster_label"].tolist() == [0, 0, 1, 1]
    assert weights == [0.0]
    report("--use-time")
    assert weights == [0.0, Settings().clustering.time_weight]
    assert report("--selection", "leaf")["selection"] == "leaf"
    assert report("--tutorial")["selection"] == "tutorial"
    assert report()["text"] == "both"
    assert report("--text", "title+description")["text"] == "title+description"
    refused = CliRunner().invoke(app, ["evaluate", file, "--embedder", "no-such-model"])
    assert refused.exit_code != 0
    assert "no-such-model" in refused.output + str(refused.exception)


def test_churn_is_the_share_of_rows_seen_before_whose_label_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Three runs of made-up clusters: in the second, one row of two turns to noise; in the third, none of three moves."""
    rows: list[dict[str, object]] = [
        {"id": str(row), "title": f"Title {row}", "story_id": "x", "published_at": f"2026-10-13T{hour:02d}:30:00Z"}
        for row, hour in enumerate((0, 0, 0, 0, 1, 2))
    ]
    clusters = iter([[0, 0, -1, 0], [0, 0, 0, -1, 0], [0, 0, 0, -1, 0, -1]])
    original = cluster_rows

    def made_up(*arguments: Any, **more: Any) -> Any:
        return replace(original(*arguments, **more), labels=np.array(next(clusters), np.int64))

    monkeypatch.setattr(replay, "cluster_rows", made_up)
    report = evaluate_file(write(tmp_path / "file.csv", rows), Settings(), replay=timedelta(hours=1))
    assert report["runs"] == 3
    assert report["churn"] == pytest.approx((2 / 4 + 0 / 5) / 2)


def test_the_bundled_day_replayed_has_labels_at_arrival_and_few_that_change() -> None:
    result = CliRunner().invoke(app, ["evaluate", str(day_file()), "--replay", "6h", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert 0 < report["at_arrival"]["f1"] <= 1
    assert report["at_arrival"]["precision"] > 0.6
    assert report["f1"] > 0.5
    assert report["churn"] < 0.15
    assert report["runs"] >= 4


def test_what_labels_on_arrival_are_worth_is_told_from_the_last_run() -> None:
    replayed = replay.Replayed(
        arrival=np.array([7, 7, 8, -1, 7]),
        next_run=np.array([7, 9, -1, 7, 7]),
        last=np.array([7, 7, 8, 7, 8]),
        churn=0.0,
        runs=1,
    )
    told = replayed.arrivals(["fire", "fire", "fire", "fire", ""])
    assert told == {"labelled": 0.8, "right": 1.0, "kept": 0.5}
    assert replayed.arrivals(["fire", "flood", "fire", "fire", "fire"])["right"] == 0.75
