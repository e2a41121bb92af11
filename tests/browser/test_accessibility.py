"""axe-core's rules on the pages, as a reader meets them."""

import sys
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_snapshot import make_snapshot

from clustering.gallery import write_index
from clustering.snapshot import write_snapshot

pytestmark = pytest.mark.browser


VIEWS = ["latest.html", "latest.html#story=3", "latest.html#q=headline&lang=de", "index.html"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of two runs."""
    directory = tmp_path_factory.mktemp("pages")
    for run in (1, 2):
        write_snapshot(directory, make_snapshot(run=run), max_points=1000)
    write_index(directory)
    return directory


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_wrong(browser: Browser, folder: Path, view: str, width: int, theme: Any) -> None:
    page = browser.new_page(
        viewport={"width": width, "height": 844}, color_scheme=theme, is_mobile=width < 500, has_touch=width < 500
    )
    page.goto((folder / "index.html").as_uri().replace("index.html", view))
    ready = "html[data-theme]" if view == "index.html" else "html[data-ready=yes]"
    page.wait_for_selector(ready, state="attached")
    if "story" in view:
        assert page.locator("#story h2").is_visible()
    violations = Axe().run(page).response["violations"]
    page.close()
    assert [(found["id"], found["nodes"][0]["html"]) for found in violations] == []
