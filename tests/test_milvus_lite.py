"""The local Milvus Lite server: started, refused twice, killed, started again, and nothing acknowledged lost."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymilvus import DataType, MilvusClient

from newstide.core.errors import StoreUnavailable
from newstide.core.local_server import listens
from newstide.milvus.local_server import LocalMilvus


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMilvus]:
    """A server of these tests' own, to be killed and stopped; each leaves it running."""
    with LocalMilvus(tmp_path_factory.mktemp("milvus"), port=0) as server:
        yield server


def write(milvus: LocalMilvus, collection: str, keys: range) -> None:
    client = MilvusClient(uri=milvus.uri, dedicated=True)
    if not client.has_collection(collection):
        schema = client.create_schema()
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=8)
        client.create_collection(collection, schema=schema)
    client.insert(collection, [{"id": key, "vector": [1.0] * 8} for key in keys])
    client.close()


def count(milvus: LocalMilvus, collection: str) -> int:
    client = MilvusClient(uri=milvus.uri, dedicated=True)
    rows = client.query(collection, filter="", output_fields=["count(*)"])
    client.close()
    return int(rows[0]["count(*)"])


def test_it_listens_on_loopback_alone(milvus: LocalMilvus) -> None:
    assert milvus.alive()
    assert milvus.uri == f"http://127.0.0.1:{milvus.port}"
    with socket.socket() as outward:  # on all interfaces, this would be the address already in use
        outward.bind(("127.0.0.2", milvus.port))


def test_rows_that_were_acknowledged_outlive_a_kill_and_the_address_stays(milvus: LocalMilvus) -> None:
    port = milvus.port
    for start in range(0, 3_000, 500):
        write(milvus, "killed", range(start, start + 500))
    assert milvus.pid is not None
    os.kill(milvus.pid, signal.SIGKILL)
    _wait_until_dead(milvus)

    milvus.start()

    assert milvus.port == port
    assert count(milvus, "killed") == 3_000


def test_rows_outlive_a_stop_and_starting_twice_changes_nothing(milvus: LocalMilvus) -> None:
    write(milvus, "stopped", range(10))
    pid = milvus.pid
    milvus.start()
    assert milvus.pid == pid

    milvus.stop()
    milvus.stop()
    assert not milvus.alive()
    assert not listens(milvus.port)

    milvus.start()
    assert count(milvus, "stopped") == 10


def test_a_second_server_on_the_same_folder_is_refused_and_the_first_lives_on(
    milvus: LocalMilvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newstide.core.local_server._LOCK_WITHIN", 0.2)
    write(milvus, "kept", range(3))
    second = LocalMilvus(milvus.data_dir, port=0)

    with pytest.raises(StoreUnavailable, match="Another Milvus Lite server uses the folder") as refusal:
        second.start()

    assert str(milvus.data_dir) in refusal.value.message
    assert not second.alive()
    assert count(milvus, "kept") == 3


def test_a_taken_port_is_left_to_who_has_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with LocalMilvus(tmp_path, port=port) as milvus:
            assert milvus.port != port
            assert listens(milvus.port)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    milvus = LocalMilvus(tmp_path, port=0)

    with pytest.raises(StoreUnavailable) as failure:
        milvus.start()

    assert "ended while it started" in failure.value.message
    assert "server.log" in failure.value.message
    assert str(tmp_path / "data") in failure.value.message  # from the server's own log
    assert "NEWSTIDE_MILVUS_URI" in failure.value.way_out
    assert not milvus.alive()


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreUnavailable, match="milvus-lite is not installed"):
        LocalMilvus(tmp_path, port=0).start()


def test_a_signal_to_the_terminal_does_not_reach_it(milvus: LocalMilvus) -> None:
    assert milvus.pid is not None
    assert os.getsid(milvus.pid) != os.getsid(0)


def _wait_until_dead(milvus: LocalMilvus) -> None:
    deadline = time.monotonic() + 10
    while milvus.alive():
        assert time.monotonic() < deadline
        time.sleep(0.02)
