"""A reader's day at the page: searching, colouring, folding, muting, marks of what was read, moving the map."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from clustering.pages import page_file
from clustering.pages.colours import AGES, PALETTES, QUIET
from clustering.pages.index_page import write_index
from clustering.pages.run_page import write_snapshot
from newstide.core.settings import Settings
from newstide.milvus import StoryEvent
from tests.browser.conftest import Visitor
from tests.harness.screen import box_of, drag, hash_of
from tests.harness.snapshots import BEGIN, HOUR, make_snapshot
from tests.harness.web import served

pytestmark = pytest.mark.browser

TITLES = [
    "Harbour fire under control, port closed",
    "Fire brigades at the harbour for a third day",
    "Ceasefire talks resume",
    "Café owners protest against the port fees",
    "ΟΔΟΣ closed after the rain",
    "新型スマートフォン発表",
    "Football: the harbour derby ends in a draw",
]
COPY = "Bridge reopens after repairs"
FINISHED = BEGIN + 25 * HOUR  # when the run of these pages ended
SMALL = 8  # stories of two headlines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 400 headlines in 50 stories, of which eight are of two headlines, and one is told by an agency's copies."""
    directory = tmp_path_factory.mktemp("reader")
    snapshot = make_snapshot(rows=400, stories=50)
    headlines, stories = snapshot.headlines, snapshot.stories
    for row, title in enumerate(TITLES, start=350):
        headlines.loc[row, "title"] = title
    told = headlines.index[headlines["cluster_label"] == 3][:3]
    headlines.loc[told, "title"] = [COPY, COPY.upper(), COPY + "!"]
    headlines.loc[told, "source"] = ["Northway Agency", "Paper 8", "Paper 9"]
    for label in range(50 - SMALL, 50):
        rows = headlines.index[headlines["cluster_label"] == label]
        headlines.loc[rows[2:], "cluster_label"] = -1
        stories.loc[label, "size"] = 2
    stories["first_seen_at"] = FINISHED - 30 * HOUR
    stories["parents"] = pd.Series([{9: [10], 13: [77]}.get(label, []) for label in range(50)], dtype=object)
    stories.loc[11, "successor"] = 12
    titles = [{"de": f"Nachricht {label}"} if label < 20 else {} for label in range(50)]
    stories["titles"] = pd.Series(titles, dtype=object)
    changes = [
        event(24 * 8, "grown", 1, 5, 3),  # longer ago than the page tells of
        event(20, "born", 5, 4, 0),
        event(10, "closed", 88, 0, 6, "A strike that is over"),
        event(5, "born", 6, 3, 0),
        event(0.5, "grown", 2, 8, 5),
    ]
    snapshot = replace(snapshot, changes=changes)
    write_snapshot(directory / "snapshots", snapshot, max_points=1000)
    write_index(directory / "snapshots")
    return directory


def event(hours: float, kind: str, story: int, size: int, before: int, title: str = "") -> StoryEvent:
    """What a run decided so many hours before the page."""
    at = int(FINISHED - hours * HOUR)
    return StoryEvent(f"1/{story}/{kind}", 1, at, at, kind, story, title, size, before, 1.0)


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(Settings(data_dir=folder)) as client:
        yield str(client.base_url)


