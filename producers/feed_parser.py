"""Parses one feed in a process of its own.

A hostile feed may keep a parser busy for minutes or take all memory. So this process has limits of time and memory, knows
no settings and no secrets, and returns plain fields of limited length. Its standard input is a line of JSON (url, content
type, limits), then the feed. The process starts for every changed feed, so it imports few modules.
"""

import io
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urljoin, urlsplit

from newstide.core.feed_elements import (
    ADDRESS,
    CLOSED,
    FIRST_TITLE,
    FORMER_LINKS,
    FORMERLY,
    MEDIUMS_TITLE,
    NO_LINK,
    TIMES,
    TITLES,
    address_of,
    make_careful,
)
from newstide.core.feed_texts import decoded, ends_early, with_ends, with_references
from newstide.core.headline import MAX_SOURCE, MAX_TITLE, MAX_URL
from newstide.core.links import joined
from newstide.core.text import shorten

_LONGEST_NAME = 2_000  # characters of a guid
_LONGEST_SOURCE = 8 * MAX_SOURCE
_TIMES = ("published", "updated", "created")
_NO_DATE = (1970, 1, 1, 0, 0, 0, 3, 1, 0)
_MEDIA = ("media_content", "media_thumbnail", "media_player", "image")
_OTHER_LINKS = {"alternate", "related", "self", "via"}  # relations of Atom's links that may lead to what an entry tells
_CUT = "The feed ends within this entry, which is read once the feed is whole."
_HIDDEN = "The entry stands within an element of the feed that is not closed."


