"""The API's routes about stories: the list, one story with all that is told of it, and what changed since a time."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from clustering.pages.story_facts import Kin, read_stories, titled
from newstide.core.errors import UnknownStory
from newstide.core.settings import PageSettings
from newstide.core.text import iso_time
from newstide.milvus import Store, StoryEvent
from newstide_app.queries import (
    ChangeKind,
    HeadlineFilter,
    Sort,
    Status,
    StoryFilter,
    change_record,
    changes_since,
    chosen_stories,
    counted,
    newest_headlines,
    records,
    story_facts,
    story_lineage,
    story_records,
)
from newstide_app.web import schemas
from newstide_app.web.answers import (
    LAST_LABEL,
    PROBLEMS,
    Parameters,
    Text,
    answer,
    ask,
    further,
    moment,
    named,
    page_size,
    times,
    written,
)
from newstide_app.web.errors import BadValue, Problem
from newstide_app.web.shared_store import Reader

_MOST_KINDS = 7


class StoryParameters(Parameters):
    """Of `/api/stories`."""

    status: Status = "open"
    titles: list[Text] = Field(
        [], max_length=20, description="Languages of titles, the first that a story has; else those of `language`."
    )
    sort: Sort = Field(
        "size", description="Largest, most important, last seen first, fastest growing, latest or newest."
    )
    offset: int = Field(0, ge=0, le=LAST_LABEL)


class ChangeParameters(BaseModel):
    """Of `/api/changes`."""

    model_config = ConfigDict(extra="forbid")

    since: str = Field(max_length=40, description="ISO 8601 with a zone, or epoch milliseconds; included.")
    until: str | None = Field(None, max_length=40, description="As `since`; not included.")
    kind: list[ChangeKind] = Field([], max_length=_MOST_KINDS, description="Repeatable; none: all of them.")
    offset: int = Field(0, ge=0, le=LAST_LABEL)


def add_stories(app: FastAPI, reader: Reader, pages: PageSettings) -> None:
    """Adds the routes."""

    class StoryQuery(StoryParameters):
        limit: int = page_size(pages)

    @app.get("/api/stories", response_model=schemas.Stories, responses=PROBLEMS)
    async def stories(request: Request, query: Annotated[StoryQuery, Query()]) -> Response:
        """Stories."""
        wanted = StoryFilter(
            query.status, tuple(query.label), tuple(query.source), tuple(query.language), *times(query)
        )
        languages = query.titles or query.language or pages.title_languages

        def question(store: Store) -> dict[str, Any]:
            found = chosen_stories(reader.stories(store), wanted, query.sort)
            page = found.iloc[query.offset : query.offset + query.limit]
            following = further(request, query.offset, query.limit, len(found))
            return {"items": story_records(page, languages), "total": len(found), "next": following}

        return answer(request, await ask(reader, question, {"items": [], "total": 0, "next": None}, named(request)))

    _add_detail(app, reader, pages)
    _add_changes(app, reader, pages)


def _add_detail(app: FastAPI, reader: Reader, pages: PageSettings) -> None:
    class DetailQuery(BaseModel):
        model_config = ConfigDict(extra="forbid")
        language: list[Text] = Field([], max_length=20, description="Languages of titles, the first that a story has.")
        limit: int = page_size(pages, description="Headlines shown.")

    @app.get(
        "/api/stories/{label}",
        response_model=schemas.StoryDetail,
        responses={404: {"model": Problem, "description": "There is no such story."}, **PROBLEMS},
    )
    async def story(
        request: Request,
        label: Annotated[int, Path(ge=0, le=LAST_LABEL, description="The story's number.")],
        query: Annotated[DetailQuery, Query()],
    ) -> Response:
        """One story: facts, history, lineage, timeline, sources, nearest other stories and newest headlines."""
        languages = query.language or pages.title_languages
        nothing: dict[str, Any] = {}
        found = await ask(reader, lambda store: _detail(store, reader, label, query.limit, languages), nothing)
        if not found:
            raise UnknownStory(f"There is no story {label}.", "Nothing has been ingested yet.")
        return answer(request, found)


def _add_changes(app: FastAPI, reader: Reader, pages: PageSettings) -> None:
    class ChangeQuery(ChangeParameters):
        limit: int = page_size(pages, 100)

    @app.get("/api/changes", response_model=schemas.Changes, responses=PROBLEMS)
    async def changes(request: Request, query: Annotated[ChangeQuery, Query()]) -> Response:
        """What happened to stories since a time, newest first."""
        since, until = moment("since", query.since), moment("until", query.until)
        assert since is not None  # noqa: S101 - it is required
        if until is not None and since >= until:
            raise BadValue("since", query.since, f"is not before until {query.until!r}.")

        def question(store: Store) -> dict[str, Any]:
            found: list[StoryEvent] = changes_since(store, reader.stories(store), since, until, tuple(query.kind))
            page = found[query.offset : query.offset + query.limit]
            return {
                "items": [change_record(event) for event in page],
                "total": len(found),
                "stories": counted(found),
                "next": further(request, query.offset, query.limit, len(found)),
            }

        return answer(request, await ask(reader, question, {"items": [], "total": 0, "stories": {}, "next": None}))


def _detail(store: Store, reader: Reader, label: int, limit: int, languages: Any) -> dict[str, Any]:
    all_stories = reader.stories(store)
    facts = story_facts(all_stories, label, languages)
    (contents,) = read_stories(store, [label], Kin(all_stories))
    frame, after = newest_headlines(store, HeadlineFilter(labels=(label,)), limit)
    following = "../headlines?" + urlencode({"label": label, "limit": limit})
    line = contents["timeline"]
    return {
        "story": facts,
        "lineage": story_lineage(all_stories, label, languages),
        "timeline": line and {"begin": iso_time(line["begin"]), "step_seconds": line["step"], "counts": line["counts"]},
        "history": [change_record(event) for event in store.events.of_stories([label])],
        "sources": [
            {
                "source": one["source"],
                "headlines": one["headlines"],
                "first_published_at": iso_time(one["published_at"]),
            }
            for one in contents["sources"]
        ],
        "nearest": [
            {
                "cluster_label": one["number"],
                "title": titled(one, languages)[0],
                "size": one["size"],
                "status": one["status"],
                "similarity": one["similarity"],
            }
            for one in contents["nearest"]
        ],
        "headlines": {
            "items": records(frame),
            "next": None if after is None else f"{following}&cursor={written(after)}",
        },
    }
