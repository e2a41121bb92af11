"""The pages on a phone, 390 pixels wide."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from clustering.pages.run_page import write_snapshot
from tests.harness.screen import box_of
from tests.harness.snapshots import make_snapshot

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_a_phone_scrolls_down_only(browser: Browser, pages: Path, theme: Any) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=theme, has_touch=True, is_mobile=True)
    for name in ("latest.html", "index.html"):
        page.goto((pages / name).as_uri())
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_on_a_phone_one_searches_opens_a_story_and_sees_it_on_the_map(phone: Any, pages: Path) -> None:
    page = phone.visit((pages / "latest.html").as_uri())
    page.fill("#query", "leuchtturm")
    expect(page.locator("#stories button")).to_have_count(1)
    page.locator("#stories button").first.tap()
    expect(page.locator("#story")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    before = page.evaluate("map.layout.xaxis.range")
    page.get_by_role("button", name="show on map").tap()
    page.wait_for_timeout(300)
    after = page.evaluate("map.layout.xaxis.range")
    assert after[1] - after[0] < before[1] - before[0]
    assert box_of(page, "#stage")["y"] < 400
    small = page.eval_on_selector_all(
        "button, select, .button",
        "all => all.map(e => e.getBoundingClientRect()).filter(b => b.width && (b.height < 24 || b.width < 24)).length",
    )
    assert small == 0  # WCAG 2.2: a target is 24 pixels wide and high


def test_on_a_phone_no_headline_of_the_whole_map_lies_under_the_buttons(phone: Any, tmp_path: Path) -> None:
    snapshot = make_snapshot(rows=100)
    snapshot.headlines["y"] *= 3  # a map higher than wide
    write_snapshot(tmp_path, snapshot, max_points=1000)
    page = phone.visit((tmp_path / "latest.html").as_uri())
    lowest = "map.getBoundingClientRect().top + map._fullLayout.yaxis.l2p(Math.min(...map.data[0].y))"
    highest = lowest.replace("min", "max")
    for _ in range(2):
        assert page.evaluate(lowest) < box_of(page, "#tools")["y"] < page.evaluate(lowest) + 60
        assert page.evaluate(highest) > box_of(page, "#stage")["y"]
        page.locator("#map").press("+")
        page.locator("#home").tap()
        page.wait_for_timeout(100)


@pytest.mark.slow
def test_on_a_phone_what_is_in_view_can_be_listed(phone: Any, pages: Path) -> None:
    page = phone.visit((pages / "latest.html").as_uri())
    page.locator("#in-view").tap()
    expect(page.locator("#selection h2")).to_have_text("300 headlines selected")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
