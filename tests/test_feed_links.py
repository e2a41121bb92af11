"""Links and guids of a feed's entries: what is an address, and what identifies nothing beyond its feed."""

import json
from collections.abc import Callable

import pytest

from newstide.core.headline import derive_id
from newstide.core.links import joined
from producers.feed_ids import Item, Known, Status, digest_of, name_items
from producers.feeds import Listing, parse_feed
from tests.harness.feed_site import NOW

FEED = "https://v.example/feed/sport.xml"
OTHER = "https://v.example/feed/politics.xml"


def parsed(*items: str, url: str = FEED) -> Listing:
    listed = "".join(f"<item>{item}</item>" for item in items)
    return parse_feed(f'<rss version="2.0"><channel><title>Velm</title>{listed}</channel></rss>'.encode(), url, NOW)


NO_SCHEME = {
    "www.v.example/4": "https://www.v.example/4",
    "WWW.other.example/4": "https://WWW.other.example/4",
    "v.example/10": "https://v.example/10",
    "V.example/10?a=1": "https://V.example/10?a=1",
    "v.example:8443/10": "https://v.example:8443/10",
    "news.velm.info/4": "https://news.velm.info/4",
    "velm.co.uk/4": "https://velm.co.uk/4",
    "https:/v.example/7": "https://v.example/7",
    "http:velm.co.uk/7": "http://velm.co.uk/7",
    "https:///v.example/7": "https://v.example/7",
    "//v.example/7": "https://v.example/7",
    "/a/4": "https://v.example/a/4",
    "../a": "https://v.example/a",
    "a/4.html": "https://v.example/feed/a/4.html",
    "4.html": "https://v.example/feed/4.html",
    "index.php/2026/4": "https://v.example/feed/index.php/2026/4",
    "story.html/amp": "https://v.example/feed/story.html/amp",
    "v1.2/notes": "https://v.example/feed/v1.2/notes",
    "?id=4": "https://v.example/feed/sport.xml?id=4",
    "https:/x": "",
    "http:a/4": "",
}


