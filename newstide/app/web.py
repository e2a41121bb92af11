"""A small web server for the pages: `/` is the gallery of runs, `/latest.html` the map as it is now."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_EMPTY = """<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>newstide</title>
<body style="font: 1rem system-ui; margin: 4rem auto; max-width: 34rem">
<h1>No map yet</h1><p>The first page appears here after the first reclustering run.</p>"""


class _Pages(StaticFiles):
    """Files that a browser may keep, but must ask about: a page is replaced in place."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        fixed = path.startswith("plotly")
        response.headers["Cache-Control"] = "public, max-age=86400" if fixed else "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


def make_app(directory: Path) -> Starlette:
    """The application that serves the pages in `directory`, which need not exist yet."""

    async def index(_request: Request) -> Response:
        page = directory / "index.html"
        if not page.is_file():
            return HTMLResponse(_EMPTY)
        return FileResponse(page, headers={"Cache-Control": "no-cache"})

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    directory.mkdir(parents=True, exist_ok=True)
    return Starlette(
        routes=[
            Route("/", index),
            Route("/healthz", healthz),
            Mount("/", _Pages(directory=directory)),
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=1024)],
    )


def serve(directory: Path, host: str, port: int) -> None:
    """Serves until SIGTERM or Ctrl-C."""
    import uvicorn

    uvicorn.run(make_app(directory), host=host, port=port, log_level="warning", access_log=False)
