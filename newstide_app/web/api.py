"""The read-only JSON API: stories, headlines, search, runs."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import FastAPI, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clustering.pages.folder import page_path
from newstide.core.errors import EmptyStore, InvalidHeadline, UnknownStory
from newstide.core.headline import parse_time
from newstide.core.settings import PageSettings, Settings
from newstide.milvus import Store
from newstide.milvus.collection import MOST
from newstide_app.queries import (
    Cursor,
    HeadlineFilter,
    Sort,
    State,
    Status,
    StoryFilter,
    chosen_stories,
    nearest_headlines,
    newest_headlines,
    records,
    story_facts,
    story_lineage,
    story_records,
    story_timeline,
)
from newstide_app.web import schemas
from newstide_app.web.errors import BadValue, Problem
from newstide_app.web.shared_store import Reader

T = TypeVar("T")

_LABEL = 2**63 - 1
_VALUES = 100  # of one filter
_ID_BYTES = 128  # of a headline's id
_LETTERS = 300  # of a source's name

Text = Annotated[str, Field(max_length=_LETTERS)]
Label = Annotated[int, Field(ge=-1, le=_LABEL)]

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    422: {
        "model": Problem,
        "description": "A parameter is missing, unknown or has a value that is not understood.",
    },
    503: {"model": Problem, "description": "Milvus cannot be reached."},
    504: {"model": Problem, "description": "Milvus did not answer in time."},
}


class _Parameters(BaseModel):
    """What all lists know; a parameter that is unknown is an error."""

    model_config = ConfigDict(extra="forbid")

    source: list[Text] = Field([], max_length=_VALUES, description="To the letter; repeatable.")
    language: list[Text] = Field([], max_length=_VALUES, description="BCP 47, to the letter; repeatable.")
    label: list[Label] = Field([], max_length=_VALUES, description="Story numbers; -1 = in none; repeatable.")
    since: str | None = Field(None, max_length=40, description="ISO 8601 with a zone, or epoch milliseconds; included.")
    until: str | None = Field(None, max_length=40, description="As `since`; not included.")


class StoryParameters(_Parameters):
    """Of `/api/stories`."""

    status: Status = "open"
    sort: Sort = Field("size", description="Largest, fastest growing, latest or newest first.")
    offset: int = Field(0, ge=0, le=_LABEL)


class HeadlineParameters(_Parameters):
    """Of `/api/headlines`."""

    state: State = Field("all", description="In a story, in none, or not yet seen by a run.")
    cursor: str | None = Field(None, max_length=400, description="From `next` of the page before.")


class SearchParameters(_Parameters):
    """Of `/api/search`."""

    state: State = Field("all", description="In a story, in none, or not yet seen by a run.")


def add_api(app: FastAPI, reader: Reader, settings: Settings) -> None:
    """Adds the API's routes to an application."""
    _add_stories(app, reader, settings.pages)
    _add_headlines(app, reader, settings.pages)
    _add_search(app, reader, settings.pages)
    _add_runs(app, reader, settings)


def _add_stories(app: FastAPI, reader: Reader, pages: PageSettings) -> None:
    class StoryQuery(StoryParameters):
        limit: int = _limit(pages)

    class DetailQuery(BaseModel):
        model_config = ConfigDict(extra="forbid")
        limit: int = _limit(pages, description="Headlines shown.")

    @app.get("/api/stories", response_model=schemas.Stories, responses=_PROBLEMS)
    async def stories(request: Request, query: Annotated[StoryQuery, Query()]) -> Response:
        """Stories."""
        wanted = StoryFilter(
            query.status, tuple(query.label), tuple(query.source), tuple(query.language), *_times(query)
        )

        def question(store: Store) -> dict[str, Any]:
            found = chosen_stories(reader.stories(store), wanted, query.sort)
            page = found.iloc[query.offset : query.offset + query.limit]
            following = _further(request, query.offset, query.limit, len(found))
            return {"items": story_records(page), "total": len(found), "next": following}

        return _answer(request, await _ask(reader, question, {"items": [], "total": 0, "next": None}))

    @app.get(
        "/api/stories/{label}",
        response_model=schemas.StoryDetail,
        responses={404: {"model": Problem, "description": "There is no such story."}, **_PROBLEMS},
    )
    async def story(
        request: Request,
        label: Annotated[int, Path(ge=0, le=_LABEL, description="The story's number.")],
        query: Annotated[DetailQuery, Query()],
    ) -> Response:
        """One story: facts, lineage, timeline and newest headlines."""
        nothing: dict[str, Any] = {}
        found = await _ask(reader, lambda store: _story_detail(store, reader, label, query.limit), nothing)
        if not found:
            raise UnknownStory(f"There is no story {label}.", "Nothing has been ingested yet.")
        return _answer(request, found)


def _story_detail(store: Store, reader: Reader, label: int, limit: int) -> dict[str, Any]:
    all_stories = reader.stories(store)
    facts = story_facts(all_stories, label)
    frame, after = newest_headlines(store, HeadlineFilter(labels=(label,)), limit)
    address = "../headlines?" + urlencode({"label": label, "limit": limit})
    return {
        "story": facts,
        "lineage": story_lineage(all_stories, label),
        "timeline": story_timeline(store, label),
        "headlines": {
            "items": records(frame),
            "next": None if after is None else f"{address}&cursor={_written(after)}",
        },
    }


