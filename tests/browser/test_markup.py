"""Hostile headlines on a page: they stay text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from clustering.pages.index_page import write_index
from clustering.pages.run_page import Snapshot, write_snapshot
from tests.harness.screen import place_of
from tests.harness.snapshots import make_snapshot

pytestmark = pytest.mark.browser


HOSTILE = [
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<!--<script>",
    "<a href='javascript:window.hacked=1'>click</a>",
    '"><svg onload=window.hacked=1>',
    "{{ 7 * 7 }} ${window.hacked=1} %{x} $x^2$",
    "<b>bold</b><br>",
    "\u202eright to left\u202c \u2028 \u2029 \x07",
    "=cmd|' /C calc'!A0",
    "W" * 3000,
    "",
]


LINKS = [
    "javascript:window.hacked=1",
    "JaVaScRiPt:window.hacked=1",
    "data:text/html,<script>1</script>",
    "file:///",
    "",
]


def _hostile() -> Snapshot:
    snapshot = make_snapshot(rows=240)
    headlines, stories = snapshot.headlines, snapshot.stories
    texts = [HOSTILE[row % len(HOSTILE)] for row in range(240)]
    headlines["title"] = texts
    headlines["source"] = texts[::-1]
    headlines["language"] = texts[3:] + texts[:3]
    headlines["url"] = [LINKS[row % len(LINKS)] for row in range(240)]
    stories["title"] = HOSTILE[: len(stories)]
    stories["keywords"] = [HOSTILE] * len(stories)
    stories["languages"] = [HOSTILE[:3]] * len(stories)
    return Snapshot(1, snapshot.finished_at, headlines, stories, {"<b>x</b>": "<script>window.hacked = 1</script>"})


@pytest.fixture
def hostile(visitor: Any, tmp_path: Path) -> Callable[[], Page]:
    write_snapshot(tmp_path, _hostile(), max_points=1000)
    write_index(tmp_path)
    return lambda: visitor.visit((tmp_path / "latest.html").as_uri())


def test_hostile_headlines_never_run_and_are_never_links(hostile: Callable[[], Page]) -> None:
    page = hostile()
    for row in (1, 2, 10):
        page.mouse.move(*place_of(page, row))
        page.wait_for_timeout(100)
    page.fill("#query", "script")
    page.wait_for_timeout(300)
    page.fill("#query", "")
    page.wait_for_timeout(300)
    for at in range(page.locator("#stories button").count()):
        page.locator("#stories button").nth(at).click()
        page.wait_for_timeout(100)
        page.keyboard.press("Escape")
    assert page.evaluate("window.hacked") is None
    assert page.eval_on_selector_all("a", "all => all.filter(e => !/^(https?|file):/.test(e.href)).length") == 0
    assert page.locator(".headlines a, #card a").count() == 0
    assert page.locator("b, #panel img, #labels img, #story script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.goto(page.url.split("#")[0].replace("latest", "index"))
    assert page.evaluate("window.hacked") is None
