"""Feeds of stories for readers of feeds: Atom (RFC 4287) and JSON Feed 1.1, with conditional GET."""

import hashlib
import json
import re
from collections.abc import Sequence
from email.utils import formatdate, parsedate_to_datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urljoin
from xml.etree import ElementTree as ET

from fastapi import FastAPI, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from clustering.stories.titles import in_language
from newstide.core.errors import UnknownStory
from newstide.core.settings import PageSettings
from newstide.core.text import iso_time
from newstide.milvus import TAKEN_DOWN, Store
from newstide_app.queries.feed_entries import Entry, FeedFilter, Show, one_storys_entries, story_entries
from newstide_app.web.answers import LAST_LABEL, Text, ask
from newstide_app.web.shared_store import Reader

ATOM, JSON_FEED = "application/atom+xml", "application/feed+json"
_NAMESPACE = "http://www.w3.org/2005/Atom"
_XML = "http://www.w3.org/XML/1998/namespace"
_AUTHORITY = "newstide.invalid,2026"  # of the ids: no installation's name, which may change
_NOT_XML = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)  # characters that XML 1.0 does not allow
_NONE_YET = 0  # when a feed without entries changed last

Format = Literal["atom", "json"]


class FeedParameters(BaseModel):
    """Of `/feed.atom` and `/feed.json`; a parameter that is unknown is an error."""

    model_config = ConfigDict(extra="forbid")

    show: Show = "new"
    language: list[Text] = Field([], max_length=20)
    source: list[Text] = Field([], max_length=100)
    least: int = Field(0, ge=0, le=10**9)


def add_feeds(app: FastAPI, reader: Reader, pages: PageSettings) -> None:
    """Adds the routes."""

    class FeedQuery(FeedParameters):
        q: str = Field("", max_length=pages.longest_query)

    @app.get("/feed.{form}", include_in_schema=False)
    async def feed(request: Request, form: Format, query: Annotated[FeedQuery, Query()]) -> Response:
        chosen = FeedFilter(query.show, query.q, tuple(query.language), tuple(query.source), query.least)
        wanted = query.language or pages.title_languages

        def question(store: Store) -> tuple[str, list[Entry]]:
            return _mark(store), story_entries(store, reader.stories(store), chosen, wanted)

        nothing: tuple[str, list[Entry]] = ("0", [])
        mark, entries = await ask(reader, question, nothing)
        asked = query.model_dump(exclude_defaults=True)
        name = f"feed?{urlencode(asked, doseq=True)}" if asked else "feed"
        said = [query.q, *query.language, *query.source, f"{query.least} or more" if query.least else ""]
        title = " · ".join(filter(None, [f"newstide: {query.show} stories", *said]))
        return _answer(request, form, _Feed(name, title, "", mark, entries), pages)

    @app.get("/story/{label}.{form}", include_in_schema=False)
    async def story_feed(request: Request, label: Annotated[int, Path(ge=0, le=LAST_LABEL)], form: Format) -> Response:
        def question(store: Store) -> tuple[str, dict[Any, Any], list[Entry]]:
            found = reader.stories(store)
            rows = found[found["cluster_label"] == label].to_dict("records")
            if not rows or rows[0]["title"] in ("", TAKEN_DOWN):
                return "0", {}, []
            return _mark(store), rows[0], one_storys_entries(store, rows[0], pages.title_languages)

        nothing: tuple[str, dict[Any, Any], list[Entry]] = ("0", {}, [])
        mark, row, entries = await ask(reader, question, nothing)
        if not row:
            raise UnknownStory(f"There is no story {label}.", "/feed.atom lists the stories there are.")
        title, _ = in_language(row["title"], row["titles"], pages.title_languages)
        return _answer(request, form, _Feed(f"story/{label}/feed", title, f"story/{label}", mark, entries), pages)


