"""The map itself: points, titles, cards, keys."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from clustering.pages.colours import QUIET, chosen_rows, colour
from clustering.pages.run_page import Snapshot, write_snapshot
from tests.harness.screen import box_of, circle, coloured, drag, hash_of, pixels, place_of, titles_on
from tests.harness.snapshots import make_snapshot

pytestmark = pytest.mark.browser


def test_points_are_drawn_in_the_colours_of_their_stories_in_both_themes(page: Page) -> None:
    assert coloured(pixels(page)) > 3000
    labels = make_snapshot(rows=300, run=2).headlines["cluster_label"]
    for theme in ("light", "dark"):
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        assert page.evaluate("map.data[0].marker.color") == [colour(int(label), theme) for label in labels]
        page.click("#theme")


@pytest.mark.parametrize(
    ("rows", "stories"),
    [pytest.param(40, 1, marks=pytest.mark.slow), (1500, 150), pytest.param(6000, 700, marks=pytest.mark.slow)],
)
def test_however_many_stories_there_are_they_are_one_trace(
    visitor: Any, tmp_path: Path, rows: int, stories: int
) -> None:
    write_snapshot(tmp_path, make_snapshot(rows=rows, stories=stories), max_points=10_000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    assert page.evaluate("map.data.length") == 1
    assert page.evaluate("map.data[0].type") == ("scattergl" if rows > 5000 else "scatter")


@pytest.mark.parametrize(
    ("wide", "high", "fewest"), [(1280, 800, 10), pytest.param(390, 844, 3, marks=pytest.mark.slow)]
)
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("rows", "stories", "most"),
    [
        pytest.param(600, 6, 60, marks=pytest.mark.slow),
        (3000, 150, 400),
        pytest.param(9000, 60, 5500, marks=pytest.mark.slow),
    ],
)
def test_where_points_are_left_out_one_trace_of_rings_marks_the_median_of_all_headlines_of_each_story(
    visitor: Any, tmp_path: Path, rows: int, stories: int, most: int
) -> None:
    snapshot = _skewed(make_snapshot(rows=rows, stories=stories))
    write_snapshot(tmp_path, snapshot, max_points=most)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    assert page.evaluate("map.data.map(trace => [trace.type, trace.x.length])") == [
        ["scattergl" if most > 5000 else "scatter", length] for length in (most, stories)
    ]
    inside = snapshot.headlines[snapshot.headlines["cluster_label"] >= 0]
    medians = inside.groupby("cluster_label")[["x", "y"]].median()
    sizes = inside["cluster_label"].value_counts()
    order = sorted(medians.index, key=lambda label: (-sizes[label], label))  # as listed: the largest first
    rings = np.array(page.evaluate("[map.data[1].x, map.data[1].y]")).T
    np.testing.assert_allclose(rings, medians.loc[order], atol=0.001)
    of_drawn = inside.loc[np.intersect1d(chosen_rows(snapshot.headlines, most), inside.index)]
    assert (of_drawn.groupby("cluster_label")["x"].median() > medians["x"] + 0.1).any()  # those drawn have others
    for theme in ("light", "dark"):
        told = page.evaluate("map.data[1].marker.color")
        own = [one == colour(int(label), theme) for one, label in zip(told, order, strict=True)]
        assert sum(own) == min(stories, 40)  # so many stories have a colour at once
        assert {one for one, has in zip(told, own, strict=True) if not has} <= {QUIET[theme]}
        page.click("#theme")


@pytest.mark.slow
def test_a_ring_names_its_story_and_a_click_on_it_opens_the_story(visitor: Any, tmp_path: Path) -> None:
    snapshot = make_snapshot(rows=600, stories=6)
    write_snapshot(tmp_path, snapshot, max_points=60)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    titles = snapshot.stories.set_index("cluster_label")["title"]
    numbers = [
        int(entry) for entry in page.eval_on_selector_all("[data-story]", "all => all.map(e => e.dataset.story)")
    ]
    at = _lone_ring(page)
    x, y = place_of(page, at, trace=1)
    page.mouse.move(x - 3, y)
    page.mouse.move(x, y)
    expect(page.locator("#card strong")).to_have_text(titles[numbers[at]])
    expect(page.locator("#card strong a")).to_have_count(0)  # it is no headline's card
    page.mouse.click(x, y)
    expect(page.locator("#story")).to_contain_text(f"Story {numbers[at]} ·")
    opacity = page.evaluate("map.data[1].marker.opacity")
    assert [place for place, strength in enumerate(opacity) if strength > 0.5] == [at]


@pytest.mark.slow
def test_the_lasso_lists_headlines_and_no_rings_which_are_as_before_when_it_is_put_away(
    visitor: Any, tmp_path: Path
) -> None:
    write_snapshot(tmp_path, make_snapshot(rows=600, stories=6), max_points=60)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    circle(page, 0.01, 0.01, 0.99, 0.99)
    expect(page.locator("#selection h2")).to_have_text("60 headlines selected")
    page.click("#close-selection")
    for _ in range(100):
        if page.evaluate("map.data.map(trace => trace.selectedpoints ?? null)") == [None, None]:
            return
        page.wait_for_timeout(100)
    raise AssertionError("rings or points stay as the lasso left them")


@pytest.mark.slow
def test_rings_of_stories_that_filters_leave_out_are_faded(visitor: Any, tmp_path: Path) -> None:
    snapshot = make_snapshot(rows=600, stories=6)
    labels = snapshot.headlines["cluster_label"]
    snapshot.headlines["language"] = np.where(labels == 4, "de", "en")
    write_snapshot(tmp_path, snapshot, max_points=60)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    numbers = [
        int(entry) for entry in page.eval_on_selector_all("[data-story]", "all => all.map(e => e.dataset.story)")
    ]
    page.select_option("#language", "de")
    expect(page.locator("#stories [data-story]")).to_have_count(1)
    opacity = page.evaluate("map.data[1].marker.opacity")
    assert [number for number, strength in zip(numbers, opacity, strict=True) if strength > 0.5] == [4]


def test_the_buttons_are_not_covered_by_what_is_said_of_those_left_out(visitor: Any, tmp_path: Path) -> None:
    write_snapshot(tmp_path, make_snapshot(rows=1500), max_points=1000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    for wide in (1440, 1024, 760, 390):
        page.set_viewport_size({"width": wide, "height": 800})
        tools, said = box_of(page, "#tools"), box_of(page, "#left-out")
        beside = said["x"] >= tools["x"] + tools["width"]
        assert beside or said["y"] + said["height"] <= tools["y"] or tools["y"] + tools["height"] <= said["y"]


def _skewed(snapshot: Snapshot) -> Snapshot:
    """The most probable half of each story, which is drawn first, far right of the other."""
    headlines = snapshot.headlines
    probable = headlines.groupby("cluster_label")["label_probability"].rank(pct=True) > 0.6
    headlines.loc[probable & (headlines["cluster_label"] >= 0), "x"] += 30.0
    return snapshot


def _lone_ring(page: Page) -> int:
    """A ring that no title lies over, and whose middle is in no point."""
    points = np.array([place_of(page, row) for row in range(60)])
    for at in range(6):
        x, y = place_of(page, at, trace=1)
        under = any(
            left - 3 < x < right + 3 and top - 3 < y < bottom + 3 for left, top, right, bottom in titles_on(page)
        )
        if not under and np.linalg.norm(points - (x, y), axis=1).min() > 5:
            return at
    raise AssertionError("every ring lies under a title or on a point")
