"""The web server in a thread, and a folder of pages for it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from clustering.pages.index_page import write_index
from clustering.pages.run_page import write_snapshot
from newstide.core.local_server import free_port, listens
from newstide.core.settings import Settings
from newstide_app.web import make_app
from tests.harness.snapshots import make_snapshot


@contextmanager
def served(settings: Settings) -> Iterator[httpx.Client]:
    """A client of a running server."""
    port = free_port()
    options: dict[str, Any] = {"log_level": "warning", "timeout_graceful_shutdown": 5}  # as in production
    server = uvicorn.Server(uvicorn.Config(make_app(settings), host="127.0.0.1", port=port, **options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not listens(port):
            time.sleep(0.05)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(60)
    assert not thread.is_alive()


def write_run(folder: Path, run: int, **options: Any) -> None:
    write_snapshot(folder, make_snapshot(run=run, **options), max_points=20_000)
    write_index(folder)


def get(client: httpx.Client, path: str, **parameters: Any) -> Any:
    """What an answer without an error holds."""
    answer = client.get(path, params=parameters or None)
    assert answer.status_code == 200, answer.text
    return answer.json()
