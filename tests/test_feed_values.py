"""Values of a feed's entries that cannot be read: each is left out and counted, and costs no other."""

import json
from typing import Any

import pytest

from newstide.core.settings import FeedSettings
from producers.feed_poller import FeedPoller
from producers.feeds import Listing, parse_feed
from tests.harness.feed_site import NOW, Site, rss, titles

FEED = "https://wharf.example/news/rss"


def parsed(items: str) -> Listing:
    head = '<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>Wharf Courier</title>'
    return parse_feed(f"{head}{items}</channel></rss>".encode(), FEED, NOW)


def item(title: str, *more: str) -> str:
    return f"<item><title>{title}</title>{''.join(more)}</item>"


def test_one_odd_value_of_a_json_feed_costs_no_other() -> None:
    head = '{"version": "https://jsonfeed.org/version/1", "title": "Wharf", "items": [{"id": 1, "title": "One"}, '
    for odd in ('"summary": "a\tb\nc"', '"id": ' + "9" * 5_000, '"x": ' + "[" * 2_500 + "]" * 2_500, '"url": {"x": 1}'):
        content = head + '{"title": "Two", ' + odd + "}]}"
        for encoding in ("utf-8", "utf-16"):
            assert [row.headline.title for row in parse_feed(content.encode(encoding), FEED, NOW).rows] == [
                "One",
                "Two",
            ], odd[:20]


def test_links_languages_and_zones_that_cannot_be_read_are_counted() -> None:
    listing = parsed(
        item("One", "<link>javascript:alert(1)</link>")
        + item("Two", "<pubDate>Mon, 12 Oct 2026 10:00:00 XYZ</pubDate>")
        + item("Three", "<dc:language>of the hills</dc:language>")
        + item("Four", "<dc:language>German</dc:language>", '<guid isPermaLink="false">4</guid>')
    )
    assert [(one.field, one.entry) for one in listing.left_out] == [
        ("url", 1),
        ("unknown time zone", 2),
        ("language", 3),
    ]
    assert [row.headline.language for row in listing.rows] == ["", "", "", "de"]


@pytest.mark.parametrize("charset", ["undefined", "bogus", "", "hex", "idna", "utf-16"])
def test_a_charset_by_which_nothing_can_be_read_costs_no_entry(charset: str) -> None:
    listing = parse_feed(rss("One", "Zwei").encode(), FEED, NOW, content_type=f"text/xml; charset={charset}")
    assert [row.headline.title for row in listing.rows] == ["One", "Zwei"]


def test_a_reference_to_no_character_costs_no_entry() -> None:
    listing = parsed(item("One &#xD800;") + item("Two &#99999999;") + item("Three &#0;") + item("Four &#x1F600;"))
    assert [row.headline.title for row in listing.rows] == ["One", "Two", "Three", "Four \U0001f600"]


def json_feed(*items: Any) -> bytes:
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "Wharf", "items": items}).encode()


@pytest.mark.parametrize("kind", ["rss", "json"])
def test_what_a_feed_lists_beyond_the_limit_is_counted_once_and_the_limit_is_named(site: Site, kind: str) -> None:
    named = ["One", "Two", "Three", "Four", "Five"]
    items = [{"id": title, "title": title} for title in named]
    url = site.page("/feed", rss(*named) if kind == "rss" else json_feed(*items))
    with FeedPoller(
        [url], ":memory:", lambda _rows: None, True, lambda: NOW, limits=FeedSettings(max_entries=2)
    ) as poller:
        poller.poll_once()
        poller.poll_once()
        (tally,) = poller.tallies
    assert (tally.read, tally.given, tally.rejected) == (5, 2, 3)
    ((reason, found),) = tally.reasons.items()
    assert "feeds.max_entries" in reason
    assert found.example.startswith("The feed lists more than 2 entries")
    assert found.count == 3


@pytest.mark.parametrize("date", [{"x": 1}, [2026, 10], {}])
def test_a_date_of_a_json_feed_that_is_no_value_is_counted_and_gives_way_to_another(date: Any) -> None:
    both = {"title": "Two", "date_published": date, "date_modified": "2026-10-12T10:00:00Z"}
    none = {"title": "Three", "date_published": None}
    listing = parse_feed(json_feed({"title": "One", "date_published": date}, both, none), FEED, NOW)
    assert titles(listing.rows) == ["One", "Two", "Three"]
    assert [(one.field, one.value, one.entry) for one in listing.left_out] == [("published_at", json.dumps(date), 1)]
    assert [row.published for row in listing.rows] == [False, True, False]


def test_an_item_of_a_json_feed_that_is_no_object_is_refused_in_plain_english() -> None:
    listing = parse_feed(json_feed("a text", 7, None, ["x"], {"title": "One"}), FEED, NOW)
    assert titles(listing.rows) == ["One"]
    assert {row.reason for row in listing.rejected} == {"The item is no JSON object."}
    assert [row.line for row in listing.rejected] == [1, 2, 3, 4]
    assert len({row.text for row in listing.rejected}) == 4


TIMES = {
    "prism:publicationDate": "http://prismstandard.org/namespaces/basic/2.0/",
    "p:publicationDate": "http://prismstandard.org/namespaces/1.2/basic/",
    "prism:modificationDate": "http://prismstandard.org/namespaces/basic/3.0/",
    "dcterms:issued": "http://purl.org/dc/terms/",
    "dcterms:created": "http://purl.org/dc/terms/",
    "dcterms:modified": "http://purl.org/dc/terms/",
    "dc:date": "http://purl.org/dc/elements/1.1/",
    "a10:updated": "http://www.w3.org/2005/Atom",
    "a10:published": "http://www.w3.org/2005/Atom",
    "x:datePublished": "https://x.example/ns",
    "pubDate": "",
}


@pytest.mark.parametrize("name", TIMES)
def test_a_time_is_read_whatever_the_prefix_of_its_name(name: str) -> None:
    prefix = name.partition(":")[0]
    for attribute in ("", ' type="W3CDTF"'):
        for declared in (f'xmlns:{prefix}="{TIMES[name]}"' if ":" in name else "", ""):
            inner = f"<{name}{attribute}>2026-10-12T10:00:00Z</{name}>"
            feed = f'<rss version="2.0" {declared}><channel>{item("One", inner)}{item("Two")}</channel></rss>'
            rows = parse_feed(feed.encode(), FEED, NOW).rows
            assert [row.published for row in rows] == [True, False], feed


def test_an_unreadable_time_under_any_prefix_is_counted_and_one_within_another_element_is_not_the_entrys() -> None:
    root = '<rss version="2.0" xmlns:p="https://p.example/"><channel>'
    unread = item("One", "<p:publicationDate>soon</p:publicationDate>")
    within = item("Two", "<p:comment><p:created>2026-10-12T10:00:00Z</p:created></p:comment>")
    listing = parse_feed(f"{root}{unread}{within}</channel></rss>".encode(), FEED, NOW)
    assert [(one.field, one.value) for one in listing.left_out] == [("published_at", "soon")]
    assert [row.published for row in listing.rows] == [False, False]


def test_a_publication_date_goes_before_the_other_times_of_an_entry() -> None:
    others = "<p:created>2026-10-10T10:00:00Z</p:created><pubDate>Mon, 12 Oct 2026 10:00:00 GMT</pubDate>"
    feed = f'<rss version="2.0" xmlns:p="https://p.example/"><channel>{item("One", others)}</channel></rss>'
    (row,) = parse_feed(feed.encode(), FEED, NOW).rows
    assert row.headline.published_at == 1_791_799_200_000
