"""The web server put together: pages, live view, API and feeds behind one guard."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from newstide import __version__
from newstide.core import logs
from newstide.core.local_server import is_loopback
from newstide.core.settings import Settings
from newstide_app.services.http import server
from newstide_app.services.monitoring import monitored
from newstide_app.web.access import Guard
from newstide_app.web.api import HeadAsGet, add_api
from newstide_app.web.docs_page import add_docs
from newstide_app.web.errors import describe_problems, handle_problems
from newstide_app.web.feed_routes import add_feeds
from newstide_app.web.live import Watch
from newstide_app.web.shared_store import Reader
from newstide_app.web.static_files import Pages
from newstide_app.web.story_pages import add_story_pages

log = logs.get("web")


def make_app(settings: Settings, host: str = "") -> FastAPI:
    """The application that serves the pages of these settings and reads their store.

    Args:
        settings: `pages` says what is served, and to whom; the folder of the pages need not exist yet, nor Milvus run.
        host: The address it is bound to, where it is not `pages.host`.
    """
    pages = Pages(settings.snapshots_dir)
    watch = Watch(settings.snapshots_dir, most=settings.pages.most_listeners)
    reader = Reader(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        reader.close()

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n", headers={"Cache-Control": "no-store"})

    app = FastAPI(
        title="newstide",
        version=__version__,
        summary="Stories, headlines and runs, read-only.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page would fetch scripts from elsewhere; `docs_page` has one that does not
        redoc_url=None,
        lifespan=lifespan,
        middleware=[
            Middleware(Guard, settings=settings.pages, host=host or settings.pages.host),
            Middleware(GZipMiddleware, minimum_size=1024, compresslevel=6),
            Middleware(HeadAsGet),
        ],
    )
    handle_problems(app)
    add_api(app, reader, settings)
    add_feeds(app, reader, settings.pages)
    add_story_pages(app, reader, settings.pages)
    add_docs(app)
    describe = app.openapi
    app.openapi = lambda: describe_problems(describe())  # type: ignore[method-assign]
    app.router.routes += [
        Route("/healthz", healthz),
        Route("/events", watch.endpoint),
        Route("/runs", pages.runs),
        Route("/{name:path}", pages.endpoint),
    ]
    return app


def serve(settings: Settings, host: str, port: int) -> None:
    """Serves until SIGTERM or Ctrl-C, beside it metrics and health at a port of their own."""
    if settings.pages.token is None and not is_loopback(host):
        log.warning(
            "anyone who reaches this address can read everything",
            host=host,
            way_out="set NEWSTIDE_PAGES_TOKEN, or bind 127.0.0.1",
        )
    with monitored("web", settings, asks=["milvus"], ends_silent=True) as monitor:

        async def turned() -> None:
            monitor.beat()

        options = {"timeout_graceful_shutdown": 5, "callback_notify": turned, "timeout_notify": 1}
        with suppress(KeyboardInterrupt):
            server(make_app(settings, host), host=host, port=port, **options).run()
