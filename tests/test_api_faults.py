"""The API while Milvus is away, or comes back."""

import time
from pathlib import Path
from typing import Any

import pytest

from newstide.core.errors import StoreUnavailable
from newstide.core.local_server import free_port
from newstide.core.settings import Settings
from newstide.milvus.local_server import LocalMilvus
from newstide_app.web.shared_store import Reader
from tests.harness.services import until
from tests.harness.web import get, served, write_run


def test_one_question_that_finds_milvus_away_takes_the_store_from_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    class Opened:
        closed = False

        def close(self) -> None:
            self.closed = True

    opened = [Opened(), Opened()]
    stores = iter(opened)
    reader = Reader(Settings())
    monkeypatch.setattr(reader, "_try_to_open", lambda: next(stores))

    def failing(store: Any) -> None:
        with pytest.raises(StoreUnavailable):
            reader._read(_away)
        assert reader._store is None
        assert not store.closed  # it is still asked here

    reader._read(failing)
    assert opened[0].closed
    reader._away = None
    asked: Any = reader._read(lambda store: store)
    assert asked is opened[1]
    assert not opened[1].closed
    reader.close()
    assert opened[1].closed


def _away(_store: Any) -> None:
    raise StoreUnavailable("Milvus is away.")


def test_milvus_away_is_said_and_pages_go_on_until_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    settings = Settings(data_dir=tmp_path / "data").updated(milvus={"uri": f"http://127.0.0.1:{port}", "timeout": "1s"})
    write_run(settings.snapshots_dir, 1)
    with served(settings) as client:
        for path in ("/api/stories", "/api/stories/1", "/api/headlines", "/api/search?q=fire", "/api/runs"):
            began = time.monotonic()
            answer = client.get(path)
            assert answer.status_code == 503
            assert answer.headers["retry-after"]
            assert "cannot be reached" in answer.json()["detail"]
            assert time.monotonic() - began < 3
        assert client.get("/latest.html").status_code == 200
        with LocalMilvus(tmp_path / "milvus", port=port) as milvus:
            assert milvus.uri.endswith(str(port))
            until("Milvus is asked again", lambda: client.get("/api/stories").status_code != 503)
            assert get(client, "/api/stories") == {"items": [], "total": 0, "next": None}
            assert get(client, "/api/headlines")["items"] == get(client, "/api/search", q="fire")["items"] == []
            assert client.get("/api/stories/1").status_code == 404
