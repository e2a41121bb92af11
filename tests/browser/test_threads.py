"""The threads under the points, which hold a story's headlines together for the eye."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from clustering.pages.run_page import write_snapshot
from tests.harness.snapshots import make_snapshot

pytestmark = pytest.mark.browser

# How much is drawn, and how far right on average. A copy is read: reading the page's own canvas makes it a slow one.
MEASURE = """() => {
  const canvas = document.getElementById("threads");
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const pixels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
  let [ink, right] = [0, 0];
  for (let at = 3; at < pixels.length; at += 4) {
    ink += pixels[at];
    right += pixels[at] * (((at - 3) / 4) % canvas.width);
  }
  return { ink, middle: right / ink };
}"""


def opened(visitor: Any, folder: Path, fragment: str = "", **options: Any) -> Page:
    write_snapshot(folder, make_snapshot(**options), max_points=50_000)
    page: Page = visitor.visit((folder / "latest.html").as_uri() + fragment)
    return page


def ink(page: Page) -> int:
    return int(page.evaluate(MEASURE)["ink"])


def test_headlines_of_a_story_are_joined(visitor: Any, tmp_path: Path) -> None:
    assert ink(opened(visitor, tmp_path, rows=300)) > 10_000


@pytest.mark.slow
def test_an_open_story_keeps_its_threads_and_the_others_fade(visitor: Any, tmp_path: Path) -> None:
    page = opened(visitor, tmp_path, rows=300)
    before = ink(page)
    page.locator("#stories button").first.click()
    page.wait_for_timeout(300)
    assert 0 < ink(page) < before


@pytest.mark.slow
def test_rows_that_a_search_leaves_out_lose_their_threads(visitor: Any, tmp_path: Path) -> None:
    page = opened(visitor, tmp_path, rows=300)
    page.fill("#query", "nothing is called this")
    page.wait_for_timeout(500)
    assert ink(page) == 0


@pytest.mark.slow
def test_threads_follow_the_points_when_the_map_is_dragged(visitor: Any, tmp_path: Path) -> None:
    page = opened(visitor, tmp_path, rows=300)
    before = page.evaluate(MEASURE)["middle"]
    box = page.locator("#map").bounding_box()
    assert box is not None
    x, y = box["x"] + 20, box["y"] + 20  # away from the points: one could be taken for a click
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=4)
    page.mouse.up()
    page.wait_for_timeout(300)
    assert page.evaluate(MEASURE)["middle"] == pytest.approx(before + 40, abs=15)


@pytest.mark.slow
def test_a_window_without_headlines_has_no_threads(visitor: Any, tmp_path: Path) -> None:
    assert ink(opened(visitor, tmp_path, rows=0)) == 0