@pytest.fixture(scope="module")
def shared(browser: Browser, address: str) -> Iterator[Visitor]:
    """One page for all tests of this file; at the end nothing may have been complained about."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, timezone_id="UTC", locale="en-GB")
    visitor = Visitor(context.new_page())
    visitor.page.route("**/api/search*", answer)
    visitor.page.route("**/api/stories*", lambda route: route.fulfill(json={"items": []}))
    yield visitor
    context.close()
    assert not visitor.complaints


@pytest.fixture
def desk(shared: Visitor, address: str) -> Page:
    """The page as a reader without a past sees it."""
    page = shared.visit(f"{address}/run-000001.html?{id(object())}")
    page.evaluate("localStorage.clear()")
    return shared.visit(f"{address}/run-000001.html?{id(object())}")


def answer(route: Any) -> None:
    """What the API's search says, whatever it is asked."""
    if "q=Harbour" in route.request.url:  # asked for more like this, the server takes its time
        time.sleep(0.7)
    hit = {"id": "x", "source": "Paper 1", "language": "en", "url": "https://paper1.example/near", "cluster_label": 5}
    hit |= {"published_at": "2026-09-21T18:00:00Z", "label_probability": 1.0, "label_run": 1, "similarity": 0.9}
    known = {**hit, "title": TITLES[0]}
    route.fulfill(json={"items": [known, {**hit, "title": "Blaze at the docks is out"}, {**hit, "title": TITLES[6]}]})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("fire", {0, 1}),  # a word begins so: no ceasefire
        pytest.param("harb clos", {0}, marks=pytest.mark.slow),
        pytest.param('"harbour fire"', {0}, marks=pytest.mark.slow),
        pytest.param("ceasefire OR derby", {2, 6}, marks=pytest.mark.slow),
        pytest.param("harbour -football", {0, 1}, marks=pytest.mark.slow),
        pytest.param("harbour -derby fire OR draw", {0, 1}, marks=pytest.mark.slow),
        pytest.param("cafe", {3}, marks=pytest.mark.slow),
        pytest.param("οδός", {4}, marks=pytest.mark.slow),
        pytest.param("スマート", {5}, marks=pytest.mark.slow),
    ],
)
def test_a_search_knows_quotes_or_minus_and_beginnings_of_words(desk: Page, query: str, expected: set[int]) -> None:
    desk.fill("#query", query)
    expect(desk).to_have_url(re.compile("q="))
    assert set(desk.locator("#found-rows .headlines > li bdi").all_text_contents()) == {TITLES[at] for at in expected}
    expect(desk.locator("#count")).to_contain_text(re.compile(rf"\b{len(expected)} headlines? found"))


def test_hits_are_marked_where_they_stand(desk: Page) -> None:
    desk.fill("#query", "cafe por")
    expect(desk.locator("#found-rows mark")).to_have_text(["Café", "por"])


def test_what_is_found_is_listed_by_relevance_or_by_time(desk: Page) -> None:
    desk.fill("#query", "fire OR harbour")
    expect(desk.locator("#found-rows .headlines > li bdi").first).to_have_text(TITLES[0])
    desk.select_option("#hits", "time")
    expect(desk.locator("#found-rows .headlines > li bdi").first).to_have_text(TITLES[6])
    assert "hits=time" in hash_of(desk)


def test_the_number_beside_a_search_is_that_of_the_rows_it_lists(desk: Page) -> None:
    desk.fill("#query", "bridge")
    expect(desk.locator("#count")).to_have_text(re.compile("1 headline found"))
    expect(desk.locator("#found h3")).to_have_text("1 headline")
    expect(desk.locator("#with-copies")).to_have_text(" · 3 with copies")
    expect(desk.locator("#found-rows .headlines > li")).to_have_count(1)
    for query in ("paper", "of the day -headline", "harbour"):
        desk.fill("#query", query)
        expect(desk).to_have_url(re.compile("q=" + query.split()[0]))
        stories, headlines = re.findall(r"\d+", re.sub(r" of \d+", "", desk.locator("#count").inner_text()))
        assert int(stories) == desk.locator("#stories [data-story]").count()
        if int(headlines) <= 60:
            assert int(headlines) == desk.locator("#found-rows .headlines > li").count()


def test_near_in_meaning_stands_under_what_is_found_and_repeats_none_of_it(desk: Page) -> None:
    with desk.expect_request("**/api/search*") as asked:
        desk.fill("#query", "harbour -football")
    assert "q=harbour&" in asked.value.url
    expect(desk.locator("#near-rows li bdi")).to_have_text(["Blaze at the docks is out"])
    desk.locator("#near-rows button", has_text="story 5").click()
    expect(desk.locator("#story")).to_contain_text("Story 5 ·")


