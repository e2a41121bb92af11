"""Feeds of stories, as readers of feeds read them, over a real Milvus Lite with two runs of real headlines."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import feedparser
import httpx
import pandas as pd
import pytest

from newstide.core.settings import Settings
from newstide.milvus import TAKEN_DOWN, Store, StoryEvent, filters
from tests.harness.atom import NS, check_atom
from tests.harness.services import opened
from tests.harness.web import served


@pytest.fixture(scope="module")
def settings(newsroom: Settings) -> Settings:
    return newsroom.updated(pages={"public_url": "https://news.example/desk"})


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[httpx.Client]:
    with served(settings) as client:
        yield client


@pytest.fixture(scope="module")
def store(newsroom: Settings) -> Iterator[Store]:
    with opened(newsroom) as store:
        yield store


def atom(client: httpx.Client, path: str = "/feed.atom", **parameters: Any) -> Any:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/atom+xml; charset=utf-8"
    check_atom(answer.text)
    parsed = feedparser.parse(answer.text)
    assert not parsed.bozo
    return parsed


def number_of(entry: Any) -> int:
    return int(entry.id.rpartition("/")[2])


def test_atom_is_as_its_standard_wants_it_and_a_reader_finds_what_the_stories_are(
    client: httpx.Client, store: Store
) -> None:
    feed = atom(client)
    stories = store.stories().set_index("cluster_label")
    assert 0 < len(feed.entries) <= 100
    assert feed.feed.links[0].href == "https://news.example/desk/feed.atom"
    began = store.began()
    for entry in feed.entries:
        story = stories.loc[number_of(entry)]
        assert entry.title == story["title"]
        assert entry.id == f"tag:newstide.invalid,2026:{began}/story/{number_of(entry)}"
        assert entry.link == f"https://news.example/desk/story/{number_of(entry)}"
        assert story["status"] in {tag.term for tag in entry.tags}
    updated = [entry.updated_parsed for entry in feed.entries]
    assert updated == sorted(updated, reverse=True)
    assert feed.feed.updated_parsed == updated[0]


def test_an_entry_changes_only_with_an_event(client: httpx.Client, store: Store) -> None:
    last: dict[int, int] = {}
    for event in store.events.since(0):
        last[event.story] = event.at
    for entry in json.loads(client.get("/feed.json").text)["items"]:
        at = pd.Timestamp(entry["date_modified"]).timestamp() * 1000
        assert at == last[int(entry["id"].rpartition("/")[2])]


def test_json_feed_has_the_required_fields_and_the_same_entries(client: httpx.Client) -> None:
    answer = client.get("/feed.json", params={"least": 3})
    assert answer.headers["content-type"] == "application/feed+json; charset=utf-8"
    feed = answer.json()
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert isinstance(feed["title"], str)
    assert feed["feed_url"] == "https://news.example/desk/feed.json?least=3"
    for item in feed["items"]:
        assert isinstance(item["id"], str)
        assert "content_text" in item or "content_html" in item
        assert all(isinstance(tag, str) for tag in item["tags"])
        assert pd.Timestamp(item["date_published"]).tz is not None
    entries = atom(client, least=3).entries
    assert [item["id"] for item in feed["items"]] == [entry.id for entry in entries]


def test_stories_are_chosen_by_words_language_source_and_size(client: httpx.Client, store: Store) -> None:
    stories = store.stories()
    first = stories.sort_values("size").iloc[-1]
    source, language = first["sources"][0], first["languages"][0]

    def found(**parameters: Any) -> set[int]:
        return {number_of(entry) for entry in atom(client, **parameters).entries}

    by_number = {int(row["cluster_label"]): row for row in stories.to_dict("records")}
    assert first["cluster_label"] in found(source=source)
    assert all(source in by_number[number]["sources"] for number in found(source=source))
    assert all(language in by_number[number]["languages"] for number in found(language=language))
    assert found(least=4) <= set(stories.loc[stories["size"] >= 4, "cluster_label"])
    word = max(first["title"].split(), key=len)
    assert first["cluster_label"] in found(q=word)
    assert found(q="xyzzy") == set()
    assert atom(client, q="xyzzy").entries == []
    assert client.get("/feed.atom", params={"colour": "red"}).status_code == 422


def test_stories_surge_that_at_least_doubled_in_six_hours_by_three_headlines(settings: Settings, store: Store) -> None:
    rows, last = store.stories(centroids=True), store.last_run()
    assert last is not None
    some = rows[rows["status"] == "open"].sort_values("size").tail(4)
    numbers = [int(number) for number in some["cluster_label"]]
    now, long_ago = last.finished_at, last.finished_at - 7 * 3_600_000
    told = [(8, 4, now), (9, 5, now), (4, 2, now), (8, 2, long_ago)]  # size, what it was, and when that was told
    events = [
        StoryEvent(f"900/{number}/grown", 900, at, at, "grown", number, "x", size, before, 1.0)
        for number, (size, before, at) in zip(numbers, told, strict=True)
    ]
    past = [event for event in store.events.since(0) if event.story in numbers]
    try:
        store.events.delete(filters.of_stories(numbers))
        store.events.put(events)
        store.upsert_stories(some.assign(size=[size for size, _, _ in told], first_seen_at=long_ago))
        with served(settings) as client:
            shown = {number_of(entry) for entry in atom(client, show="surging").entries}
        assert shown & set(numbers) == {numbers[0]}
    finally:
        store.events.delete("run == 900")
        store.events.put(past)
        store.upsert_stories(some)


def test_one_storys_feed_has_its_headlines_and_its_past(client: httpx.Client, store: Store) -> None:
    number = int(store.stories().sort_values("size").iloc[-1]["cluster_label"])
    feed = atom(client, f"/story/{number}.atom")
    titles = store.headlines(f"cluster_label == {number}", ["title"])["title"].tolist()
    own = [entry for entry in feed.entries if "/headline/" in entry.id]
    assert sorted(entry.title for entry in own) == sorted(titles)
    assert {entry.id.rpartition("/event/")[2] for entry in feed.entries} >= {
        f"{event.run}/{event.kind}" for event in store.events.of_stories([number])
    }
    assert client.get(f"/story/{number}.json").json()["home_page_url"].endswith(f"/story/{number}")
    assert client.get("/story/99999999.atom").status_code == 404


def test_one_storys_feed_is_named_in_the_language_that_is_set(settings: Settings, store: Store) -> None:
    stories = store.stories().to_dict("records")
    story, tag = next((row, tag) for row in stories for tag, title in row["titles"].items() if title != row["title"])
    with served(settings.updated(pages={"languages": tag})) as german:
        assert atom(german, f"/story/{story['cluster_label']}.atom").feed.title == story["titles"][tag]


def test_what_a_reader_has_is_not_sent_again(client: httpx.Client) -> None:
    for path in ("/feed.atom", "/feed.json"):
        first = client.get(path)
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert client.get(path).headers["etag"] == first.headers["etag"]
        for known in (
            {"If-None-Match": first.headers["etag"]},
            {"If-Modified-Since": first.headers["last-modified"]},
        ):
            again = client.get(path, headers=known)
            assert (again.status_code, again.content) == (304, b"")
        for stale in ({"If-None-Match": '"other"'}, {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}):
            assert client.get(path, headers=stale).status_code == 200


def test_closed_stories_say_so_and_those_that_were_taken_down_go(settings: Settings, store: Store) -> None:
    rows = store.stories(centroids=True)
    two = rows[rows["status"] == "open"].sort_values("size").head(2)
    ended, gone = (int(number) for number in two["cluster_label"])
    now = max(event.at for event in store.events.since(0)) + 1
    event = StoryEvent(f"900/{ended}/closed", 900, now, now, "closed", ended, "x", 0, 4, 1.0, successor=gone)
    try:
        store.upsert_stories(pd.concat([two.iloc[[0]].assign(status="closed"), two.iloc[[1]].assign(title=TAKEN_DOWN)]))
        store.events.put([event])
        with served(settings) as client:
            answer = client.get("/feed.json").json()
            items = {int(item["id"].rpartition("/")[2]): item for item in answer["items"]}
            assert "closed" in items[ended]["tags"]
            assert items[ended]["content_text"] == f"This story has closed. It went on as story {gone}."
            assert gone not in items
            (last, *_) = atom(client, f"/story/{ended}.atom").entries
            assert (last.id.rpartition("/event/")[2], last.summary) == ("900/closed", items[ended]["content_text"])
            assert client.get(f"/story/{gone}.atom").status_code == 404
    finally:
        store.events.delete("run == 900")
        store.upsert_stories(two)


def test_where_there_is_a_token_a_reader_brings_the_feeds_password_and_opens_nothing_else(newsroom: Settings) -> None:
    secrets = {"token": "t" * 20, "feed_token": "f" * 20}
    with served(newsroom.updated(pages=secrets)) as client:

        def status(path: str, password: str) -> int:
            given = base64.b64encode(f"anyone:{password}".encode()).decode()
            return client.get(path, headers={"Authorization": f"Basic {given}"}).status_code

        refused = client.get("/feed.atom")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Basic ")
        assert status("/feed.atom", "f" * 20) == 200
        assert status("/feed.atom", "t" * 20) == 401
        assert status("/feed.atom", "") == 401
        assert status("/feed.json", "f" * 20) == 200
        assert status("/api/stories", "f" * 20) == 401
        assert client.get("/feed.atom", headers={"Authorization": "Basic %%%"}).status_code == 401
        assert client.get("/feed.atom", headers={"Authorization": "Bearer " + "t" * 20}).status_code == 200


def test_without_a_public_address_links_are_of_the_server_that_was_asked(newsroom: Settings) -> None:
    with served(newsroom) as client:
        root = check_atom(client.get("/feed.atom").text)
        links = [link.get("href", "") for link in root.iter(NS + "link")]
        assert all(link.startswith(str(client.base_url)) for link in links)
