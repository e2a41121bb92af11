"""Feeds that end early: what they list as whole is sent, what they end within is held back and said."""

import pytest

from producers.feed_state import FeedState
from producers.feeds import parse_feed, poll_feed
from tests.harness.feed_site import NOW, Site, titles

FEED = "https://v.example/feed"
RSS = (
    '<rss version="2.0"><channel><title>Velm</title><item><title>One</title><link>https://v.example/1</link></item>'
    "<item><title>Two</title><link>https://v.example/second</link><description><![CDATA[It <b>is</b>.]]></description>"
    "</item></channel></rss>"
)
ATOM = (
    '<feed xmlns="http://www.w3.org/2005/Atom"><title>Velm</title><entry><title>One</title><id>urn:v:1</id></entry>'
    '<entry><title>Two</title><id>urn:v:2</id><link href="https://v.example/second"/></entry></feed>'
)
RDF = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"><channel>'
    "<title>Velm</title></channel><item><title>One</title></item><item><title>Two</title><link>https://v.example/second"
    "</link></item></rdf:RDF>"
)


@pytest.mark.parametrize("feed", [RSS, ATOM, RDF], ids=["rss", "atom", "rdf"])
@pytest.mark.parametrize("last", ["second", "wo</title>", "<title>Two</title", "Two</title>"])
def test_the_entry_within_which_a_feed_ends_is_held_back_and_said(feed: str, last: str) -> None:
    cut = feed[: feed.index(last, feed.index("Two") - 8) + 3]
    listing = parse_feed(cut.encode(), FEED, NOW)
    assert titles(listing.rows) == ["One"]
    assert [(row.line, "ends within this entry" in row.reason) for row in listing.rejected] == [(2, True)]
    assert any("ends early" in note for note in listing.notes)
    assert listing.cut


@pytest.mark.parametrize("feed", [RSS, ATOM, RDF], ids=["rss", "atom", "rdf"])
def test_entries_that_are_closed_are_sent_though_the_feed_ends_behind_them(feed: str) -> None:
    whole = parse_feed(feed.encode(), FEED, NOW)
    assert (titles(whole.rows), whole.notes, whole.cut) == (["One", "Two"], [], False)
    end = max(feed.rindex("</item>") + 7 if "</item>" in feed else 0, feed.find("</entry></feed>") + 8)
    for more in ("", "</chan", "<"):
        listing = parse_feed((feed[:end] + more).encode(), FEED, NOW)
        assert titles(listing.rows) == ["One", "Two"]
        assert not listing.rejected
        assert listing.cut


def test_an_unsound_feed_that_ends_as_it_should_is_sent_whole() -> None:
    for feed in (RSS.replace("<b>", "<b>&nosuch;"), RSS.replace("</item></channel>", "<b></item></channel>")):
        listing = parse_feed(feed.encode(), FEED, NOW)
        assert (titles(listing.rows), listing.cut) == (["One", "Two"], False)


def test_after_a_feed_that_ended_early_the_whole_one_is_asked_for_and_nothing_comes_twice(site: Site) -> None:
    url = site.page("/rss", RSS[: RSS.index("ond</link>")], ETag='"1"')
    state = FeedState(":memory:")
    first = poll_feed(url, state, NOW, allow_private=True)
    state.remember(url, first.items, first.etag, first.last_modified, NOW)
    site.page("/rss", RSS, ETag='"1"')
    second = poll_feed(url, state, NOW, allow_private=True)
    assert (titles(first.rows), titles(second.rows)) == (["One"], ["Two"])