def test_more_like_this_asks_for_a_headlines_neighbours_however_soon_after_a_letter(desk: Page) -> None:
    desk.fill("#query", '"harbour fire"')
    with desk.expect_request(
        "**/api/search*q=harbour+fire*"
    ):  # for what is near to the search, 400 ms after the letter
        desk.locator("#found-rows button", has_text="more like this").click()
    expect(desk.locator("#near h2")).to_contain_text(TITLES[0])
    expect(desk.locator("#like-rows li bdi")).to_have_text(["Blaze at the docks is out", TITLES[6]])
    desk.keyboard.press("Escape")
    expect(desk.locator("#list")).to_be_visible()


def test_a_page_that_no_server_serves_offers_nothing_that_a_server_tells(visitor: Visitor, folder: Path) -> None:
    page = visitor.visit((folder / "snapshots" / "run-000001.html").as_uri())
    page.fill("#query", "harbour")
    expect(page.locator("#found h3")).to_be_visible()
    expect(page.locator("#near-found")).to_be_hidden()
    expect(page.get_by_role("button", name="more like this")).to_have_count(0)


def test_copies_are_one_row_that_names_the_first_and_unfolds(desk: Page) -> None:
    desk.click("[data-story='3']")
    row = desk.locator("#story .headlines > li", has_text=COPY)
    expect(row).to_have_count(1)
    more = row.get_by_role("button", name="Northway Agency + 2")
    expect(more).to_have_attribute("aria-expanded", "false")
    more.click()
    expect(row.locator(".copies li")).to_contain_text(["Paper 8", "Paper 9"])


def test_small_stories_fold_away_below_a_line_but_not_under_a_search_or_filter(desk: Page) -> None:
    listed = desk.locator("#stories [data-story]")
    expect(listed).to_have_count(50 - SMALL)
    line = desk.get_by_role("button", name=f"{SMALL} of two headlines")
    line.click()
    expect(listed).to_have_count(50)
    desk.get_by_role("button", name="Fold the small ones away").click()
    expect(listed).to_have_count(50 - SMALL)
    desk.click("[data-story='2']")
    desk.click("#mute")
    desk.click("#back")
    expect(line).to_be_visible()  # by size alone: who mutes one sees no more and no fewer of them
    expect(listed).to_have_count(49 - SMALL)
    desk.fill("#query", "storm")  # a keyword of every story
    expect(desk.locator("#stories [data-story='49']")).to_be_attached()
    expect(desk.locator("#small")).to_be_hidden()
    desk.fill("#query", "")
    desk.select_option("#language", "de")
    expect(desk.locator("#small")).to_be_hidden()


def test_what_was_read_is_marked_and_says_how_much_is_new_since(desk: Page, address: str) -> None:
    desk.click("[data-story='7']")
    desk.click("#back")
    expect(desk.locator("[data-story='7']")).to_have_class("read")
    kept = json.loads(desk.evaluate("localStorage.getItem('newstide read')"))
    assert [number for number, _ in kept] == [7]
    kept[0][1][1] -= 2  # it was read when it had two headlines fewer
    desk.evaluate("text => localStorage.setItem('newstide read', text)", json.dumps(kept))
    desk.reload()
    expect(desk.locator("[data-story='7'] .news")).to_have_text("2 since you read it")
    desk.click("[data-story='7']")
    desk.click("#unread")
    expect(desk.locator("[data-story='7']")).not_to_have_class("read")


def test_a_muted_story_leaves_the_list_and_the_map_until_it_is_unmuted(desk: Page) -> None:
    desk.click("[data-story='4']")
    desk.click("#mute")
    expect(desk.locator("#mute")).to_have_text("unmute")
    desk.click("#back")
    expect(desk.locator("[data-story='4']")).to_have_count(0)
    opacity = "map.data[0].marker.opacity[54]"  # a headline of it
    assert desk.evaluate("newstide => JSON.parse(document.getElementById('data').textContent).label[54]") == 4
    assert desk.evaluate(opacity) < 0.2
    assert "4" not in hash_of(desk)  # the browser keeps it, the address tells nobody
    desk.reload()
    expect(desk.locator("[data-story='4']")).to_have_count(0)
    desk.get_by_role("button", name="1 muted: show").click()
    expect(desk.locator("[data-story='4'] .badge", has_text="muted")).to_be_visible()
    desk.click("[data-story='4']")
    desk.click("#mute")
    desk.click("#back")
    expect(desk.locator("#muted")).to_be_hidden()


