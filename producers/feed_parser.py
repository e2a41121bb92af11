"""Parses one feed in a process of its own.

A hostile feed may keep a parser busy for minutes or take all memory. So this process has limits of time and memory, knows
no settings and no secrets, and returns plain fields of limited length. Its standard input is a line of JSON (url, content
type, limits), then the feed. The process starts for every changed feed, so it imports few modules.
"""

import codecs
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from html.entities import html5, name2codepoint
from typing import Any
from urllib.parse import urljoin, urlsplit

from newstide.core.encodings import ERRORS, MARKS, decided, mostly_utf8
from newstide.core.headline import MAX_SOURCE, MAX_TITLE, MAX_URL
from newstide.core.links import joined
from newstide.core.text import shorten

_LONGEST_NAME = 2_000  # characters of a guid
_LONGEST_SOURCE = 8 * MAX_SOURCE
_TIMES = ("published", "updated", "created")
_HEADERS_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.ASCII | re.IGNORECASE)
_XMLS_CHARSET = re.compile(rb"""\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})""")
_NO_CHARSETS = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}  # Python's own
_UNREAD = re.compile("[\ud800-\udfff]+")
_UNENDED = "|".join(name for name in html5 if name in name2codepoint)  # `&copy 2026`: HTML's names without a semicolon
_XMLS_NAMES = {"amp", "lt", "gt", "quot", "apos"}
_REFERENCE = rf"&(?:\#[0-9]|\#[xX][0-9a-fA-F]|([^\W\d][\w:.-]*);|({_UNENDED})(?![\w=]))?"
_REFERENCE_OR_ASIDE = re.compile(rf"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|<\?[^>]*|{_REFERENCE}", re.DOTALL)
_NO_XML = re.compile(r"&(?!#[0-9]|#[xX][0-9a-fA-F]|(?:amp|lt|gt|quot|apos);)")
_MARKUP = frozenset("<>&\"'\n\t\r")
_ROOT = re.compile(r"<((?:[\w-]+:)?(?:rss|feed|rdf))\b", re.IGNORECASE)
_ABSOLUTE = re.compile("[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_CUT = "The feed ends within this entry, which is read once the feed is whole."
_FORMERLY, _CLOSED, _NO_LINK = " formerly", " closed", " no link"  # keys that no element has


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
    text, notes = _decoded(content, content_type)
    read = _json_feed if text.lstrip("\0 \t\r\n").startswith("{") else _xml_feed
    told = read(text, url, most, description)
    if told.get("cut"):
        notes.append("the document ends early: its outermost element is not closed")
    return {**told, "notes": notes}


def _decoded(content: bytes, content_type: str) -> tuple[str, list[str]]:
    """The feed's text, and notes on its encoding. A mark and zero bytes go before what header and declaration say."""
    notes: list[str] = []
    marked = content.startswith(tuple(mark for mark, _ in MARKS)) or b"\0" in content[:4]
    said = None if marked else _said(content, content_type)
    in_lines = content.replace(b"<", b"\n")  # a guess looks at the lines that hold more than ASCII
    charset, mark = decided(in_lines, said, notes.append)
    text, wrong = _UNREAD.subn("\ufffd", content[mark:].decode(charset, ERRORS))
    if wrong:
        notes.append(f"bytes that are no {charset} are replaced")
    return text, notes


def _said(content: bytes, content_type: str) -> str | None:
    """The charset that header or declaration say and the bytes bear out; None where the bytes are to tell, as in files.

    Where all bytes are right in none of the charsets, the bytes are UTF-8 if most are, and else the first one's.
    """
    charsets = list(_charsets(content, content_type))
    utf8 = content.isascii() or mostly_utf8(content)
    for charset in charsets:
        if charset == "utf-8" and utf8:
            return None
        with suppress(UnicodeError):
            content.decode(charset)
            return charset
    return None if utf8 else next((charset for charset in charsets if charset != "utf-8"), None)


def _charsets(content: bytes, content_type: str) -> Iterator[str]:
    """The charset of the header, then that of the XML declaration, where Python knows them; all of Unicode as `utf-8`."""
    header, declaration = _HEADERS_CHARSET.search(content_type), _XMLS_CHARSET.match(content)
    for name in (header[1] if header else "", declaration[1].decode("ascii", "replace") if declaration else ""):
        with suppress(LookupError, UnicodeError):
            known = codecs.lookup(name).name
            charset = "utf-8" if known.startswith(("utf", "ascii")) else known.replace("gb2312", "gb18030")
            if b"<".decode(charset) == "<" and charset not in _NO_CHARSETS:  # `hex` and others decode to no text
                yield charset


def _sound(text: str) -> str:
    """XML in which HTML's names are characters and each other `&` that begins no reference is escaped.

    CDATA, comments and instructions stay. No entity is left to a DTD or to the feed's own definitions.
    """
    return text if _NO_XML.search(text) is None else _REFERENCE_OR_ASIDE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    if name is None:
        return "&amp;" if found[0] == "&" else found[0]
    if name in _XMLS_NAMES:
        return f"&{name};"
    characters = html5.get(f"{name};")
    if characters is None:
        return f"&amp;{name};"
    return "".join(f"&#{ord(one)};" if one in _MARKUP else one for one in characters)


def _ends_early(text: str) -> bool:
    """Whether the feed's outermost element is never closed."""
    root = _ROOT.search(text)
    if root is None:
        return False
    name = re.escape(root[1])
    return re.search(rf"</{name}\s*>|<{name}\b[^<>]*/>", text) is None


def _xml_feed(text: str, url: str, most: int, description: int) -> dict[str, Any]:
    """The entries of an RSS, Atom or RDF feed; see `entries`.

    Raises:
        ValueError: The content is no feed.
    """
    import feedparser

    _make_careful(feedparser.api.StrictFeedParser)
    _make_careful(feedparser.api.LooseFeedParser)
    feedparser.registerDateHandler(lambda _text: _NO_DATE)  # `newstide.core.times` reads all dates

    # A stream, not bytes: feedparser tries bytes and strings as addresses and file names first. Its parser resolves no
    # external entities and drops entity declarations. Tags are removed later, so feedparser need not sanitize them.
    parsed = feedparser.parse(
        io.BytesIO(_sound(text).encode()),
        response_headers={"content-location": url, "content-type": "application/xml; charset=utf-8"},
        sanitize_html=False,
        resolve_relative_uris=False,
    )
    if not parsed.entries and not parsed.get("version"):
        raise ValueError("is no RSS, Atom or JSON feed; is the address that of a page? Look for its feed")
    links = [str(link.get("href") or "") for link in parsed.feed.get("links") or ()]
    cut = _ends_early(text)
    told = _each(parsed.entries[:most], lambda entry: _fields(entry, parsed.feed, url, 4 * description))
    if cut and told and len(told) == len(parsed.entries) and not parsed.entries[-1].get(_CLOSED):
        told[-1] = {"fault": _CUT, "title": told[-1].get("title", "")}
    return {
        "cut": cut,
        "entries": told,
        "over": [_name(entry) for entry in parsed.entries[most:]],
        "own": [url, str(parsed.feed.get("link") or ""), *links],
    }


_NO_DATE = (1970, 1, 1, 0, 0, 0, 3, 1, 0)


def _make_careful(parser: Any) -> None:
    """Makes the parser skip unreadable elements alone, and keep `media:description` from replacing the description."""
    if hasattr(parser, "_is_careful"):
        return
    setattr(parser, "_is_careful", True)  # noqa: B010 - a class made elsewhere
    for name in dir(parser):
        if name.startswith(("_start_", "_end_")) or name == "handle_charref":  # `&#xD800;` is no character
            setattr(parser, name, _careful(getattr(parser, name)))

    def start(self: Any, _attributes: Any) -> None:
        self.push("media_description", 1)

    def end(self: Any) -> None:
        value = self.pop("media_description")
        if value:
            self._get_context().setdefault("media_description", value)

    handlers = {"_start_media_description": start, "_end_media_description": end, "resolve_uri": _resolved}
    handlers |= {"_start_guid": _start_guid, "_start_id": _start_guid, "_end_guid": _end_guid, "_end_id": _end_id}
    handlers |= {"_end_item": _closing(parser._end_item), "_end_entry": _closing(parser._end_entry)}
    for name, handle in handlers.items():
        setattr(parser, name, handle)


def _resolved(parser: Any, link: str) -> str:
    """A link joined to the base; what an earlier version read is kept beside it, where the two differ."""
    from feedparser.urls import _urljoin

    try:
        full = joined(parser.baseuri or "", link)
    except ValueError:
        full = ""
    former = str(_urljoin(parser.baseuri or "", link))
    if former != full:
        parser.feeddata.setdefault(_FORMERLY, {})[full] = former
    return full


def _start_guid(parser: Any, attributes: Any) -> None:
    parser._said = attributes.get("ispermalink", "")
    parser.guidislink = 0  # else feedparser would join the guid to the feed's address, and make it a link
    parser.push("id", 1)


def _end_guid(parser: Any) -> None:
    """Keeps a guid as it is given; one that is an address is the link of an entry that has none."""
    guid = parser.pop("id")
    if not guid or parser._said not in ("", "true"):
        return
    entry = parser._get_context()
    full = parser.resolve_uri(guid)
    if full != guid:
        entry[_FORMERLY] = parser.feeddata.get(_FORMERLY, {}).get(full, full)
    if _ABSOLUTE.match(guid) or full == f"https://{guid}" or (parser._said and guid.startswith("/")):
        parser._save("link", full)
    else:
        entry[_NO_LINK] = guid


def _end_id(parser: Any) -> None:
    """An id of Atom that is no address never claimed to be a link."""
    _end_guid(parser)
    parser._get_context().pop(_NO_LINK, None)


def _closing(handle: Callable[..., Any]) -> Callable[..., Any]:
    def call(parser: Any) -> None:
        if parser.entries:
            parser.entries[-1][_CLOSED] = True
        handle(parser)

    return call


def _careful(handle: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        try:
            return handle(*arguments)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError):
            return None

    return call


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
    link = entry.get("link")
    former = entry.get(_FORMERLY) or feed.get(_FORMERLY, {}).get(link)
    return {
        "title": _text(entry, "title", 8 * MAX_TITLE),
        "description": description or _text(entry, "media_description", longest),
        "url": _link(link, ""),
        "odd_url": _odd_link(link or entry.get(_NO_LINK), "") if link != entry.get("id") or not link else "",
        "source": _source(entry, feed, url),
        "languages": _languages(entry, feed),
        "times": [str(text)[:200] for name in _TIMES if (text := dict.get(entry, name))],
        "guid": str(entry.get("id") or "")[:_LONGEST_NAME],
        "former": str(former or "")[:_LONGEST_NAME],
    }


def _content(entry: Any, longest: int) -> str:
    contents = entry.get("content") or [{}]
    return str(contents[0].get("value") or "")[:longest]


def _source(entry: Any, feed: Any, url: str) -> str:
    source = entry.get("source") or {}
    return (
        _text(source, "title", _LONGEST_SOURCE) or _text(feed, "title", _LONGEST_SOURCE) or urlsplit(url).hostname or ""
    )


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
    link = item.get("url") or item.get("external_url")
    full = _link(link, url)
    return {
        "title": _text(item, "title", 8 * MAX_TITLE),
        "description": next(filter(None, texts), ""),
        "url": full,
        "odd_url": _odd_link(link, url),
        "former": former if full and (former := urljoin(url, str(link).strip())) != full else "",
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
