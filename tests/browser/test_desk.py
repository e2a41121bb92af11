"""A day's work at the page: what is looked for is found, counted rightly, and led back from."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from clustering.pages import page_file
from clustering.pages.index_page import write_index
from clustering.pages.run_page import write_snapshot
from tests.browser.conftest import Visitor
from tests.harness.snapshots import make_snapshot

pytestmark = pytest.mark.browser

ARABIC, HEBREW, JAPANESE = "زلزال يضرب الساحل", "רעידת אדמה בחוף", "海岸で強い地震"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 300 headlines in six stories; one has closed, another is titled in Arabic."""
    directory = tmp_path_factory.mktemp("desk")
    snapshot = make_snapshot(rows=300)
    headlines, stories = snapshot.headlines, snapshot.stories
    for row, title, language in ((1, ARABIC, "ar"), (2, HEBREW, "he"), (3, JAPANESE, "ja")):
        headlines.loc[row, "title"], headlines.loc[row, "language"] = title, language
    stories.loc[1, "title"] = ARABIC
    stories["events"] = [["closed"], *stories["events"][1:]]
    stories.loc[0, "status"] = "closed"
    snapshot.facts["parameters"] = {f"clustering.number_{n}": n for n in range(30)}  # type: ignore[index]
    write_snapshot(directory, snapshot, max_points=1000)
    write_index(directory)
    return directory


