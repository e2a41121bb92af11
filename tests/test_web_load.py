"""The web server at its limits: too many, too slow, too late, malformed."""

import asyncio
import base64
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import httpx
import pandas as pd
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from newstide.core.errors import StoreSlow
from newstide.core.logs import FirstOfAMinute
from newstide.core.settings import MilvusSettings, Settings
from newstide.milvus import Store
from newstide.milvus.connection import Connection
from newstide_app.queries import HeadlineFilter, Lately, newest_headlines
from newstide_app.services import http
from newstide_app.web.shared_store import Reader
from tests.harness.clock import set_clock
from tests.harness.web import served, write_run

TOKEN = "a-token-of-some-length"  # noqa: S105


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server without Milvus."""
    with served(Settings(data_dir=tmp_path_factory.mktemp("load"))) as client:
        yield client


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server of ours that waits half a second for a request to arrive, and answers with its body's length."""

    async def length(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    monkeypatch.setattr(http, "ARRIVES_WITHIN", 0.5)
    listener = socket.create_server(("127.0.0.1", 0))
    with http.serving(Starlette(routes=[Route("/", length, methods=["GET", "POST"])]), listener):
        yield int(listener.getsockname()[1])


def cursor(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "malformed",
    [
        cursor([1, "\ud83d"]),  # half of a character: JSON writes it, UTF-8 does not
        cursor([1, "x" * 129]),
        cursor([1, "é" * 65]),
        cursor([2**63, "x"]),
        cursor([-1, "x"]),
        cursor([True, "x"]),
        cursor([1.5, "x"]),
        cursor({"1": "x"}),
        cursor([1, "x", "y"]),
        cursor([[]] * 50),
        "%FF%FE",
        "WzEsIDJd",
        "=",
    ],
)
def test_a_cursor_that_is_malformed_in_any_way_is_named_whether_milvus_is_there_or_not(
    malformed: str, client: httpx.Client
) -> None:
    answer = client.get(f"/api/headlines?cursor={malformed}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["parameter"] == "cursor"


def test_a_request_that_cannot_be_built_is_never_taken_for_a_milvus_that_is_away(
    milvus_settings: MilvusSettings,
) -> None:
    connection = Connection(milvus_settings)
    try:
        with pytest.raises(ValueError, match="surrogates not allowed"):
            connection.call(lambda client: client.query("nowhere", filter='id == "\ud83d"', timeout=5))
    finally:
        connection.close()


def test_every_error_is_described_by_the_media_type_that_it_has(client: httpx.Client) -> None:
    document = client.get("/api/openapi.json").json()
    described = {
        (path, code): set(answer["content"])
        for path, operations in document["paths"].items()
        for code, answer in operations["get"]["responses"].items()
    }
    assert {code for _, code in described} == {"200", "404", "422", "503", "504"}
    for (path, code), kinds in described.items():
        assert kinds == {"application/json" if code == "200" else "application/problem+json"}, (path, code)
    assert client.get("/api/stories?limit=0").headers["content-type"] == "application/problem+json"


def test_no_more_listen_than_the_door_lets_in_however_many_come_at_once(tmp_path: Path) -> None:
    write_run(tmp_path / "snapshots", 1)
    settings = Settings(data_dir=tmp_path).updated(pages={"most_listeners": 3})
    with served(settings) as client, ExitStack() as stack:
        address = (client.base_url.host, client.base_url.port)
        waiting = [stack.enter_context(socket.create_connection(address, timeout=30)) for _ in range(12)]
        for one in waiting:
            one.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answers = [one.recv(64).split(b" ")[1] for one in waiting]
        assert (answers.count(b"200"), answers.count(b"503")) == (3, 9)
        for one, answer in zip(waiting, answers, strict=True):
            if answer == b"200":
                one.close()  # a place is free again
                break
        deadline = time.monotonic() + 30
        while True:
            with client.stream("GET", "/events") as again:
                if again.status_code == 200:
                    break
            assert time.monotonic() < deadline


def test_head_takes_no_listeners_place(tmp_path: Path) -> None:
    with served(Settings(data_dir=tmp_path).updated(pages={"most_listeners": 1})) as client:
        for _ in range(3):
            assert client.head("/events").status_code == 200


def test_where_there_is_a_token_nothing_between_keeps_an_answer(tmp_path: Path) -> None:
    write_run(tmp_path / "snapshots", 1)
    with served(Settings(data_dir=tmp_path).updated(pages={"token": TOKEN})) as client:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        script = client.get("/", headers=bearer).text.partition('src="')[2].partition('"')[0]
        assert "?v=" in script
        for path in (
            "/",
            "/runs",
            "/latest.json",
            "/api/openapi.json",
            "/api/stories?x=1",
            "/nothing.html",
            f"/{script}",
        ):
            caching = client.get(path, headers=bearer).headers["cache-control"]
            assert {"private", "no-store"} & set(caching.split(", ")), (path, caching)
            assert "public" not in caching
        assert "immutable" in client.get(f"/{script}", headers=bearer).headers["cache-control"]
        assert client.get("/").headers["cache-control"] == "no-store"  # it asks for the token


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b"HTTP/1.1 408 "),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"HTTP/1.1 408 "),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx", b""),
    ],
)
def test_a_request_that_arrives_by_halves_is_hung_up_on_though_it_keeps_dribbling(
    sent: bytes, answer: bytes, port: int
) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
        slow.sendall(sent)
        stop = threading.Event()

        def dribble() -> None:
            while sent and not stop.wait(0.1):
                try:
                    slow.sendall(b"a")
                except OSError:
                    return

        dribbling = threading.Thread(target=dribble)
        dribbling.start()
        assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=20).text == "0"  # others are served
        try:
            told = slow.recv(200)
        except ConnectionResetError:
            told = b""
        stop.set()
        dribbling.join()
    assert told[: len(answer)] == answer
    assert not told or answer


