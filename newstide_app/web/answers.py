"""What the API's routes share: parameters, pages of a list, times, and answers that are sent once."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from newstide.core.errors import EmptyStore, InvalidHeadline
from newstide.core.headline import parse_time
from newstide.core.settings import PageSettings
from newstide.milvus import Store
from newstide_app.queries import Cursor
from newstide_app.web.errors import BadValue, Problem
from newstide_app.web.shared_store import Reader

T = TypeVar("T")

LAST_LABEL = 2**63 - 1
_VALUES = 100  # of one filter
ID_BYTES = 128  # of a headline's id
_LETTERS = 300  # of a source's name

Text = Annotated[str, Field(max_length=_LETTERS)]
Label = Annotated[int, Field(ge=-1, le=LAST_LABEL)]

PROBLEMS: dict[int | str, dict[str, Any]] = {
    422: {
        "model": Problem,
        "description": "A parameter is missing, unknown or has a value that is not understood.",
    },
    503: {"model": Problem, "description": "Milvus cannot be reached."},
    504: {"model": Problem, "description": "Milvus did not answer in time."},
}


class Parameters(BaseModel):
    """What all lists know; a parameter that is unknown is an error."""

    model_config = ConfigDict(extra="forbid")

    source: list[Text] = Field([], max_length=_VALUES, description="To the letter; repeatable.")
    language: list[Text] = Field([], max_length=_VALUES, description="BCP 47, to the letter; repeatable.")
    label: list[Label] = Field([], max_length=_VALUES, description="Story numbers; -1 = in none; repeatable.")
    since: str | None = Field(None, max_length=40, description="ISO 8601 with a zone, or epoch milliseconds; included.")
    until: str | None = Field(None, max_length=40, description="As `since`; not included.")


def page_size(pages: PageSettings, default: int = 50, description: str | None = None) -> Any:
    """How many items a page holds, as a field of a query."""
    return Field(min(default, pages.most_items), ge=1, le=pages.most_items, description=description)


async def ask(reader: Reader, question: Callable[[Store], T], empty: T, same: str = "") -> T:
    """The answer, or `empty` before anything was ingested; for `same`, see `Reader.read`."""
    try:
        return await reader.read(question, same)
    except EmptyStore:
        return empty


def answer(request: Request, document: dict[str, Any]) -> Response:
    """The document, or nothing where the reader has it already."""
    body = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = [part.strip() for part in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def times(query: Parameters) -> tuple[int | None, int | None]:
    """`since` and `until` in epoch ms."""
    since, until = moment("since", query.since), moment("until", query.until)
    if since is not None and until is not None and since >= until:
        raise BadValue("since", str(query.since), f"is not before until {query.until!r}.")
    return since, until


def moment(name: str, text: str | None) -> int | None:
    """A parameter's time in epoch ms; `BadValue` where it is none."""
    if text is None:
        return None
    plain = text.strip().replace(" ", "+")  # a plus sign that was not escaped
    try:
        return parse_time(int(plain) if plain.isdecimal() else plain)
    except InvalidHeadline:
        raise BadValue(name, text, "is not a time: write 2026-10-13T07:42:00Z, or milliseconds since 1970.") from None


def further(request: Request, offset: int, limit: int, total: int) -> str | None:
    """The address of the next page, None at the end."""
    return address(request, offset=offset + limit) if offset + limit < total else None


def named(request: Request) -> str:
    """What a request asks for, whoever asks."""
    return f"{request.url.path}{address(request)}"


def address(request: Request, **changed: int | str) -> str:
    """The request's own address with some parameters changed, relative to it: a proxy may serve this under a prefix."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in changed]
    kept = [(name, value) for name, value in kept if name != "token"]
    return f"?{urlencode([*kept, *changed.items()])}"


def written(cursor: Cursor) -> str:
    """A cursor as a parameter."""
    return base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode().rstrip("=")


def read_cursor(text: str) -> Cursor:
    """What `written` made; `BadValue` where it is anything else."""
    try:
        time, id_ = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if type(time) is int and isinstance(id_, str) and 0 <= time < LAST_LABEL and len(id_.encode()) <= ID_BYTES:
            return time, id_
    except (
        ValueError,
        TypeError,
        RecursionError,
    ):  # no base64, no UTF-8 in it or to be made of it, no JSON, or no pair
        pass
    raise BadValue("cursor", text, "was not given by this API; begin without a cursor.")
