"""The local Kafka: fetched once, checked, started, killed, started again, and nothing lost."""

import fcntl
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from newstide.core.errors import BrokerUnavailable, DownloadError
from newstide.core.local_server import free_port, listens
from newstide.core.settings import KafkaSettings, Settings
from newstide.kafka.consumer import make_consumer
from newstide.kafka.jars import Jar, classpath, read_jars
from newstide.kafka.lag import end_offsets, lag
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.producer import Sender
from newstide.kafka.topics import ensure_topics, reachable


def settings_of(kafka: LocalKafka) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)


def send(settings: KafkaSettings, count: int) -> None:
    sender = Sender(settings)
    for number in range(count):
        sender.send(settings.topic, key=b"%d" % number, value=b"v")
    sender.flush()
    sender.close()


def read_and_commit(settings: KafkaSettings, group: str, count: int) -> list[bytes]:
    consumer = make_consumer(settings, [settings.topic], group=group)
    keys: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(keys) < count and time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=200).values():
            keys.extend(record.key for record in records)
    consumer.commit()
    consumer.close(autocommit=False)
    return keys


def test_it_listens_on_loopback_alone_and_a_client_can_talk_to_it(local_kafka: LocalKafka) -> None:
    assert reachable(settings_of(local_kafka)) == "Kafka 4.3, 1 broker"
    addresses = _listening_with(local_kafka.port)
    assert len(addresses) == 2  # clients, controller
    assert all("127.0.0.1" in address for address in addresses)


def _listening_with(port: int) -> list[str]:
    """Where the process that listens on a port listens."""
    sockets = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    (server,) = {one.pid for one in sockets if one.laddr.port == port}
    return [one.laddr.ip for one in sockets if one.pid == server]


def test_acknowledged_messages_and_offsets_survive_a_kill_and_another_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newstide.core.local_server._LOCK_WITHIN", 0.3)
    kafka = LocalKafka(tmp_path, Settings().cache_dir, port=0)
    with kafka:
        settings = settings_of(kafka)
        ensure_topics(settings)
        send(settings, 1000)
        assert len(read_and_commit(settings, "reader", 1000)) == 1000
        send(settings, 500)
        first_port = kafka.port
        assert kafka.pid is not None
        os.kill(kafka.pid, signal.SIGKILL)
        while kafka.alive():
            time.sleep(0.01)
        with socket.create_server(("127.0.0.1", first_port)):  # its port is somebody else's now
            again = LocalKafka(tmp_path, Settings().cache_dir, port=first_port)
            with again:
                assert again.port != first_port
                settings = settings_of(again)
                assert sum(end_offsets(settings, settings.topic).values()) == 1500
                assert sum(lag(settings, "reader").values()) == 500
                assert len(read_and_commit(settings, "reader", 500)) == 500
                send(settings, 10)
                with pytest.raises(BrokerUnavailable, match=r"Another Kafka server uses .*process") as caught:
                    LocalKafka(tmp_path, Settings().cache_dir, port=0).start()
                assert str(again.pid) in caught.value.message
                assert "--data-dir" in caught.value.way_out
                stopping = time.monotonic()
            assert time.monotonic() - stopping < 10
            assert not again.alive()