def _add_headlines(app: FastAPI, reader: Reader, pages: PageSettings) -> None:
    class HeadlineQuery(HeadlineParameters):
        limit: int = _limit(pages)

    @app.get("/api/headlines", response_model=schemas.Headlines, responses=_PROBLEMS)
    async def headlines(request: Request, query: Annotated[HeadlineQuery, Query()]) -> Response:
        """Headlines, newest first."""
        after = None if query.cursor is None else _read_cursor(query.cursor)
        wanted = _headline_filter(query)

        def question(store: Store) -> dict[str, Any]:
            frame, following = newest_headlines(store, wanted, query.limit, after)
            address = None if following is None else _address(request, cursor=_written(following))
            return {"items": records(frame), "next": address}

        return _answer(request, await _ask(reader, question, {"items": [], "next": None}))


def _add_search(app: FastAPI, reader: Reader, pages: PageSettings) -> None:
    most = pages.most_items

    class SearchQuery(SearchParameters):
        q: str = Field(min_length=1, max_length=pages.longest_query, description="Any text, in any language.")
        limit: int = _limit(pages, 20)
        offset: int = Field(0, ge=0, le=MOST - most - 1)

    @app.get("/api/search", response_model=schemas.Hits, responses=_PROBLEMS)
    async def search(request: Request, query: Annotated[SearchQuery, Query()]) -> Response:
        """Headlines nearest in meaning to a text, in whatever language."""
        if not query.q.strip():
            raise BadValue("q", query.q, "holds no word.")
        wanted = _headline_filter(query)

        def question(store: Store) -> dict[str, Any]:
            vector = reader.vector(store, query.q)
            frame = nearest_headlines(store, vector, wanted, query.limit + 1, query.offset)
            following = query.offset + query.limit
            more = len(frame) > query.limit and following < MOST - most
            address = _address(request, offset=following) if more else None
            return {"items": records(frame.head(query.limit)), "next": address}

        return _answer(request, await _ask(reader, question, {"items": [], "next": None}))


def _add_runs(app: FastAPI, reader: Reader, settings: Settings) -> None:
    class RunQuery(BaseModel):
        model_config = ConfigDict(extra="forbid")
        limit: int = _limit(settings.pages)
        offset: int = Field(0, ge=0, le=_LABEL)

    @app.get("/api/runs", response_model=schemas.Runs, responses=_PROBLEMS)
    async def runs(request: Request, query: Annotated[RunQuery, Query()]) -> Response:
        """Finished runs, newest first."""

        def question(store: Store) -> dict[str, Any]:
            found = store.runs().sort_values("run", ascending=False)
            page = records(found.iloc[query.offset : query.offset + query.limit])
            for run in page:
                map_page = page_path(settings.snapshots_dir, run["run"])
                run["page"] = f"../{map_page.name}" if map_page.is_file() else None
            following = _further(request, query.offset, query.limit, len(found))
            return {"items": page, "total": len(found), "next": following}

        return _answer(request, await _ask(reader, question, {"items": [], "total": 0, "next": None}))


def _limit(pages: PageSettings, default: int = 50, description: str | None = None) -> Any:
    """How many items a page holds, as a field of a query."""
    return Field(min(default, pages.most_items), ge=1, le=pages.most_items, description=description)


async def _ask(reader: Reader, question: Callable[[Store], T], empty: T) -> T:
    """The answer, or `empty` before anything was ingested."""
    try:
        return await reader.read(question)
    except EmptyStore:
        return empty


class HeadAsGet:
    """Answers HEAD as GET without a body, which FastAPI's routes do not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, without_body)


def _answer(request: Request, document: dict[str, Any]) -> Response:
    """The document, or nothing where the reader has it already."""
    body = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = [part.strip() for part in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def _headline_filter(query: HeadlineParameters | SearchParameters) -> HeadlineFilter:
    since, until = _times(query)
    return HeadlineFilter(tuple(query.label), tuple(query.source), tuple(query.language), since, until, query.state)


def _times(query: _Parameters) -> tuple[int | None, int | None]:
    since, until = _moment("since", query.since), _moment("until", query.until)
    if since is not None and until is not None and since >= until:
        raise BadValue("since", str(query.since), f"is not before until {query.until!r}.")
    return since, until


def _moment(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    plain = text.strip().replace(" ", "+")  # a plus sign that was not escaped
    try:
        return parse_time(int(plain) if plain.isdecimal() else plain)
    except InvalidHeadline:
        raise BadValue(name, text, "is not a time: write 2026-10-13T07:42:00Z, or milliseconds since 1970.") from None


def _further(request: Request, offset: int, limit: int, total: int) -> str | None:
    return _address(request, offset=offset + limit) if offset + limit < total else None


def _address(request: Request, **changed: int | str) -> str:
    """The request's own address with some parameters changed, relative to it: a proxy may serve this under a prefix."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in changed]
    kept = [(name, value) for name, value in kept if name != "token"]
    return f"?{urlencode([*kept, *changed.items()])}"


def _written(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode().rstrip("=")


def _read_cursor(text: str) -> Cursor:
    try:
        time, id_ = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if type(time) is int and isinstance(id_, str) and 0 <= time < _LABEL and len(id_.encode()) <= _ID_BYTES:
            return time, id_
    except (
        ValueError,
        TypeError,
        RecursionError,
    ):  # no base64, no UTF-8 in it or to be made of it, no JSON, or no pair
        pass
    raise BadValue("cursor", text, "was not given by this API; begin without a cursor.")