def test_only_the_largest_stories_in_view_and_the_open_one_are_coloured(desk: Page) -> None:
    label = "const label = JSON.parse(document.getElementById('data').textContent).label;"
    pairs = f"() => {{ {label} return map.data[0].marker.color.map((tone, row) => [label[row], tone]); }}"

    def grey() -> set[int]:
        return {number for number, tone in desk.evaluate(pairs) if number >= 0 and tone == QUIET["light"]}

    left_out = grey()
    assert len(left_out) == 10
    number = min(left_out)
    desk.evaluate("number => { location.hash = `story=${number}`; }", number)
    expect(desk.locator("#story")).to_contain_text(f"Story {number} ·")
    assert number not in grey()


def test_the_map_is_coloured_by_language_source_or_age_and_says_what_a_colour_means(desk: Page) -> None:
    tones = "() => [...new Set(map.data[0].marker.color)]"
    for by, first, count in (("language", "English (", 2), ("source", "Paper", 7), ("age", "21 Sept", 6)):
        desk.select_option("#colour", by)
        expect(desk.locator("#legend li").first).to_contain_text(first)
        expect(desk.locator("#legend li")).to_have_count(count)
        assert f"colour={by}" in hash_of(desk)
        shown = set(desk.evaluate(tones))
        assert len(shown) == count
        assert shown <= set(AGES["light"] if by == "age" else PALETTES["light"])
    desk.select_option("#colour", "story")
    expect(desk.locator("#legend")).to_be_hidden()


def test_while_the_map_is_moved_its_last_frame_is_and_it_is_drawn_once_at_rest(desk: Page) -> None:
    desk.evaluate(
        "() => { window.draws = 0; const update = Plotly.update;"
        " Plotly.update = (...all) => { window.draws++; return update(...all); }; }"
    )
    box = box_of(desk, "#map")
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = desk.evaluate("map.layout.xaxis.range")
    desk.evaluate(
        "([clientX, clientY]) => { for (const _ of [1, 2, 3, 4]) document.elementFromPoint(clientX, clientY)"
        ".dispatchEvent(new WheelEvent('wheel', {deltaY: -100, clientX, clientY, bubbles: true, cancelable: true})); }",
        middle,
    )
    desk.wait_for_function("() => document.getElementById('stage').dataset.moving === undefined && window.draws > 0")
    near = desk.evaluate("map.layout.xaxis.range")
    assert near[1] - near[0] < 0.6 * (before[1] - before[0])
    assert desk.evaluate("window.draws") == 1  # four notches that come together are one
    expect(desk).to_have_url(re.compile("view="))
    desk.evaluate("window.draws = 0")
    desk.mouse.move(*middle)
    desk.mouse.down()
    desk.mouse.move(middle[0] + 60, middle[1], steps=6)
    assert desk.evaluate("document.querySelector('#map .plot-container').style.transform").startswith("translate(60px")
    assert desk.evaluate("window.draws") == 0
    desk.mouse.up()
    desk.wait_for_function("() => window.draws === 1")
    assert desk.evaluate("document.querySelector('#map .plot-container').style.transform") == ""
    after = desk.evaluate("map.layout.xaxis.range")
    assert after[0] == pytest.approx(near[0] - 60 * (near[1] - near[0]) / box["width"], rel=0.01)
    drag(desk, middle, (middle[0] + 3, middle[1]))  # a hand that trembles clicks
    assert desk.evaluate("window.draws") == 1


def listed(page: Page) -> set[int]:
    numbers: list[int] = page.eval_on_selector_all("#stories [data-story]", "all => all.map(e => +e.dataset.story)")
    return set(numbers)


