"""The texts of feeds, whatever their bytes: what a feed says of its charset, and what its bytes say."""

import pytest

from producers.feed_poller import FeedPoller
from producers.feeds import Listing, parse_feed
from tests.harness.feed_site import NOW, Site, titles

FEED = "https://wharf.example/news/rss"
REPLACED = ["bytes that are no utf-8 are replaced"]
CYRILLIC = ("Мост снова закрыт", "Порт открыт после бури, сообщили власти города")
JAPANESE = ("港は再び閉鎖された", "市長は橋の工事を再開すると発表")


def feed(*named: str, declared: str = "", description: str = "") -> str:
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    items = "".join(f"<item><title>{title}</title></item>" for title in named)
    last = f"<item><title>Last</title><description>{description}</description></item>" if description else ""
    return f'{head}<rss version="2.0"><channel><title>Velm</title>{items}{last}</channel></rss>'


def parsed(content: bytes, content_type: str = "") -> Listing:
    return parse_feed(content, FEED, NOW, content_type=content_type)


@pytest.mark.parametrize("declared", ["", "UTF-8", "us-ascii", "bogus"])
@pytest.mark.parametrize("kind", ["", "text/xml", "text/html", "application/rss+xml; charset=utf-8"])
def test_one_bad_byte_of_a_feed_in_utf_8_costs_that_character_alone(kind: str, declared: str) -> None:
    text = feed("Präsident sagt „nein“", declared=declared, description="gek@")
    listing = parsed(text.encode().replace(b"@", b"\xc3"), kind)
    assert titles(listing.rows) == ["Präsident sagt „nein“", "Last"]
    assert listing.rows[1].headline.description == "gek\ufffd"
    assert listing.notes == REPLACED
    sound = parsed(text.encode(), kind)
    assert (titles(sound.rows), sound.notes) == (titles(listing.rows), [])


def test_one_bad_byte_of_a_json_feed_costs_that_character_alone() -> None:
    text = '{"version": "https://jsonfeed.org/version/1.1", "items": [{"title": "Präsident sagt „nein“ gek@"}]}'
    listing = parsed(text.encode().replace(b"@", b"\xc3"), "application/feed+json")
    assert titles(listing.rows) == ["Präsident sagt „nein“ gek\ufffd"]
    assert listing.notes == REPLACED


@pytest.mark.parametrize(
    ("encoding", "told"), [("cp1251", CYRILLIC), ("koi8_r", CYRILLIC), ("shift_jis", JAPANESE), ("euc_jp", JAPANESE)]
)
def test_where_a_feed_says_nothing_of_its_charset_a_guess_is_made_and_said_once(
    site: Site, capsys: pytest.CaptureFixture[str], encoding: str, told: tuple[str, ...]
) -> None:
    sent: list[str] = []
    padding = "<!-- " + "x" * 100_000 + " -->"  # ASCII beyond what a guess looks at
    url = site.page("/rss", (padding + feed(*told)).encode(encoding), Content_Type="application/rss+xml")
    with FeedPoller([url], ":memory:", lambda rows: sent.extend(titles(rows)), True, lambda: NOW) as poller:
        for _ in range(2):
            poller.poll_once()
        (tally,) = poller.tallies
    assert sorted(sent) == sorted(told)
    (note,) = tally.notes
    assert note.startswith(f"encoding guessed: {encoding}")
    said = capsys.readouterr()
    assert (said.out + said.err).count("encoding guessed") == 1


@pytest.mark.parametrize(
    ("kind", "declared", "encoding"),
    [
        ("text/xml; charset=windows-1251", "", "cp1251"),
        ("text/xml", "windows-1251", "cp1251"),
        ("text/xml; charset=utf-8", "windows-1251", "cp1251"),
        ("text/xml; charset=utf-8", "windows-1251", "utf-8"),
        ('application/xml; charset="koi8-r"', "utf-8", "koi8_r"),
        ("text/xml; charset=windows-1251", "", "utf-8-sig"),
        ("text/xml; charset=windows-1251", "", "utf-16"),
        ("text/xml; charset=utf-8", "", "utf-16-le"),
        ("", "utf-16", "utf-16-be"),
    ],
)
def test_a_feed_is_read_by_its_mark_then_its_header_then_its_declaration(
    kind: str, declared: str, encoding: str
) -> None:
    assert titles(parsed(feed(*CYRILLIC, declared=declared).encode(encoding), kind).rows) == list(CYRILLIC)


