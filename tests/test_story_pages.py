"""A story's own place: the page beside the snapshots, the page from the server, and what the API tells of it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from clustering.pages import page_file
from clustering.pages.story_facts import HEADLINE_COLUMNS, InMemory, Kin, folded, read_stories, tell_stories
from clustering.pages.story_page import story_html, write_story
from clustering.pages.story_redaction import clean_story_pages, drop_old_from_story_pages
from newstide.core.settings import Settings
from newstide.milvus import TAKEN_DOWN, Store
from newstide_app.web.story_pages import wished_languages
from tests.harness.services import opened
from tests.harness.stories import HOUR, NASTY, made
from tests.harness.web import get, served


@pytest.fixture(scope="module")
def client(newsroom: Settings) -> Iterator[httpx.Client]:
    with served(newsroom.updated(pages={"public_url": "https://news.example"})) as client:
        yield client


@pytest.fixture(scope="module")
def store(newsroom: Settings) -> Iterator[Store]:
    with opened(newsroom) as store:
        yield store


def largest(store: Store) -> dict[str, Any]:
    return dict(store.stories('status == "open"').sort_values("size").iloc[-1])


def test_copies_are_folded_below_the_first_of_them() -> None:
    found = made(["Storm hits", "Other news", "STORM HITS!"])["headlines"]
    assert [(one["title"], [copy["title"] for copy in one["copies"]]) for one in found] == [
        ("Other news", []),
        ("Storm hits", ["STORM HITS!"]),
    ]
    assert folded([]) == []


def test_sources_are_in_the_order_in_which_they_told_it_and_kin_is_named_both_ways() -> None:
    story = made(["a", "b", "c"])
    assert [(one["source"], one["headlines"]) for one in story["sources"]] == [("Paper 0", 2), ("Paper 1", 1)]
    assert [one["number"] for one in story["lineage"]["parents"]] == [1]
    assert [one["number"] for one in story["lineage"]["children"]] == [4]
    assert [(one["number"], one["similarity"]) for one in story["nearest"]] == [(4, 0.7)]
    assert sum(story["timeline"]["counts"]) == 3


def test_everything_is_escaped_and_nothing_is_fetched_or_run() -> None:
    story = made([NASTY, "b"])
    story["headlines"][0]["source"] = NASTY
    page = story_html(story, link=str, home="../", address="https://news.example/story/3")
    assert "<script>alert" not in page
    assert "<img" not in page
    assert page.count("<script") == 1  # the data
    assert page_file.data(page) is not None
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert '<meta property="og:url" content="https://news.example/story/3">' in page
    assert "What it was called" in page


def test_a_page_beside_the_snapshots_links_only_to_pages_that_are_there(tmp_path: Path) -> None:
    page = write_story(tmp_path, made(["a"]), beside=[4]).read_text(encoding="utf-8")
    assert 'href="story-4.html"' in page
    assert 'href="story-1.html"' not in page


def test_a_take_down_cleans_it_and_keep_ends_it(tmp_path: Path) -> None:
    path = write_story(tmp_path, made(["Storm hits", "Harbour closed", "Ships wait"]))
    assert clean_story_pages(tmp_path, lambda *_: False, lambda _: False) == []

    def hides(title: str, *_: Any) -> bool:
        return title == "Storm hits"

    before = path.read_text(encoding="utf-8")
    assert clean_story_pages(tmp_path, hides, lambda title: title == "Storm hits", write_them=False) == [path]
    assert path.read_text(encoding="utf-8") == before
    assert clean_story_pages(tmp_path, hides, lambda title: title == "Storm hits") == [path]
    page = path.read_text(encoding="utf-8")
    assert "Storm hits" not in page
    assert "Harbour closed" in page
    story = page_file.data(page)
    assert story is not None
    assert (story["headlineCount"], sum(story["timeline"]["counts"])) == (2, 2)
    assert clean_story_pages(tmp_path, lambda *_: False, lambda title: title == "The parent") == [path]
    assert TAKEN_DOWN in path.read_text(encoding="utf-8")

    assert drop_old_from_story_pages(tmp_path, 1_700_000_000_000 + HOUR - 1, set()) == 0
    assert drop_old_from_story_pages(tmp_path, 1_700_000_000_000 + HOUR, set()) == 1
    assert (
        "Harbour closed" not in path.read_text(encoding="utf-8").replace("<h1>", "")[2000:].split("Headlines</h2>")[1]
    )
    assert drop_old_from_story_pages(tmp_path, 0, {3}) == 1
    assert not path.exists()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["all is at hand", "half of it is", "next to nothing is"])
def test_a_run_tells_from_memory_what_milvus_tells(store: Store, share: float) -> None:
    stories, last = store.stories(), store.last_run()
    assert last is not None
    headlines, events = store.headlines("", HEADLINE_COLUMNS), store.events.since(0)
    since = int(headlines["published_at"].quantile(share)) - (share == 0)
    decided = sorted(event.at for event in events)[round(share * (len(events) - 1))]
    known = InMemory(
        run=last.run if share < 1 else last.run + 1,
        stories=store.stories('status == "open"', centroids=True),
        headlines=headlines[headlines["published_at"] > since],
        headlines_since=since,
        older=False,
        events=[event for event in events if event.at >= decided],
        events_since=decided,
    )
    numbers = known.stories["cluster_label"].astype(int).tolist()
    found = list(tell_stories(store, numbers, known))
    assert [one["number"] for one in found] == numbers
    for told, read in zip(found, read_stories(store, numbers, Kin(stories)), strict=True):
        near, nearest = ({one["number"]: one.pop("similarity") for one in all_.pop("nearest")} for all_ in (told, read))
        assert told == read
        assert near == pytest.approx(nearest, abs=2e-3)


def test_a_run_writes_a_page_for_each_listed_story(newsroom: Settings, store: Store) -> None:
    numbers = set(store.stories('status == "open"')["cluster_label"].astype(int))
    there = {int(path.stem.removeprefix("story-")) for path in newsroom.snapshots_dir.glob("story-*.html")}
    assert numbers <= there


def test_the_server_shows_a_story_from_milvus(client: httpx.Client, store: Store) -> None:
    story = largest(store)
    number = int(story["cluster_label"])
    answer = client.get(f"/story/{number}")
    assert answer.status_code == 200
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    titles = store.headlines(f"cluster_label == {number}", ["title"])["title"]
    data = page_file.data(answer.text)
    assert data is not None
    shown = {row["title"] for one in data["headlines"] for row in (one, *one["copies"])}
    assert shown == set(titles)
    assert f'<meta property="og:url" content="https://news.example/story/{number}">' in answer.text
    assert client.get(f"/story/{number}", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert client.head(f"/story/{number}").status_code == 200


@pytest.mark.parametrize("number", ["99999999", "abc", "9" * 40, "-1"])
def test_a_number_that_nobody_knows_says_so(client: httpx.Client, number: str) -> None:
    answer = client.get(f"/story/{number}")
    assert answer.status_code == 404
    assert "There is no story" in answer.text
    assert answer.headers["content-type"].startswith("text/html")


def test_a_reader_gets_titles_in_the_language_they_wish_for(client: httpx.Client, store: Store) -> None:
    stories = store.stories('status == "open"')
    many = stories[stories["titles"].map(len) > 1].iloc[0]
    for language, title in many["titles"].items():
        path = f"/api/stories/{many['cluster_label']}"
        found = get(client, path, language=[language])["story"]
        assert (found["title"], found["title_language"]) == (title, language)
        listed = get(client, "/api/stories", label=int(many["cluster_label"]), titles=language)["items"]
        assert [one["title"] for one in listed] == [title]
        page = client.get(f"/story/{many['cluster_label']}", headers={"Accept-Language": f"xx,{language};q=0.5"})
        assert f'<h1><bdi dir="auto" lang="{language}">' in page.text
    assert get(client, "/api/stories", label=int(many["cluster_label"]))["items"][0]["title"] == many["title"]


def test_wishes_are_read_in_their_order() -> None:
    assert wished_languages("de;q=0.5, en-GB, *;q=0.1, fr;q=0, pl;q=x") == ["en-GB", "de"]
    assert wished_languages("") == []


def test_the_api_tells_a_storys_past_its_sources_and_those_near_it(client: httpx.Client, store: Store) -> None:
    story = largest(store)
    number = int(story["cluster_label"])
    found = get(client, f"/api/stories/{number}")
    events = store.events.of_stories([number])
    assert [one["id"] for one in found["history"]] == [event.id for event in events]
    assert events
    firsts = [one["first_published_at"] for one in found["sources"]]
    assert firsts == sorted(firsts)
    assert {one["source"] for one in found["sources"]} == set(story["sources"])
    near = found["nearest"]
    assert near
    assert number not in {one["cluster_label"] for one in near}
    assert [one["similarity"] for one in near] == sorted((one["similarity"] for one in near), reverse=True)


def test_stories_are_sorted_by_importance_and_by_when_they_were_first_seen(client: httpx.Client) -> None:
    for sort, name in (("importance", "importance"), ("seen", "first_seen_at")):
        values = [one[name] for one in get(client, "/api/stories", sort=sort, limit=500)["items"]]
        assert values == sorted(values, reverse=True)
    assert max(one["importance"] for one in get(client, "/api/stories")["items"]) > 0


def test_what_changed_since_a_time_is_told_by_births_and_events(client: httpx.Client, store: Store) -> None:
    events = store.events.since(0)
    found = get(client, "/api/changes", since="0", limit=500)
    assert found["total"] == len(events)
    assert found["stories"]["born"] == len({event.story for event in events if event.kind == "born"})
    second = min(event.at for event in events if event.run == 2)
    later = get(client, "/api/changes", since=str(second), limit=500)
    assert {one["run"] for one in later["items"]} == {event.run for event in events} - {1}
    born = get(client, "/api/changes", since="0", kind="born", limit=1)
    assert [one["kind"] for one in born["items"]] == ["born"]
    assert born["next"] is not None
    assert get(client, "/api/changes", since=str(int(time.time() * 1000) + HOUR))["total"] == 0
    assert client.get("/api/changes").status_code == 422
    assert client.get("/api/changes", params={"since": "yesterday"}).status_code == 422


def test_headlines_like_one_of_them_are_found(client: httpx.Client, store: Store) -> None:
    story = largest(store)
    own = store.headlines(f"cluster_label == {story['cluster_label']}", ["id"])["id"].tolist()
    found = get(client, "/api/search", like=own[0], limit=10)["items"]
    assert own[0] not in {one["id"] for one in found}
    assert {one["id"] for one in found} & set(own[1:])
    for wrong in ({"like": "nobody's"}, {"like": own[0], "q": "x"}, {}):
        assert client.get("/api/search", params=wrong).status_code == 422


def test_the_maps_page_carries_titles_by_language_and_what_happened_lately(newsroom: Settings, store: Store) -> None:
    page = (newsroom.snapshots_dir / "latest.html").read_text(encoding="utf-8")
    data = page_file.data(page)
    assert data is not None
    stories = {one["number"]: one for one in data["stories"]}
    for row in store.stories('status == "open"').to_dict("records"):
        own = stories[int(row["cluster_label"])]
        assert own["titles"] == row["titles"]
        assert own["seen"] == row["first_seen_at"]
        assert own["importance"] == pytest.approx(row["importance"], abs=1e-3)
    assert len(data["changes"]) == len(store.events.since(0))
    assert json.dumps(data["changes"][0])
    assert next(read_stories(store, [10**9], Kin(store.stories())), None) is None
