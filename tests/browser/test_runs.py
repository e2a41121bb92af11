"""The list of runs, as a reader meets it."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.harness.screen import coloured, decoded

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
