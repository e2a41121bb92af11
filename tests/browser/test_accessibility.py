"""axe-core's rules on the pages, as a reader meets them."""

import itertools
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from clustering.pages.index_page import write_index
from clustering.pages.run_page import write_snapshot
from newstide.core.settings import Settings
from tests.harness.snapshots import make_snapshot
from tests.harness.web import served

pytestmark = pytest.mark.browser


# The view, and what is done there before it is looked at.
VIEWS = {
    "latest.html": "",
    "latest.html#story=3": "",
    "latest.html#q=headline&lang=de": "",
    "index.html": "",
    "latest.html#lang=en": "document.getElementById('in-view').click()",  # a selection
    "run-000001.html": "map.emit('plotly_click', { points: [{ pointIndex: 1 }], event: { clientX: 90, clientY: 250 } })",
    "run-000003.html": "document.querySelector('summary').click()",  # leaves headlines out; a story closes
    "latest.html#colour=language&since=24h": "document.getElementById('help').click()",  # a legend, and how to read it
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of three runs."""
    directory = tmp_path_factory.mktemp("pages")
    for run in (1, 2):
        write_snapshot(directory, make_snapshot(run=run), max_points=1000)
    closing = make_snapshot(rows=200, run=3)
    events = [["born"], ["grown"], [], ["split"], ["merged"], ["closed"]]
    closing.stories["events"] = pd.Series(events, dtype=object)
    closing.stories.loc[5, "status"] = "closed"
    write_snapshot(directory, closing, max_points=100)
    write_index(directory)
    return directory


def combinations() -> list[Any]:
    """Each view at each width in each theme; every fourth view is fast at one width in one theme, which take turns."""
    fast = {
        (view, (1280, 390)[at // 4 % 2], ("dark", "light")[at // 4 % 2]) for at, view in enumerate(VIEWS) if at % 4 == 0
    }
    every = itertools.product(VIEWS, (1280, 390), ("light", "dark"))
    return [pytest.param(*one, marks=() if one in fast else pytest.mark.slow) for one in every]


@pytest.mark.parametrize(("view", "width", "theme"), combinations())
def test_axe_finds_nothing_wrong(browser: Browser, folder: Path, view: str, width: int, theme: Any) -> None:
    page = browser.new_page(
        viewport={"width": width, "height": 844}, color_scheme=theme, is_mobile=width < 500, has_touch=width < 500
    )
    page.goto((folder / "index.html").as_uri().replace("index.html", view))
    ready = "html[data-theme]" if view == "index.html" else "html[data-ready=yes]"
    page.wait_for_selector(ready, state="attached")
    if "story" in view:
        assert page.locator("#story h2").is_visible()
    if VIEWS[view]:
        page.evaluate(VIEWS[view])
        page.wait_for_timeout(200)
        shown = {
            "lang=": "#selection tbody tr",
            "run-000001": "#card.pinned",
            "run-000003": "#left-out",
            "since": "#how",
        }
        assert page.locator(next(shown[name] for name in shown if name in view)).first.is_visible()
    violations = Axe().run(page).response["violations"]
    page.close()
    assert [(found["id"], found["nodes"][0]["html"]) for found in violations] == []


@pytest.mark.parametrize(
    ("path", "theme", "width"),
    [
        ("api/docs", "light", 1280),
        pytest.param("api/docs", "dark", 390, marks=pytest.mark.slow),
        ("story/nobody", "dark", 1280),
        ("latest.html", "light", 390),  # nothing has come in yet
    ],
)
def test_axe_finds_nothing_wrong_on_what_the_server_makes(
    browser: Browser, tmp_path: Path, path: str, theme: Any, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=theme)
    with served(Settings(data_dir=tmp_path)) as client:
        page.goto(f"{client.base_url}/{path}")
        assert page.locator("h1").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        violations = Axe().run(page).response["violations"]
        page.close()
    assert [(found["id"], found["nodes"][0]["html"]) for found in violations] == []


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_what_is_near_in_meaning_breaks_no_rule_of_axe(browser: Browser, folder: Path, theme: Any) -> None:
    hit: dict[str, Any] = {
        "title": "Blaze at the docks",
        "source": "Paper 1",
        "language": "en",
        "url": "https://paper1.example/near",
    }
    hit |= {"published_at": "2026-09-21T18:00:00Z", "cluster_label": 3}
    page = browser.new_page(color_scheme=theme)
    page.route("**/api/search*", lambda route: route.fulfill(json={"items": [hit], "next": None}))
    with served(Settings(data_dir=folder, pages={"directory": folder})) as client:
        page.goto(f"{client.base_url}/latest.html#q=headline")
        page.locator("#near-rows").get_by_role("link", name="Blaze at the docks").wait_for()
        violations = Axe().run(page).response["violations"]
        page.close()
    assert [(found["id"], found["nodes"][0]["html"]) for found in violations] == []


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_fields_have_a_border_and_a_hint_that_can_be_seen(browser: Browser, folder: Path, theme: Any) -> None:
    page = browser.new_page(color_scheme=theme)
    page.goto((folder / "latest.html").as_uri())
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    for selector in ("#query", "#language", "#source", "#sort"):
        edge, field, hint, opacity = page.eval_on_selector(
            selector,
            """e => { const own = getComputedStyle(e), hint = getComputedStyle(e, "::placeholder");
              return [own.borderTopColor, own.backgroundColor, hint.color, hint.opacity]; }""",
        )
        assert _contrast(edge, field) >= 3, selector
        if selector == "#query":
            assert _contrast(hint, field) >= 4.5
            assert opacity == "1"
    page.close()


def _contrast(one: str, other: str) -> float:
    """As of WCAG 2.2, of two colours as a browser tells them."""

    def luminance(colour: str) -> float:
        channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)
