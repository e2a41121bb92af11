"""Every error of the API in one shape: problem details (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from newstide.core.errors import NewstideError, StoreSlow, UnknownStory
from newstide.core.text import shorten

_RETRY_SECONDS = "5"
_PROBLEM = "application/problem+json"


class Problem(BaseModel):
    """Why a request could not be answered."""

    title: str = Field(description="The HTTP status in words.")
    status: int
    detail: str = Field(description="What is wrong, with the value.")
    way_out: str = Field("", description="What to do about it.")
    parameter: str | None = Field(None, description="The parameter at fault, where it is one.")
    value: str | None = Field(None, description="The parameter's value as it came.")


class BadValue(Exception):
    """A parameter has a value that the API does not understand."""

    def __init__(self, parameter: str, value: str, why: str) -> None:
        super().__init__(why)
        self.parameter, self.value, self.why = parameter, value, why


def problem(
    status: int,
    detail: str,
    *,
    way_out: str = "",
    parameter: str | None = None,
    value: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request that cannot be answered."""
    body = {
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "way_out": way_out,
        "parameter": parameter,
        "value": value,
    }
    return JSONResponse(
        {name: part for name, part in body.items() if part not in (None, "")},
        status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type=_PROBLEM,
    )


def describe_problems(document: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI document in which every error is described by the media type that it is sent with."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for answer in operation["responses"].values():
                content = answer.get("content", {})
                described = content.get("application/json", {}).get("schema", {})
                if described.get("$ref", "").endswith("/Problem"):
                    content[_PROBLEM] = content.pop("application/json")
    return document


def handle_problems(app: FastAPI) -> None:
    """Answers every error of the API with problem details; errors of pages are plain text."""

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        fault = error.errors()[0]
        parameter, value = str(fault["loc"][1] if len(fault["loc"]) > 1 else fault["loc"][-1]), _said(fault["input"])
        if fault["type"] == "extra_forbidden":
            detail, way_out = (
                f"There is no parameter {parameter!r}.",
                "/api/openapi.json lists the parameters there are.",
            )
        elif fault["type"] == "missing":
            return problem(422, f"The parameter {parameter} is missing.", parameter=parameter)
        else:
            detail, way_out = f"{parameter} {value!r}: {fault['msg']}.", ""
        return problem(422, detail, way_out=way_out, parameter=parameter, value=value)

    async def bad_value(_request: Request, error: Exception) -> Response:
        assert isinstance(error, BadValue)  # noqa: S101
        value = shorten(error.value)
        return problem(422, f"{error.parameter} {value!r} {error.why}", parameter=error.parameter, value=value)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        path = shorten(request.url.path)
        detail = f"There is nothing at {path}." if error.status_code == 404 else f"{path}: {error.detail}."
        if request.url.path.startswith("/api/"):
            return problem(error.status_code, detail, headers=error.headers)
        headers = {"Cache-Control": "no-store", **(error.headers or {})}
        return PlainTextResponse(detail + "\n", error.status_code, headers=headers)

    async def deliberate(_request: Request, error: Exception) -> Response:
        assert isinstance(error, NewstideError)  # noqa: S101
        if isinstance(error, UnknownStory):
            return problem(404, error.message, way_out=error.way_out)
        if isinstance(error, StoreSlow):
            return problem(504, error.message, way_out=error.way_out)
        return problem(503, error.message, way_out=error.way_out, headers={"Retry-After": _RETRY_SECONDS})

    async def unforeseen(_request: Request, _error: Exception) -> Response:
        return problem(500, "The server failed to answer this request.", way_out="The server's log names the reason.")

    app.add_exception_handler(Exception, unforeseen)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(BadValue, bad_value)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(NewstideError, deliberate)


def _said(value: Any) -> str:
    return shorten(value if isinstance(value, str) else repr(value))