class _Feed:
    """A feed before it is written in one of the formats.

    Args:
        name: Within the installation, for ever.
        title: For people.
        page: Below the server's address, where people read the same.
        mark: The installation's.
        entries: The latest first.
    """

    def __init__(self, name: str, title: str, page: str, mark: str, entries: Sequence[Entry]) -> None:
        self.name, self.title, self.page, self.mark, self.entries = name, title, page, mark, entries
        self.updated = max((entry.updated for entry in entries), default=_NONE_YET)

    def tag(self, path: str) -> str:
        """An id that never changes."""
        return f"tag:{_AUTHORITY}:{self.mark}/{path}"


def _answer(request: Request, form: Format, feed: _Feed, pages: PageSettings) -> Response:
    """The feed, or nothing where the reader has it already."""
    base = (pages.public_url or str(request.base_url)).rstrip("/") + "/"
    own = urljoin(base, request.url.path.lstrip("/"))
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
    own += f"?{urlencode(kept)}" if kept else ""
    body = _atom(feed, base, own) if form == "atom" else _json(feed, base, own)
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if feed.updated:
        headers["Last-Modified"] = formatdate(feed.updated // 1000, usegmt=True)
    if _is_known(request, tag, feed.updated):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=f"{ATOM if form == 'atom' else JSON_FEED}; charset=utf-8")


def _is_known(request: Request, tag: str, updated: int) -> bool:
    """Whether the reader has it; a tag goes before a time (RFC 9110)."""
    given = request.headers.get("if-none-match")
    if given is not None:
        return tag in [part.strip() for part in given.split(",")] or given.strip() == "*"
    try:
        since = parsedate_to_datetime(request.headers.get("if-modified-since", ""))
    except (TypeError, ValueError):
        return False
    return bool(updated) and updated // 1000 <= since.timestamp()


def _atom(feed: _Feed, base: str, own: str) -> bytes:
    ET.register_namespace("", _NAMESPACE)
    root = ET.Element(f"{{{_NAMESPACE}}}feed")

    def add(parent: ET.Element, name: str, text: str = "", **attributes: str) -> ET.Element:
        element = ET.SubElement(parent, f"{{{_NAMESPACE}}}{name}", attributes)
        element.text = _NOT_XML.sub("", text) or None
        return element

    add(root, "id", feed.tag(feed.name))
    add(root, "title", feed.title)
    add(root, "updated", iso_time(feed.updated))
    add(add(root, "author"), "name", "newstide")
    add(root, "link", rel="self", type=ATOM, href=own)
    add(root, "link", rel="alternate", type="text/html", href=urljoin(base, feed.page))
    add(root, "generator", "newstide")
    for one in feed.entries:
        entry = add(root, "entry")
        add(entry, "id", feed.tag(one.path))
        title = add(entry, "title", one.title)
        if one.language:
            title.set(f"{{{_XML}}}lang", one.language)
        add(entry, "updated", iso_time(one.updated))
        add(entry, "published", iso_time(one.published))
        add(entry, "link", rel="alternate", href=urljoin(base, one.link))
        if one.text:
            add(entry, "summary", one.text, type="text")
        for category in one.categories:
            add(entry, "category", term=_NOT_XML.sub("", category))
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + bytes(ET.tostring(root, encoding="utf-8"))


def _json(feed: _Feed, base: str, own: str) -> bytes:
    items = [
        {
            "id": feed.tag(one.path),
            "url": urljoin(base, one.link),
            "title": one.title,
            "content_text": one.text or one.title,
            "date_published": iso_time(one.published),
            "date_modified": iso_time(one.updated),
            "tags": list(one.categories),
            **({"language": one.language} if one.language else {}),
        }
        for one in feed.entries
    ]
    document = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": feed.title,
        "home_page_url": urljoin(base, feed.page),
        "feed_url": own,
        "authors": [{"name": "newstide"}],
        "items": items,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _mark(store: Store) -> str:
    """What tells this installation from others for ever: when its first run began."""
    return str(store.began() or 0)
