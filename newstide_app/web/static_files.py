"""The folder of pages, served: made strict, small and quick on the way.

A page carries its content-security policy itself, so that it holds for a file that was sent to someone, too. Served, it
gets a stricter one as a header (`clustering.pages.page_file.served`).
"""

import gzip
import hashlib
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from clustering.pages.bundle import script
from clustering.pages.folder import INDEX, LATEST
from clustering.pages.page_file import Script, integrity, nothing_yet, served
from newstide_app.web.access import NO_CONTENT_POLICY

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".css": "text/css; charset=utf-8",
    ".png": "image/png",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
_PACKED = ("text/", "application/", "image/svg")
_KEPT = 8  # files in memory, ready to be sent: at most about as many times 8 MB
_FOREVER = "max-age=31536000, immutable"
_LIVE = "live.js"
_TOLD = "latest.js"  # loaded by pages that are opened as files, and written with each run


@dataclass(frozen=True, slots=True)
class Ready:
    """A file as it is sent.

    Attributes:
        body: The file's bytes, as they are and packed (None where that does not pay).
        tag: Of what it holds.
        policy: The file's content-security policy.
    """

    body: bytes
    packed: bytes | None
    tag: str
    kind: str
    policy: str

    def named(self, name: str) -> Script:
        """As a page names it, where it is a script: its address changes with what it holds."""
        return Script(f"{name}?v={self.tag}", integrity(self.body))


class Pages:
    """Serves the files right in a folder: no folder in it, no hidden file, no link to elsewhere.

    Args:
        directory: The folder of pages, which need not exist yet.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept: OrderedDict[str, tuple[tuple[Any, ...], Ready]] = OrderedDict()
        self._lock = threading.Lock()
        self._live = _ready(script("live").encode(), _TYPES[".js"], NO_CONTENT_POLICY)

    async def endpoint(self, request: Request) -> Response:
        """`/`, the newest map, and every name below it."""
        return await self._answer(request, request.path_params["name"] or LATEST)

    async def runs(self, request: Request) -> Response:
        """`/runs`, the list of runs."""
        return await self._answer(request, INDEX)

    async def _answer(self, request: Request, name: str) -> Response:
        found = await anyio.to_thread.run_sync(self._find, name)
        if found is None:
            if name in (INDEX, LATEST):
                page, policy = nothing_yet()
                return HTMLResponse(page, headers={"Cache-Control": "no-store", "Content-Security-Policy": policy})
            raise HTTPException(404, "there is no such page")
        return self._response(request, found)

    def _response(self, request: Request, found: Ready) -> Response:
        # A page of a run does not change either, but another data folder has another run of that number.
        asked_for = request.query_params.get("v") == found.tag
        tag = f'W/"{found.tag}"'
        headers = {
            "ETag": tag,
            "Cache-Control": f"public, {_FOREVER}" if asked_for else "no-cache",
            "Content-Security-Policy": found.policy,
            "Vary": "Accept-Encoding",
        }
        known = [part.strip() for part in request.headers.get("if-none-match", "").split(",")]
        if tag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        body = found.body
        if found.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"], body = "gzip", found.packed
        headers["Content-Length"] = str(len(body))
        return Response(b"" if request.method == "HEAD" else body, headers=headers, media_type=found.kind)

    def _find(self, name: str) -> Ready | None:
        if name == _LIVE:
            return self._live
        kind = _TYPES.get(Path(name).suffix)
        path = self._directory / name
        if kind is None or not _NAME.fullmatch(name):
            return None
        try:
            if path.is_symlink() or not path.is_file():
                return None
            mark = _mark(path)
            if path.suffix == ".html":  # which names what its scripts hold
                mark += tuple(_mark(script) for script in sorted(self._directory.glob("*.js")) if script.name != _TOLD)
            with self._lock:
                kept = self._kept.get(name)
                if kept is not None and kept[0] == mark:
                    self._kept.move_to_end(name)
                    return kept[1]
            content = path.read_bytes()
        except OSError:  # gone meanwhile, or not ours to read
            return None
        ready = self._page(content) if path.suffix == ".html" else _ready(content, kind, NO_CONTENT_POLICY)
        with self._lock:
            self._kept[name] = (mark, ready)
            self._kept.move_to_end(name)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return ready

    def _page(self, content: bytes) -> Ready:
        """A page with the live view in it, its scripts named by what they hold, and the policy that allows just them."""

        def beside(name: str) -> Script | None:
            found = self._find(name)
            return None if found is None else found.named(name)

        page, policy = served(content.decode(errors="surrogateescape"), beside, self._live.named(_LIVE))
        return _ready(page.encode(errors="surrogateescape"), _TYPES[".html"], policy)


def _mark(path: Path) -> tuple[Any, ...]:
    """Changes whenever the file does."""
    stat = path.stat()
    return path.name, stat.st_ino, stat.st_mtime_ns, stat.st_size


def _ready(body: bytes, kind: str, policy: str) -> Ready:
    packed = gzip.compress(body, 6, mtime=0) if len(body) > 1024 and kind.startswith(_PACKED) else None
    tag = hashlib.sha256(body).hexdigest()[:20]
    return Ready(body, packed if packed is not None and len(packed) < len(body) else None, tag, kind, policy)
