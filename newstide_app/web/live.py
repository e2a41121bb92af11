"""The live view: tells open pages that a run has ended, by server-sent events.

A run ends for its readers with its page, so the server asks the folder once a second, however many listen. That works on
any file system and on any machine, next to the reclusterer or not.
"""

import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from clustering.pages.folder import facts_path, read_latest

_EVERY = 1.0  # seconds
_PING = 15  # seconds: keeps what lies between from closing a silent connection


class Watch:
    """Watches a folder of pages for those who listen.

    Args:
        directory: Of the pages.
        most: Listeners at once; further ones are sent away, and ask every few seconds instead.
    """

    def __init__(self, directory: Path, most: int) -> None:
        self._directory = directory
        self._most = most
        self._listeners = 0
        self._looked = -_EVERY
        self._latest: dict[str, Any] | None = None

    async def endpoint(self, request: Request) -> Response:
        """`/events`: an event `run` with the latest run at once, and one whenever it is another."""
        if request.method == "HEAD":
            return Response(headers={"Cache-Control": "no-store"}, media_type="text/event-stream")
        if self._listeners >= self._most:
            return PlainTextResponse("Too many pages listen already.\n", 503, headers={"Cache-Control": "no-store"})
        self._listeners += 1  # here, before anyone else is asked: who was let in begins to listen only later
        return _Listening(self._events(), self._left)

    def _left(self) -> None:
        self._listeners -= 1

    async def _events(self) -> AsyncIterator[ServerSentEvent]:
        told = None
        while True:
            latest = await self._current()
            if latest is not None and latest["run"] != told:
                told = latest["run"]
                yield ServerSentEvent(json.dumps(latest), event="run", id=str(told))
            await anyio.sleep(_EVERY)

    async def _current(self) -> dict[str, Any] | None:
        if time.monotonic() - self._looked >= _EVERY:
            self._looked = time.monotonic()
            self._latest = await anyio.to_thread.run_sync(latest_run, self._directory) or self._latest
        return self._latest


class _Listening(EventSourceResponse):
    """Events to one listener, whose place is free again once they end, however that comes."""

    def __init__(self, events: AsyncIterator[ServerSentEvent], left: Callable[[], None]) -> None:
        super().__init__(events, ping=_PING, headers={"Cache-Control": "no-store"})
        self._left = left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._left()


def latest_run(directory: Path) -> dict[str, Any] | None:
    """The newest run with a page: `run`, `page`, `finished_at`, `headlines`, `stories`, `events`; None without one."""
    try:
        latest = read_latest(directory)
    except OSError:
        return None
    if not latest:
        return None
    run, page = latest["run"], latest["page"]
    try:
        facts = json.loads(facts_path(directory, run).read_text(encoding="utf-8"))
        shown = {name: facts[name] for name in ("finished_at", "headlines", "stories", "events")}
    except (OSError, ValueError, KeyError, TypeError):
        shown = {}
    return {"run": run, "page": page, **shown}