def test_since_a_time_lists_what_changed_and_says_how_much(desk: Page) -> None:
    for choice, numbers, said in (
        ("1h", {2}, "1 grew"),
        ("24h", {2, 5, 6}, "2 born, 1 grew, 1 closed"),
        ("surging", {6}, "1 surging"),
    ):
        desk.select_option("#since", choice)
        expect(desk.locator("#since-told")).to_contain_text(said)
        expect(desk.locator("#since-told")).to_contain_text("(UTC)")
        assert listed(desk) == numbers
        assert f"since={choice}" in hash_of(desk)
    desk.select_option("#since", "24h")
    expect(desk.get_by_role("link", name="A strike that is over")).to_have_attribute("href", "story/88")


def test_what_lies_further_back_than_the_page_tells_is_asked_of_the_server(desk: Page) -> None:
    old = {"at": "2026-09-12T08:00:00Z", "kind": "grown", "story": 1, "size": 5, "previous_size": 3, "title": "x"}
    desk.route("**/api/changes*", lambda route: route.fulfill(json={"items": [old], "next": None}))
    desk.select_option("#since", "date")
    with desk.expect_request("**/api/changes?since=*"):
        desk.fill("#since-date", "2026-09-11")
    expect(desk.locator("[data-story='1']")).to_be_visible()
    expect(desk.locator("#since-told")).not_to_contain_text("asking")
    assert 1 in listed(desk)
    desk.unroute("**/api/changes*")


def test_my_last_visit_is_kept_by_the_browser(desk: Page) -> None:
    expect(desk.locator("#since option[value=visit]")).to_be_disabled()
    desk.evaluate("at => localStorage.setItem('newstide visit', `0 ${at}`)", FINISHED - 2 * HOUR)
    desk.clock.set_fixed_time(FINISHED + HOUR)
    desk.reload()
    expect(desk.locator("#since option[value=visit]")).to_be_enabled()
    desk.select_option("#since", "visit")
    expect(desk.locator("#since-told")).to_contain_text("1 grew")
    assert listed(desk) == {2}


@pytest.mark.parametrize("order", ["importance", "seen"])
def test_stories_are_sorted_by_importance_and_by_when_they_were_first_seen(desk: Page, order: str) -> None:
    desk.select_option("#sort", order)
    assert f"sort={order}" in hash_of(desk)
    numbers = desk.eval_on_selector_all("#stories [data-story]", "all => all.map(e => +e.dataset.story)")
    data = page_file.data(desk.content())
    assert data is not None
    values = {story["number"]: story[order] for story in data["stories"]}
    assert [values[number] for number in numbers] == sorted((values[n] for n in numbers), reverse=True)


def test_kin_open_from_a_story_and_lead_to_their_own_page_where_this_one_does_not_have_them(desk: Page) -> None:
    desk.click("[data-story='9']")
    desk.locator("#story .kin button", has_text="story 10").click()
    expect(desk.locator("#story")).to_contain_text("Story 10 ·")
    expect(desk.locator("#story .kin")).to_contain_text("split off story 9")
    expect(desk.get_by_role("link", name="its own page")).to_have_attribute("href", "story/10")
    desk.evaluate("() => { location.hash = 'story=13'; }")
    expect(desk.locator("#story .kin a")).to_have_attribute("href", "story/77")
    desk.evaluate("() => { location.hash = 'story=4242'; }")
    expect(desk.locator("#missing")).to_contain_text("Story 4242 is not on this page.")
    expect(desk.locator("#missing a")).to_have_attribute("href", "story/4242")


def test_titles_are_in_the_language_that_the_browser_wishes_for(browser: Browser, address: str) -> None:
    context = browser.new_context(locale="de-AT")
    page = context.new_page()
    page.goto(f"{address}/run-000001.html")
    title = page.locator("[data-story='7'] .title bdi")
    expect(title).to_have_text("Nachricht 7")
    expect(title).to_have_attribute("lang", "de")
    expect(page.locator("[data-story='21'] .title bdi")).not_to_contain_text("Nachricht")
    page.goto(f"{address}/runs")
    expect(page.locator(".card .titles bdi[lang=de]").first).to_contain_text("Nachricht")
    context.close()
