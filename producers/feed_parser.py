"""Parses one feed in a process of its own.

What a stranger sends may keep a parser busy for minutes or take all memory. This process has little time and memory to
spend, knows no settings and no secrets, and hands back plain fields, cut to size. Its standard input is a line of JSON
(url, content type, limits), then the feed. It starts for every look at a feed that has changed: it imports little.
"""

import calendar
import html
import io
import json
import re
import sys
from typing import Any
from urllib.parse import urlsplit

from newstide.core.headline import MAX_ID_BYTES, MAX_SOURCE, MAX_TITLE, MAX_URL, derive_id
from newstide.core.text import shorten

_TAG = re.compile(r"(<[^<>]*>)")  # linear in any text


def main() -> None:
    """Reads the order and the feed from standard input; writes `{"entries": [...]}` or `{"error": ...}`."""
    import resource

    order = json.loads(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_CPU, (int(order["seconds"]), int(order["seconds"]) + 1))
    resource.setrlimit(resource.RLIMIT_AS, (int(order["megabytes"]) * 2**20,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        told: dict[str, Any] = {"entries": entries(sys.stdin.buffer.read(), **order["feed"])}
    except MemoryError:
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - whatever a hostile feed makes the parser raise is that feed's fault
        told = {"error": shorten(str(error) if isinstance(error, ValueError) else repr(error), 200)}
    sys.stdout.buffer.write(json.dumps(told).encode())


def entries(content: bytes, url: str, content_type: str, most: int, description: int) -> list[dict[str, Any]]:
    """What the feed lists: its first `most` entries, of whose descriptions `description` characters are wanted.

    Raises:
        ValueError: It is no feed.
    """
    import feedparser

    # A stream, not bytes: feedparser takes bytes and strings for addresses and file names first. Its parser resolves no
    # external entities and drops entity declarations. Tags are taken out here, so it need not sanitize them.
    headers = {"content-location": url, **({"content-type": content_type} if content_type else {})}
    parsed = feedparser.parse(io.BytesIO(content), response_headers=headers, sanitize_html=False)
    if not parsed.entries and not parsed.get("version"):
        raise ValueError("is no RSS or Atom feed; is the address that of a page? Look for its feed")
    return [_fields(entry, parsed.feed, url, 4 * description) for entry in parsed.entries[:most]]


def _fields(entry: Any, feed: Any, url: str, longest: int) -> dict[str, Any]:
    link = str(entry.get("link") or "")
    if not link.startswith(("http://", "https://")):
        link = ""  # feedparser takes the guid where there is no link
    guid = str(entry.get("id") or "")
    moment = entry.get("published_parsed") or entry.get("updated_parsed")
    size_of_source = 8 * MAX_SOURCE
    source = _text(entry.get("source") or {}, "title", size_of_source) or _text(feed, "title", size_of_source)
    return {
        "title": _text(entry, "title", 8 * MAX_TITLE)[: 2 * MAX_TITLE],
        "description": _text(entry, "summary", longest),
        "url": link[: 2 * MAX_URL],
        "source": (source or urlsplit(url).hostname or "")[: 2 * MAX_SOURCE],
        "language": str(entry.get("language") or feed.get("language") or "")[:100],
        "published_at": None if moment is None else calendar.timegm(moment) * 1000,
        "id": None if link else _guid(guid),
    }


def _guid(guid: str) -> str:
    """The id of an entry without a link. With one it is the url's: the same headline comes from elsewhere, too."""
    return guid if len(guid.encode()) <= MAX_ID_BYTES else derive_id(guid, "", "", None)


def _text(entry: Any, name: str, size: int) -> str:
    """An entry's text, cut to `size` before it is worked on; tags and entities count only where it is HTML."""
    text = str(entry.get(name) or "")[:size]
    kind = (entry.get(f"{name}_detail") or {}).get("type", "text/html")
    return text if kind == "text/plain" else html.unescape(_without_tags(text))


def _without_tags(text: str) -> str:
    kept: list[str] = []
    inside_script = False
    for number, part in enumerate(_TAG.split(text)):
        if number % 2:
            name = part[1:].lower()
            inside_script = name.startswith(("script", "style")) or (
                inside_script and not name.startswith(("/script", "/style"))
            )
            kept.append(" ")
        elif not inside_script:
            kept.append(part)
    return "".join(kept)


if __name__ == "__main__":
    main()
