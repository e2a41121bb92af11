"""A headless Chromium, and pages to look at."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, expect, sync_playwright

from clustering.pages.index_page import write_index
from clustering.pages.run_page import write_snapshot
from tests.harness.snapshots import make_snapshot

# The one without a window's parts needs half of the processor's time for a page.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
]

expect.set_options(timeout=20_000)  # a busy machine draws slowly


@pytest.fixture(scope="module")  # while it lives, a loop runs in this thread, where other tests want to start one
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(
            "Chromium is not installed (Debian: apt-get install chromium-headless-shell): what the page does is not tested"
        )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Visitor:
    """A page that is looked at, and what it did that it should not have."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self._complain(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dismiss)
        page.route("**/*", self._guard)

    def _complain(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and "GPU stall due to ReadPixels" not in text:
            self.complaints.append(f"{kind}: {text}")

    def _dismiss(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _guard(self, route: Route) -> None:
        url = route.request.url
        if url.startswith(("file:", "http://127.0.0.1:", "data:", "blob:")):
            route.continue_()
        else:
            self.complaints.append(f"request to {url}")
            route.abort()

    def visit(self, url: str) -> Page:
        """Opens a page and waits until the map is drawn."""
        self.page.goto(url)
        self.page.wait_for_selector("html[data-ready=yes]", timeout=30_000, state="attached")
        return self.page


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    """A visitor at a desk; at the end nothing may have been complained about."""
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
    found = Visitor(page)
    yield found
    page.close()
    assert not found.complaints


@pytest.fixture
def phone(browser: Browser) -> Iterator[Visitor]:
    """A visitor with a phone; at the end nothing may have been complained about."""
    page = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    found = Visitor(page)
    yield found
    page.close()
    assert not found.complaints


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[str]:
    """The address at which `tmp_path` is served."""
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
        """Says nothing."""


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of the same 300 headlines in six stories; one headline tells of a lighthouse."""
    directory = tmp_path_factory.mktemp("pages")
    for run in (1, 2):
        snapshot = make_snapshot(rows=300, run=run)
        snapshot.headlines.loc[10, "title"] = "Ölpest vor dem Leuchtturm: Hafen gesperrt"
        write_snapshot(directory, snapshot, max_points=1000)
    write_index(directory)
    return directory


@pytest.fixture
def page(visitor: Any, pages: Path) -> Page:
    """The latest run's page, opened as a file."""
    opened: Page = visitor.visit((pages / "latest.html").as_uri())
    return opened