def test_it_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Linux with util-linux only; elsewhere a killed parent leaves its broker behind."""
    code = (
        "import sys, time; from pathlib import Path; from newstide.kafka.local_broker import LocalKafka\n"
        f"kafka = LocalKafka(Path({str(tmp_path)!r}), Path({str(Settings().cache_dir)!r}), port=0); kafka.start()\n"
        "print('READY', kafka.pid, kafka.port, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        try:
            assert parent.stdout is not None
            line = next(line for line in parent.stdout if line.startswith(b"READY"))
            pid, port = map(int, line.split()[1:])
            assert os.getpgid(pid) != os.getpgid(parent.pid)  # Ctrl-C in the parent's terminal does not reach it
        finally:
            parent.kill()
    deadline = time.monotonic() + 20
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not listens(port)
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


def test_a_broker_that_does_not_start_says_its_last_words(tmp_path: Path) -> None:
    kafka = LocalKafka(tmp_path, Settings().cache_dir, port=0, extra_properties={"log.retention.bytes": "not a number"})
    with pytest.raises(BrokerUnavailable, match="not a number"):
        kafka.start()
    assert not kafka.alive()


def test_an_interrupted_format_is_done_anew_in_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "données, 新聞 = {1}"
    (folder / "formatting").mkdir(parents=True)
    (folder / "formatting" / "half").write_text("a format was killed here")
    with LocalKafka(folder, Settings().cache_dir, port=0) as kafka:
        assert kafka.alive()
    assert (folder / "log" / "meta.properties").is_file()
    assert not (folder / "formatting").exists()


def test_the_jars_in_use_are_those_the_project_lists(local_kafka: LocalKafka) -> None:
    jars = read_jars()
    assert len(jars) == 46
    assert len({jar.sha256 for jar in jars}) == 46
    paths = classpath(Settings().cache_dir)
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths] == [jar.sha256 for jar in jars]


class Repository:
    """A Maven repository on loopback that holds two jars."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        repository = self

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, directory=str(folder), **options)

            def do_GET(self) -> None:
                repository.asked.append(self.path)
                super().do_GET()

            def log_message(self, *_: Any) -> None:
                pass

        self.jars = []
        for name in ("one", "two"):
            content = f"the jar {name}".encode()
            self.jars.append(Jar("org.example", name, "1.0", hashlib.sha256(content).hexdigest()))
            path = self.jars[-1].path(folder)
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.repositories = {"here": f"http://127.0.0.1:{self._server.server_port}"}
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    repository = Repository(tmp_path / "repository")
    yield repository
    repository.close()


def test_jars_are_fetched_once_announced_once_and_then_need_no_network(
    repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    paths = classpath(cache, repository.jars, repository.repositories)
    assert [path.read_bytes() for path in paths] == [b"the jar one", b"the jar two"]
    repository.asked.clear()
    assert classpath(cache, repository.jars, {"nowhere": f"http://127.0.0.1:{free_port()}"}) == paths
    assert repository.asked == []
    said = capsys.readouterr()
    assert (said.out + said.err).count("fetching Apache Kafka, once") == 1


def test_a_damaged_jar_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (first, _) = classpath(cache, repository.jars, repository.repositories)
    first.write_bytes(b"the jar on")
    repository.asked.clear()
    classpath(cache, repository.jars, repository.repositories)
    assert first.read_bytes() == b"the jar one"
    assert not any("two" in path for path in repository.asked)


def test_a_jar_with_a_wrong_sum_is_deleted_and_named(repository: Repository, tmp_path: Path) -> None:
    repository.jars[1].path(repository.folder).write_bytes(b"something evil")
    with pytest.raises(DownloadError, match=r"two-1\.0\.jar is not what it should be") as caught:
        classpath(tmp_path / "cache", repository.jars, repository.repositories)
    assert repository.jars[1].sha256 in caught.value.message
    assert not repository.jars[1].path(tmp_path / "cache" / "kafka").exists()


def test_a_download_that_fails_is_said_soon_with_a_way_out(repository: Repository, tmp_path: Path) -> None:
    repository.jars[0].path(repository.folder).unlink()
    for repositories in (repository.repositories, {"nowhere": f"http://127.0.0.1:{free_port()}"}):
        started = time.monotonic()
        with pytest.raises(
            DownloadError, match=r"one-1\.0\.jar could not be fetched|two-1\.0\.jar could not"
        ) as caught:
            classpath(tmp_path / "cache", repository.jars, repositories)
        assert "kafka.bootstrap_servers" in caught.value.way_out
        assert time.monotonic() - started < 15


def test_a_lock_without_a_readable_holder_is_still_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newstide.core.local_server._LOCK_WITHIN", 0.3)
    (tmp_path / ".lock").write_text(json.dumps(["strange"]))
    with (tmp_path / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BrokerUnavailable, match="its process is unknown"):
            LocalKafka(tmp_path, Settings().cache_dir, port=0).start()


@pytest.mark.slow  # its twin: the test of a kill and another port
def test_started_again_it_keeps_the_port_its_clients_know(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        wanted = int(other.getsockname()[1])
        kafka = LocalKafka(tmp_path, Settings().cache_dir, port=wanted)
        kafka.start()
    try:
        known = kafka.port
        assert known != wanted
        assert kafka.pid is not None
        os.kill(kafka.pid, signal.SIGKILL)
        while kafka.alive():
            time.sleep(0.01)
        kafka.start()
        assert kafka.port == known
    finally:
        kafka.stop()
