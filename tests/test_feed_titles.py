"""Titles, links and sources of a feed's entries: each is taken from where it stands, and none is guessed."""

from collections.abc import Sequence

import pytest

from newstide.core.headline import derive_id
from producers.feed_ids import name_items
from producers.feeds import Listing, parse_feed
from tests.harness.feed_site import NOW, titles

FEED = "https://v.example/feed"
NAMESPACES = (
    'xmlns:media="http://search.yahoo.com/mrss/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:dcterms="http://purl.org/dc/terms/" xmlns:x="https://v.example/ns" '
    'xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"'
)
LINK = "<link>https://v.example/5</link>"


def parsed(items: str, *, head: str = "<title>Velm</title>") -> Listing:
    return parse_feed(f'<rss version="2.0" {NAMESPACES}><channel>{head}{items}</channel></rss>'.encode(), FEED, NOW)


PICTURE = '<media:content url="p"><media:title>Photo of the pier</media:title></media:content>'
OF_OTHERS = {
    "a picture": PICTURE,
    "a group": f"<media:group>{PICTURE}<media:title>Photo</media:title></media:group>",
    "beside a picture": '<media:content url="p" medium="image"/><media:title>Photo</media:title>',
    "before a thumbnail": '<media:title>Photo</media:title><media:thumbnail url="p"/>',
    "beside an enclosure": '<media:title>Photo</media:title><enclosure url="p" type="image/png"/>',
    "an image": "<image><url>p</url><title>Photo</title><link>https://v.example/p</link></image>",
    "a search box": "<textInput><title>Search</title><name>q</name><link>https://v.example/q</link></textInput>",
    "another element": "<series><title>All of it</title></series>",
}


@pytest.mark.parametrize("other", OF_OTHERS.values(), ids=OF_OTHERS)
@pytest.mark.parametrize("broken", ["", "<b>"], ids=["sound", "unsound"])
def test_the_title_of_something_within_an_entry_is_not_the_entrys(other: str, broken: str) -> None:
    listing = parsed(f"<item>{LINK}<description>Long{broken}</description>{other}</item>")
    assert [(row.line, row.reason) for row in listing.rejected] == [(1, "The title is missing or empty.")]
    for with_title in (f"{other}<title>One</title>{LINK}", f"<title>One</title>{LINK}{other}"):
        listing = parsed(f"<item>{with_title}<description>Long{broken}</description></item>")
        (row,) = listing.rows
        assert (row.headline.title, row.headline.url, row.headline.source) == ("One", "https://v.example/5", "Velm")


def test_a_title_that_comes_later_is_new_where_the_entry_had_none() -> None:
    first = parsed(f"<item>{LINK}{PICTURE}</item>")
    known = [one for _, one in name_items(first.items, [], FEED)]
    ((status, one),) = name_items(parsed(f"<item><title>One</title>{LINK}{PICTURE}</item>").items, known, FEED)
    assert (status.name, one.id) == ("NEW", derive_id("https://v.example/5", "", "", None))


OTHER_NAMES = ["dc:title", "dcterms:title", "itunes:title", "x:title"]


def each(*layouts: str, broken: str, names: Sequence[str] = OTHER_NAMES) -> list[str]:
    """The titles of a feed with an entry for each layout and name; `{0}` is the name."""
    inner = [layout.format(name) for layout in layouts for name in names]
    items = [f"<item><guid>{number}</guid>{one}</item>" for number, one in enumerate(inner)]
    return titles(parsed(f"{''.join(items)}<item><description>Text{broken}</description></item>").rows)


@pytest.mark.parametrize("broken", ["", "<b>"], ids=["sound", "unsound"])
def test_a_title_in_an_entry_that_holds_no_medium_is_the_entrys(broken: str) -> None:
    names = ["media:title", "title", *OTHER_NAMES]
    layouts = [f"<{{0}}{said}>A &amp; B<![CDATA[ & C]]></{{0}}>" for said in ("", ' xml:lang="en"')]
    assert each(*layouts, broken=broken, names=names) == ["A & B & C"] * len(layouts) * len(names)


@pytest.mark.parametrize("broken", ["", "<b>"], ids=["sound", "unsound"])
def test_an_entrys_own_title_counts_wherever_another_stands(broken: str) -> None:
    names = ["media:title", *OTHER_NAMES]
    layouts = ["<{0}>Other</{0}><title>One</title>", "<title>One</title><{0}>Other</{0}>"]
    assert each(*layouts, broken=broken, names=names) == ["One"] * len(layouts) * len(names)
    assert each("<{0}>Other</{0}><title> </title>", broken=broken, names=names) == ["Other"] * len(names)


@pytest.mark.parametrize("broken", ["", "<b>"], ids=["sound", "unsound"])
def test_of_titles_under_other_names_the_entrys_first_counts(broken: str) -> None:
    picture = '<media:content url="p"><{0}>Photo</{0}></media:content>'
    layouts = [
        "<{0}>One</{0}><{0}>Two</{0}>",
        "<{0}>One</{0}><dc:title>Two</dc:title><x:title>Three</x:title>",
        f"{picture}<{{0}}>One</{{0}}>",
        f"<{{0}}>One</{{0}}>{picture}",
    ]
    assert each(*layouts, broken=broken) == ["One"] * len(layouts) * len(OTHER_NAMES)
    assert each(picture, broken=broken) == []


def test_an_entry_of_a_video_has_its_own_title_whatever_the_order() -> None:
    group = (
        "<media:group><media:title>Of the video</media:title>"
        + "<media:description>It runs.</media:description></media:group>"
    )
    for inner in (f"<title>One</title>{group}", f"{group}<title>One</title>"):
        atom = (
            f'<feed xmlns="http://www.w3.org/2005/Atom" {NAMESPACES}><title>Velm</title><entry>{inner}</entry></feed>'
        )
        (row,) = parse_feed(atom.encode(), FEED, NOW).rows
        assert (row.headline.title, row.headline.source, row.headline.description) == ("One", "Velm", "It runs.")


@pytest.mark.parametrize(
    ("head", "tail", "source"),
    [
        ("<title>Velm</title>", "<title>Another</title>", "Velm"),
        ("<title>Velm</title><image><title>Logo</title><url>p</url></image>", "", "Velm"),
        ("<image><title>Logo</title><url>p</url></image><title>Velm</title>", "", "Velm"),
        ("<title>Velm</title><textInput><title>Search</title></textInput>", "", "Velm"),
        ("<title>Velm</title><skin><title>Dark</title></skin>", "", "Velm"),
        ("<dc:title>Other</dc:title><title>Velm</title>", "", "Velm"),
        ("<dcterms:title>Velm</dcterms:title><image><dc:title>Logo</dc:title></image>", "", "Velm"),
        ("", "<title>Velm</title>", "Velm"),
        ("", "", "v.example"),
    ],
)
def test_a_feeds_title_is_its_own_and_the_one_before_its_first_entry(head: str, tail: str, source: str) -> None:
    listing = parsed(f"<item><title>One</title></item>{tail}", head=head)
    assert [row.headline.source for row in listing.rows] == [source]