def test_a_byte_that_is_wrong_in_the_charset_that_a_feed_names_costs_that_character_alone() -> None:
    content = feed(*JAPANESE, declared="Shift_JIS", description="gek@").encode("shift_jis").replace(b"@", b"\xff")
    listing = parsed(content, "text/xml")
    assert titles(listing.rows) == [*JAPANESE, "Last"]
    assert listing.rows[2].headline.description == "gek\ufffd"
    assert listing.notes == ["bytes that are no shift_jis are replaced"]


@pytest.mark.parametrize("charset", ["unicode_escape", "raw_unicode_escape", "punycode", "idna", "undefined", "rot13"])
def test_pythons_own_encodings_are_no_charsets(charset: str) -> None:
    listing = parsed(feed(r"Zwei \u0041ntworten für alle").encode(), f"text/xml; charset={charset}")
    assert titles(listing.rows) == [r"Zwei \u0041ntworten für alle"]


AMPERSANDS = {
    "S&P 500 falls": "S&P 500 falls",
    "AT&T, M&S": "AT&T, M&S",
    "R&D at A&E; a && b & c &": "R&D at A&E; a && b & c &",
    "Q&A: S&amp;P, &eacute;t&eacute; &#38; &#x26; &lt;b&gt;M&S&lt;/b&gt;": "Q&A: S&P, été & & M&S",
    "<![CDATA[AT&T & M&amp;S <i>rise</i>]]> & fall": "AT&T & M&S rise & fall",
    "A<!-- R&D & --> B & C": "A B & C",
    "&copy 2026 Velm &amp Pell": "© 2026 Velm & Pell",  # a reference that does not end is read as before
    "S&Ps &copyright &;": "S&Ps &copyright &;",
}


@pytest.mark.parametrize("more", ["", "<item><title>un<b>closed</title></item>"], ids=["sound", "unsound"])
@pytest.mark.parametrize("given", AMPERSANDS)
def test_an_ampersand_that_begins_no_reference_stays_one(given: str, more: str) -> None:
    text = feed(given, description=given).replace("</channel>", f"{more}</channel>")
    first, last, *_ = parsed(text.encode()).rows
    assert first.headline.title == last.headline.description == AMPERSANDS[given]


def test_an_ampersand_in_a_link_stays_one() -> None:
    link = "https://v.example/1?a=1&b=2&copy=3&lang=de#x&y"
    rss = f'<rss version="2.0"><channel><item><title>One</title><link>{link}</link></item></channel></rss>'
    atom = f'<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>One</title><link href="{link}"/></entry></feed>'
    for text in (rss, atom, rss.replace("&", "&amp;"), atom.replace("&", "&amp;"), rss + "<"):
        assert [row.headline.url for row in parsed(text.encode()).rows] == [link]


DOCTYPES = [
    '<!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN" "http://my.netscape.com/publish/formats/rss-0.91.dtd">',
    '<!DOCTYPE rss SYSTEM "x.dtd">',
    '<!DOCTYPE rss [\n<!ENTITY % HTMLlat1 PUBLIC "-//W3C//ENTITIES Latin 1 for XHTML//EN" "x.ent">\n%HTMLlat1;\n]>',
    '<!DOCTYPE rss [\n<!ENTITY uuml "wrong">\n<!ENTITY velm "a word">\n]>',
    "",
]


@pytest.mark.parametrize("doctype", DOCTYPES, ids=["public", "system", "parameter", "own", "none"])
def test_named_entities_are_characters_whatever_document_type_the_feed_names(doctype: str) -> None:
    given = "Br&uuml;cke &mdash; caf&eacute;, &rsquo;&hellip;&lsqb;x&rsqb; &lt;3 &amp; &velm;"
    text = f'<?xml version="1.0"?>{doctype}{feed(given, description=given)}'
    first, last = parsed(text.encode()).rows
    expected = "Brücke — café, ’…[x] <3 & &velm;"
    assert first.headline.title == last.headline.description == expected
