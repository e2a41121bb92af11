"""Headlines chosen on the map, as a table and as a file."""

import csv
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from clustering.pages.run_page import write_snapshot
from tests.harness.screen import circle
from tests.harness.snapshots import make_snapshot

pytestmark = pytest.mark.browser


def listed(page: Page) -> list[tuple[int, str]]:
    """Story (-1: none) and title of each row of the table."""
    cells = page.eval_on_selector_all(
        "#selection tbody tr", "all => all.map(e => [...e.cells].map(c => c.textContent))"
    )
    return [(-1 if label == "–" else int(label), title) for _, label, title in cells]


def expected(headlines: pd.DataFrame) -> list[tuple[int, str]]:
    """The same of a frame, newest first."""
    rows = headlines.sort_values("published_at", ascending=False, kind="stable")
    return list(zip(rows["cluster_label"], rows["title"], strict=True))


def saved(page: Page, path: Path) -> list[dict[str, str]]:
    """The rows of the file that the button saves."""
    with page.expect_download() as download:
        page.click("#export")
    download.value.save_as(path)
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def test_lasso_lists_headlines_and_saves_them(page: Page, pages: Path, tmp_path: Path) -> None:
    circle(page, 0.01, 0.01, 0.5, 0.99)
    expect(page.locator("#selection")).to_be_visible()
    left, right = page.evaluate("map.layout.xaxis.range")
    headlines = make_snapshot(rows=300, run=2).headlines
    headlines.loc[10, "title"] = "Ölpest vor dem Leuchtturm: Hafen gesperrt"
    half = headlines[headlines["x"] < (left + right) / 2]
    assert 50 < len(half) < 250
    expect(page.locator("#selection h2")).to_have_text(f"{len(half)} headlines selected")
    assert listed(page) == expected(half)
    rows = saved(page, tmp_path / "saved.csv")
    assert list(rows[0]) == ["published_at", "cluster_label", "title", "source", "language", "url"]
    assert [(int(row["cluster_label"]), row["title"]) for row in rows] == expected(half)
    page.keyboard.press("Escape")
    expect(page.locator("#list")).to_be_visible()


@pytest.mark.parametrize(
    "rows", [300, pytest.param(6_000, marks=pytest.mark.slow)]
)  # more than 5,000 are drawn with WebGL
def test_lasso_takes_only_what_filters_leave(visitor: Any, tmp_path: Path, rows: int) -> None:
    snapshot = make_snapshot(rows=rows)
    write_snapshot(tmp_path, snapshot, max_points=10_000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    page.select_option("#language", "de")
    page.select_option("#source", "Paper 1")
    circle(page, 0.01, 0.01, 0.99, 0.99)
    headlines = snapshot.headlines
    left = headlines[(headlines["language"] == "de") & (headlines["source"] == "Paper 1")]
    expect(page.locator("#selection h2")).to_have_text(f"{len(left)} headlines selected")
    assert listed(page) == expected(left)[:500]


@pytest.mark.slow
def test_a_long_selection_says_how_much_of_it_is_listed_and_goes_on(visitor: Any, tmp_path: Path) -> None:
    write_snapshot(tmp_path, make_snapshot(rows=700), max_points=1000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    page.click("#in-view")
    expect(page.locator("#selection tbody tr")).to_have_count(500)
    expect(page.locator("#selection .rest")).to_contain_text("500 of 700 are listed.")
    page.locator("#selection .rest button").click()
    expect(page.locator("#selection tbody tr")).to_have_count(700)
    expect(page.locator("#selection .rest")).to_be_hidden()
    page.click("#close-selection")
    page.click("#in-view")
    expect(page.locator("#selection .rest")).to_have_count(1)


@pytest.mark.slow
def test_what_is_in_view_is_listed_with_the_keyboard_alone(page: Page) -> None:
    page.locator("#map").focus()
    for key in ("+", "+", "+", "ArrowRight"):
        page.keyboard.press(key)
        page.wait_for_timeout(150)
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "in-view"
    page.keyboard.press("Enter")
    left, right, bottom, top = page.evaluate("[...map.layout.xaxis.range, ...map.layout.yaxis.range]")
    headlines = make_snapshot(rows=300, run=2).headlines
    inside = headlines[headlines["x"].between(left, right) & headlines["y"].between(bottom, top)]
    assert 0 < len(inside) < 300
    expect(page.locator("#selection h2")).to_be_focused()
    assert {title for _, title in listed(page)} - {"Ölpest vor dem Leuchtturm: Hafen gesperrt"} <= set(inside["title"])
    assert len(listed(page)) == len(inside)


def test_saved_cells_are_texts_that_no_spreadsheet_runs(visitor: Any, tmp_path: Path) -> None:
    snapshot = make_snapshot(rows=30)
    title = '=HYPERLINK("https://x.example"), "so"'
    snapshot.headlines["title"] = title
    write_snapshot(tmp_path, snapshot, max_points=1000)
    page = visitor.visit((tmp_path / "latest.html").as_uri())
    page.click("#in-view")
    rows = saved(page, tmp_path / "saved.csv")
    assert {row["title"] for row in rows} == {"'" + title}
    known = {(row["url"], row["source"], row["language"]) for row in snapshot.headlines.to_dict("records")}
    assert {(row["url"], row["source"], row["language"]) for row in rows} == known
    assert [row["published_at"] for row in rows] == sorted((row["published_at"] for row in rows), reverse=True)
