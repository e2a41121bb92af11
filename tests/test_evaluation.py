"""Scores against worked examples and brute force, and what a labelled file may look like."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from newstide.app.cli import app
from newstide.app.evaluation import evaluate_file, score
from newstide.errors import SourceError
from newstide.settings import Settings
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
    with pytest.raises(SourceError, match="body"):
        evaluate_file(write(tmp_path / "c.csv", ROWS), Settings(), text="body")


def test_the_bundled_day_replayed_has_labels_at_arrival_and_few_that_change() -> None:
    result = CliRunner().invoke(app, ["evaluate", str(day_file()), "--replay", "6h", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert 0 < report["at_arrival"]["f1"] <= 1
    assert report["at_arrival"]["precision"] > 0.6
    assert report["f1"] > 0.5
    assert report["churn"] < 0.05
