"""Feeds of every kind: dates, links, languages and names that real feeds have, and what their servers answer."""

import gzip
import json
import time
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from newstide.core.errors import FeedGone, SourceError
from newstide.core.headline import derive_id
from newstide.core.ids import id_of_link_and_title
from newstide.core.settings import FeedSettings
from newstide.core.text import iso_time
from producers.feed_ids import Item, Known, Status, digest_of, name_items, own_address
from producers.feed_poller import FeedPoller
from producers.feed_state import FeedState
from producers.feeds import Listing, parse_feed, poll_feed
from producers.fetch import fetch
from producers.rows import Rejected, Row
from tests.harness.feed_site import NOW, Site, rss

FEED = "https://wharf.example/news/rss"


def parsed(items: str, *, head: str = "", root: str = "") -> Listing:
    feed = (
        f'<rss version="2.0" xmlns:media="http://search.yahoo.com/mrss/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        f"{root}><channel><title>Wharf Courier</title><link>https://wharf.example/</link>{head}{items}</channel></rss>"
    )
    return parse_feed(feed.encode(), FEED, NOW)


def item(title: str, *more: str) -> str:
    return f"<item><title>{title}</title>{''.join(more)}</item>"


def times(listing: Listing) -> dict[str, str | None]:
    return {row.headline.title: iso_time(row.headline.published_at) if row.published else None for row in listing.rows}


def test_dates_are_read_in_the_spellings_of_real_feeds_and_none_costs_an_entry() -> None:
    given = {
        "Mon, 12 Oct 2026 10:00:00 CET": "2026-10-12T09:00:00Z",
        "Mon, 12 Oct 2026 10:00:00 JST": "2026-10-12T01:00:00Z",
        "Mon, 12 Oct 2026 08:28:28 PM": "2026-10-12T20:28:28Z",
        "2026/10/12 10:00:00 +0100": "2026-10-12T09:00:00Z",
        "20261012T100000Z": "2026-10-12T10:00:00Z",
        "1791799200": "2026-10-12T10:00:00Z",
        "Tue, 13 Oct 2026 12:30:00 +0000": "2026-10-13T12:30:00Z",  # half an hour ahead
        "9999-12-31T23:59:59-99:99": None,
        "Mon, 01 Jan 0001 00:00:00 +0000": None,
        "Wed, 31 Dec 1969 23:59:59 GMT": None,
        "Mon, 30 Nov -0001 00:00:00 +0000": None,
        "2035-01-01T00:00:00Z": None,
        "03/04/2026": None,
        "2 hours ago": None,
    }
    items = "".join(item(text, f"<pubDate>{text}</pubDate>") for text in given)
    listing = parsed(
        items + item("One that is not dated") + item("Lundi", "<pubDate>lun. 12 oct. 2026 10:00 Z</pubDate>")
    )
    assert times(listing) == {**given, "One that is not dated": None, "Lundi": "2026-10-12T10:00:00Z"}
    assert not listing.rejected
    assert {one.value for one in listing.left_out} == {text for text, read in given.items() if read is None}


def test_an_unreadable_date_gives_way_to_another_that_the_entry_has() -> None:
    two = "<pubDate>soon</pubDate><dc:date>2026-10-12T10:00:00Z</dc:date>"
    assert times(parsed(item("Two dates", two))) == {"Two dates": "2026-10-12T10:00:00Z"}


def test_one_bad_link_costs_no_other_entry() -> None:
    listing = parsed(
        item("Bad", "<link>http://[::1</link>")
        + item("Worse", "<link>https://wharf.example:port/</link><comments>http://[</comments>")
        + item("Script", "<link>javascript:alert(1)</link>")
        + item("Good", "<link>https://wharf.example/good</link>")
        + item("Relative", "<link>../crane</link>")
    )
    urls = {row.headline.title: row.headline.url for row in listing.rows}
    assert list(urls) == ["Bad", "Worse", "Script", "Good", "Relative"]
    assert (urls["Bad"], urls["Script"]) == ("", "")
    assert (urls["Good"], urls["Relative"]) == ("https://wharf.example/good", "https://wharf.example/crane")


def test_relative_links_start_at_the_feeds_base() -> None:
    atom = (
        '<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://velm.example/a/"><title>Velm</title>'
        '<entry xml:base="b/"><title>One</title><id>urn:v:1</id><link href="one"/></entry></feed>'
    )
    (row,) = parse_feed(atom.encode(), FEED, NOW).rows
    assert row.headline.url == "https://velm.example/a/b/one"


def test_the_entrys_own_description_goes_before_that_of_its_picture() -> None:
    media = "<media:content><media:description>A crane.</media:description></media:content>"
    listing = parsed(
        item("Before", media, "<description>It moves.</description>")
        + item("After", "<description>It moves.</description>", media)
        + item("Alone", media)
    )
    assert [row.headline.description for row in listing.rows] == ["It moves.", "It moves.", "A crane."]


