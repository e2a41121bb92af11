"""uvicorn as all of newstide's servers run it: with deadlines for slow requests, and without a flood of log lines."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from newstide.core.logs import FirstOfAMinute

ARRIVES_WITHIN = 10.0  # seconds from a connection's, or a request's, first byte to its last
_UNFINISHED = (h11.IDLE, h11.SEND_BODY)  # of the client: its request has not arrived whole
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def server(app: ASGIApp, **options: Any) -> uvicorn.Server:
    """A server for an application.

    Args:
        app: What it serves.
        options: Of `uvicorn.Config`.
    """
    logger = logging.getLogger("uvicorn.error")
    if not any(isinstance(one, FirstOfAMinute) for one in logger.filters):
        logger.addFilter(FirstOfAMinute())
    options = {"log_level": "warning", **options}
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=PunctualProtocol,
            ws="none",
            log_config=None,
            access_log=False,  # an address may hold the token
            server_header=False,
            **options,
        )
    )


@contextmanager
def serving(app: ASGIApp, listener: socket.socket) -> Iterator[None]:
    """Serves an application in a thread of its own; a client that connects before the thread runs waits for it.

    Args:
        app: What is served.
        listener: A socket that listens; it is closed at the end.
    """
    one = server(app, lifespan="off", timeout_graceful_shutdown=1)
    thread = Thread(target=one.run, kwargs={"sockets": [listener]}, name="monitoring", daemon=True)
    thread.start()
    try:
        yield
    finally:
        one.should_exit = True
        thread.join()
        listener.close()


class PunctualProtocol(H11Protocol):
    """Closes the connection of a client whose request does not arrive whole in time."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there: its request is waited for."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """A part of a request, or several."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """The next request may lie here already, or a half of it."""
        super().on_response_complete()
        if self.timeout_keep_alive_task is None:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        super().connection_lost(exc)
        self._forget()

    def _watch(self) -> None:
        if self.conn.their_state not in _UNFINISHED:
            self._forget()
        elif self._late is None:
            self._late = self.loop.call_later(ARRIVES_WITHIN, self._hang_up)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _hang_up(self) -> None:
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.IDLE:  # nothing has been answered yet
            self.transport.write(_TOO_LATE)
        self.transport.close()