def main() -> None:
    """Reads limits and feed from standard input; writes what `entries` returns, or `{"error": ...}`."""
    import resource

    order = json.loads(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_CPU, (int(order["seconds"]), int(order["seconds"]) + 1))
    resource.setrlimit(resource.RLIMIT_AS, (int(order["megabytes"]) * 2**20,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        told = entries(sys.stdin.buffer.read(), **order["feed"])
    except MemoryError:
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - whatever a hostile feed makes the parser raise is that feed's fault
        told = {"error": shorten(str(error) if isinstance(error, ValueError) else repr(error), 200)}
    sys.stdout.buffer.write(json.dumps(told).encode())


def entries(content: bytes, url: str, content_type: str, most: int, description: int) -> dict[str, Any]:
    """The first `most` entries of the feed, with descriptions of at most `description` characters.

    Returns:
        `entries`: the fields of each entry, or `fault`, why it cannot be read. `over`: a name of each entry beyond `most`.
        `own`: addresses of the feed and its site. `notes`: facts about the feed's encoding and end. `cut`: whether the
        document ends early.

    Raises:
        ValueError: The content is no feed.
    """
    text, notes = decoded(content, content_type)
    read = _json_feed if text.lstrip("\0 \t\r\n").startswith("{") else _xml_feed
    told = read(text, url, most, description)
    if told.get("cut"):
        notes.append("the document ends early: its outermost element is not closed")
    return {**told, "notes": [*notes, *told.get("notes", ())]}


def _xml_feed(text: str, url: str, most: int, description: int) -> dict[str, Any]:
    """The entries of an RSS, Atom or RDF feed; see `entries`.

    Raises:
        ValueError: The content is no feed.
    """
    text = with_references(text)
    parsed = _parsed(text, url)
    cut, notes, hidden = ends_early(text), [], 0
    if fault := _fault(parsed):
        mended, begun = with_ends(text)
        if mended != text:
            parsed = _parsed(mended, url)
        if mended != text:
            notes.append(f"the feed is no well-formed XML ({fault}); what is not closed ends where the next begins")
        elif not cut:
            notes.append(f"the feed is no well-formed XML ({fault})")
        hidden = min(begun, most) - len(parsed.entries)
    if not parsed.entries and not parsed.get("version"):
        raise ValueError("is no RSS, Atom or JSON feed; is the address that of a page? Look for its feed")
    links = [str(link.get("href") or "") for link in parsed.feed.get("links") or ()]
    told = _each(parsed.entries[:most], lambda entry: _fields(entry, parsed.feed, url, 4 * description))
    if cut and told and len(told) == len(parsed.entries) and not parsed.entries[-1].get(CLOSED):
        told[-1] = {"fault": _CUT, "title": told[-1].get("title", "")}
    return {
        "cut": cut,
        "entries": [*told, *({"fault": _HIDDEN} for _ in range(hidden))],
        "over": [_name(entry) for entry in parsed.entries[most:]],
        "own": [url, str(parsed.feed.get("link") or parsed.feed.get(ADDRESS) or ""), *links],
        "notes": notes,
    }


def _parsed(text: str, url: str) -> Any:
    """What feedparser reads in a feed.

    It gets a stream, not bytes: it tries bytes and strings as addresses and file names first. Its parser resolves no
    external entities and drops entity declarations. Tags are removed later, so feedparser need not sanitize them.
    """
    import feedparser

    make_careful(feedparser.api.StrictFeedParser)
    make_careful(feedparser.api.LooseFeedParser)
    feedparser.registerDateHandler(lambda _text: _NO_DATE)  # `newstide.core.times` reads all dates
    return feedparser.parse(
        io.BytesIO(text.encode()),
        response_headers={"content-location": url, "content-type": "application/xml; charset=utf-8"},
        sanitize_html=False,
        resolve_relative_uris=False,
    )


def _fault(parsed: Any) -> str:
    """Why a feed is no well-formed XML, without the place, which changes from look to look; empty where it is."""
    from xml.sax import SAXException

    error = parsed.get("bozo_exception")
    return shorten(error.getMessage(), 100) if isinstance(error, SAXException) else ""


def _each(entries: Iterable[Any], read: Callable[[Any], dict[str, Any]]) -> list[dict[str, Any]]:
    """Reads each entry by itself: an unreadable one does not affect the others."""
    told = []
    for entry in entries:
        try:
            told.append(read(entry))
        except Exception as error:  # noqa: BLE001 - any fault concerns this entry alone
            told.append({"fault": shorten(f"The entry cannot be read: {error!r}.", 200)})
    return told


def _name(entry: Any) -> str:
    """What tells an entry that is not read from others: its guid, link or title."""
    names = (entry.get(name) for name in ("id", "link", "url", "title")) if isinstance(entry, dict) else ()
    return shorten(str(next(filter(None, names), "")), 200)


def _fields(entry: Any, feed: Any, url: str, longest: int) -> dict[str, Any]:
    description = _text(entry, "summary", longest) or _content(entry, longest)
    link = entry.get("link") or entry.get(ADDRESS)
    former = entry.get(FORMERLY) or feed.get(FORMER_LINKS, {}).get(link)
    if not former and entry.get("link") == "":  # which hid the guid from an earlier version
        former = link
    return {
        "title": _title(entry),
        "description": description or _text(entry, "media_description", longest),
        "url": _link(link, ""),
        "odd_url": _odd_link(entry.get("link"), "") if entry.get("link") else _stated_link(entry),
        "source": _source(entry, feed, url),
        "languages": _languages(entry, feed),
        "times": [
            str(text)[:200]
            for name in dict.fromkeys([*_TIMES, *entry.get(TIMES, ())])
            if (text := dict.get(entry, name))
        ],
        "guid": str(entry.get("id") or "")[:_LONGEST_NAME],
        "former": str(former or "")[:_LONGEST_NAME],
    }


def _title(entry: Any) -> str:
    """The entry's title; that of a medium only where it stands in the entry itself and the entry holds no medium."""
    linked = any(link.get("rel") == "enclosure" for link in entry.get("links") or ())
    alone = not linked and not any(name in entry for name in _MEDIA)
    return _own_title(entry, 8 * MAX_TITLE) or (_text(entry, MEDIUMS_TITLE, 8 * MAX_TITLE) if alone else "")


def _own_title(context: Any, size: int) -> str:
    """The title of an entry, a feed or a source: its `<title>`, else its first element of that name under a prefix."""
    titles = (dict.get(context, "title", ""), *context.get(TITLES, ()))
    return next((title[:size] for title in titles if title.strip()), "")


def _stated_link(entry: Any) -> str:
    """What an entry without a readable link gives in the place of one: a guid, or a link of another relation."""
    if _link(entry.get(ADDRESS), ""):
        return ""
    others = [link.get("href") for link in entry.get("links") or () if link.get("rel") in _OTHER_LINKS]
    return str(entry.get(NO_LINK) or next(filter(None, others), ""))[:_LONGEST_NAME]


def _content(entry: Any, longest: int) -> str:
    contents = entry.get("content") or [{}]
    return str(contents[0].get("value") or "")[:longest]


def _source(entry: Any, feed: Any, url: str) -> str:
    source = entry.get("source") or {}
    named = _own_title(source, _LONGEST_SOURCE) or _text(feed, FIRST_TITLE, _LONGEST_SOURCE)
    last = _own_title(feed, _LONGEST_SOURCE)
    return named or ("" if "</" in last else last) or urlsplit(url).hostname or ""


def _languages(entry: Any, feed: Any) -> list[str]:
    """The stated languages: `xml:lang` of the entry, `dc:language`, `xml:lang` and language of the feed."""
    inherited = (feed.get("title_detail") or {}).get("language")
    around = (entry.get("title_detail") or {}).get("language")
    said = (around if around != inherited else None, entry.get("language"), around, feed.get("language"))
    return [str(one)[:100] for one in said if one]


def _link(link: Any, base: str) -> str:
    """An http(s) link, else an empty text: where an entry has no link, feedparser puts its guid there."""
    try:
        full = joined(base, link) if isinstance(link, str) and link.strip() else ""
    except ValueError:
        full = ""
    return full[: 2 * MAX_URL] if full.lower().startswith(("http://", "https://")) else ""


def _odd_link(link: Any, base: str) -> str:
    """A link that cannot be read, as it is given; an empty text for any other."""
    return str(link)[:_LONGEST_NAME] if link and not _link(link, base) else ""


def _text(entry: Any, name: str, size: int) -> str:
    value = entry.get(name)
    return value[:size] if isinstance(value, str) else ""


def _json_feed(text: str, url: str, most: int, description: int) -> dict[str, Any]:
    """The entries of a JSON Feed (jsonfeed.org, versions 1 and 1.1); see `entries`.

    Raises:
        ValueError: The content is no JSON Feed.
    """
    feed = _json(text.strip("\0"))
    items = feed.get("items") if isinstance(feed, dict) else None
    if not isinstance(items, list):
        raise ValueError("is JSON, and no JSON Feed: it has no list of items")
    return {
        "entries": _each(items[:most], lambda item: _json_fields(item, feed, url, 4 * description)),
        "over": [_name(item) for item in items[most:]],
        "own": [url, *(_link(feed.get(name), url) for name in ("home_page_url", "feed_url"))],
    }


def _json(text: str) -> Any:
    """A JSON value in which one odd value costs no other: line breaks within texts, long integers, deep nesting."""
    decoder = json.JSONDecoder(strict=False, parse_int=lambda digits: int(digits) if len(digits) < 1_000 else digits)
    try:
        return decoder.decode(text)
    except RecursionError:
        from newstide.core.json_texts import without_depths

        return decoder.decode(without_depths(text))


def _json_fields(item: Any, feed: dict[str, Any], url: str, longest: int) -> dict[str, Any]:
    if not isinstance(item, dict):
        return {"fault": "The item is no JSON object.", "item": shorten(str(item), 200)}
    guid = item.get("id")
    texts = [_text(item, name, longest) for name in ("summary", "content_text", "content_html")]
    own = item.get("url") or item.get("external_url")
    link = own or (guid if isinstance(guid, str) and address_of(guid, _link(guid, url)) else "")
    full = _link(link, url)
    former = urljoin(url, str(link).strip()) if full and own else full
    return {
        "title": _text(item, "title", 8 * MAX_TITLE),
        "description": next(filter(None, texts), ""),
        "url": full,
        "odd_url": _odd_link(own, url),
        "former": former if former != full or not own else "",
        "source": _text(feed, "title", _LONGEST_SOURCE) or urlsplit(url).hostname or "",
        "languages": [str(one)[:100] for one in (item.get("language"), feed.get("language")) if one],
        "times": [_time(time) for name in ("date_published", "date_modified") if (time := item.get(name)) is not None],
        "guid": str(guid)[:_LONGEST_NAME] if isinstance(guid, (str, int, float)) else "",
    }


def _time(value: Any) -> str | int | float:
    """A time as it is given; a list or an object, which is none, as a text that names it where it is left out."""
    return value if isinstance(value, (str, int, float)) else json.dumps(value, ensure_ascii=False)[:200]


if __name__ == "__main__":
    main()
