"""Beside the map: search, filters, the list of stories and one of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from clustering.pages.run_page import write_snapshot
from tests.harness.screen import box_of, coloured, drag, hash_of, pixels
from tests.harness.snapshots import HOUR, make_snapshot

pytestmark = pytest.mark.browser


def test_search_finds_headlines_and_stories_whatever_the_accents(page: Page) -> None:
    expect(page.locator("#stories button")).to_have_count(6)
    page.fill("#query", "olpest leuchtturm")
    expect(page.locator("#stories button")).to_have_count(1)
    expect(page.locator("#found li")).to_have_count(1)
    assert "q=olpest" in hash_of(page)
    page.fill("#query", "no such thing")
    expect(page.locator("#stories")).to_contain_text("No story matches")
    page.keyboard.press("Escape")
    expect(page.locator("#stories button")).to_have_count(6)


def test_a_map_without_headlines_says_how_to_send_some_and_shows_no_time(visitor: Any, tmp_path: Path) -> None:
    write_snapshot(tmp_path, make_snapshot(rows=0), max_points=1000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    expect(page.locator("#stories")).to_contain_text("newstide produce FILE")
    expect(page.locator("#time")).to_be_hidden()


def test_filters_leave_what_matches(page: Page) -> None:
    whole = coloured(pixels(page))
    page.select_option("#language", "de")
    expect(page.locator("#stories .size").first).to_contain_text("/")
    assert coloured(pixels(page)) < whole
    page.select_option("#language", "")
    page.select_option("#source", "Paper 1")
    expect(page.locator("#stories .size").first).to_contain_text("/")
    page.select_option("#source", "")
    page.locator("#to").fill("24")
    expect(page.locator("#stories .size").first).to_contain_text("/")
    assert "time=" in hash_of(page)


def test_a_drag_across_the_histogram_chooses_a_time(page: Page) -> None:
    whole = coloured(pixels(page))
    box = box_of(page, "#histogram")
    middle = box["y"] + box["height"] / 3
    drag(page, (box["x"] + box["width"] * 0.74, middle), (box["x"] + box["width"] * 0.26, middle))
    assert (page.input_value("#from"), page.input_value("#to")) == ("12", "36")
    expect(page.locator("#histogram rect.in")).to_have_count(24)
    expect(page.locator("#stories .size").first).to_contain_text("/")
    assert coloured(pixels(page)) < whole
    begin, end = (int(number) for number in hash_of(page).split("time=")[1].split("-"))
    assert abs((end - begin) / HOUR - 12) < 0.1  # half of a day
    page.mouse.dblclick(box["x"] + 5, middle)
    expect(page.locator("#stories .size").first).not_to_contain_text("/")
    assert "time=" not in hash_of(page)


@pytest.mark.slow
def test_the_ends_of_the_time_are_dragged(page: Page) -> None:
    box = box_of(page, "#to")
    low = box["y"] + box["height"] / 2
    drag(page, (box["x"] + box["width"] - 8, low), (box["x"] + box["width"] / 2, low))
    assert page.input_value("#to") == "24"
    expect(page.locator("#stories .size").first).to_contain_text("/")


@pytest.mark.parametrize(
    ("menu", "column", "choice"), [("#language", "language", "de"), ("#source", "source", "Paper 1")]
)
def test_a_filter_counts_what_it_leaves(page: Page, menu: str, column: str, choice: str) -> None:
    headlines = make_snapshot(rows=300, run=2).headlines
    left = headlines[(headlines[column] == choice) & (headlines["cluster_label"] >= 0)]
    page.select_option(menu, choice)
    expect(page.locator("#stories .size").first).to_contain_text("/")
    texts = page.locator("#stories .size").all_text_contents()
    assert sum(int(text.split("/")[0]) for text in texts) == len(left)
    assert f"{choice}" in hash_of(page).replace("+", " ")
    page.select_option(menu, "")
    expect(page.locator("#stories .size").first).not_to_contain_text("/")


def test_stories_carry_badges_and_sort_by_growth(visitor: Any, tmp_path: Path) -> None:
    snapshot = make_snapshot(rows=300)
    stories = snapshot.stories
    stories["size"] = [50, 45, 40, 35, 30, 0]
    stories["previous_size"] = [0, 45, 20, 34, 35, 9]
    stories["events"] = pd.Series([["born"], [], ["grown", "merged"], ["born"], ["split"], ["closed"]], dtype=object)
    stories["parents"] = pd.Series([[], [], [], [4], [], []], dtype=object)
    stories["status"] = ["open"] * 5 + ["closed"]
    stories["successor"] = [-1] * 5 + [2]
    write_snapshot(tmp_path, snapshot, max_points=1000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())

    def badges(number: int) -> list[str]:
        texts: list[str] = page.locator(f"[data-story='{number}'] .badge").all_text_contents()
        return texts

    assert [badges(number) for number in range(6)] == [
        ["new"],
        [],
        ["growing +20", "merged from 5"],
        ["split from 4"],
        ["split"],
        ["went into 2"],
    ]
    expect(page.locator("#count")).to_have_text("5 stories, 1 closing")
    numbers = "all => all.map(e => Number(e.dataset.story))"
    assert page.eval_on_selector_all("#stories button", numbers) == [0, 1, 2, 3, 4, 5]
    page.select_option("#sort", "growth")
    assert page.eval_on_selector_all("#stories button", numbers) == [0, 2, 3, 1, 4, 5]
    assert "sort=growth" in hash_of(page)


def test_stories_that_closed_or_merged_without_a_trace_say_just_that(visitor: Any, tmp_path: Path) -> None:
    snapshot = make_snapshot(rows=60, stories=3)
    events = pd.Series([["merged"], ["closed"], []], dtype=object)
    stories = snapshot.stories.assign(events=events, status=["open", "closed", "open"])
    write_snapshot(tmp_path, replace(snapshot, stories=stories), max_points=1000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    expect(page.locator("[data-story='0'] .badge")).to_have_text("merged")
    expect(page.locator("[data-story='1'] .badge")).to_have_text("closing")
    expect(page.locator("[data-story='2'] .badge")).to_have_count(0)


@pytest.mark.parametrize(("searched", "found"), [("ZEBRA", 4), pytest.param("größter fund", 2, marks=pytest.mark.slow)])
def test_a_story_is_found_by_its_keywords_or_its_title_alone(
    visitor: Any, tmp_path: Path, searched: str, found: int
) -> None:
    snapshot = make_snapshot(rows=60)
    stories = snapshot.stories
    stories["keywords"] = pd.Series([["zebra"] if number == 4 else ["storm"] for number in range(6)], dtype=object)
    stories.loc[2, "title"] = "Größter Fund seit Jahren"
    write_snapshot(tmp_path, snapshot, max_points=1000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    page.fill("#query", searched)
    expect(page.locator("#stories button")).to_have_count(1)
    assert page.locator("#stories button").get_attribute("data-story") == str(found)
    expect(page.locator("#count")).to_have_text("1 of 6 stories, 0 headlines found")
    expect(page.locator("#found li")).to_have_count(0)


@pytest.mark.slow
def test_a_search_that_finds_many_says_so_and_shows_more(page: Page) -> None:
    headlines = make_snapshot(rows=300, run=2).headlines.drop(index=10)  # which tells of a lighthouse
    many = int((headlines["title"] + " " + headlines["source"]).str.contains(r"\b1").sum())
    assert 120 < many < 300
    page.fill("#query", "paper 1")  # both words begin so
    expect(page.locator("#count")).to_have_text(f"6 of 6 stories, {many} headlines found")
    assert page.locator("#count").get_attribute("role") == "status"
    expect(page.locator("#found h3")).to_have_text(f"{many} headlines")
    expect(page.locator("#found li")).to_have_count(60)
    expect(page.locator("#found .rest")).to_contain_text(f"60 of {many} are listed.")
    page.locator("#found .rest button").click()
    expect(page.locator("#found li")).to_have_count(120)
    expect(page.locator("#found li").nth(60).locator("a")).to_be_focused()
    page.locator("#found .rest button").click()
    expect(page.locator("#found li")).to_have_count(many)
    expect(page.locator("#found .rest")).to_be_hidden()


def test_a_story_shows_its_keywords_timeline_and_headlines_and_closes_with_escape(page: Page) -> None:
    headlines = make_snapshot(rows=300, run=2).headlines
    page.locator("[data-story='3']").click()
    story = page.locator("#story")
    expect(story.locator("h2")).to_have_text("Headline 3 of the day")
    assert story.locator(".chips span").all_text_contents() == ["storm", "harbour"]
    expect(story).to_contain_text("2 sources: Paper 1, Paper 3 · en de")
    inside = headlines[headlines["cluster_label"] == 3].sort_values("published_at", ascending=False)
    assert story.locator(".headlines a").all_text_contents() == inside["title"].tolist()
    assert {link.get_attribute("rel") for link in story.locator(".headlines a").all()} == {"noopener noreferrer"}
    counts = [int(text.split(": ")[1]) for text in story.locator("rect title").all_text_contents()]
    times = (inside["published_at"] - inside["published_at"].min()) / np.ptp(inside["published_at"])
    assert counts == np.bincount(np.minimum((times * 12).astype(int), 11), minlength=12).tolist()
    assert "story=3" in hash_of(page)
    page.keyboard.press("Escape")
    expect(page.locator("#list")).to_be_visible()


@pytest.mark.slow
def test_a_large_story_says_how_many_of_its_headlines_are_listed(visitor: Any, tmp_path: Path) -> None:
    write_snapshot(tmp_path, make_snapshot(rows=700, stories=1), max_points=1000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    page.locator("[data-story='0']").click()
    expect(page.locator("#story .rest")).to_contain_text("500 of 600 are listed.")
    page.locator("#story .rest button").click()
    expect(page.locator("#story .headlines li")).to_have_count(600)


def test_the_foot_tells_what_the_run_did(visitor: Any, tmp_path: Path) -> None:
    facts = {"model": "made up", "kept": 0.9731, "parameters": {"min_dist": 0.1}}
    write_snapshot(tmp_path, replace(make_snapshot(), facts=facts), max_points=1000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    expect(page.locator("footer > details > summary")).to_have_text(
        "Run 1 · 60 headlines in 6 stories · 97.3 % of headlines kept their story"
    )
    page.click("footer > details > summary")
    names, values = page.locator("footer dt").all_text_contents(), page.locator("footer dd").all_text_contents()
    assert dict(zip(names, values, strict=True)) == {
        "kept their story": "97.3 % of headlines",
        "model": "made up",
        "min dist": "0.1",
    }
    assert [fact.is_visible() for fact in page.locator("footer dd").all()] == [True, True, False]
    page.click("footer details details summary")
    expect(page.locator("footer dd").last).to_be_visible()


@pytest.mark.slow
def test_the_ends_of_the_time_are_told_in_words(page: Page) -> None:
    page.locator("#from").fill("12")
    began, ended = page.locator("#span").inner_text().split(" – ")
    assert page.locator("#from").get_attribute("aria-valuetext") == began
    assert page.locator("#to").get_attribute("aria-valuetext") == ended


@pytest.mark.slow
def test_the_key_that_leads_to_the_search_can_be_switched_off_for_good(page: Page) -> None:
    page.click("summary")
    page.uncheck("#slash")
    for _ in range(2):
        page.locator("#map").focus()
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "map"
        assert "/" not in (page.get_attribute("#query", "placeholder") or "")
        page.reload()
        page.wait_for_selector("html[data-ready=yes]", state="attached")
    page.click("summary")
    page.check("#slash")
    page.locator("#map").focus()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "query"


def test_the_keyboard_reaches_search_stories_and_back(page: Page) -> None:
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "query"
    page.locator("#stories button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#story")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "back"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.dataset.story") is not None
