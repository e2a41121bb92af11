"""The map itself: points, titles, cards, keys."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

sys.path.insert(0, str(Path(__file__).parents[1]))

from screen import box_of, coloured, drag, hash_of, pixels, place_of, titles_on
from test_snapshot import make_snapshot

from clustering.drawing import colour
from clustering.snapshot import write_snapshot

pytestmark = pytest.mark.browser


def test_points_are_drawn_in_the_colours_of_their_stories_in_both_themes(page: Page) -> None:
    assert coloured(pixels(page)) > 3000
    labels = make_snapshot(rows=300, run=2).headlines["cluster_label"]
    for theme in ("light", "dark"):
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        assert page.evaluate("map.data[0].marker.color") == [colour(int(label), theme) for label in labels]
        page.click("#theme")


@pytest.mark.parametrize(("rows", "stories"), [(40, 1), (1500, 150), (6000, 700)])
def test_however_many_stories_there_are_they_are_one_trace(
    visitor: Any, tmp_path: Path, rows: int, stories: int
) -> None:
    write_snapshot(tmp_path, make_snapshot(rows=rows, stories=stories), max_points=10_000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    assert page.evaluate("map.data.length") == 1
    assert page.evaluate("map.data[0].type") == ("scattergl" if rows > 5000 else "scatter")


@pytest.mark.parametrize(("wide", "high", "fewest"), [(1280, 800, 10), (390, 844, 3)])
def test_titles_cover_neither_each_other_nor_the_buttons_while_one_zooms_and_drags(
    visitor: Any, tmp_path: Path, wide: int, high: int, fewest: int
) -> None:
    write_snapshot(tmp_path, make_snapshot(rows=1500, stories=150), max_points=1400)  # so that it says what is left out
    visitor.page.set_viewport_size({"width": wide, "height": high})
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    expect(page.locator("#left-out")).to_be_visible()
    box = box_of(page, "#map")
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def none_covered() -> None:
        titles = titles_on(page)
        assert len(titles) >= fewest
        others = [box_of(page, selector) for selector in ("#tools", "#left-out")]
        boxes = titles + [[o["x"], o["y"], o["x"] + o["width"], o["y"] + o["height"]] for o in others]
        for at, (left, top, right, bottom) in enumerate(titles):
            assert not any(left < d and right > a and top < e and bottom > b for a, b, d, e in boxes[at + 1 :])

    none_covered()
    page.mouse.move(*middle)
    for _ in range(6):
        page.mouse.wheel(0, -120)
        none_covered()
    drag(page, (middle[0], middle[1]), (middle[0] - 90, middle[1] + 70))
    none_covered()
    page.locator("#map").focus()
    for key in ("-", "-", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
        page.wait_for_timeout(100)
        none_covered()


def test_more_labels_appear_as_one_zooms(visitor: Any, tmp_path: Path) -> None:
    write_snapshot(tmp_path, make_snapshot(rows=1500, stories=150), max_points=5000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    names = "all => all.map(e => e.textContent)"
    before = set(page.eval_on_selector_all("#labels span", names))
    page.locator("#map").focus()
    for _ in range(4):
        page.keyboard.press("+")
        page.wait_for_timeout(100)
    assert set(page.eval_on_selector_all("#labels span", names)) - before
    assert "view=" in hash_of(page)
    page.keyboard.press("0")
    page.wait_for_timeout(100)
    assert set(page.eval_on_selector_all("#labels span", names)) == before


def test_a_story_opens_from_its_label_on_the_map(page: Page) -> None:
    box = page.locator("#labels span").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#story")).to_be_visible()


def test_a_point_shows_its_headline_and_a_click_keeps_the_card(page: Page) -> None:
    headlines = make_snapshot(rows=300, run=2).headlines
    row = _lone_row(page)
    x, y = place_of(page, row)
    page.mouse.move(x - 3, y)
    page.mouse.move(x, y)
    card = page.locator("#card")
    expect(card).to_be_visible()
    told = headlines.iloc[row]
    when = page.evaluate(
        "ms => new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })"
        ".format(new Date(ms))",
        int(told["published_at"]),
    )
    expect(card.locator("strong")).to_have_text(told["title"])
    expect(card.locator("span")).to_have_text(f"{told['source']} · {when} · {told['language']}")
    expect(card.locator("button")).to_contain_text(f"Story {told['cluster_label']}: ")
    assert card.locator("a").get_attribute("href") == told["url"]
    page.mouse.click(x, y)
    expect(card).to_have_class("pinned")
    expect(page.locator("#story")).to_contain_text(f"Story {told['cluster_label']} ·")


def test_a_point_that_filters_leave_out_is_neither_shown_nor_opened(page: Page) -> None:
    row = _lone_row(page, language="en")
    page.select_option("#language", "de")
    expect(page.locator("#stories .size").first).to_contain_text("/")
    x, y = place_of(page, row)
    page.mouse.move(x - 3, y)
    page.mouse.move(x, y)
    page.mouse.click(x, y)
    page.wait_for_timeout(300)
    expect(page.locator("#card")).to_be_hidden()
    expect(page.locator("#list")).to_be_visible()


def test_a_click_on_a_title_that_lies_over_a_point_opens_the_titles_story(visitor: Any, tmp_path: Path) -> None:
    snapshot = make_snapshot(
        rows=1000, stories=2
    )  # story 0 in the middle, and points of story 1 wherever its title may be
    headlines = snapshot.headlines
    ours = np.arange(1000) < 40
    grid = np.stack(np.meshgrid(np.linspace(-20, 20, 40), np.linspace(-12, 12, 24)), axis=-1).reshape(-1, 2)
    headlines["cluster_label"] = np.where(ours, 0, 1)
    headlines.loc[~ours, ["x", "y"]] = grid
    headlines.loc[ours, ["x", "y"]] = 0.1
    write_snapshot(tmp_path, snapshot, max_points=5000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    title = snapshot.stories.set_index("cluster_label").loc[0, "title"]
    left, top, right, bottom = titles_on(page)[page.locator("#labels span").all_text_contents().index(title)]
    under = [place_of(page, row) for row in range(40, 1000)]
    x, y = next((x, y) for x, y in under if left + 4 < x < right - 4 and top + 4 < y < bottom - 4)
    page.mouse.move(x, y)
    page.mouse.click(x, y)
    expect(page.locator("#story")).to_contain_text("Story 0 ·")
    page.wait_for_timeout(300)
    expect(page.locator("#story")).to_contain_text("Story 0 ·")
    page.mouse.click(*place_of(page, 45))  # a point beside it still opens its own
    expect(page.locator("#story")).to_contain_text("Story 1 ·")


def _lone_row(page: Page, language: str | None = None) -> int:
    """A row in a story that neither a title nor another point lies over."""
    labels = titles_on(page)
    headlines = make_snapshot(rows=300, run=2).headlines
    places = np.array([place_of(page, row) for row in range(300)])
    for row, (x, y) in enumerate(places):
        under = any(left - 9 < x < right + 9 and top - 9 < y < bottom + 9 for left, top, right, bottom in labels)
        spoken = language in (None, headlines["language"].iloc[row])
        if row % 7 and spoken and not under and (np.linalg.norm(places - (x, y), axis=1) < 18).sum() == 1:
            return row
    raise AssertionError("every point lies under another or under a label")


def test_arrow_keys_move_the_map_and_plus_and_minus_zoom(page: Page) -> None:
    def view() -> Any:
        page.wait_for_timeout(150)
        return page.evaluate("[...map.layout.xaxis.range, ...map.layout.yaxis.range]")

    left, right, bottom, top = view()
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    moved = view()
    assert moved[0] > left
    assert moved[2] > bottom
    assert moved[1] - moved[0] == pytest.approx(right - left)
    page.keyboard.press("+")
    near = view()
    assert near[1] - near[0] == pytest.approx(0.7 * (right - left))
    page.keyboard.press("-")
    far = view()
    assert far[3] - far[2] == pytest.approx(0.98 * (top - bottom))
    page.keyboard.press("0")
    assert view() == pytest.approx([left, right, bottom, top])


def test_many_headlines_are_drawn_with_webgl_over_the_shade_of_those_left_out(visitor: Any, tmp_path: Path) -> None:
    write_snapshot(tmp_path, make_snapshot(rows=20_000, stories=500), max_points=8_000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    expect(page.locator("#left-out")).to_contain_text("8,000 of 20,000 headlines are drawn")
    assert coloured(pixels(page)) > 3000
    expect(page.locator("#map image")).to_have_count(1)