@pytest.fixture(scope="module")
def shared(browser: Browser, place: Path) -> Iterator[Visitor]:
    """One page for all tests of this file; at the end nothing may have been complained about."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, timezone_id="Asia/Tokyo", locale="en-GB")
    visitor = Visitor(context.new_page())
    visitor.visit((place / "run-000001.html").as_uri())
    yield visitor
    context.close()
    assert not visitor.complaints


@pytest.fixture
def desk(shared: Visitor, place: Path) -> Page:
    """The page as it is first seen."""
    return shared.visit((place / "run-000001.html").as_uri() + "?" + str(id(object())))


def opened(page: Page, number: int) -> None:
    page.click(f"[data-story='{number}']")
    expect(page.locator("#story")).to_be_visible()


def test_a_lasso_that_ends_where_it_began_opens_no_story(desk: Page) -> None:
    desk.click("#lasso")
    label = desk.locator("#labels > span:not([hidden])").first.bounding_box()
    assert label is not None
    x, y = label["x"] + label["width"] / 2, label["y"] + label["height"] / 2
    desk.mouse.move(x, y)
    desk.mouse.down()
    for right, lower in ((150, 0), (150, 150), (-150, 150), (-150, -150), (0, -150), (2, 2)):
        desk.mouse.move(x + right, y + lower, steps=3)
    desk.mouse.up()
    expect(desk.locator("#selection")).to_be_visible()
    assert "story=" not in desk.url


def test_back_leads_from_a_story_to_the_list_and_forward_to_it_again(desk: Page) -> None:
    opened(desk, 3)
    expect(desk).to_have_url(re.compile("story=3"))
    desk.go_back()
    expect(desk.locator("#list")).to_be_visible()
    assert "run-000001.html" in desk.url
    desk.go_forward()
    expect(desk.locator("#story")).to_contain_text("Story 3")


def test_an_open_story_tells_how_many_of_its_headlines_match(desk: Page) -> None:
    opened(desk, 3)
    whole = desk.locator("#story .headlines li").count()
    desk.select_option("#language", "de")
    some = desk.locator("#story .headlines li").count()
    assert 0 < some < whole
    expect(desk.locator("#story .matching")).to_have_text(f"{some} of {whole} match")


def test_bars_of_what_matches_stand_over_those_of_all(desk: Page) -> None:
    height = "all => all.reduce((sum, bar) => sum + Number(bar.getAttribute('height')), 0)"
    total = desk.eval_on_selector_all("#histogram rect:not(.in)", height)
    assert desk.eval_on_selector_all("#histogram rect.in", height) == pytest.approx(total, rel=0.01)
    desk.select_option("#language", "de")
    german = desk.eval_on_selector_all("#histogram rect.in", height)
    assert 0 < german < total / 2
    opened(desk, 3)
    assert 0 < desk.eval_on_selector_all("#histogram rect.in", height) < german
    assert desk.eval_on_selector_all("#histogram rect:not(.in)", height) == total


def test_list_takes_the_open_storys_headlines_alone(desk: Page) -> None:
    opened(desk, 3)
    whole = desk.locator("#story .headlines li").count()
    desk.click("#in-view")
    expect(desk.locator("#selection h2")).to_have_text(f"{whole} headlines selected")
    assert set(desk.locator("#selection tbody td:nth-child(2)").all_text_contents()) == {"3"}


def test_the_total_counts_open_stories_with_and_without_a_filter(desk: Page) -> None:
    expect(desk.locator("#count")).to_have_text("5 stories, 1 closing")
    desk.select_option("#language", "en")
    expect(desk.locator("#count")).to_have_text("5 of 5 stories, 1 closing")  # all six are listed


def test_every_headline_is_in_its_own_language_and_direction(desk: Page) -> None:
    opened(desk, 1)
    title = desk.locator("#story h2 bdi")
    assert (title.get_attribute("dir"), title.get_attribute("lang")) == ("auto", "ar")
    assert title.evaluate("e => getComputedStyle(e).direction") == "rtl"
    bare = "all => all.filter(e => !e.querySelector('bdi[dir=auto][lang]')).length"
    assert desk.eval_on_selector_all("#story .headlines li", bare) == 0
    desk.fill("#query", JAPANESE)
    found = desk.locator("#found li bdi")
    expect(found).to_have_text([JAPANESE])
    assert "CJK JP" in found.evaluate("e => getComputedStyle(e).fontFamily")


def test_a_story_that_is_off_the_screen_is_flown_to(desk: Page) -> None:
    desk.evaluate("document.getElementById('map').focus()")
    for _ in range(4):
        desk.keyboard.press("+")
    left, right = desk.evaluate("map.layout.xaxis.range")
    numbers = [int(n or 0) for n in desk.eval_on_selector_all("[data-story]", "all => all.map(e => e.dataset.story)")]
    data = page_file.data(desk.content())
    assert data is not None
    places = {story["number"]: story["place"] for story in data["stories"] if story["place"]}
    far = max((n for n in numbers if n in places), key=lambda n: abs(places[n][0] - (left + right) / 2))
    opened(desk, far)
    desk.wait_for_function("([x]) => map.layout.xaxis.range[0] < x && x < map.layout.xaxis.range[1]", arg=places[far])


def test_zooming_out_ends_at_the_whole_map(desk: Page) -> None:
    whole = desk.evaluate("map.layout.xaxis.range")
    desk.locator("#map").focus()
    for _ in range(4):
        desk.keyboard.press("-")
    desk.wait_for_timeout(0)
    assert desk.evaluate("map.layout.xaxis.range") == pytest.approx(whole)


def test_there_is_one_clock_whose_zone_is_said(desk: Page) -> None:
    expect(desk.locator("#freshness")).to_contain_text(re.compile(r"newest headline \d+ \w+, \d\d:\d\d \(GMT\+9\)"))


def test_a_time_in_summer_is_in_the_zone_of_summer_in_winter_too(browser: Browser, place: Path) -> None:
    context = browser.new_context(timezone_id="Europe/Berlin", locale="en-GB")
    page = context.new_page()
    page.clock.set_fixed_time("2026-12-01T12:00:00Z")
    page.goto((place / "run-000001.html").as_uri() + "#since=24h")
    expect(page.locator("#newest")).to_have_text(" · newest headline 22 Sept, 16:13 (CEST)")
    expect(page.locator("#since-told")).to_contain_text("(CEST)")
    context.close()


def test_a_storys_timeline_is_its_own_life_and_a_bar_chooses_its_time(desk: Page) -> None:
    opened(desk, 3)
    whole = desk.locator("#story .headlines li").count()
    ends = desk.locator("#story figcaption span").all_text_contents()
    times = [text.split(" · ")[1] for text in desk.locator("#story .headlines .meta").all_text_contents()]
    assert ends == [times[-1], times[0]]
    bars = desk.locator("#story svg rect.leads")
    bars.nth(1).click()
    some = desk.locator("#story .headlines li").count()
    assert 0 < some < whole
    expect(desk.locator("#story .matching")).to_have_text(f"{some} of {whole} match")


def test_counts_stand_in_one_line(desk: Page) -> None:
    desk.select_option("#language", "de")
    lines = (
        "all => all.map(e => Math.round(e.getBoundingClientRect().height / parseFloat(getComputedStyle(e).lineHeight)))"
    )
    assert set(desk.eval_on_selector_all("#stories .size", lines)) == {1}
    assert "/" in desk.locator("#stories .size").first.inner_text()


def test_what_a_search_finds_has_headings(desk: Page) -> None:
    desk.fill("#query", "headline 1")
    expect(desk.locator("#found h3")).to_have_text(re.compile(r"^\d+ headlines$"))
    desk.fill("#query", "storm")
    expect(desk.locator("#stories-found")).to_have_text("Stories")


def test_names_of_buttons_begin_with_words_and_targets_are_large_enough(desk: Page) -> None:
    small = """all => all.filter(e => e.checkVisibility() && !e.classList.contains('plain')).filter(e => {
        const box = e.getBoundingClientRect(); return box.width < 24 || box.height < 24; }).map(e => e.outerHTML)"""
    opened(desk, 3)
    for shown in ("#story", "#selection", "#list"):
        assert desk.eval_on_selector_all("button, select, summary, .button", small) == [], shown
        for button in desk.get_by_role("button").all():
            name = button.get_attribute("aria-label") or button.evaluate(
                "e => [...e.childNodes].filter(n => n.ariaHidden !== 'true').map(n => n.textContent).join('').trim()"
            )
            assert re.match(r"\w", name), name
        desk.click("#in-view") if shown == "#story" else desk.keyboard.press("Escape")


@pytest.mark.parametrize(("end", "bin_"), [("from", 12), ("to", 30)])
def test_an_end_of_the_time_can_be_grasped_in_a_square_of_24_pixels(desk: Page, end: str, bin_: int) -> None:
    desk.locator(f"#{end}").fill(str(bin_))
    box = desk.locator("#histogram").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * bin_ / 48, box["y"] + box["height"]
    grasped = "([x, y]) => document.elementFromPoint(x, y)?.id"
    corners = [(x + right, y + lower) for right in (-11, 11) for lower in (-11, 11)]
    assert {desk.evaluate(grasped, corner) for corner in corners} == {end}
    assert desk.evaluate(grasped, (x - 14, y - 4)) == desk.evaluate(grasped, (x + 14, y - 4)) == "histogram"


def test_arrows_lead_from_the_search_into_what_it_finds(desk: Page) -> None:
    desk.fill("#query", "storm")
    expect(desk.locator("#stories-found")).to_be_visible()
    desk.keyboard.press("ArrowDown")
    assert desk.evaluate("document.activeElement.dataset.story") is not None
    desk.keyboard.press("ArrowUp")
    assert desk.evaluate("document.activeElement.id") == "query"


def test_the_theme_button_tells_its_state(desk: Page) -> None:
    theme = desk.get_by_role("button", name="Dark theme")
    expect(theme).to_have_attribute("aria-pressed", "false")
    theme.click()
    expect(theme).to_have_attribute("aria-pressed", "true")


def test_four_lines_say_how_to_read_the_map(desk: Page) -> None:
    desk.get_by_role("button", name="How to read the map").click()
    expect(desk.locator("#how li")).to_have_count(4)
    desk.keyboard.press("Escape")
    expect(desk.locator("#how")).to_be_hidden()


def test_the_foots_parameters_lie_behind_details(desk: Page) -> None:
    desk.locator("footer > details > summary").click()
    expect(desk.get_by_text("clustering.number 7:")).to_be_hidden()
    desk.locator("footer details details summary").click()
    expect(desk.locator("footer details details dt")).to_have_count(30)
    expect(desk.locator("footer details details dt").first).to_be_visible()


def test_the_map_says_that_it_is_drawing_until_it_is_drawn(visitor: Visitor, place: Path) -> None:
    page, held = visitor.page, list[Route]()
    page.route("**/plotly.min.js", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks its handlers
    with page.expect_request("**/plotly.min.js"):
        page.goto((place / "run-000001.html").as_uri(), wait_until="commit")
    expect(page.locator("#drawing")).to_be_visible()
    expect(page.locator("#drawing")).to_have_text("drawing …")
    held[0].continue_()
    expect(page.locator("html[data-ready=yes] #drawing")).to_be_hidden()


def test_without_javascript_the_largest_stories_are_there(browser: Browser, place: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page: Any = context.new_page()
    page.goto((place / "run-000001.html").as_uri())
    expect(page.locator("noscript li, .largest li")).to_have_count(5)
    expect(page.locator(".largest li").first).to_be_visible()
    expect(page.locator("button, input, select").filter(visible=True)).to_have_count(0)  # they would do nothing
    context.close()
    text = (place / "run-000001.html").read_text()
    data = page_file.data(text)
    assert data is not None
    gone = data["stories"][0]["title"]
    data["stories"][0]["title"] = "taken down"
    assert gone in text.partition('id="data"')[0]
    assert gone not in page_file.with_data(text, data).partition('id="data"')[0]
