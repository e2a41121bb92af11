"""Who is let in, and what every answer tells the browser.

A page elsewhere may give its own name this machine's address (DNS rebinding) and then read what is served here as if it
were its own: only known names, and bare addresses, which no one can give away, are let in.
"""

import base64
import hashlib
import hmac
import ipaddress
import re
import socket
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from newstide.core.settings import PageSettings
from newstide.core.text import shorten
from newstide_app.web.errors import problem

COOKIE = "newstide"
_COOKIE_SECONDS = 30 * 86_400
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::\d{1,5})?")  # a name or an address, and a port
_FEED = re.compile(r"/(?:feed|story/\d+)\.(?:atom|json)")
_OPEN = "/healthz"  # asked by what starts and stops the server
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NO_CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class Guard:
    """Lets requests through that name this server rightly and, where there is a token, bring it.

    Args:
        app: What is guarded.
        settings: `token`, `feed_token` and `allowed_hosts`.
        host: The address bound.
    """

    def __init__(self, app: ASGIApp, settings: PageSettings, host: str) -> None:
        self._app = app
        self._token = None if settings.token is None else settings.token.get_secret_value().encode()
        self._feed_token = None if settings.feed_token is None else settings.feed_token.get_secret_value().encode()
        named = {name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()}
        self._names = {"localhost", host.lower(), socket.gethostname().lower()} | named

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers itself, or passes on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", NO_CONTENT_POLICY)
                if self._token is not None:
                    headers["Cache-Control"] = _private(headers.get("cache-control", "no-cache"))
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(host):
            return _refuse(
                scope,
                421,
                f"This server is not called {shorten(host)!r}.",
                "Open it as localhost or by its address, or name it in NEWSTIDE_PAGES_ALLOWED_HOSTS.",
            )
        if self._token is None or scope["path"] == _OPEN:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        if welcome := self._welcome(scope):
            return welcome
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token):
            return None
        if hmac.compare_digest(cookie.encode(), self._mark()):
            return None
        if _FEED.fullmatch(scope["path"]) and self._feed_token is not None:
            if scheme.lower() == "basic" and hmac.compare_digest(_password(given), self._feed_token):
                return None
            return _refuse(
                scope,
                401,
                "This feed asks for a password.",
                "It is NEWSTIDE_PAGES_FEED_TOKEN, under any name.",
                challenge='Basic realm="newstide feeds", charset="UTF-8"',
            )
        return _refuse(
            scope,
            401,
            "This server asks for a token.",
            "Open the page as /?token=... once; programs send it as `Authorization: Bearer ...`.",
        )

    def _is_ours(self, host: str) -> bool:
        if "*" in self._names:
            return True
        parts = _HOST.fullmatch(host)
        if parts is None:
            return False
        name = parts.group(1).lower()
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    def _mark(self) -> bytes:
        """What the cookie holds: it opens this server, and does not tell the token."""
        assert self._token is not None  # noqa: S101 - asked only where there is one
        return hmac.new(self._token, b"newstide cookie", hashlib.sha256).hexdigest().encode()

    def _welcome(self, scope: Scope) -> Response | None:
        """A cookie for a page opened with `?token=`, and the way to the same page without it."""
        fields = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in fields if name == "token"]
        assert self._token is not None  # noqa: S101
        right = [hmac.compare_digest(value.encode(), self._token) for value in given]
        if scope["method"] not in ("GET", "HEAD") or not any(right):
            return None
        rest = urlencode([(name, value) for name, value in fields if name != "token"])
        # Relative: a proxy may serve this under a prefix. It begins with "./", so that it can name no other server.
        target = "./" + quote(scope["path"].rpartition("/")[2]) + (f"?{rest}" if rest else "")
        response = RedirectResponse(target, 303, headers={"Cache-Control": "no-store"})
        response.set_cookie(
            COOKIE,
            self._mark().decode(),
            max_age=_COOKIE_SECONDS,
            httponly=True,
            samesite="lax",  # strict would not come along where the link stood on another site
            secure=scope["scheme"] == "https",
        )
        return response


def _private(caching: str) -> str:
    """How an answer may be kept, where nothing between the server and its one reader may keep it."""
    kept = [part.strip() for part in caching.split(",") if part.strip() and part.strip() != "public"]
    return ", ".join(kept if {"private", "no-store"} & set(kept) else ["private", *kept])


def _password(credentials: str) -> bytes:
    """The password of HTTP Basic; empty where there is none."""
    try:
        return base64.b64decode(credentials.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _refuse(scope: Scope, status: int, message: str, way_out: str, challenge: str = "Bearer") -> Response:
    headers = {"Cache-Control": "no-store"} | ({"WWW-Authenticate": challenge} if status == 401 else {})
    if scope["path"].startswith("/api/"):
        return problem(status, message, way_out=way_out, headers=headers)
    return PlainTextResponse(f"{message} {way_out}\n", status, headers=headers)
