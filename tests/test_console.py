"""What the console shows in 80 columns, and how its commands are listed."""

import io
import time

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from newstide.core.errors import SettingsError
from newstide_app.cli.groups import GROUPS
from newstide_app.cli.look import moment
from newstide_app.cli.main import app
from newstide_app.cli.tables import print_headlines, print_hits, print_stories

TITLE = "The Westerlund earthquake damaged the cathedral of Westerlund and three bridges over the river"
URL = "https://www.meridian-post.example/news/2026/10/13/westerlund-earthquake"


def shown(write: object, *arguments: object, **options: object) -> str:
    console = Console(file=io.StringIO(), width=80)
    write(*arguments, console, **options)  # type: ignore[operator]
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= 80
    return text


def rows(**more: object) -> pd.DataFrame:
    row = {"cluster_label": 17, "title": TITLE, "source": "Meridian Post", "language": "en", "url": URL}
    row |= {"published_at": 1_790_000_000_000, "label_run": 1, "label_probability": 0.5, **more}
    return pd.DataFrame([row])


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_storys_whole_title_is_read_in_80_columns_and_its_times_name_their_zone() -> None:
    story = {"cluster_label": 17, "size": 132, "previous_size": 90, "title": TITLE, "keywords": ["quake"]}
    story |= {"languages": ["en", "de"], "last_published_at": 1_790_000_000_000, "status": "open", "parents": []}
    text = shown(print_stories, pd.DataFrame([{**story, "successor": -1}]))
    for word in TITLE.split():
        assert word in text
    assert "(UTC)" in text


def test_a_list_of_nothing_says_whether_there_is_none_or_none_that_was_asked_for() -> None:
    assert "No story is open" in shown(print_stories, pd.DataFrame())
    assert shown(print_stories, pd.DataFrame(), narrowed=True).strip() == "No story matches."


def test_a_sources_name_is_whole_in_80_columns() -> None:
    assert "Rheinufer-Kurier" in words(
        shown(print_headlines, {"cluster_label": 1, "title": "x"}, rows(source="Rheinufer-Kurier"))
    )


def test_a_hit_of_a_search_names_its_story() -> None:
    text = words(shown(print_hits, rows(similarity=0.91, story_title="Quake at Westerlund")))
    assert "story 17: Quake at Westerlund" in text
    assert URL not in text.replace(" ", "")


@pytest.mark.parametrize("write", ["headlines", "hits"])
def test_addresses_are_shown_where_they_are_asked_for(write: str) -> None:
    if write == "hits":
        text = shown(print_hits, rows(similarity=0.91, story_title=""), urls=True)
    else:
        text = shown(print_headlines, {"cluster_label": 17, "title": "Quake"}, rows(), urls=True)
    assert "meridian-post.example" in text


@pytest.mark.parametrize("write", ["headlines", "hits"])
def test_titles_and_addresses_lead_to_the_whole_address_in_a_terminal(write: str) -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True, legacy_windows=False)
    if write == "hits":
        print_hits(rows(similarity=0.91, story_title="Quake"), console, urls=True)
    else:
        print_headlines({"cluster_label": 17, "title": "Quake"}, rows(), console, urls=True)
    leading = [line for line in file.getvalue().splitlines() if f";{URL}\x1b" in line]
    assert len(leading) >= 5  # the title takes three lines or more, the address two


def test_since_is_a_time_or_how_long_ago() -> None:
    assert moment(None) is None
    assert moment("2026-10-13T07:42:00Z") == moment("1791877320000")
    ago = moment("6h")
    assert ago is not None
    assert abs(time.time() * 1000 - 6 * 3_600_000 - ago) < 60_000
    with pytest.raises(SettingsError, match="yesterdayish"):
        moment("yesterdayish")


def test_help_lists_every_command_in_groups() -> None:
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).output
    places = [text.index(f"{title}:") for title in GROUPS]
    assert places == sorted(places)
    for command in app.registered_commands:
        name = command.name or command.callback.__name__  # type: ignore[union-attr]
        assert f"\n  {name} " in text, name
    assert text.index("demo") < text.index("recluster") < text.index("backup")


def test_in_80_columns_help_says_in_whole_sentences_what_a_command_does() -> None:
    for group in ([], ["dead-letters"]):
        _, _, listed = CliRunner().invoke(app, [*group, "--help"], env={"COLUMNS": "80"}).output.partition("--help")
        assert "..." not in listed, listed