def test_an_entrys_language_is_its_own_then_that_of_dublin_core_then_the_feeds() -> None:
    language = "<dc:language>fr</dc:language>"
    items = '<item xml:lang="de"><title>A</title>' + language + "</item>" + item("B", language) + item("C")
    for head, root, last in (("<language>en-gb</language>", "", "en-gb"), ("", ' xml:lang="nl"', "nl")):
        listing = parsed(items, head=head, root=root)
        assert [row.headline.language for row in listing.rows] == ["de", "fr", last]


def test_json_feeds_are_read_each_item_by_itself() -> None:
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "Wharf Courier",
        "language": "en",
        "home_page_url": "https://wharf.example/",
        "items": [
            {"id": "1", "title": "Quay crane moves", "url": "/1", "date_published": "2026-10-12T10:00:00Z", "language": "cy",
             "content_html": "<p>It &amp; moves.</p>"},
            {"id": 2, "title": "Mill sold", "date_modified": "2026-10-12T11:00:00+01:00", "summary": "At last."},
            {"id": "3", "content_text": "No title"},
            "no object",
            {"id": "5", "title": ["a list"]},
        ],
    }  # fmt: skip
    listing = parse_feed(b"\xef\xbb\xbf " + json.dumps(feed).encode(), FEED, NOW)
    first, second = (row.headline for row in listing.rows)
    assert (first.title, first.url, first.language) == ("Quay crane moves", "https://wharf.example/1", "cy")
    assert (first.source, first.description) == ("Wharf Courier", "It & moves.")
    assert (second.language, second.description) == ("en", "At last.")
    assert set(times(listing).values()) == {"2026-10-12T10:00:00Z"}
    assert [row.line for row in listing.rejected] == [3, 4, 5]
    with pytest.raises(SourceError, match="no JSON Feed"):
        parse_feed(b'{"articles": []}', FEED, NOW)
    with pytest.raises(SourceError, match="cannot be parsed"):
        parse_feed(b'{"items": ' + b"[" * 100_000, FEED, NOW)


def named(*items: Item, known: list[Known] | None = None) -> list[tuple[Status, str]]:
    return [(status, one.id) for status, one in name_items(items, known or [], FEED)]


def entry(title: str, link: str = "", guid: str = "") -> Item:
    return Item(guid, link, title, derive_id("", "Wharf", title, None))


LINK = "https://pell.example/alerts"


def test_items_that_share_a_link_keep_their_ids_in_every_later_poll() -> None:
    quay, storm, lamp = entry("Quay closed", LINK, "a-1"), entry("Storm", LINK, "a-2"), entry("Lamp", LINK)
    first = name_items([quay, storm, lamp], [], FEED)
    ids = [one.id for _, one in first]
    assert ids[0] == derive_id(LINK, "", "", None)
    assert ids[2] == id_of_link_and_title(LINK, "Lamp")
    assert len(set(ids)) == 3
    known = [one for _, one in first]
    again = named(entry("New", LINK, "a-4"), lamp, storm, known=known)
    assert [status for status, _ in again] == [Status.NEW, Status.KNOWN, Status.KNOWN]
    assert [id_ for _, id_ in again[1:]] == [ids[2], ids[1]]
    assert again[0][1] not in ids
    assert named(quay, known=known) == [(Status.KNOWN, ids[0])]


def test_another_title_under_a_link_that_is_listed_once_is_an_edit_and_said_once() -> None:
    link = "https://pell.example/1"
    ((_, known),) = name_items([entry("Ferry late", link, "g")], [], FEED)
    ((status, now),) = name_items([entry("Ferry very late", link)], [known], FEED)
    assert (status, now.id) == (Status.EDITED, known.id)
    assert named(entry("FERRY VERY LATE", link, "other"), known=[now]) == [(Status.KNOWN, known.id)]


def test_items_without_a_link_are_called_by_their_guid_else_by_source_and_title() -> None:
    urn, number, none = entry("A", guid="urn:v:1"), entry("B", guid="17"), entry("C")
    ids = [id_ for _, id_ in named(urn, number, none)]
    assert ids[0] == "urn:v:1"
    assert ids[1] != "17"  # another feed has a 17, too
    assert ids[1] != name_items([number], [], "https://other.example/rss")[0][1].id
    assert ids[2] == none.otherwise
    long = entry("D", guid="urn:" + "ü" * 100)
    assert named(long) == [(Status.NEW, derive_id(long.guid, "", "", None))]
    assert named(number, known=[Known("17")]) == [(Status.KNOWN, "17")]  # so called by an earlier version


