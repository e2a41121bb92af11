"""`/story/91`: a story's own page, made of what Milvus holds now; it outlives the story's closing and the pages of runs."""

import hashlib
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from clustering.pages.page_file import PLAIN_POLICY, no_such_story
from clustering.pages.story_facts import Contents, Kin, read_stories
from clustering.pages.story_page import story_html
from newstide.core.settings import PageSettings
from newstide.milvus import Store
from newstide_app.web.answers import LAST_LABEL, ask
from newstide_app.web.feed_routes import ATOM, JSON_FEED
from newstide_app.web.shared_store import Reader

_POLICY = f"{PLAIN_POLICY}; frame-ancestors 'none'"
_TAGS = 10  # languages that a browser may wish for


def add_story_pages(app: FastAPI, reader: Reader, pages: PageSettings) -> None:
    """Adds the route."""

    @app.get("/story/{number}", include_in_schema=False)
    async def story(request: Request, number: str) -> Response:
        label = int(number) if number.isascii() and number.isdecimal() and len(number) < len(str(LAST_LABEL)) else -1

        def question(store: Store) -> Contents | None:
            return next(read_stories(store, [label], Kin(reader.stories(store))), None)

        found = None if label < 0 else await ask(reader, question, None)
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache", "Vary": "Accept-Language"}
        if found is None or not found["title"]:  # one that `keep` has emptied is known by its number alone
            return HTMLResponse(no_such_story(number, "../"), 404, headers={**headers, "Cache-Control": "no-store"})
        body = _page(found, request, pages).encode()
        tag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
        if tag in [part.strip() for part in request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers | {"ETag": tag})
        return HTMLResponse(body, headers=headers | {"ETag": tag})


def _page(contents: dict[str, Any], request: Request, pages: PageSettings) -> str:
    number, public = contents["number"], pages.public_url.rstrip("/")
    return story_html(
        contents,
        link=str,
        home="../",
        wanted=[*wished_languages(request.headers.get("accept-language", "")), *pages.title_languages],
        address=f"{public}/story/{number}" if public else "",
        feeds=[(ATOM, f"{number}.atom"), (JSON_FEED, f"{number}.json")],
    )


def wished_languages(header: str) -> list[str]:
    """The languages of an Accept-Language header, the most wished for first; `*` and those not wanted are left out."""
    wishes = []
    for place, part in enumerate(header.split(",")):
        tag, _, weight = part.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            quality = 0.0
        if tag.strip() not in ("", "*") and quality > 0:
            wishes.append((-quality, place, tag.strip()))
    return [tag for _, _, tag in sorted(wishes)[:_TAGS]]
