"""The view in the address: links, other runs, renewal, theme."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from clustering.pages.folder import story_path
from clustering.pages.run_page import export_page, write_snapshot
from tests.harness.screen import coloured, hash_of, pixels
from tests.harness.snapshots import BEGIN, HOUR, make_snapshot

pytestmark = pytest.mark.browser


def test_the_theme_changes_and_stays_in_the_address(page: Page) -> None:
    assert pixels(page)[5, 5].mean() > 240
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert pixels(page)[5, 5].mean() < 40
    assert "theme=dark" in hash_of(page)
    page.reload()
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_link_shows_another_the_same_view(visitor: Any, pages: Path) -> None:
    view = "#story=3&q=headline&lang=de&sort=growth&theme=dark&view=-4.000,4.000,-3.000,3.000"
    page = visitor.visit((pages / "run-000001.html").as_uri() + view)
    expect(page.locator("#story")).to_contain_text("Story 3")
    assert page.input_value("#query") == "headline"
    assert page.input_value("#language") == "de"
    assert page.input_value("#sort") == "growth"
    left, right = page.evaluate("document.getElementById('map').layout.xaxis.range")
    assert abs((left + right) / 2) < 0.01
    assert 8 <= right - left < 12


@pytest.mark.parametrize(
    "view",
    [
        "#story=x&view=1,2&time=9-3&sort=constructor",
        pytest.param("#story=999&view=NaN,,,", marks=pytest.mark.slow),
        pytest.param("#%E0%A4%A", marks=pytest.mark.slow),
    ],
)
def test_a_link_that_makes_no_sense_shows_the_map(visitor: Any, pages: Path, view: str) -> None:
    page = visitor.visit((pages / "latest.html").as_uri() + view)
    expect(page.locator("#stories button")).to_have_count(6)


def test_a_link_keeps_time_and_source(visitor: Any, pages: Path) -> None:
    begin = BEGIN + 6 * HOUR
    link = f"#time={begin}-{begin + 12 * HOUR}&source=Paper+1"
    page = visitor.visit((pages / "latest.html").as_uri() + link)
    assert (page.input_value("#from"), page.input_value("#to")) == ("12", "36")
    assert page.input_value("#source") == "Paper 1"
    headlines = make_snapshot(rows=300, run=2).headlines
    inside = headlines["published_at"].between(begin, begin + 12 * HOUR)
    left = headlines[inside & (headlines["source"] == "Paper 1") & (headlines["cluster_label"] >= 0)]
    texts = page.locator("#stories .size").all_text_contents()
    assert sum(int(text.split("/")[0]) for text in texts) == len(left) > 10


@pytest.mark.slow
def test_runs_before_and_after_are_a_click_away(visitor: Any, pages: Path) -> None:
    page = visitor.visit((pages / "latest.html").as_uri())
    page.click("#previous")
    page.wait_for_url("**/run-000001.html")
    expect(page.locator("#previous")).to_be_hidden()
    page.click("#next")
    page.wait_for_url("**/latest.html")


@pytest.mark.slow
def test_the_view_goes_along_to_other_runs_and_the_theme_to_their_list(visitor: Any, pages: Path) -> None:
    view = "#story=3&lang=de&theme=dark&view=-4.000,4.000,-3.000,3.000"
    page = visitor.visit((pages / "latest.html").as_uri() + view)
    page.click("#previous")
    page.wait_for_url("**/run-000001.html#*")
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    expect(page.locator("#story")).to_contain_text("Story 3 ·")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.input_value("#language") == "de"
    left, right = page.evaluate("map.layout.xaxis.range")
    assert abs((left + right) / 2) < 0.01
    page.select_option("#language", "en")
    page.click("#next")  # at once: the address is written a moment after a change
    page.wait_for_url("**/latest.html#*lang=en*")
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    page.get_by_role("link", name="all runs").click()
    page.wait_for_selector("html[data-theme=dark]", state="attached")
    page.locator(".card").last.click()
    page.wait_for_url("**/run-000001.html#theme=dark")
    page.wait_for_selector("html[data-theme=dark]", state="attached")


@pytest.mark.parametrize("over", ["file", pytest.param("http", marks=pytest.mark.slow)])
def test_the_latest_page_renews_itself_and_keeps_the_view(visitor: Any, tmp_path: Path, serve: str, over: str) -> None:
    write_snapshot(tmp_path, make_snapshot(rows=80, run=1), max_points=1000)
    address = f"{serve}/latest.html" if over == "http" else (tmp_path / "latest.html").as_uri()
    page = visitor.visit(address + "#story=2&theme=dark")
    write_snapshot(tmp_path, make_snapshot(rows=90, run=2), max_points=1000)
    page.wait_for_selector("html[data-run='2'][data-ready=yes]", timeout=15_000, state="attached")
    expect(page.locator("#story")).to_contain_text("Story 2")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.slow
def test_a_page_that_renews_itself_is_read_on_where_one_was(visitor: Any, tmp_path: Path) -> None:
    write_snapshot(tmp_path, make_snapshot(rows=900, stories=90), max_points=1000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    page.click("#more")
    page.evaluate("document.getElementById('list').scrollTop = 3000")
    write_snapshot(tmp_path, make_snapshot(rows=910, stories=90, run=2), max_points=1000)
    page.wait_for_selector("html[data-run='2'][data-ready=yes]", timeout=15_000, state="attached")
    assert page.evaluate("document.getElementById('list').scrollTop") == 3000


def test_an_exported_page_works_alone(visitor: Any, pages: Path, tmp_path: Path) -> None:
    page = visitor.visit(export_page(pages, 1, tmp_path / "sent.html").as_uri())
    assert coloured(pixels(page)) > 3000
    assert page.eval_on_selector_all("header a", "all => all.filter(e => e.checkVisibility()).length") == 0


def test_a_page_opened_as_a_file_links_to_the_pages_of_stories_that_lie_beside_it(visitor: Any, tmp_path: Path) -> None:
    snapshot = make_snapshot()
    parents = pd.Series([[98, 99], [], [], [], [], []], dtype=object)
    story_path(tmp_path, 98).write_text("once listed")
    write_snapshot(tmp_path, replace(snapshot, stories=snapshot.stories.assign(parents=parents)), max_points=1000)
    page = visitor.visit((tmp_path / "latest.html").as_uri() + "#story=0")
    expect(page.locator("#story .kin")).to_have_text("from story 98, story 99")
    assert page.eval_on_selector_all("#story .kin a", "all => all.map(a => a.getAttribute('href'))") == [
        "story-98.html"
    ]
    expect(page.get_by_role("link", name="its own page")).to_have_attribute("href", "story-0.html")
