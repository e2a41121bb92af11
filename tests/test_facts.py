"""What the foot of a page says of its run."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from clustering.map.layout import Layout, save_layout
from clustering.neighbours import GraphReport, load_graph
from clustering.pages.footer import run_facts
from clustering.run.graph import CurrentGraph
from clustering.run.publish import laid_out
from newstide.core.settings import LayoutSettings, Settings
from newstide.milvus import RunRow, open_store


def row(**counts: Any) -> RunRow:
    return RunRow(12, np.zeros(2, np.float32), 0.51234567, 0, 0, counts={"rows": 20_480, **counts})


def layout(*, fresh: bool = False, neighbours: int = 31, moved: float | None = 0.0312) -> Layout:
    return Layout(np.array(["a"] * 40, dtype=object), np.zeros((40, 2), np.float32), fresh, neighbours, moved)


def test_the_foot_says_which_run_it_was_and_with_what() -> None:
    facts = run_facts(row(kept=0.9971), "use-multilingual", layout(), Settings(), 12.345)
    assert list(facts)[:4] == ["model", "window", "rows", "duration"]
    assert [facts[name] for name in list(facts)[:4]] == ["use-multilingual", "7 days", "20,480", "12.3 s"]
    assert (facts["number"], facts["theta"], facts["kept"]) == (12, 0.5123, 0.9971)
    assert json.dumps(facts)


def test_every_parameter_of_clustering_and_map_is_there() -> None:
    settings = Settings().updated(clustering={"neighbours": 17}, layout={"min_dist": 0.3})
    given = run_facts(row(), "m", layout(), settings, 1.0)["parameters"]
    assert (given["clustering.neighbours"], given["layout.neighbours"], given["layout.min_dist"]) == (17, 80, 0.3)
    names = {f"clustering.{name}" for name in type(settings.clustering).model_fields if name != "window"}
    assert set(given) == names | {f"layout.{name}" for name in type(settings.layout).model_fields}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"fresh": True, "moved": None}, "fitted anew"),
        ({"moved": 0.0312}, "renewed from the last; half of the headlines that were on it moved by less than 0.031 of"),
    ],
)
def test_the_foot_says_how_the_map_was_made_and_how_far_it_moved(given: dict[str, Any], said: str) -> None:
    assert run_facts(row(), "m", layout(**given), Settings(), 1.0)["map"].startswith(said)


@pytest.mark.parametrize(
    ("neighbours", "said"),
    [
        (80, "80"),
        (31, "31, not 80: the graph lists 30 for each headline"),
        (10, "10, not 80: there are 40 headlines"),
        (0, "principal components: too few headlines for UMAP"),
    ],
)
def test_what_bounds_the_maps_neighbours_is_said(neighbours: int, said: str) -> None:
    assert run_facts(row(), "m", layout(neighbours=neighbours), Settings(), 1.0)["map neighbours"] == said


@pytest.mark.parametrize(
    ("window", "said"),
    [("none", "everything"), (timedelta(hours=36), "1.5 days"), (timedelta(minutes=90), "1.5 hours")],
)
def test_the_window_is_said_in_words(window: object, said: str) -> None:
    settings = Settings().updated(clustering={"window": window})
    assert run_facts(row(), "m", layout(), settings, 1.0)["window"] == said


def test_a_runs_page_carries_its_facts(newsroom: Settings) -> None:
    store = open_store(newsroom.milvus, None)
    try:
        last, model = store.last_run(), store.card.name
    finally:
        store.close()
    assert last is not None
    facts = json.loads((newsroom.snapshots_dir / f"run-{last.run:06d}.json").read_text())["facts"]
    assert (facts["number"], facts["model"], facts["rows"]) == (last.run, model, f"{last.counts['rows']:,}")
    assert facts["parameters"]["layout.min_dist"] == newsroom.layout.min_dist
    assert float(facts["duration"].removesuffix(" s")) > sum(last.durations.values())  # which lack the map


def test_the_log_says_how_the_map_was_made(newsroom: Settings, tmp_path: Path) -> None:
    store = open_store(newsroom.milvus, None)
    try:
        graph = load_graph(newsroom.data_dir / "cache" / "graph.bin", store.card)
    finally:
        store.close()
    settings = newsroom.model_copy(update={"layout": LayoutSettings()})
    with capture_logs() as logged:
        drawn = np.arange(len(graph.ids))
        report = GraphReport(0, 0, 0, 0, rebuilt=False, reason="", recall=None, seconds=0.0)
        current = CurrentGraph(graph, report, "exact", None)
        first = laid_out(tmp_path / "layout.npz", current, drawn, "weights", settings)
        save_layout(tmp_path / "layout.npz", first.layout)
        laid_out(tmp_path / "layout.npz", current, drawn, "weights", settings)
    bounds = {"neighbours": 31, "asked": 80, "listed": 30}
    one, two = logged
    assert {"fresh": True, "moved": None, **bounds}.items() <= one.items()
    assert {"fresh": False, **bounds}.items() <= two.items()
    assert two["moved"] == 0  # nothing is new
