"""Values of a feed's entries that cannot be read: each is left out and counted, and costs no other."""

import pytest

from producers.feeds import Listing, parse_feed
from tests.harness.feed_site import NOW, rss

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
