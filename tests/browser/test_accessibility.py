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


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", ["latest.html", "latest.html#story=3", "latest.html#q=headline&lang=de", "index.html"])
def test_axe_finds_nothing_wrong(browser: Browser, tmp_path: Path, view: str, theme: Any) -> None:
    for run in (1, 2):
        write_snapshot(tmp_path, make_snapshot(run=run), max_points=1000)
    name = write_index(tmp_path).as_uri().replace("index.html", view)
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=theme)
    page.goto(name)
    page.wait_for_selector("html[data-theme]", state="attached")
    page.wait_for_timeout(500)
    violations = Axe().run(page).response["violations"]
    page.close()
    assert [(found["id"], found["nodes"][0]["html"]) for found in violations] == []
