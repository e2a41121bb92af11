"""Following a story's number to what it is today, from the command line."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from newstide.core.settings import MilvusSettings, Settings
from newstide.embedding import ModelCard
from newstide.milvus import open_store
from newstide_app.cli.main import app
from newstide_app.cli.tables import print_headlines, print_stories
from newstide_app.queries import Status, StoryFilter, follow, list_headlines, list_stories

CARD = ModelCard("test-model", 4, "0123456789abcdef" * 4)


def story(
    number: int, successor: int = -1, parents: tuple[int, ...] = (), *, run: int, closed: bool
) -> dict[str, object]:
    return {
        "cluster_label": number,
        "centroid": np.eye(4, dtype=np.float32)[0],
        "title": f"Story {number}",
        "titles": {"en": f"Story {number}"},
        "challenged": [],
        "importance": 1.5,
        "first_seen_at": 3,
        "keywords": [],
        "languages": ["en"],
        "sources": [],
        "size": 3,
        "previous_size": 3,
        "first_published_at": 1,
        "last_published_at": 2,
        "reach": 0.5,
        "status": "closed" if closed else "open",
        "parents": list(parents),
        "successor": successor,
        "former_ids": [],
        "created_run": 1,
        "updated_run": run,
    }


STORIES = pd.DataFrame(
    [
        story(1, 2, run=2, closed=True),  # merged into 2
        story(2, run=3, closed=True),  # dissolved, and taken back by 5
        story(3, run=9, closed=False),
        story(4, run=9, closed=True),  # dissolved for good
        story(5, 6, parents=(2,), run=5, closed=True),
        story(6, parents=(9,), run=9, closed=False),
        story(7, 8, run=4, closed=True),  # no number leads in a circle, but a damaged store must not hang anybody
        story(8, 7, run=4, closed=True),
    ]
)


def test_a_closed_story_is_followed_through_successors_and_those_that_took_its_headlines_back() -> None:
    assert follow(STORIES, 1) == [2, 5, 6]
    assert follow(STORIES, 2) == [5, 6]
    assert follow(STORIES, 3) == []
    assert follow(STORIES, 4) == []
    assert follow(STORIES, 7) == [8]


@pytest.fixture
def settings(milvus_settings: MilvusSettings) -> Settings:
    store = open_store(milvus_settings, CARD)
    store.upsert_stories(STORIES)
    store.close()
    return Settings(milvus=milvus_settings)


def test_the_headlines_of_a_closed_story_name_what_it_is_today(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, frame = list_headlines(settings, 1, 10)
    assert (found["status"], found["successor"], found["became"]) == ("closed", 2, [2, 5, 6])
    console = Console(file=io.StringIO(), width=120)
    print_headlines(found, frame, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "It has closed and went on as story 2, then story 5, then story 6: `newstide headlines 6`." in shown
    monkeypatch.setenv("NEWSTIDE_MILVUS_URI", str(settings.milvus.uri))
    monkeypatch.setenv("NEWSTIDE_MILVUS_PREFIX", settings.milvus.prefix)
    result = CliRunner().invoke(app, ["headlines", "5", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["story"]["became"] == [6]


def test_the_list_of_stories_says_where_closed_ones_went_and_where_others_came_from(settings: Settings) -> None:
    def shown(status: Status) -> str:
        console = Console(file=io.StringIO(), width=140)
        print_stories(list_stories(settings, StoryFilter(status), 10), console)
        return str(console.file.getvalue())  # type: ignore[attr-defined]

    assert "→ 6" in shown("closed")
    assert "status" not in shown("open")
    line = next(line for line in shown("open").splitlines() if "Story 6" in line)
    assert line.split()[:2] == ["6", "9"]
