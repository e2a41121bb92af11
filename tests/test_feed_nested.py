"""Entries within entries, and markup within texts: each element belongs to what it stands in."""

import pytest

from producers.feeds import Listing, parse_feed
from tests.harness.feed_site import NOW

FEED = "https://v.example/feed"
BROKEN = "<rights>&#1;</rights>"  # no well-formed XML, so feedparser's lenient parser reads it


def rss(inner: str) -> Listing:
    return parse_feed(f'<rss version="2.0"><channel><title>Velm</title>{inner}</channel></rss>'.encode(), FEED, NOW)


def atom(inner: str) -> Listing:
    text = f'<feed xmlns="http://www.w3.org/2005/Atom"><title>Velm</title>{inner}</feed>'
    return parse_feed(text.encode(), FEED, NOW)


def told(listing: Listing) -> set[tuple[str, str, str, str]]:
    return {
        (one.headline.title, one.headline.url, one.headline.source, one.headline.description) for one in listing.rows
    }


LINKS = {"item": "<link>https://v.example/{}</link>", "entry": '<link href="https://v.example/{}"/>'}
NESTED = {
    "at the end": "<{0}>{title}{link}{text}{inner}</{0}>",
    "at the begin": "<{0}>{inner}{title}{link}{text}</{0}>",
    "in the middle": "<{0}>{title}{inner}{link}{text}</{0}>",
    "in another element": "<{0}>{title}<related><list>{inner}</list></related>{link}{text}</{0}>",
    "in a source": "<{0}>{title}<source>{inner}<title>Velm</title></source>{link}{text}</{0}>",
    "twice": "<{0}>{title}{inner}{other}{link}{text}</{0}>",
    "within one within it": "<{0}><{0}>{inner}<title>Three</title>{third}</{0}>{title}{link}{text}</{0}>",
}


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("layout", NESTED.values(), ids=NESTED)
def test_an_entry_within_an_entry_costs_neither_of_them_anything(layout: str, name: str) -> None:
    def entry(title: str, number: int, text: str) -> str:
        return f"<{name}><title>{title}</title>{LINKS[name].format(number)}<summary>{text}</summary></{name}>"

    feed = layout.format(
        name,
        title="<title>One</title>",
        link=LINKS[name].format(1),
        text="<summary>Of one.</summary>",
        inner=entry("Two", 2, "Of two."),
        other=entry("Three", 3, ""),
        third=LINKS[name].format(3),
    )
    listing = (rss if name == "item" else atom)(f"{feed}{entry('Four', 4, '')}")
    expected = {
        ("One", "https://v.example/1", "Velm", "Of one."),
        ("Two", "https://v.example/2", "Velm", "Of two."),
        ("Four", "https://v.example/4", "Velm", ""),
    }
    if "Three" in feed:
        expected.add(("Three", "https://v.example/3", "Velm", ""))
    assert told(listing) == expected
    assert (len(listing.rows), listing.rejected) == (len(expected), [])


def test_an_entry_without_a_title_around_another_is_refused_and_counted() -> None:
    listing = rss(f"<item>{LINKS['item'].format(1)}<item><title>Two</title></item></item>")
    assert [one.headline.title for one in listing.rows] == ["Two"]
    assert [one.reason for one in listing.rejected] == ["The title is missing or empty."]


def test_where_xml_is_broken_each_of_the_two_is_read_or_refused() -> None:
    for inner in (
        "<item><title>Two</title></item><title>One</title>",
        "<title>One</title><item><title>Two</title></item>",
    ):
        listing = rss(f"<item>{inner}{BROKEN}</item>")
        assert len(listing.rows) + len(listing.rejected) == 2
        assert listing.notes


MARKUP = {
    "details": "<details><summary>More</summary><p>Text</p></details>",
    "a picture": '<picture><source srcset="p"></source></picture><p>More Text</p>',
    "a page": "<title>More</title><p>Text</p>",
    "an author": "<author>More</author><p>Text</p>",
    "another entry": "<item>More</item><p>Text</p>",
    "a drawing": '<svg xmlns="http://www.w3.org/2000/svg"><title>More</title></svg>Text',
}


@pytest.mark.parametrize("broken", ["", BROKEN], ids=["sound", "unsound"])
def test_markup_in_a_text_ends_nothing_of_the_entry(broken: str) -> None:
    namespace = ' xmlns="http://www.w3.org/1999/xhtml"'
    texts = [f"<div{said}>{markup}</div>" for markup in MARKUP.values() for said in ("", namespace)]
    entries = [
        f"<entry><source><title>Wharf</title></source><title>One</title><content type='xhtml'>{text}</content>"
        f"{LINKS['entry'].format(number)}{broken}</entry>"
        for number, text in enumerate(texts)
    ]
    listing = atom("".join(entries))
    found = [(one.headline.title, one.headline.url, one.headline.source) for one in listing.rows]
    assert found == [("One", f"https://v.example/{number}", "Wharf") for number in range(len(texts))]
    for text, one in zip(texts, listing.rows, strict=True):
        assert [word for word in ("More", "Text") if word not in one.headline.description] == [], text