def test_a_guid_that_all_items_have_and_an_item_that_is_listed_twice() -> None:
    items = [entry("A", guid="same"), entry("B", guid="same"), entry("A", guid="same")]
    assert [status for status, _ in named(*items)] == [Status.NEW, Status.NEW, Status.TWICE]
    link = "https://pell.example/1"
    assert [status for status, _ in named(entry("A", link), entry("A", link))] == [Status.NEW, Status.TWICE]


def test_what_an_earlier_version_remembered_by_its_id_alone_is_not_sent_again() -> None:
    link = "https://pell.example/1"
    earlier = [Known(derive_id(link, "", "", None))]
    ((status, known),) = name_items([entry("Ferry", link)], earlier, FEED)
    assert (status, known.title) == (Status.KNOWN, digest_of("Ferry"))


def test_the_address_of_a_feed_or_site_identifies_no_item_and_stays_its_link() -> None:
    for link in (FEED, "http://wharf.example/news/rss/", "https://wharf.example", "https://other.example/"):
        assert own_address(link, [FEED, "https://wharf.example/"]), link
    for link in ("https://wharf.example/#1", "https://wharf.example/1", "https://other.example/?id=1"):
        assert not own_address(link, [FEED, "https://wharf.example/"]), link
    listing = parsed(item("A", f"<link>{FEED}</link>") + item("B", "<link>https://wharf.example/</link>"))
    assert [row.headline.url for row in listing.rows] == [FEED, "https://wharf.example/"]
    assert [one.link for one in listing.items] == ["", ""]


def test_what_is_sent_is_new_edits_are_counted_and_refused_entries_are_handed_over_once(
    site: Site, tmp_path: Path
) -> None:
    rejected: list[Rejected] = []
    sent: list[Row] = []
    url = site.page("/rss", rss("One", "Two", extra="<item><title></title></item>"))
    with FeedPoller(
        [url], tmp_path / "s.sqlite", sent.extend, True, lambda: NOW, on_rejected=rejected.append
    ) as poller:
        poller.poll_once()
        changed = rss("One", "Two", "Three", extra="<item><title></title></item>")
        site.page("/rss", changed.replace("<title>Two<", "<title>Two again<"))
        poller.poll_once()
        (tally,) = poller.tallies
        assert (tally.read, tally.given, tally.rejected, tally.twice) == (4, 3, 1, 0)
        assert (tally.known, tally.edited) == (2, 1)
    assert [row.headline.title for row in sent] == ["One", "Two", "Three"]
    assert [(row.file, row.line) for row in rejected] == [(url, 3)]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate", "file", "members"])
def test_a_feed_that_is_packed_once_is_read(site: Site, coding: str) -> None:
    plain = rss("One").encode()
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(plain),
        "deflate": zlib.compress(plain),
        "raw deflate": raw.compress(plain) + raw.flush(),
        "file": gzip.compress(plain),
        "members": gzip.compress(plain[:50]) + gzip.compress(plain[50:]),
    }[coding]
    said = coding.rpartition(" ")[2].replace("members", "gzip").replace("file", "identity")
    url = site.page("/rss", packed, Content_Encoding=said)
    assert fetch(url, {}, allow_private=True).content == plain


def test_what_unpacks_to_too_much_costs_no_memory_and_no_time(site: Site) -> None:
    import tracemalloc

    bomb = gzip.compress(b" " * 200_000_000)
    pages = {
        site.page("/bomb", bomb, Content_Encoding="gzip"): "larger than",
        site.page("/twice", gzip.compress(bomb), Content_Encoding="gzip, gzip"): "packed as",
        site.page("/hidden", gzip.compress(bomb), Content_Encoding="gzip"): "packed twice",
        site.page("/file", bomb): "larger than",
        site.page("/cut", gzip.compress(rss("One").encode())[:-20], Content_Encoding="gzip"): "ends too early",
    }
    tracemalloc.start()
    started = time.process_time()
    for url, reason in pages.items():
        with pytest.raises(SourceError, match=reason):
            fetch(url, {}, allow_private=True)
    assert time.process_time() - started < 5
    assert tracemalloc.get_traced_memory()[1] < 30_000_000
    tracemalloc.stop()


def test_a_feed_that_is_gone_is_said_and_not_asked_again(site: Site) -> None:
    url = site.page("/gone", "", 410)
    with pytest.raises(FeedGone, match="410"):
        poll_feed(url, FeedState(":memory:"), NOW, allow_private=True)
    asked = len(site.asked)
    with FeedPoller([url], ":memory:", lambda _rows: None, True) as poller:
        for _ in range(3):
            poller.tick(url, timedelta())
    assert len(site.asked) == asked + 1


