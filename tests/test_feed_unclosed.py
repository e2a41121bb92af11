"""Feeds whose elements are not closed: what one entry leaves open costs no other entry, and that is said."""

import pytest

from newstide.core.feed_texts import with_ends
from producers.feed_state import FeedState
from producers.feeds import Listing, parse_feed, poll_feed
from tests.harness.feed_site import NOW, Site, titles

FEED = "https://v.example/feed"


def parsed(inner: str) -> Listing:
    return parse_feed(f'<rss version="2.0"><channel>{inner}</channel></rss>'.encode(), FEED, NOW)


def told(listing: Listing) -> list[tuple[str, str, str]]:
    return [(row.headline.title, row.headline.url, row.headline.source) for row in listing.rows]


HEAD = "<title>Velm</title><link>https://v.example/</link>"
FIRST = "<title>One</title><link>https://v.example/1</link>"
SECOND = "<item><title>Two</title><link>https://v.example/2</link></item>"
UNCLOSED = {
    "the entry": f"{HEAD}<item>{FIRST}{SECOND}",
    "a description and its entry": f"{HEAD}<item>{FIRST}<description>text</item>{SECOND}",
    "a description alone": f"{HEAD}<item><description>text{FIRST}</item>{SECOND}",
    "a description with markup": f"{HEAD}<item><description>text <p>and <b>more{FIRST}</item>{SECOND}",
    "a title": f"{HEAD}<item><title>One<link>https://v.example/1</link></item>{SECOND}",
    "a title, at the end": f"{HEAD}<item><link>https://v.example/1</link><title>One</item>{SECOND}",
    "a title closed by another name": f"{HEAD}<item><title>One</titel><link>https://v.example/1</link></item>{SECOND}",
    "a link": f"{HEAD}<item><link>https://v.example/1<title>One</title></item>{SECOND}",
    "a date": f"{HEAD}<item>{FIRST}<pubDate>Mon, 12 Oct 2026 10:00:00 GMT</item>{SECOND}",
    "an unknown element": f"{HEAD}<item><extra>{FIRST}</item>{SECOND}",
    "a search box": f"{HEAD}<item>{FIRST}<textInput><title>Search</item>{SECOND}",
    "CDATA": f"{HEAD}<item>{FIRST}<description><![CDATA[text</description></item>"
    + SECOND.replace("Two", "<![CDATA[Two]]>"),
    "all of CDATA": f"{HEAD}<item>{FIRST}<description><![CDATA[text</description></item>{SECOND}",
    "a comment": f"{HEAD}<item>{FIRST}<!-- by hand</item>{SECOND}",
    "the feed's title": f"<title>Velm<link>https://v.example/</link><item>{FIRST}</item>{SECOND}",
    "the feed's description": f"{HEAD}<description>News<item>{FIRST}</item>{SECOND}",
    "the feed's picture": f"{HEAD}<image><url>p</url><title>Logo</title><item>{FIRST}</item>{SECOND}",
    "between entries": f"{HEAD}<item>{FIRST}</item><description>News{SECOND}",
    "the last entry": f"{HEAD}<item>{FIRST}</item>{SECOND.removesuffix('</item>')}",
}


@pytest.mark.parametrize("inner", UNCLOSED.values(), ids=UNCLOSED)
def test_what_is_not_closed_costs_no_entry_and_no_source_and_is_said(inner: str) -> None:
    listing = parsed(inner)
    assert told(listing) == [("One", "https://v.example/1", "Velm"), ("Two", "https://v.example/2", "Velm")]
    assert not listing.rejected
    assert [note.partition(" (")[0] for note in listing.notes] == ["the feed is no well-formed XML"]


def test_in_atom_and_rdf_too() -> None:
    entry = '<entry><title>{0}</title><id>urn:v:{0}</id><link href="https://v.example/{0}"/>'
    atom = f'<feed xmlns="http://www.w3.org/2005/Atom"><title>Velm{entry.format(1)}<summary>x</entry>{entry.format(2)}</feed>'
    item = "<item><title>{0}</title><link>https://v.example/{0}</link>"
    rdf = (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"><channel>'
        f"<title>Velm</title></channel>{item.format(1)}{item.format(2)}</item></rdf:RDF>"
    )
    for feed in (atom, rdf):
        listing = parse_feed(feed.encode(), FEED, NOW)
        assert told(listing) == [(str(one), f"https://v.example/{one}", "Velm") for one in (1, 2)]
        assert listing.notes


@pytest.mark.parametrize("fault", ["<b>", "&#1;", "\x01", '<media:thumbnail url="p"/>', "</b>", "<a href=x>y</a>"])
def test_a_feed_that_is_no_well_formed_xml_is_said_to_be_none(fault: str) -> None:
    listing = parsed(f"{HEAD}<item>{FIRST}<description>text {fault}</description></item>{SECOND}")
    assert titles(listing.rows) == ["One", "Two"]
    (note,) = listing.notes
    assert note.startswith("the feed is no well-formed XML")


@pytest.mark.parametrize(
    "inner",
    [
        f"{HEAD}<item>{FIRST}</item>{SECOND}",
        f"{HEAD}<!-- <item>{FIRST}</item> --><item>{FIRST}</item>{SECOND}",
        f"{HEAD}<item>{FIRST}<description><![CDATA[<item><p>]]></description></item>{SECOND}",
        f"{HEAD}<items><item>{FIRST}</item>{SECOND}</items>",
    ],
)
def test_in_a_sound_feed_nothing_is_closed_and_nothing_said(inner: str) -> None:
    assert with_ends(inner)[0] == inner
    listing = parsed(inner)
    assert (titles(listing.rows), listing.notes) == (["One", "Two"], [])


def test_entries_that_are_commented_out_stay_out_of_a_feed_that_is_mended() -> None:
    assert titles(parsed(f"{HEAD}<!-- {SECOND} --><item>{FIRST}<guid>1</item>").rows) == ["One"]


def test_of_a_feed_that_ends_early_the_last_entry_is_held_back_also_where_another_is_not_closed() -> None:
    cut = f"<rss><channel>{HEAD}<item>{FIRST}<description>text</item>{SECOND.removesuffix('</item>')}"
    listing = parse_feed(cut.encode(), FEED, NOW)
    assert titles(listing.rows) == ["One"]
    assert listing.cut
    assert len(listing.notes) == 2


def test_a_feed_that_is_mended_later_sends_nothing_twice(site: Site) -> None:
    state = FeedState(":memory:")
    body = f'<rss version="2.0"><channel>{UNCLOSED["a title"]}</channel></rss>'
    first = poll_feed(site.page("/rss", body), state, NOW, allow_private=True)
    assert len(first.rows) == 2
    url = site.page("/rss", f'<rss version="2.0"><channel>{HEAD}<item>{FIRST}</item>{SECOND}</channel></rss>')
    state.remember(url, first.items, "", "", NOW)
    assert not poll_feed(url, state, NOW, allow_private=True).rows


def test_many_elements_that_are_not_closed_are_closed_in_linear_time() -> None:
    text = "<item>" + "<p><title>" * 100_000 + "</item>" + "<![CDATA[" * 1_000
    assert with_ends(text)[0].count("</title>") == 100_000