@pytest.mark.parametrize("link", NO_SCHEME)
def test_a_link_that_begins_with_a_host_is_no_path_and_a_relative_link_stays_one(link: str) -> None:
    rss = parsed(f"<title>One</title><link>{link}</link>")
    feed = {"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "title": "One", "url": link}]}
    for listing in (rss, parse_feed(json.dumps(feed).encode(), FEED, NOW)):
        assert [row.headline.url for row in listing.rows] == [NO_SCHEME[link]]
        assert [one.field for one in listing.left_out] == ([] if NO_SCHEME[link] else ["url"])


def test_a_link_that_is_joined_in_another_way_than_before_keeps_its_id() -> None:
    before = Known("kept", "", "https://v.example/feed/www.v.example/4", digest_of("One"))
    listing = parsed("<title>One</title><link>www.v.example/4</link>")
    ((status, known),) = name_items(listing.items, [before], FEED)
    assert (status, known.id, known.link) == (Status.KNOWN, "kept", joined(FEED, "www.v.example/4"))


RELATIVE = [
    "<guid>101</guid>",
    "<link></link><guid>101</guid>",
    "<guid>101</guid><link/>",
    '<guid isPermaLink="true">a-1</guid>',
]


@pytest.mark.parametrize("guid", [*RELATIVE, "<guid>a b</guid>", "<guid>x/101</guid>", "<guid>/101</guid>"])
def test_a_guid_that_is_no_address_is_no_link_and_identifies_nothing_beyond_its_feed(guid: str) -> None:
    one, other = parsed(f"<title>Oar race won</title>{guid}"), parsed(f"<title>Vote held</title>{guid}", url=OTHER)
    assert [row.headline.url for row in one.rows] == [""]
    assert [left.field for left in one.left_out] == ["url"]
    ids = [name_items(listing.items, [], url)[0][1].id for listing, url in ((one, FEED), (other, OTHER))]
    assert len({*ids, *(derive_id("", "Velm", title, None) for title in ("Oar race won", "Vote held"))}) == 4


@pytest.mark.parametrize("guid", ["https://v.example/4", "http://other.example/?p=4", "www.v.example/4", "v.example/4"])
def test_a_guid_that_is_an_address_is_the_link_of_an_entry_without_one(guid: str) -> None:
    listing = parsed(f"<title>One</title><guid>{guid}</guid>")
    assert [row.headline.url for row in listing.rows] == [joined(FEED, guid)]
    assert not listing.left_out
    assert not parsed(f'<title>One</title><guid isPermaLink="false">{guid}</guid>').rows[0].headline.url


def test_an_id_of_atom_that_is_no_address_is_no_link_and_nothing_is_left_out_for_it() -> None:
    feed = '<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>One</title><id>101</id></entry></feed>'
    listing = parse_feed(feed.encode(), FEED, NOW)
    assert [(row.headline.url, item.guid) for row, item in zip(listing.rows, listing.items, strict=True)] == [
        ("", "101")
    ]
    assert not listing.left_out


FORMER = "https://v.example/feed/101"


@pytest.mark.parametrize("guid", RELATIVE[:3])
@pytest.mark.parametrize(
    "before",
    [
        Known(derive_id(FORMER, "", "", None), FORMER, FORMER, digest_of("Oar race won")),
        Known(FORMER, FORMER, "", digest_of("Oar race won")),
        Known(derive_id(FORMER, "", "", None)),
        Known(FORMER),
    ],
)
def test_an_item_whose_guid_an_earlier_version_took_for_a_link_keeps_its_id(guid: str, before: Known) -> None:
    items = parsed(f"<title>Oar race won</title>{guid}").items
    ((status, known),) = name_items(items, [before], FEED)
    assert (status, known) == (Status.KNOWN, Known(before.id, "101", "", digest_of("Oar race won")))
    ((status, again),) = name_items(items, [known], FEED)
    assert (status, again) == (Status.KNOWN, known)
    edited = parsed(f"<title>Oar race won at last</title>{guid}").items
    assert name_items(edited, [known], FEED)[0][0] is Status.EDITED


def test_an_item_with_a_link_keeps_its_id_where_its_guid_was_joined_before() -> None:
    link = "https://v.example/a"
    before = Known("kept", FORMER, link, digest_of("One"))
    listing = parsed(f"<title>One</title><link>{link}2</link><guid>101</guid>")
    assert not listing.left_out
    assert name_items(listing.items, [before], FEED) == [
        (Status.KNOWN, Known("kept", "101", f"{link}2", digest_of("One")))
    ]
    assert isinstance(listing.items[0], Item)


def test_items_whose_common_guid_an_earlier_version_took_for_a_link_keep_their_ids() -> None:
    before = [Known(str(number), "", FORMER, digest_of(title)) for number, title in enumerate(["One", "Two"])]
    items = parsed(*(f"<title>{title}</title><guid>101</guid>" for title in ("Three", "Two", "One"))).items
    named = name_items(items, before, FEED)
    assert [status for status, _ in named] == [Status.NEW, Status.KNOWN, Status.KNOWN]
    assert [known.id for _, known in named[1:]] == ["1", "0"]
    assert name_items(items, [known for _, known in named], FEED)[1:] == named[1:]


EMPTY = [
    '<link></link><guid isPermaLink="true">{0}</guid>',
    '<guid isPermaLink="true">{0}</guid><link></link>',
    "<guid>{0}</guid><link/>",
    "<link> </link><guid>{0}</guid>",
    '<guid isPermaLink="TRUE">{0}</guid><link/>',
]
ADDRESS = "https://q.example/5"


def atom(entry: str) -> Listing:
    feed = (
        f'<feed xmlns="http://www.w3.org/2005/Atom"><title>Velm</title><entry><title>One</title>{entry}</entry></feed>'
    )
    return parse_feed(feed.encode(), FEED, NOW)


def rdf(item: str, about: str = ADDRESS) -> Listing:
    feed = (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"><channel>'
        f'<title>Velm</title></channel><item rdf:about="{about}"><title>One</title>{item}</item></rdf:RDF>'
    )
    return parse_feed(feed.encode(), FEED, NOW)


def json_feed(**item: object) -> Listing:
    feed = {"version": "https://jsonfeed.org/version/1.1", "title": "Velm", "items": [{"title": "One", **item}]}
    return parse_feed(json.dumps(feed).encode(), FEED, NOW)


@pytest.mark.parametrize("inner", EMPTY)
@pytest.mark.parametrize("guid", [ADDRESS, "www.q.example/5"])
def test_a_guid_that_is_an_address_is_the_link_of_an_entry_with_an_empty_one(inner: str, guid: str) -> None:
    listing = parsed(f"<title>One</title>{inner.format(guid)}")
    assert [row.headline.url for row in listing.rows] == [joined(FEED, guid)]
    assert not listing.left_out


def test_an_id_that_is_an_address_is_the_link_of_an_entry_of_any_kind_without_one() -> None:
    for listing in (atom(f"<id>{ADDRESS}</id>"), rdf(""), rdf("<link></link>"), json_feed(id=ADDRESS)):
        assert [row.headline.url for row in listing.rows] == [ADDRESS]
        assert not listing.left_out
    assert json_feed(id="q.example/5").rows[0].headline.url == "https://q.example/5"
    for listing in (rdf("", "urn:v:1"), rdf("", "101"), json_feed(id="urn:v:1"), json_feed(id="101"), json_feed(id=7)):
        assert [row.headline.url for row in listing.rows] == [""]
        assert not listing.left_out


@pytest.mark.parametrize(
    "listing",
    [
        lambda link: parsed(f"<title>One</title><link>{link}</link><guid>{ADDRESS}</guid>"),
        lambda link: rdf(f"<link>{link}</link>"),
        lambda link: json_feed(id=ADDRESS, url=link),
    ],
)
def test_a_link_of_the_entrys_own_goes_before_its_id_also_where_it_cannot_be_read(
    listing: Callable[[str], Listing],
) -> None:
    assert listing("https://v.example/1").rows[0].headline.url == "https://v.example/1"
    odd = listing("javascript:alert(1)")
    assert [row.headline.url for row in odd.rows] == [""]
    assert [one.value for one in odd.left_out] == ["javascript:alert(1)"]


@pytest.mark.parametrize("before", [Known(ADDRESS, ADDRESS, "", digest_of("One")), Known(ADDRESS)])
@pytest.mark.parametrize("title", ["One", "One at last"])
def test_an_item_whose_guid_an_earlier_version_did_not_take_for_its_link_keeps_its_id(
    before: Known, title: str
) -> None:
    for listing in (
        *(parsed(f"<title>{title}</title>{inner.format(ADDRESS)}") for inner in EMPTY[:3]),
        json_feed(id=ADDRESS, title=title),
    ):
        ((status, known),) = name_items(listing.items, [before], FEED)
        assert (status, known.id, known.link) == (
            Status.EDITED if before.title and title != "One" else Status.KNOWN,
            ADDRESS,
            ADDRESS,
        )


@pytest.mark.parametrize("rel", ["self", "related", "via"])
def test_a_link_of_another_relation_is_no_entrys_link_and_counted(rel: str) -> None:
    listing = atom(f'<id>urn:v:1</id><link rel="{rel}" href="https://v.example/1"/>')
    assert [row.headline.url for row in listing.rows] == [""]
    assert [(one.field, one.value) for one in listing.left_out] == [("url", "https://v.example/1")]
    both = f'<link rel="{rel}" href="https://v.example/1"/><link href="https://v.example/2"/>'
    assert [row.headline.url for row in atom(both).rows] == ["https://v.example/2"]
    assert not atom('<id>urn:v:1</id><link rel="enclosure" href="https://v.example/1.mp3"/>').left_out


AS_GIVEN = [
    "https://v.example/1#",
    "https://v.example/1?",
    "https://v.example/1;",
    "HTTPS://v.example/1",
    "Http://V.example/a/../1",
]


@pytest.mark.parametrize("link", AS_GIVEN)
def test_a_whole_address_stays_as_it_is_given_as_in_files_and_messages(link: str) -> None:
    for listing in (
        parsed(f"<title>One</title><link>{link}</link>"),
        parsed(f"<title>One</title><guid>{link}</guid>"),
        atom(f'<link href="{link}"/>'),
        rdf("", link),
        json_feed(url=link),
    ):
        assert [row.headline.url for row in listing.rows] == [link]
        assert name_items(listing.items, [], FEED)[0][1].id == derive_id(link, "", "", None)


def test_line_breaks_within_a_link_go_and_an_address_that_is_none_is_left_out() -> None:
    assert joined(FEED, " https://v.example/a\n\tb ") == "https://v.example/ab"
    with pytest.raises(ValueError, match="Invalid IPv6"):
        joined(FEED, "http://[::1")


@pytest.mark.parametrize("link", AS_GIVEN[:4])
@pytest.mark.parametrize("guid", ["", "<guid>g-1</guid>"])
def test_an_item_whose_link_was_shortened_before_keeps_its_id(link: str, guid: str) -> None:
    earlier = "https://v.example/1"
    before = Known(derive_id(earlier, "", "", None), "g-1" if guid else "", earlier, digest_of("One"))
    items = parsed(f"<title>One</title><link>{link}</link>{guid}").items
    ((status, known),) = name_items(items, [before], FEED)
    assert (status, known.id, known.link) == (Status.KNOWN, before.id, link)
    assert name_items(items, [known], FEED) == [(Status.KNOWN, known)]


def test_an_item_whose_link_is_another_items_but_for_its_end_takes_nothing_from_it() -> None:
    link = "https://v.example/live"
    before = [Known("a", "", link, digest_of("One")), Known("b", "g-2", link, digest_of("Two"))]
    items = parsed(
        f"<title>Two</title><link>{link}#</link><guid isPermaLink='false'>g-2</guid>",
        f"<title>One</title><link>{link}</link>",
    ).items
    for listed in (items, items[::-1]):
        known = before
        for _ in range(2):
            named = name_items(listed, known, FEED)
            known = [one for _, one in named]
            assert {one.id: (status, one.link) for status, one in named} == {
                "a": (Status.KNOWN, link),
                "b": (Status.KNOWN, f"{link}#"),
            }


@pytest.mark.parametrize("end", ["#", "/#", "?", "/?"])
def test_a_sites_address_identifies_nothing_whatever_stands_at_its_end(end: str) -> None:
    (item,) = parsed(f"<title>One</title><link>https://v.example{end}</link>").items
    assert item.link == ""


@pytest.mark.parametrize("own", ["/feed.xml", "feed", "?format=atom", "urn:velm:feed", "https://v.example/", "7", ""])
@pytest.mark.parametrize("kind", ["Atom", "RSS", "RDF"])
def test_whatever_a_feed_s_own_id_is_its_entries_are_read(own: str, kind: str) -> None:
    link = "/2026/mill?a=1"
    feed = {
        "Atom": f'<feed xmlns="http://www.w3.org/2005/Atom"><id>{own}</id><link href="/"/><title>Velm</title><entry>'
        f'<id>/2026/mill</id><title>Mill shuts</title><link href="{link}"/></entry></feed>',
        "RSS": f'<rss version="2.0"><channel><guid>{own}</guid><title>Velm</title><item><guid>/2026/mill</guid>'
        f"<title>Mill shuts</title><link>{link}</link></item></channel></rss>",
        "RDF": '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/">'
        f'<channel rdf:about="{own}"><title>Velm</title></channel><item rdf:about="/2026/mill"><title>Mill shuts</title>'
        f"<link>{link}</link></item></rdf:RDF>",
    }[kind]
    listing = parse_feed(feed.encode(), FEED, NOW)
    assert [(row.headline.title, row.headline.url) for row in listing.rows] == [
        ("Mill shuts", f"https://v.example{link}")
    ]
    assert listing.rejected == []
