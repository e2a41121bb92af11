"""The list of runs, as a reader meets it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from clustering.pages.index_page import write_index
from clustering.pages.run_page import write_snapshot
from tests.harness.screen import coloured, decoded
from tests.harness.snapshots import make_snapshot

pytestmark = pytest.mark.browser


def test_the_gallery_plays_the_runs_and_leads_to_each(visitor: Any, pages: Path) -> None:
    page: Page = visitor.page
    page.goto((pages / "index.html").as_uri())
    expect(page.locator("#shown")).to_contain_text("Run 2")
    expect(page.locator("#titles bdi[dir=auto]")).to_have_count(3)
    expect(page.locator("#newest")).to_contain_text("newest headline")
    page.locator("#at").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#shown")).to_contain_text("Run 1")
    assert page.locator("#at").get_attribute("aria-valuetext") == page.locator("#shown").text_content()
    assert page.locator("#shown").get_attribute("aria-live") is None  # it would speak at every step while playing
    assert coloured(decoded(page.locator("#picture").screenshot())) > 500
    assert coloured(decoded(page.locator(".card canvas").first.screenshot())) > 100
    page.click("#play")
    expect(page.locator("#shown")).to_contain_text("Run 2")
    page.click("#visit")
    page.wait_for_url("**/run-000002.html")


def test_stories_are_named_in_the_readers_language_where_a_run_has_no_picture_too(
    browser: Browser, tmp_path: Path
) -> None:
    snapshot = make_snapshot(rows=100)
    titles = pd.Series([{"de": f"Nachricht {n}", "en": f"News {n}"} for n in range(6)], dtype=object)
    for run in (1, 2, 3):
        write_snapshot(
            tmp_path, replace(snapshot, run=run, stories=snapshot.stories.assign(titles=titles)), max_points=99
        )
    facts = tmp_path / "run-000001.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "points": []}))
    context = browser.new_context(locale="de-AT")
    page = context.new_page()
    page.goto(write_index(tmp_path).as_uri())
    expect(page.locator(".card canvas")).to_have_count(2)
    expect(page.locator("#titles bdi[lang=de]")).to_have_count(3)
    expect(page.locator(".card .titles bdi[lang=de]", has_text="Nachricht")).to_have_count(9)
    context.close()


def test_the_list_is_not_loaded_again_under_the_hands_of_a_reader(visitor: Any, pages: Path) -> None:
    page: Page = visitor.page
    page.clock.install()
    page.goto((pages / "index.html").as_uri())
    page.evaluate("window.same = true")
    page.locator(".card").last.focus()
    page.clock.run_for(130_000)
    assert page.evaluate("window.same") is True
    page.evaluate("document.activeElement.blur()")
    with page.expect_navigation():
        page.clock.run_for(61_000)
    assert page.evaluate("window.same") is None
