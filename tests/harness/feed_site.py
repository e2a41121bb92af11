"""A web server on loopback, and the feeds that it offers."""

import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from producers.rows import Row

NOW = 1_791_892_800.0  # 2026-10-13T12:00:00Z


def rss(*titles: str, extra: str = "") -> str:
    items = "".join(
        f"<item><title>{title}</title><link>https://desk.example/{title.replace(' ', '-')}</link>"
        f"<description>About {title}.</description>"
        f"<pubDate>Tue, 13 Oct 2026 {8 + number % 4:02}:00:00 +0200</pubDate></item>"
        for number, title in enumerate(titles)
    )
    return (
        f'<?xml version="1.0"?><rss version="2.0"><channel><title>The Desk</title><language>en-gb</language>{items}'
        f"{extra}</channel></rss>"
    )


class Site:
    """A web server on loopback whose pages a test sets, and which keeps what it was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.clients: list[tuple[str, int]] = []  # the other end of each request's connection
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections could be used again

            def do_GET(self) -> None:
                site.asked.append((self.path, dict(self.headers)))
                site.clients.append(self.client_address)
                status, headers, body = site.pages.get(self.path, (404, {}, b"no such page"))
                if status == 200 and headers.get("ETag") and self.headers.get("If-None-Match") == headers["ETag"]:
                    status, body = 304, b""
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def page(self, path: str, body: str | bytes, status: int = 200, **headers: str) -> str:
        content = body if isinstance(body, bytes) else body.encode()
        self.pages[path] = (status, {name.replace("_", "-"): value for name, value in headers.items()}, content)
        return self.address + path

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def titles(rows: Sequence[Row]) -> list[str]:
    return [row.headline.title for row in rows]
