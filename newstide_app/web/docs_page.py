"""`/api/docs`: what the API knows, as a page made of its OpenAPI document, without a script and without other servers."""

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from clustering.pages.page_file import PLAIN_POLICY, put_together_plain

_POLICY = f"{PLAIN_POLICY}; frame-ancestors 'none'"


def add_docs(app: FastAPI) -> None:
    """Adds the route; to be called once the API's routes are there."""

    @app.api_route("/api/docs", methods=["GET", "HEAD"], include_in_schema=False)
    async def docs(_request: Request) -> Response:
        page = docs_html(app.openapi())
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"})


def docs_html(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document."""
    schemas = document["components"]["schemas"]
    routes = [
        _route(path, operations["get"], schemas)
        for path, operations in document["paths"].items()
        if "get" in operations
    ]
    return put_together_plain("api.html.j2", {}, api=document, routes=routes, home="../")


def _route(path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        _row(one["name"], one["schema"], one.get("required", False)) for one in operation.get("parameters", [])
    ]
    answer = operation["responses"]["200"].get("content", {}).get("application/json", {}).get("schema", {})
    return {
        "name": path.strip("/").replace("/", "-").replace("{", "").replace("}", ""),
        "path": path,
        "description": operation.get("description", operation.get("summary", "")),
        "example": "{" not in path and not any(one.get("required") for one in operation.get("parameters", [])),
        "parameters": parameters,
        "fields": _fields(answer, schemas),
    }


def _fields(schema: dict[str, Any], schemas: dict[str, Any], before: str = "") -> list[dict[str, str]]:
    """The fields of an answer, those of its parts below them: `items[].title`."""
    named = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
    rows = []
    for name, field in named.get("properties", {}).items():
        rows.append(_row(f"{before}{name}", field, required=False))
        items = field.get("items", {})
        inner, mark = (items, "[]") if "$ref" in items else (field, "")
        if "$ref" in inner and before.count(".") < 1:
            rows += _fields(inner, schemas, f"{before}{name}{mark}.")
    return rows


def _row(name: str, schema: dict[str, Any], required: bool) -> dict[str, str]:
    default = schema.get("default")
    notes = ["required"] if required else [f"default {default}"] if default not in (None, [], "") else []
    return {"name": name, "kind": ", ".join([_kind(schema), *notes]), "meaning": schema.get("description", "")}


def _kind(schema: dict[str, Any]) -> str:
    """A schema's type in a few words."""
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(kind for kind in map(_kind, schema["anyOf"]) if kind != "null")
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("type", "any"))
