"""The read-only JSON API: stories, headlines, search, runs."""

from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clustering.pages.folder import page_path
from newstide.core.settings import PageSettings, Settings
from newstide.milvus import Store
from newstide.milvus.collection import MOST
from newstide_app.queries import HeadlineFilter, State, headlines_like, nearest_headlines, newest_headlines, records
from newstide_app.web import schemas
from newstide_app.web.answers import (
    ID_BYTES,
    LAST_LABEL,
    PROBLEMS,
    Parameters,
    address,
    answer,
    ask,
    further,
    named,
    page_size,
    read_cursor,
    times,
    written,
)
from newstide_app.web.errors import BadValue
from newstide_app.web.shared_store import Reader
from newstide_app.web.story_routes import add_stories


class HeadlineParameters(Parameters):
    """Of `/api/headlines`."""

    state: State = Field("all", description="In a story, in none, or not yet seen by a run.")
    cursor: str | None = Field(None, max_length=400, description="From `next` of the page before.")


class SearchParameters(Parameters):
    """Of `/api/search`."""

    state: State = Field("all", description="In a story, in none, or not yet seen by a run.")


def add_api(app: FastAPI, reader: Reader, settings: Settings) -> None:
    """Adds the API's routes to an application."""
    add_stories(app, reader, settings.pages)
    _add_headlines(app, reader, settings.pages)
    _add_search(app, reader, settings.pages)
    _add_runs(app, reader, settings)


def _add_headlines(app: FastAPI, reader: Reader, pages: PageSettings) -> None:
    class HeadlineQuery(HeadlineParameters):
        limit: int = page_size(pages)

    @app.get("/api/headlines", response_model=schemas.Headlines, responses=PROBLEMS)
    async def headlines(request: Request, query: Annotated[HeadlineQuery, Query()]) -> Response:
        """Headlines, newest first."""
        after = None if query.cursor is None else read_cursor(query.cursor)
        wanted = _headline_filter(query)

        def question(store: Store) -> dict[str, Any]:
            frame, following = newest_headlines(store, wanted, query.limit, after, reader.lately)
            next_page = None if following is None else address(request, cursor=written(following))
            return {"items": records(frame), "next": next_page}

        return answer(request, await ask(reader, question, {"items": [], "next": None}, named(request)))


def _add_search(app: FastAPI, reader: Reader, pages: PageSettings) -> None:
    most = pages.most_items

    class SearchQuery(SearchParameters):
        q: str | None = Field(
            None, min_length=1, max_length=pages.longest_query, description="Any text, in any language."
        )
        like: str | None = Field(
            None, min_length=1, max_length=ID_BYTES, description="A headline's id: those like it, in place of `q`."
        )
        limit: int = page_size(pages, 20)
        offset: int = Field(0, ge=0, le=MOST - most - 1)

    @app.get("/api/search", response_model=schemas.Hits, responses=PROBLEMS)
    async def search(request: Request, query: Annotated[SearchQuery, Query()]) -> Response:
        """Headlines nearest in meaning to a text, or to another headline, in whatever language."""
        if query.q is None and query.like is None:
            raise BadValue("q", "", "is missing; or name a headline: like=ID.")
        if query.q is not None and query.like is not None:
            raise BadValue("like", query.like, "stands in place of q, not beside it.")
        if query.q is not None and not query.q.strip():
            raise BadValue("q", query.q, "holds no word.")
        wanted = _headline_filter(query)

        def question(store: Store) -> dict[str, Any]:
            if query.like is not None:
                frame = headlines_like(store, query.like, wanted, query.limit + 1, query.offset)
                if frame is None:
                    raise BadValue("like", query.like, "is the id of no headline.")
            else:
                vector = reader.vector(store, str(query.q))
                frame = nearest_headlines(store, vector, wanted, query.limit + 1, query.offset)
            following = query.offset + query.limit
            more = len(frame) > query.limit and following < MOST - most
            next_page = address(request, offset=following) if more else None
            return {"items": records(frame.head(query.limit)), "next": next_page}

        return answer(request, await ask(reader, question, {"items": [], "next": None}))


def _add_runs(app: FastAPI, reader: Reader, settings: Settings) -> None:
    class RunQuery(BaseModel):
        model_config = ConfigDict(extra="forbid")
        limit: int = page_size(settings.pages)
        offset: int = Field(0, ge=0, le=LAST_LABEL)

    @app.get("/api/runs", response_model=schemas.Runs, responses=PROBLEMS)
    async def runs(request: Request, query: Annotated[RunQuery, Query()]) -> Response:
        """Finished runs, newest first."""

        def question(store: Store) -> dict[str, Any]:
            found = store.runs().sort_values("run", ascending=False)
            page = records(found.iloc[query.offset : query.offset + query.limit])
            for run in page:
                map_page = page_path(settings.snapshots_dir, run["run"])
                run["page"] = f"../{map_page.name}" if map_page.is_file() else None
            following = further(request, query.offset, query.limit, len(found))
            return {"items": page, "total": len(found), "next": following}

        return answer(request, await ask(reader, question, {"items": [], "total": 0, "next": None}))


_READ = ("/api/", "/feed.", "/story/")  # addresses of FastAPI's routes


class HeadAsGet:
    """Answers HEAD as GET without a body, which FastAPI's routes do not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or not scope["path"].startswith(_READ):
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, without_body)


def _headline_filter(query: HeadlineParameters | SearchParameters) -> HeadlineFilter:
    since, until = times(query)
    return HeadlineFilter(tuple(query.label), tuple(query.source), tuple(query.language), since, until, query.state)