def test_a_client_that_asks_again_and_again_is_not_hung_up_on(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
        until = time.monotonic() + 1.2  # longer than one request may take to arrive
        asked = 0
        while time.monotonic() < until:
            assert client.post("/", content=b"x" * 5).text == "5"
            asked += 1
    assert asked > 1


def test_of_a_thousand_malformed_requests_the_first_of_a_minute_is_logged(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as sender:
                sender.sendall(b"\x00\x01 no request\r\n\r\n")
                assert b" 400 " in sender.recv(200)
    assert sum("Invalid HTTP request" in record.getMessage() for record in caplog.records) <= 1


def test_what_was_left_out_of_the_log_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    set_clock(monkeypatch, "newstide.core.logs", lambda: now[0])
    bounded = FirstOfAMinute()

    def shown(message: str, *values: object) -> str | None:
        record = logging.LogRecord("uvicorn.error", logging.WARNING, "", 0, message, values, None)
        return record.getMessage() if bounded.filter(record) else None

    assert shown("bad request from %s", "a") == "bad request from a"
    assert [shown("bad request from %s", "b") for _ in range(1_999)] == [None] * 1_999
    assert shown("another kind") == "another kind"
    now[0] += 61
    assert shown("bad request from %s", "c") == "bad request from c (1,999 more since the last of these lines)"
    assert shown("another kind") == "another kind"


class Late(grpc.RpcError):  # type: ignore[misc, unused-ignore]
    """What the channel raises once a request's time is over."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.DEADLINE_EXCEEDED

    def details(self) -> str:
        return "Deadline Exceeded"


def test_a_request_past_its_deadline_leaves_the_channel_to_the_others(milvus_settings: MilvusSettings) -> None:
    connection = Connection(milvus_settings.model_copy(update={"timeout": timedelta(seconds=1)}))

    def late(_client: Any) -> None:
        raise Late

    try:
        client = connection._connected()
        with pytest.raises(StoreSlow, match="did not answer within 1 s"):
            connection.call(late)
        assert connection._connected() is client
        assert isinstance(connection.call(lambda client: client.list_collections()), list)
    finally:
        connection.close()


def test_a_slow_question_is_slow_and_turns_nobody_else_away(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, store = Reader(Settings()), object()
    monkeypatch.setattr(reader, "_try_to_open", lambda: store)

    def slow(_store: Any) -> None:
        raise StoreSlow("Milvus did not answer within 20 s.")

    with pytest.raises(StoreSlow):
        reader._read(slow)
    assert reader._read(lambda asked: asked is store), "the same store, at once"


def test_readers_of_one_page_ask_milvus_once_and_an_error_is_kept_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(Settings())
    monkeypatch.setattr(reader, "_try_to_open", object)
    asked, answers = [0], threading.Event()

    def question(_store: Any) -> int:
        asked[0] += 1
        if asked[0] == 1:
            raise StoreSlow("Milvus did not answer within 20 s.")
        answers.wait(30)
        return asked[0]

    async def ask() -> list[int]:
        with pytest.raises(StoreSlow):
            await reader.read(question, "/api/stories?")
        readers = [asyncio.ensure_future(reader.read(question, "/api/stories?")) for _ in range(20)]
        await asyncio.sleep(0)
        readers.pop().cancel()  # who goes away takes no answer from the others
        answers.set()
        return [await one for one in readers]

    assert asyncio.run(ask()) == [2] * 19
    assert asked == [2]


class Stream:
    """An hour of headlines, ten a second; counts the rows and the queries."""

    def __init__(self) -> None:
        self.times = list(range(0, 3_600_001, 100))
        self.read = 0
        self.queries = 0

    def newest_published_at(self, after: int) -> int | None:
        self.queries += 1
        return max((at for at in self.times if at > after), default=None)

    def last_run(self) -> None:
        return None

    def headlines(self, where: str, _columns: Any) -> pd.DataFrame:
        self.queries += 1
        first = max(int(number) for number in re.findall(r"published_at >= (\d+)", where))
        last = min([int(number) for number in re.findall(r"published_at <= (\d+)", where)] or [10**15])
        times = [at for at in self.times if first <= at <= last]
        self.read += len(times)
        return pd.DataFrame({"id": [f"{at:09d}" for at in times], "published_at": times})

    def headlines_by_id(self, ids: Any, _columns: Any) -> list[str]:
        return list(ids)


def test_the_newest_headlines_are_read_in_a_short_look_back_however_many_came_at_once() -> None:
    stream, lately = Stream(), Lately()
    store, newest = cast("Store", stream), stream.times[-1]
    first = newest_headlines(store, HeadlineFilter(), 50, None, lately)
    stream.read = 0
    assert newest_headlines(store, HeadlineFilter(), 50, None, lately) == first
    assert stream.read <= 101, "two pages at most"
    assert first[1] == (newest - 4_900, f"{newest - 4_900:09d}")


def test_the_newest_headlines_cost_one_query_and_are_those_that_came_in_since() -> None:
    stream, lately = Stream(), Lately()
    store = cast("Store", stream)
    newest_headlines(store, HeadlineFilter(), 50, None, lately)
    for came, gone in ([3_600_500, 7_200_000], []), ([], [7_200_000]), ([], stream.times[-300:]):
        stream.times = sorted({*stream.times, *came} - set(gone))
        newest_headlines(store, HeadlineFilter(), 50, None, lately)  # where the newest are gone, it looks further back
        stream.queries = stream.read = 0
        page, _ = newest_headlines(store, HeadlineFilter(), 50, None, lately)
        assert page == [f"{at:09d}" for at in stream.times[:-51:-1]]
        assert stream.queries == 1
        assert stream.read <= 101
    until = stream.times[-1] - 60_000
    page, _ = newest_headlines(store, HeadlineFilter(until=until), 50, None, lately)
    assert page == [f"{at:09d}" for at in stream.times if at < until][:-51:-1]
    page, _ = newest_headlines(store, HeadlineFilter(since=stream.times[-1] + 1), 50, None, lately)
    assert page == []
