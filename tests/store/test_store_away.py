"""A Milvus that goes away and comes back, and one that refuses."""

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from pymilvus.exceptions import DataNotMatchException, MilvusException

from newstide.core.errors import NewstideError, StoreRefused, StoreSlow, StoreUnavailable
from newstide.core.local_server import free_port
from newstide.core.settings import MilvusSettings
from newstide.milvus import Store, open_store
from newstide.milvus.connection import Connection
from newstide.milvus.local_server import LocalMilvus
from tests.harness.store_rows import CARD, headline_rows, unit_vectors


@pytest.fixture
def mortal_store(mortal_milvus: LocalMilvus) -> Iterator[Store]:
    """A store on the server that is killed."""
    mortal_milvus.start()
    settings = MilvusSettings(uri=mortal_milvus.uri, prefix=f"t{uuid.uuid4().hex[:8]}_")
    store = open_store(settings, CARD)
    yield store
    store.close()


def kill(milvus: LocalMilvus) -> None:
    assert milvus.pid is not None
    os.kill(milvus.pid, signal.SIGKILL)
    while milvus.alive():
        time.sleep(0.01)


def test_an_open_store_outlives_a_kill_and_loses_nothing(mortal_store: Store, mortal_milvus: LocalMilvus) -> None:
    mortal_store.insert_headlines(headline_rows(1_000))
    mortal_store.write_labels([f"h{number:05}" for number in range(500)], np.arange(500), np.ones(500, np.float32), 1)
    time.sleep(1)  # Milvus Lite writes index files in place after a flush; one that is cut off it cannot load
    kill(mortal_milvus)
    mortal_milvus.start()

    assert mortal_store.count_headlines() == 1_000
    assert mortal_store.count_headlines("label_run == 1") == 500
    np.testing.assert_array_equal(mortal_store.embeddings(["h00007"])[0], unit_vectors(1_000)[7])
    assert mortal_store.search_headlines(unit_vectors(1), 1).ids.tolist() == [["h00000"]]


def test_a_request_waits_for_a_server_that_is_being_restarted(mortal_store: Store, mortal_milvus: LocalMilvus) -> None:
    mortal_store.insert_headlines(headline_rows(10))
    kill(mortal_milvus)
    restart = threading.Timer(0.5, mortal_milvus.start)
    restart.start()
    mortal_store.write_labels(["h00001"], np.array([3]), np.ones(1, np.float32), 2)
    restart.join()
    assert mortal_store.count_headlines("cluster_label == 3") == 1
    assert mortal_store.count_headlines() == 10


def test_iteration_goes_on_where_it_was_when_the_server_was_killed(
    mortal_store: Store, mortal_milvus: LocalMilvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mortal_store._connection, "lite", False)  # Lite's way keeps nothing between two requests
    rows = headline_rows(100)
    mortal_store.insert_headlines(rows)
    seen: list[str] = []
    for frame in mortal_store.iterate_headlines("", ["id"], batch_size=30):
        seen += frame["id"].tolist()
        if len(seen) == 60:
            kill(mortal_milvus)
            mortal_milvus.start()
    assert seen == [row.headline.id for row in rows]


def test_a_server_that_stays_away_is_named_once_the_time_is_up() -> None:
    port = free_port()
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match=f"Milvus at http://127.0.0.1:{port} cannot be reached") as away:
        open_store(MilvusSettings(uri=f"http://127.0.0.1:{port}", timeout="1s"), CARD)
    assert 0.4 < time.monotonic() - started < 3
    assert "newstide doctor" in away.value.way_out


def test_a_filter_that_makes_no_sense_is_refused_at_once(store: Store) -> None:
    started = time.monotonic()
    for request in (store.count_headlines, lambda where: store.headlines(where, ["id"])):
        with pytest.raises(StoreRefused, match="refused a request"):
            request("published_at >>> 1")
    assert time.monotonic() - started < 2


class _Rpc(grpc.RpcError, grpc.Call):  # type: ignore[misc]
    """What a broken channel raises."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "details"


for _name in ("add_callback", "cancel", "initial_metadata", "is_active", "time_remaining", "trailing_metadata"):
    setattr(_Rpc, _name, lambda *_: None)
_Rpc.__abstractmethods__ = frozenset()


@pytest.mark.parametrize(
    ("error", "expected", "tries"),
    [
        (MilvusException(1, "service not ready"), StoreUnavailable, "many"),
        (MilvusException(1, "[query] Retry timeout: 3s, Deadline Exceeded"), StoreUnavailable, "many"),
        (MilvusException(grpc.StatusCode.UNAVAILABLE, "Retry run out"), StoreUnavailable, "many"),
        (MilvusException(8, "rate limit exceeded"), StoreUnavailable, "many"),
        (_Rpc(grpc.StatusCode.UNAVAILABLE), StoreUnavailable, "many"),
        (_Rpc(grpc.StatusCode.DEADLINE_EXCEEDED), StoreSlow, "many"),
        (ConnectionResetError("peer"), StoreUnavailable, "many"),
        (ValueError("Cannot invoke RPC on closed channel!"), StoreUnavailable, "many"),
        (MilvusException(1401, "privilege not permitted"), StoreUnavailable, "one"),
        (MilvusException(65535, "auth check failure, please check username"), StoreUnavailable, "one"),
        (_Rpc(grpc.StatusCode.UNAUTHENTICATED), StoreUnavailable, "one"),
        (MilvusException(1100, "limit is too large"), StoreRefused, "one"),
        (MilvusException(6, "anything"), StoreRefused, "one"),
        (MilvusException(5, "anything", is_input_error=True), StoreRefused, "one"),
        (MilvusException(1, "collection 'x' does not exist"), StoreRefused, "one"),
        (DataNotMatchException(message="Insert missed an field"), StoreRefused, "one"),
        (_Rpc(grpc.StatusCode.RESOURCE_EXHAUSTED), StoreRefused, "one"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, Exception) else None,
)
def test_what_may_pass_is_tried_again_and_what_will_not_is_said(
    milvus_settings: MilvusSettings, error: Exception, expected: type[NewstideError], tries: str
) -> None:
    connection = Connection(milvus_settings)
    connection.timeout = 0.6
    attempts = 0

    def failing(_client: object) -> None:
        nonlocal attempts
        attempts += 1
        raise error

    with pytest.raises(expected) as raised:
        connection.call(failing)
    assert type(raised.value) is expected
    assert raised.value.__cause__ is not None
    assert attempts == 1 if tries == "one" else attempts > 1
    connection.close()


def test_a_bug_is_not_taken_for_an_absence(milvus_settings: MilvusSettings) -> None:
    connection = Connection(milvus_settings)
    with pytest.raises(ZeroDivisionError):
        connection.call(lambda _client: 1 / 0)
    connection.close()
