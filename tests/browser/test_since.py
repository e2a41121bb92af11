"""What changed since a time, where the page does not know all of it."""

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from playwright.sync_api import Browser, Route, expect

from clustering.pages import run_page
from clustering.pages.run_page import write_snapshot
from newstide.core.settings import Settings
from tests.browser.conftest import Visitor
from tests.browser.test_reader import event
from tests.harness.snapshots import make_snapshot
from tests.harness.web import served

pytestmark = pytest.mark.browser

CHANGES = [event(hours, "grown", story, 9, 3) for hours, story in ((20, 1), (5, 2), (5, 3), (0.5, 4))]


def test_a_server_that_does_not_say_what_is_further_back_is_told_of(browser: Browser, tmp_path: Path) -> None:
    write_snapshot(tmp_path / "snapshots", replace(make_snapshot(), changes=CHANGES), max_points=1000)
    page = browser.new_page(timezone_id="UTC", locale="en-GB")
    page.route("**/api/changes*", lambda route: route.fulfill(status=503, json={"detail": "Milvus is away."}))
    with served(Settings(data_dir=tmp_path)) as client:
        page.goto(f"{client.base_url}/run-000001.html#since=2026-09-01")
        told = page.locator("#since-told")
        expect(told).to_contain_text("4 grew (the server does not say what is further back: Milvus is away.;")
        expect(told).to_contain_text("this page tells of what happened since 15 Sept, 15:13)")
        page.close()


def test_a_server_whose_pages_are_smaller_is_asked_page_by_page(browser: Browser, tmp_path: Path) -> None:
    write_snapshot(tmp_path / "snapshots", replace(make_snapshot(), changes=CHANGES), max_points=1000)
    old = {"at": "2026-09-12T08:00:00Z", "kind": "grown", "story": 1, "size": 5, "previous_size": 3, "title": "x"}

    def answer(route: Route) -> None:
        if "limit=500" in route.request.url:
            route.fulfill(status=422, json={"detail": "limit '500' is too large"})
        elif "offset" in route.request.url:
            route.fulfill(json={"items": [old], "total": 2, "next": None})
        else:
            route.fulfill(json={"items": [{**old, "story": 5}], "total": 2, "next": "?since=1&offset=1"})

    page = browser.new_page()
    page.route("**/api/changes*", answer)
    with served(Settings(data_dir=tmp_path)) as client:
        page.goto(f"{client.base_url}/run-000001.html#since=2026-09-01")
        expect(page.locator("#since-told")).to_contain_text(re.compile(r": 6 born, 2 grew$"))
        page.close()


def test_stories_that_are_not_on_the_page_are_named_in_the_readers_language(browser: Browser, tmp_path: Path) -> None:
    snapshot = make_snapshot()
    parents = pd.Series([[77, 78], [], [], [], [], []], dtype=object)
    changes = [event(6, "closed", 78, 0, 5, "Un incendio"), event(5, "closed", 88, 0, 6, "Una tormenta")]
    shown = replace(snapshot, stories=snapshot.stories.assign(parents=parents), changes=changes)
    write_snapshot(tmp_path / "snapshots", shown, max_points=1000)
    known = {
        number: {
            "cluster_label": number,
            "title": f"Una {number}",
            "titles": {"es": f"Una {number}", "de": f"Eine {number}"},
        }
        for number in (77, 88)
    }
    page = browser.new_page(locale="de-AT")

    def answer(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query)
        assert asked["status"] == ["all"]
        route.fulfill(json={"items": [known[int(label)] for label in asked["label"] if int(label) in known]})

    page.route("**/api/stories*", answer)
    with served(Settings(data_dir=tmp_path)) as client:
        page.goto(f"{client.base_url}/run-000001.html#since=24h")
        expect(page.locator("#gone a")).to_have_text(["Un incendio", "Eine 88"])  # nobody knows 78 any more
        expect(page.locator("#gone bdi").last).to_have_attribute("lang", "de")
        page.click("[data-story='0']")
        expect(page.locator("#story .kin")).to_have_text("from story 77: Eine 77, story 78: Un incendio")
        page.close()


def test_of_more_changes_than_a_page_holds_it_says_since_when_it_tells(
    visitor: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_page, "_CHANGES", 2)
    write_snapshot(tmp_path, replace(make_snapshot(), changes=CHANGES), max_points=1000)
    page = visitor.visit((tmp_path / "latest.html").as_uri() + "#since=24h")
    expect(page.locator("#since-told")).to_contain_text("this page tells of what happened since")
    page.select_option("#since", "1h")
    expect(page.locator("#since-told")).to_contain_text(re.compile(r": 1 grew$"))
