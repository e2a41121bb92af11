"""A story's own page in a real browser: nothing runs, nothing is fetched, links lead both ways, and it fits a phone."""

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from clustering.pages.story_page import write_story
from tests.harness.stories import NASTY, made

pytestmark = pytest.mark.browser

TITLES = [NASTY, "العاصفة تضرب هامبورغ", "Sturmflut in Hamburg: Scheitel bei 2,9 Metern", NASTY.upper()]


@pytest.mark.parametrize("width", [390, 1280])
def test_a_storys_page_is_read_by_anyone_and_does_nothing_by_itself(visitor: Any, tmp_path: Path, width: int) -> None:
    story = made(TITLES)
    story["sources"][1]["source"] = "Internationale Depeschenagentur"
    write_story(tmp_path, story, beside=[1, 3, 4])
    write_story(tmp_path, {**story, "number": 1}, beside=[1, 3, 4])
    page = visitor.page
    page.set_viewport_size({"width": width, "height": 844})
    page.goto((tmp_path / "story-3.html").as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text(NASTY)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    lines = "e => e.getBoundingClientRect().height / parseFloat(getComputedStyle(e).lineHeight)"
    assert page.get_by_role("columnheader", name="Headlines", exact=True).evaluate(lines) < 2  # no word is broken
    assert page.locator("#headlines > li").count() == 3  # the copy lies below its first
    assert page.locator("#headlines").get_by_text("العاصفة").evaluate("e => getComputedStyle(e).direction") == "rtl"
    violations = Axe().run(page).response["violations"]
    assert [one["id"] for one in violations] == []
    page.get_by_role("link", name="The parent").click()
    expect(page.get_by_text("Story 1", exact=True)).to_be_visible()
    page.get_by_role("link", name="The child").first.focus()
    page.emulate_media(media="print")
    expect(page.locator("header")).to_be_hidden()
