"""The benchmark of whole runs at a size that takes seconds: what it measures is there, and a run costs what is new."""

from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks import approximate, labels, peers, scale_page
from benchmarks.news import BEGIN, DAY, News, RealDay
from benchmarks.scale import STEPS, measured, table
from clustering.neighbours import by_cells
from newstide.core.settings import Settings
from newstide.embedding import ModelCard
from newstide.kafka.local_broker import LocalKafka
from newstide.milvus.local_server import LocalMilvus
from tests.harness.newsroom import of_a_module

ROWS, DIM = 5_000, 32


@pytest.fixture(scope="module")
def day() -> RealDay:
    """Invented vectors of few dimensions in place of the default model's."""
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((200, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    within = np.full(DIM, 0.05, np.float32)
    words = [f"word{a} term{a * 7 % 90} thing{a * 13 % 70}" for a in range(90)]
    return RealDay(ModelCard("scale-model", DIM, "5ca1e" * 12 + "5ca1"), vectors, within, vectors.std(axis=0), words)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, local_kafka: LocalKafka, local_milvus: LocalMilvus) -> Settings:
    made = of_a_module(tmp_path_factory.mktemp("scale"), local_kafka, local_milvus, "scale")
    return made.updated(clustering={"window": timedelta(days=7)})


@pytest.fixture(scope="module")
def found(settings: Settings, day: RealDay) -> list[dict[str, Any]]:
    return list(measured(ROWS, settings, day))


def test_every_step_is_measured(found: list[dict[str, Any]]) -> None:
    assert [row["step"] for row in found] == list(STEPS)
    runs = [row["report"] for row in found[1:]]
    few, share = ROWS // 1000, ROWS // 100
    assert [run["rows"] for run in runs[:3]] == [ROWS, ROWS + few, ROWS + few + share]
    assert runs[3]["rows"] == pytest.approx(ROWS, abs=share + few)
    assert all(row["peak_mb"] > 0 and row["processor_seconds"] > 0 for row in found[1:])
    assert table(found).row_count == len(STEPS)


def test_a_run_searches_what_is_new(found: list[dict[str, Any]]) -> None:
    first, more = found[1]["report"], found[3]["report"]
    assert (first["searched"], first["written"]) == (ROWS, first["stories"])
    assert more["searched"] <= ROWS // 50


def test_the_page_has_a_line_and_the_curve_a_point_for_each_run(found: list[dict[str, Any]]) -> None:
    card = {"processor": "p", "cores": 2, "memory_gb": 8, "load_at_start": 0, "seed": 42}
    twice = [{**row, "rows": 10 * row["rows"], "seconds": 3 * row.get("seconds", 0)} for row in found]
    text = scale_page.figures([{"machine": card, "rows": rows} for rows in (found, twice)])
    lines = [line for line in text.splitlines() if line.startswith(("| 5,000 |", "| 50,000 |"))]
    assert len(lines) == 2 * (len(STEPS) - 1)
    assert {line.count("|") for line in lines} == {13}
    curve = scale_page.drawn([*found, *twice])
    assert ElementTree.fromstring(curve).tag.endswith("svg")  # noqa: S314 - our own
    assert curve.count("<circle") == len(lines)
    assert curve.count("<polyline") == len(STEPS) - 1


def test_what_was_measured_is_not_measured_again(found: list[dict[str, Any]], day: RealDay, settings: Settings) -> None:
    assert list(measured(ROWS, settings, day, found)) == []


def test_rows_are_the_same_for_the_same_seed_however_they_are_taken(day: RealDay) -> None:
    rows = [row for part in News(day, 300).take(300, BEGIN, BEGIN + DAY) for row in part]
    again = [row for part in News(day, 300).take(300, BEGIN, BEGIN + DAY) for row in part]
    assert [row.headline for row in rows] == [row.headline for row in again]
    assert len({row.headline.id for row in rows}) == 300
    assert np.allclose([np.linalg.norm(row.embedding) for row in rows], 1, atol=1e-5)


def test_stories_from_cells_are_compared_with_those_from_true_lists(day: RealDay) -> None:
    vectors, headlines = approximate.made(day, 8_000)
    searched: list[dict[str, Any]] = []
    found = dict(approximate.compared(vectors, [approximate.EXACT, approximate.CELLS], searched, 8_000))
    assert [row["recall"] for row in searched] == [1.0, pytest.approx(0.989, abs=0.009)]
    alike = approximate.agreement(headlines, vectors, found)
    assert all(alike[name] >= bar for name, bar in (("ari", approximate.BAR_ARI), ("f1", 0.99)))


@pytest.mark.parametrize("name", ["newstide", "notebook"])
def test_peers_take_all_rows_and_then_some_more(name: str, day: RealDay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "real_day", lambda _: day)
    first, later = peers.steps(name, 300)
    assert first[0] > 0 < later[0]
    shown = [{"peer": name, "rows": 300, "seconds": 1.0, "later_seconds": 0.1, "peak_mb": 3}]
    assert peers.table([*shown, {"peer": name, "rows": 3_000, "left_out": "MemoryError"}]).row_count == 2


def test_from_vectors_to_labels_without_a_store_the_lists_hold_the_true_neighbours(
    day: RealDay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "real_day", lambda _: day)
    monkeypatch.setattr(by_cells, "_COMPARED_WITH_ALL", 1_000)
    first, later = labels.measured(ROWS, [100], "cells")
    assert (first["rebuilt"], later["rebuilt"]) == (True, False)
    assert [row["rows"] for row in (first, later)] == [ROWS, ROWS + 100]
    assert first["clusters"] > 100
    assert first["insertion"] is None
    assert all(later[kind] >= labels.RECALL for kind in ("recall", "insertion", "reverse_insertion"))
    assert [bar.met for bar in labels.bars_of([first, later])] == [True] * 4
    assert not labels.bars_of([{**first, "recall": 0.9}])[0].met