def test_a_feed_that_is_gone_stays_gone_after_a_restart_and_that_is_said(site: Site, tmp_path: Path) -> None:
    url = site.page("/gone", "", 410)
    for _ in range(2):
        with FeedPoller([url], tmp_path / "feeds.sqlite", lambda _rows: None, True) as poller:
            poller.tick(url, timedelta())
            assert poller.tallies[0].nothing == "the feed has ended."
    assert len(site.asked) == 1


def test_a_permanent_redirect_outlives_a_failure_of_the_new_address(site: Site) -> None:
    site.page("/new", rss("One"))
    url = site.page("/old", "", 301, Location="/new")
    state = FeedState(":memory:")
    poll_feed(url, state, NOW, allow_private=True)
    for status in (500, 404):
        site.page("/new", "", status)
        with pytest.raises(SourceError, match=str(status)):
            poll_feed(url, state, NOW, allow_private=True)
    assert state.address(url).endswith("/new")
    site.page("/newer", rss("One"))
    site.page("/old", "", 308, Location="/newer")
    assert poll_feed(url, state, NOW, allow_private=True).rows
    assert state.address(url).endswith("/newer")


@pytest.mark.parametrize("damage", ["no data base", "a page"])
def test_a_damaged_file_of_remembered_items_is_set_aside_and_polling_goes_on(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "feeds.sqlite"
    state = FeedState(path)
    state.remember(
        "u",
        [Known(f"{number:032x}", "", f"https://a.example/{number}", "x" * 50) for number in range(2000)],
        "",
        "",
        NOW,
    )
    state.close()
    content = path.read_bytes()
    path.write_bytes(
        b"no data base at all" * 100 if damage == "no data base" else content[:8192] + b"\xff" * 8192 + content[16384:]
    )
    wrong = path.read_bytes()
    state = FeedState(path)
    assert state.known("u") == []
    state.remember("u", [Known("a", "", "", "One")], "", "", NOW)
    state.close()
    (aside,) = tmp_path.glob("feeds.sqlite.damaged-*")
    assert aside.read_bytes() == wrong
    again = FeedState(path)
    assert [one.id for one in again.known("u")] == ["a"]
    again.close()


def test_a_permanent_redirect_is_remembered_until_it_leads_nowhere(site: Site, tmp_path: Path) -> None:
    site.page("/new", rss("One"))
    url = site.page("/old", "", 301, Location="/new")
    state = FeedState(tmp_path / "feeds.sqlite")
    (row,) = poll_feed(url, state, NOW, allow_private=True).rows
    assert row.file == url
    state.close()
    state = FeedState(tmp_path / "feeds.sqlite")
    poll_feed(url, state, NOW, allow_private=True)
    assert [path for path, _ in site.asked] == ["/old", "/new", "/new"]
    site.page("/new", "", 404)
    with pytest.raises(SourceError, match="404"):
        poll_feed(url, state, NOW, allow_private=True)
    site.page("/old", rss("One"))
    assert poll_feed(url, state, NOW, allow_private=True).rows


def test_a_passing_redirect_is_asked_again_each_time(site: Site) -> None:
    site.page("/new", rss("One"))
    site.page("/between", "", 301, Location="/new")
    url = site.page("/old", "", 302, Location="/between")
    state = FeedState(":memory:")
    for _ in range(2):
        poll_feed(url, state, NOW, allow_private=True)
    assert [path for path, _ in site.asked] == ["/old", "/between", "/new"] * 2


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_kept(site: Site, as_date: bool) -> None:
    clock = [time.time()]
    after = format_datetime(datetime.now(UTC) + timedelta(seconds=3600), usegmt=True) if as_date else "3600"
    url = site.page("/busy", "", 429, Retry_After=after)
    with FeedPoller([url], ":memory:", lambda _rows: None, True, lambda: clock[0]) as poller:
        for wait, asked in ((0, 1), (1800, 1), (1700, 1), (200, 2)):
            clock[0] += wait
            poller.tick(url, timedelta(seconds=1))
            assert len(site.asked) == asked


def test_whatever_a_feed_makes_fail_it_backs_off_and_others_go_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("producers.feed_poller.poll_feed", no_memory)
    told: list[bool] = []
    url = site.page("/rss", rss("One"))
    with FeedPoller(
        [url], ":memory:", lambda _: None, True, lambda: NOW, on_poll=lambda **counts: told.append(counts["well"])
    ) as poller:
        for _ in range(5):
            poller.tick(url, timedelta(seconds=60))
    assert told == [False, False]  # the first retry comes with the next tick, the others wait


def test_a_feed_that_needs_too_much_memory_to_parse_is_refused() -> None:
    with pytest.raises(SourceError, match="cannot be parsed"):
        parse_feed(b'{"items": [' + b"[]," * 9_000_000 + b"[]]}", FEED, NOW, limits=FeedSettings(parse_mb=256))
