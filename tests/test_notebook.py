"""newstide in a notebook: frames, the figure, and the example as a reader runs it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

import newstide
from clustering.pages.colours import INK, PAPER, colour
from newstide.core.errors import NewstideError, SettingsError
from newstide.core.settings import Settings, as_environment
from newstide.milvus import Store
from newstide_app.notebook import News
from tests.harness.services import opened

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def store(newsroom: Settings) -> Iterator[Store]:
    with opened(newsroom) as store:
        yield store


def example() -> Any:
    return nbformat.read(DOCS / "example.ipynb", as_version=4)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def news(newsroom: Settings) -> News:
    loaded: News = newstide.load(newsroom)
    return loaded


def test_frames_hold_what_milvus_holds(news: News, store: Store) -> None:
    there = store.headlines("", ["id", "published_at", "cluster_label"]).set_index("id")
    found = news.headlines.set_index("id")
    assert set(found.index) == set(there.index)
    assert (found["cluster_label"] == there["cluster_label"].reindex(found.index)).all()
    times = found["published_at"].map(lambda time: round(time.timestamp() * 1000))
    assert (times == there["published_at"].reindex(found.index)).all()
    assert news.headlines["published_at"].is_monotonic_decreasing
    assert str(news.headlines["published_at"].dt.tz) == "UTC"
    assert sorted(news.stories.index) == store.stories()["cluster_label"].tolist()
    assert news.stories["size"].is_monotonic_decreasing
    assert news.runs.index.tolist() == store.runs()["run"].tolist()
    assert repr(news).startswith(f"News({len(there):,} headlines")


def test_the_map_gives_each_clustered_headline_its_place(news: News) -> None:
    seen = news.headlines["label_run"] > 0
    assert set(news.headlines.loc[seen, "id"]) <= set(news.map["id"])
    assert np.isfinite(news.map[["x", "y"]].to_numpy()).all()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_figure_shows_every_point_in_its_storys_colour_and_names_the_largest(news: News, theme: str) -> None:
    figure = news.figure(labels=5, theme=theme)
    (trace,) = figure.data
    assert len(trace.x) == len(news.map)
    largest = news.map.loc[news.map["cluster_label"] >= 0, "cluster_label"].value_counts()
    assert list(trace.marker.color).count(colour(int(largest.index[0]), theme)) >= largest.iloc[0]
    assert len(figure.layout.annotations) == 5
    assert figure.to_json()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_figures_paper_is_that_of_the_pages(theme: str) -> None:
    css = (files("clustering.pages") / "assets" / "page.css").read_text(encoding="utf-8")
    values = re.findall(r"--paper: (#\w+); --raised: #\w+; --ink: (#\w+)", css)
    assert (PAPER[theme], INK[theme]) == values[["light", "dark"].index(theme)]


def test_markup_in_a_headline_stays_text(news: News) -> None:
    hostile = News(news.settings, news.headlines.assign(title="<b>bold</b> & <br>"), news.stories, news.runs)
    assert set(hostile.figure(labels=0).data[0].text) == {"&lt;b&gt;bold&lt;/b&gt; &amp; &lt;br&gt;"}


def test_since_and_stories_choose(newsroom: Settings, news: News) -> None:
    newest = news.headlines["published_at"].max()
    since = newest - timedelta(hours=3)
    expected = set(news.headlines.loc[news.headlines["published_at"] >= since, "id"])
    assert 0 < len(expected) < len(news.headlines)
    for choice in (timedelta(hours=3), since.isoformat(), since.to_pydatetime()):
        some = newstide.load(newsroom, since=choice)
        assert set(some.headlines["id"]) == expected
        assert set(some.stories.index) == set(some.headlines["cluster_label"]) - {-1}
    two = [int(label) for label in news.stories.index[:2]]
    chosen = newstide.load(newsroom, stories=two)
    assert sorted(chosen.stories.index) == sorted(two)
    assert set(chosen.headlines["cluster_label"]) == set(two)
    assert newstide.load(newsroom, stories=[]).headlines.empty


def test_address_and_prefix_win_over_the_settings(newsroom: Settings, news: News) -> None:
    elsewhere = newsroom.updated(milvus={"uri": "http://127.0.0.1:1", "prefix": "other_"})
    found = newstide.load(elsewhere, uri=newsroom.milvus.uri, prefix=newsroom.milvus.prefix)
    pd.testing.assert_frame_equal(found.headlines, news.headlines)


def test_what_cannot_be_meant_is_named(newsroom: Settings, news: News, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'yesterday' is no time"):
        newstide.load(newsroom, since="yesterday")
    with pytest.raises(SettingsError, match="'seven' is no story's number"):
        newstide.load(newsroom, stories=["seven"])
    with pytest.raises(SettingsError, match="'pink'"):
        news.figure(theme="pink")
    elsewhere = News(newsroom.updated(data_dir=tmp_path), news.headlines, news.stories, news.runs)
    with pytest.raises(NewstideError, match="NEWSTIDE_DATA_DIR"):
        _ = elsewhere.map


def test_importing_newstide_loads_nothing_heavy() -> None:
    code = "import sys, newstide; print([name for name in ('pandas', 'pymilvus', 'numpy', 'plotly') if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_example_runs(newsroom: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in as_environment(newsroom).items():
        monkeypatch.setenv(name, value)
    notebook = example()
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = json.dumps([output.get("data", {}) for output in outputs])
    assert not [output for output in outputs if output.output_type in ("error", "stream")]
    assert re.search(r"News\(\d+ headlines", shown)
    assert any("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs)


def test_the_code_in_the_documentation_runs(
    newsroom: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in as_environment(newsroom).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "notebook.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    exec("\n".join(blocks), {})  # noqa: S102 - our own documentation
    assert "growth" in capsys.readouterr().out
    assert (tmp_path / "recent.html").stat().st_size > 1_000_000


def test_the_example_is_stored_without_outputs() -> None:
    notebook = example()
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
