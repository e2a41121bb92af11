"""The graph engine's benchmarks at sizes that take seconds, and what the report makes of fixed results."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.manifold import trustworthiness

from benchmarks import (
    bars,
    document,
    embedding,
    exactness,
    graph,
    incremental,
    layout,
    quality,
    reading,
    report,
    selection,
    smoothing,
    story_bars,
)
from benchmarks.contenders import prepared
from benchmarks.data import prepare

CARD = {
    "processor": "a processor",
    "cores": 2,
    "memory_gb": 16,
    "python": "3.11.7",
    "versions": {"hdbscan": "0.8.43"},
    "seed": 42,
    "load_at_start": 0.1,
}


def result(contender: str, rows: int, neighbours: int | None, seconds: float, peak_mb: float = 1.0) -> dict[str, Any]:
    return {
        "contender": contender,
        "rows": rows,
        "neighbours": neighbours,
        "seconds": seconds,
        "cpu_seconds": 2 * seconds,
        "peak_mb": peak_mb,
    }


def written(path: Path, rows: list[dict[str, Any]], measured_at: str) -> Path:
    path.write_text(json.dumps({"machine": {**CARD, "measured_at": measured_at}, "rows": rows}))
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    newer = [
        result("tree", 100_000, 15, 0.5),
        result("tree", 10_000_000, 15, 60.0, 5_000),
        result("labels", 10_000, 15, 0.2, 4),
        result("tutorial", 10_000, 15, 20.0, 3_900),
        result("hdbscan", 10_000, None, 30.0),
        result("one pass", 10_000_000, 15, 1.0),
        {"contender": "scikit-learn", "rows": 10_000, "neighbours": None, "left_out": "too large for it"},
        {
            "rows": 20_000,
            "rebuild_seconds": 8.0,
            "faiss_seconds": None,
            "plus_seconds": 0.1,
            "minus_seconds": 0.5,
            "plus_factor": 80.0,
            "minus_factor": 16.0,
            "plus_lists_identical": True,
            "minus_lists_identical": True,
        },
    ]
    quality = tmp_path / "quality.json"
    quality.write_text(json.dumps({"machine": CARD, "rows": [{"set": "uci_stories", "f1": 0.8}]}))
    return [
        written(tmp_path / "z-newer.json", newer, "2026-02-01T00:00:00+00:00"),
        written(tmp_path / "a-older.json", [result("tree", 100_000, 15, 9.0)], "2026-01-01T00:00:00+00:00"),
        quality,
    ][::-1]


def test_the_report_shows_each_bar_beside_its_figure_and_passes_over_other_benchmarks(files: list[Path]) -> None:
    shown = report.figures(files)
    assert "| 10,000 rows, k = 15, lists to labels: tutorial / labels, time | 100 x | >= 50 x | pass |" in shown
    assert "tutorial / labels, memory | 975 x | >= 20 x | pass |" in shown
    assert "| 20,000 rows -1 %, lists identical: rebuild / update | 16 x | >= 20 x | FAIL |" in shown
    assert (
        "| growth of time to the tree, 100,000 to 10,000,000 rows, k = 15: exponent | 1.04 | <= 1.25 | pass |" in shown
    )
    assert (
        "takes 1.0 s (6.7 ns each). The tree makes 7 such passes, 7.0 s, and takes 60.0 s: 8.6 times this limit."
        in shown
    )
    assert "| 20,000 | 8.0 s | - | 0.100 s | 80x | 0.500 s | 16x | identical |" in shown
    assert "too large for it" in shown


def test_of_one_size_measured_twice_the_last_counts_in_table_and_plot(files: list[Path], tmp_path: Path) -> None:
    assert "9.0 s" not in report.figures(files)
    assert report.lines(report.read(files)[0])["tree"] == [(100_000, 0.5), (10_000_000, 60.0)]
    report.plot(files, tmp_path / "time.html")
    assert "scatter" in (tmp_path / "time.html").read_text()


def test_without_results_the_report_says_how_to_get_some(files: list[Path]) -> None:
    for some in ([], [file for file in files if file.name == "quality.json"]):
        with pytest.raises(SystemExit, match="Run make bench first"):
            report.figures(some)


def test_lists_that_differ_meet_no_bar() -> None:
    row = {"rows": 20_000, "plus_factor": 90.0, "minus_factor": 90.0}
    found = bars.bars([row | {"plus_lists_identical": False, "minus_lists_identical": True}])
    assert [bar.met for bar in found] == [False, True]


def test_figures_are_put_between_their_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures: start -->\nold\n<!-- figures: end -->\nafter\n")
    document.replace(page, "figures", "new")
    document.replace(page, "figures", "newer")
    assert page.read_text() == "before\n<!-- figures: start -->\n\nnewer\n\n<!-- figures: end -->\nafter\n"
    with pytest.raises(SystemExit, match="has no <!-- sizes: start -->"):
        document.replace(page, "sizes", "new")


def test_every_page_has_the_markers_of_its_figures() -> None:
    text = report.PAGE.read_text()
    for name in ("figures", "exactness"):
        assert text.index(f"<!-- {name}: start -->") < text.index(f"<!-- {name}: end -->")


@pytest.mark.slow  # its twin: the test below
def test_contenders_leave_their_results_and_run_once_where_they_start_from_vectors(tmp_path: Path) -> None:
    file = tmp_path / "graph.json"
    flags = ["--folder", str(tmp_path), "--json", str(file), "--contenders", "labels", "hdbscan"]
    graph.main(["--rows", "300", "--neighbours", "10", "15", *flags])
    rows = {(row["contender"], row["neighbours"]): row for row in json.loads(file.read_text())["rows"]}
    assert set(rows) == {("labels", 10), ("labels", 15), ("hdbscan", None)}
    assert not [row["left_out"] for row in rows.values() if "left_out" in row]
    assert {(row["min_samples"], row["min_cluster_size"]) for row in rows.values()} == {(3, 3)}
    assert rows["labels", 15]["components"] >= 1
    assert rows["labels", 15]["clusters"] > 1


@pytest.mark.filterwarnings("ignore")  # hdbscan's, of infinite distances
def test_every_contender_runs(tmp_path: Path) -> None:
    prepare(tmp_path, 400, 15, 42)
    found = {name: prepared(name, tmp_path, 15)() for name in graph.CONTENDERS if name != "fast_hdbscan"}
    labels = {name: one.labels for name, one in found.items() if one.labels is not None}
    assert set(labels) == set(found) - {"one pass", "tree", "tree, bridged"}
    assert (labels["labels"] == labels["labels by library"]).all()
    assert (labels["tutorial"] == labels["tutorial mode"]).all()
    assert found["tree"].components is not None
    assert (found["tree, bridged"].components or 0) > 1  # or there would be nothing to join


def test_what_a_contender_says_when_it_fails_stands_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "30").mkdir()
    (tmp_path / "30" / "ready").write_text("15")  # and nothing else
    (row,) = graph.run(30, [15], tmp_path, ["tree"])
    assert "No such file" in row["left_out"]


def test_the_incremental_graph_has_a_rebuilds_lists(tmp_path: Path) -> None:
    incremental.main(["--rows", "600", "--json", str(tmp_path / "incremental.json")])
    (row,) = json.loads((tmp_path / "incremental.json").read_text())["rows"]
    assert row["plus_lists_identical"]
    assert row["minus_lists_identical"]
    assert row["faiss_seconds"] is None or row["faiss_seconds"] > 0


def test_the_selection_is_measured_in_a_process_of_its_own() -> None:
    row = selection.run(3_000, 16)
    assert row["selection_seconds"] > 0
    assert "3,000 rows x 16" in selection.line(row)


def test_lists_are_held_against_all_distances() -> None:
    vectors, *_ = selection.made(400, 16)
    row = exactness.measure(vectors, 1)
    assert row["ari_lists"] > 0.95
    assert "| a set | 400 | 1 |" in exactness.table([{"set": "a set", **row}])


def test_strangers_on_a_map_are_counted_as_scikit_learn_does() -> None:
    random = np.random.default_rng(3)
    rows, places = random.normal(size=(600, 24)).astype(np.float32), random.normal(size=(600, 2)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    places += rows[:, :2] * 8  # so that they agree in part
    expected = trustworthiness(rows, places, n_neighbors=10, metric="cosine")
    assert layout.trustworthiness(rows, places) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"ratio": 0.126}, "0.126 of a fresh fit's time, more than 0.125"),
        ({"moved": 0.101}, "moves by 0.101"),
        ({"trust_difference": -0.011}, "falls by 0.0110"),
    ],
)
def test_the_layouts_benchmark_ends_with_an_error_where_a_bar_is_missed(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, float],
    said: str,
) -> None:
    result = {
        "rows": 3_000,
        "fresh_seconds": 8.0,
        "update_seconds": 1.0,
        "ratio": 0.125,
        "ratio_bar": 0.125,
        "moved": 0.10,
        "moved_fresh": 0.7,
        "trust_fresh": 0.9,
        "trust_update": 0.89,
        "trust_difference": -0.01,
        **changed,
    }
    monkeypatch.setattr(layout, "run", lambda _: result)
    missed = layout.main(["--rows", "3000", "--chain", "0", "--json", str(tmp_path / "layout.json")])
    assert missed == bool(said)
    assert said in capsys.readouterr().out
    written = json.loads((tmp_path / "layout.json").read_text())
    assert written["machine"]["cores"]
    assert len(written["rows"][0]["missed"]) == missed


def test_the_embedding_benchmark_judges_by_what_the_processor_can() -> None:
    rates = {embedding.OURS: 450.0, embedding.THEIRS: 50.0, embedding.USE: 1_000.0}
    assert [bar.met for bar in embedding.bars_of(rates, 0.9985, vnni=True)] == [True, True, True]
    slower = rates | {embedding.OURS: 200.0}
    assert [bar.met for bar in embedding.bars_of(slower, 0.9, vnni=True)] == [False, False, False]
    assert [bar.met for bar in embedding.bars_of(slower, 0.9985, vnni=False)] == [True, True]


def test_the_embedding_benchmark_counts_what_each_model_embeds() -> None:
    seen: dict[str, int] = {"a": 0, "b": 0}

    def counting(name: str) -> embedding.Encode:
        def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
            seen[name] += len(texts)
            return np.zeros((len(texts), 1), np.float32)

        return encode

    found = embedding.measure({name: counting(name) for name in seen}, [f"title {n}" for n in range(100)], 2, 0.001)
    assert {row["model"]: row["headlines"] + 64 for row in found} == seen
    assert all(row["rate"] > 0 for row in found)


def test_the_reading_benchmark_reads_every_headline_and_holds_it_against_another_version(tmp_path: Path) -> None:
    reading.write_headlines(tmp_path, 900)
    for kind, against in (("CSV", Path(reading.__file__).parent.parent), ("JSON lines", None), ("messages", None)):
        result = reading.measure(kind, tmp_path, 1, against)
        assert (result["kind"], result["read"]) == (kind, 900)
        assert result["rate"] > 0
        assert ("ratio" in result) == (against is not None)


def test_the_reading_benchmark_says_which_bar_is_missed() -> None:
    result = {"kind": "CSV", "rate": 900.0, "earlier_rate": 1_000.0, "ratio": 0.9}
    assert reading.line_of(result).endswith("the earlier version 1,000: 0.90 x, MISSED")
    assert reading.line_of(result | {"ratio": 1.0}).endswith("pass")


def test_the_bars_of_stories_are_read_from_the_results_and_a_missed_one_is_told() -> None:
    e5, use = "multilingual-e5-small", "use-multilingual"
    f1 = {"giveme5w1h": 0.93, "uci_stories": 0.8, "allsides_roundups": 0.64}
    sets = [
        {"model": model, "method": method, "set": name, "f1": value}
        for model in (e5, use)
        for method in ("default", "default before")
        for name, value in f1.items()
    ]
    found = {bar.what: bar for bar in story_bars.of_sets(sets)}
    assert [what for what, bar in found.items() if not bar.met] == [f"{e5}, allsides_roundups, F1"]
    assert found[f"{use}, mean of the three"].met, "as good as before"
    assert found[f"{use}, allsides_roundups, F1"].bound == 0.59

    before = {"model": e5, "variant": smoothing.AS_BEFORE, "day": 0.61}
    day = {"model": e5, "variant": smoothing.DEFAULT, "day": 0.64}
    for of in ("3 h", "6 h"):
        before |= {f"{of}, arrival": 0.47, f"{of}, last": 0.61, f"{of}, churn": 0.08}
        day |= {f"{of}, arrival": 0.48, f"{of}, last": 0.62, f"{of}, churn": 0.09, f"{of}, precision": 0.84}
    bars_of_the_day = list(story_bars.of_the_day([before, day | {"3 h, right": 0.6}]))
    assert {bar.what for bar in bars_of_the_day if not bar.met} == {
        "replayed every 3 h, churn",
        "replayed every 6 h, churn",
    }

    draws = [{"set": "uci_stories", "model": use, "inertia": 0.2, "kept_of_all": share} for share in (1.0, 0.995)]
    (bar,) = story_bars.of_identity(draws)
    assert (bar.figure, bar.bound, bar.met) == (99.5, 99.54, False)


def test_what_the_page_says_of_others_stays_where_their_packages_are_not_installed() -> None:
    rows = [
        {"model": "a model", "set": "a set", "method": method, "f1": f1, "ami": ami}
        for method, f1, ami in [("default", 0.9, 0.8), ("EVoC", 0.7, 0.65), ("BERTopic", 0.95, -0.001)]
    ]
    page = (
        f"words | of\n<!-- figures: start -->\n\nMeasured.\n\n{quality._table(rows)}\n\n<!-- figures: end -->\n| more |"
    )
    assert list(quality.of_others(page)) == rows[1:]
