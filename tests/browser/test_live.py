"""The pages as `newstide web` serves them: a run ends while someone reads, and drawing under the strict policy."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from clustering.pages.index_page import write_index
from clustering.pages.run_page import write_snapshot
from clustering.run.reclusterer import recluster
from newstide.core.local_server import free_port, listens, terminate
from newstide.core.settings import Settings
from producers.sample import day_file
from tests.harness.newsroom import add_headlines
from tests.harness.screen import coloured, decoded, pixels
from tests.harness.snapshots import make_snapshot
from tests.harness.web import served, write_run

pytestmark = pytest.mark.browser

IDLE = "() => { const now = Date.now.bind(Date); Date.now = () => now() + 40000; }"  # as if half a minute had passed


@contextmanager
def web(folder: Path, **more: str) -> Iterator[str]:
    """The address of a running `newstide web`."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEWSTIDE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "newstide_app", "web", "--port", str(port)],
        env={**kept, "NEWSTIDE_DATA_DIR": str(folder), **more},
        stderr=subprocess.DEVNULL,
    )
    try:
        while not listens(port):
            assert process.poll() is None
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        terminate(process, 10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with web(folder) as found:
        yield found


@pytest.fixture
def runs(folder: Path, address: str) -> Any:
    """Makes a run's pages; begins anew with each test, once the server no longer tells of the last one's."""
    for old in (folder / "snapshots").glob("*"):
        old.unlink()

    def made(run: int, **options: Any) -> None:
        snapshot = make_snapshot(run=run, **{"rows": 80, **options})
        write_snapshot(folder / "snapshots", snapshot, max_points=options.get("rows", 1000))
        write_index(folder / "snapshots")

    made(1)
    with urlopen(f"{address}/events", timeout=20) as events:  # noqa: S310 - our own server
        told = (json.loads(line.removeprefix(b"data:"))["run"] for line in events if line.startswith(b"data:"))
        assert any(run == 1 for run in told)
    return made


def busy(page: Page) -> None:
    """Someone reads."""
    page.mouse.move(300, 300)
    page.mouse.move(310, 310)


def test_a_run_that_ends_is_offered_and_shown_in_the_same_view(visitor: Any, newsroom: Settings) -> None:
    with web(newsroom.data_dir) as address:
        page = visitor.visit(f"{address}/latest.html")
        before = int(page.locator("html").get_attribute("data-run"))
        page.click("#stories button >> nth=0")
        page.click("#theme")
        page.keyboard.press("Escape")
        page.locator("#map").focus()
        page.keyboard.press("+")
        expect(page).to_have_url(re.compile("view="))
        page.locator("#stories button >> nth=0").click()
        expect(page).to_have_url(re.compile("story="))
        kept = page.evaluate("location.hash")
        lines = day_file().read_text(encoding="utf-8").splitlines()
        add_headlines(newsroom, [json.loads(line) for line in lines[400:520]])
        report = recluster(newsroom)
        assert report.status == "finished"
        busy(page)
        offer = page.get_by_role("button", name=f"New map: run {report.run}")
        expect(offer).to_be_visible()
        born = report.events["born"]
        expect(offer).to_have_text(
            f"New map: run {report.run}, {born} {'story' if born == 1 else 'stories'} born — show"
        )
        assert page.locator("html").get_attribute("data-run") == str(before)
        offer.click()
        page.wait_for_selector(f"html[data-run='{report.run}'][data-ready=yes]", state="attached")
        assert page.evaluate("location.hash") == kept
        number = re.search(r"story=(\d+)", kept)
        assert number is not None
        expect(page.locator("#story")).to_contain_text(f"Story {number.group(1)} ·")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        expect(page.locator("#offer button")).to_have_count(0)
        assert coloured(pixels(page)) > 300
        page.goto("about:blank")  # before the server goes: a page that loses it complains


def test_where_nobody_reads_the_newest_map_renews_itself_but_for_a_selection(
    visitor: Any, address: str, runs: Any
) -> None:
    page = visitor.visit(f"{address}/latest.html#theme=dark")
    page.evaluate(IDLE)
    page.evaluate("document.getElementById('selection').hidden = false")  # which would be lost
    runs(2)
    expect(page.get_by_role("button", name="New map: run 2")).to_be_visible()
    page.wait_for_timeout(1200)
    assert page.locator("html").get_attribute("data-run") == "1"
    page.evaluate("document.getElementById('selection').hidden = true")
    page.wait_for_selector("html[data-run='2'][data-ready=yes]", state="attached", timeout=10_000)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_reader_may_choose_new_maps_without_asking_and_take_it_back(visitor: Any, address: str, runs: Any) -> None:
    page = visitor.visit(f"{address}/latest.html")
    runs(2)
    busy(page)
    page.get_by_role("button", name="always").click()
    page.wait_for_selector("html[data-run='2'][data-ready=yes]", state="attached")
    runs(3)
    busy(page)
    page.wait_for_selector("html[data-run='3'][data-ready=yes]", state="attached", timeout=10_000)
    page.get_by_role("button", name="Ask first?").click()
    runs(4)
    busy(page)
    expect(page.get_by_role("button", name="New map: run 4")).to_be_visible()
    page.get_by_role("button", name="Not now").click()
    expect(page.locator("#offer button")).to_have_count(0)


@pytest.mark.slow
def test_a_map_that_was_refused_does_not_come_when_nobody_moves(visitor: Any, address: str, runs: Any) -> None:
    page = visitor.visit(f"{address}/latest.html")
    runs(2)
    busy(page)
    page.get_by_role("button", name="Not now").click()
    page.evaluate(IDLE)
    page.wait_for_timeout(2500)
    assert page.locator("html").get_attribute("data-run") == "1"
    expect(page.locator("#offer button")).to_have_count(0)
    runs(3)
    page.get_by_role("button", name="New map: run 3").click()  # the next one is offered, and waits
    page.wait_for_selector("html[data-run='3'][data-ready=yes]", state="attached")


@pytest.mark.slow
def test_a_map_that_is_shown_is_read_on_where_one_was(visitor: Any, address: str, runs: Any) -> None:
    runs(2, rows=900, stories=90)
    page = visitor.visit(f"{address}/latest.html")
    page.select_option("#sort", "latest")
    page.click("#more")
    page.evaluate("document.getElementById('list').scrollTop = 3000")
    runs(3, rows=910, stories=90)
    busy(page)
    page.get_by_role("button", name="New map: run 3").click()
    page.wait_for_selector("html[data-run='3'][data-ready=yes]", state="attached")
    assert page.evaluate("document.getElementById('list').scrollTop") == 3000
    assert page.evaluate("location.hash") == "#sort=latest"


def test_the_list_of_runs_loads_itself_again_where_nobody_reads(visitor: Any, address: str, runs: Any) -> None:
    page = visitor.page
    page.goto(f"{address}/runs")
    page.wait_for_selector("html[data-events=yes]", state="attached")
    page.wait_for_timeout(1500)
    page.locator(".card").first.focus()
    page.evaluate(IDLE)
    runs(2)
    expect(page.get_by_role("button", name="New map: run 2")).to_be_visible()
    page.wait_for_timeout(1500)
    expect(page.locator(".card")).to_have_count(1)  # not under the hands of a reader
    page.evaluate("document.activeElement.blur()")
    expect(page.locator(".card")).to_have_count(2)


@pytest.mark.slow
def test_an_older_map_and_the_list_of_runs_lead_to_the_new_one(visitor: Any, address: str, runs: Any) -> None:
    runs(2)
    page = visitor.visit(f"{address}/run-000001.html")
    offer = page.get_by_role("button", name="New map: run 2")
    expect(offer).to_be_visible()  # an older map is told at once, and stays
    page.goto(f"{address}/runs")
    page.wait_for_selector("html[data-events=yes]", state="attached")
    page.wait_for_timeout(1500)
    expect(page.locator("#offer button")).to_have_count(0)
    seen = "(yes) => { Object.defineProperty(document, 'hidden', { value: !yes, configurable: true });"
    page.evaluate(seen + " document.dispatchEvent(new Event('visibilitychange')); }", False)
    page.wait_for_selector("html:not([data-events])", state="attached")  # a page behind others holds no connection
    runs(3)
    page.evaluate(seen + " document.dispatchEvent(new Event('visibilitychange')); }", True)
    page.get_by_role("button", name="New map: run 3").click()
    page.wait_for_selector("html[data-run='3'][data-ready=yes]", state="attached")


def test_a_deep_link_opens_through_the_server_with_a_token_once(browser: Browser, folder: Path, runs: Any) -> None:
    with web(folder, NEWSTIDE_PAGES_TOKEN="a-token-of-some-length") as address:
        page = browser.new_page()
        refused = page.goto(f"{address}/latest.html")
        assert refused is not None
        assert refused.status == 401
        page.goto(f"{address}/latest.html?token=a-token-of-some-length#story=2&theme=dark")
        page.wait_for_selector("html[data-ready=yes]", state="attached")
        assert page.url == f"{address}/latest.html#story=2&theme=dark"
        expect(page.locator("#story")).to_contain_text("Story 2")
        page.goto(f"{address}/runs")
        expect(page.locator(".card")).to_have_count(1)
        page.wait_for_selector("html[data-events=yes]", state="attached")
        page.close()


@pytest.mark.parametrize("rows", [300, pytest.param(6_000, marks=pytest.mark.slow)])
def test_the_map_is_drawn_alike_with_and_without_the_policy(
    browser: Browser, visitor: Any, address: str, runs: Any, rows: int
) -> None:
    runs(2, rows=rows, stories=6)
    strict = decoded(visitor.visit(f"{address}/run-000002.html").locator("#stage").screenshot())
    free = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light", bypass_csp=True)
    page = free.new_page()
    page.goto(f"{address}/run-000002.html")
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    loose = decoded(page.locator("#stage").screenshot())
    free.close()
    assert coloured(strict) > 3000
    assert strict.shape == loose.shape
    assert float(np.mean(np.any(strict != loose, axis=-1))) < 0.001


def test_under_the_policy_nothing_else_runs(browser: Browser, address: str, runs: Any) -> None:
    page = browser.new_page()
    page.goto(f"{address}/run-000001.html")
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    page.evaluate(
        """async () => {
          const add = (set) => { const node = document.createElement("script"); set(node); document.head.append(node); };
          add((node) => { node.textContent = "window.ran = 'inline'"; });
          add((node) => { node.src = "latest.js"; });
          try { await fetch("http://127.0.0.1:9/"); window.ran = "fetched"; } catch { /* as it should be */ }
          await new Promise((done) => setTimeout(done, 500));
        }"""
    )
    assert page.evaluate("window.ran") is None
    assert page.evaluate("window.newstideLatest") is None
    page.close()


def test_axe_finds_nothing_wrong_with_an_offer(browser: Browser, address: str, runs: Any) -> None:
    context = browser.new_context(bypass_csp=True, viewport={"width": 1280, "height": 800})  # axe is a script, too
    page = context.new_page()
    runs(2)
    page.goto(f"{address}/run-000001.html")
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    expect(page.get_by_role("button", name="New map: run 2")).to_be_visible()
    violations = Axe().run(page).response["violations"]
    context.close()
    assert [(found["id"], found["nodes"][0]["html"]) for found in violations] == []


def test_the_page_before_the_first_map_becomes_the_map_by_itself(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page()
    page.clock.install()
    with served(Settings(data_dir=tmp_path)) as client:
        page.goto(f"{client.base_url}/")
        expect(page.locator("h1")).to_have_text("No map yet")
        write_run(tmp_path / "snapshots", 1)
        page.clock.run_for(6000)
        page.wait_for_selector("html[data-ready=yes]", state="attached")
        page.close()
