"""Local servers under a keeper: tried again after they fail, waited for while they work, on another port if need be."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import IO

import pytest

from newstide.core.errors import NewstideError, StoreUnavailable
from newstide.core.local_server import LocalServer, free_port, listens
from newstide.core.settings import Settings
from newstide.kafka.local_broker import LocalKafka
from newstide.milvus.local_server import LocalMilvus
from newstide_app.services.endpoints import Endpoints, held_folder, read_endpoints, write_endpoints
from newstide_app.services.local_services import Keeper
from newstide_app.services.supervisor import Service


class Listener(LocalServer):
    """A server that does what its folder's file `does` says: listen, fail, work for a while first, or sleep."""

    name = "listener"
    stop_within = 5.0

    def _command(self) -> list[str]:
        does = (self.data_dir / "does").read_text()
        serve = f"import socket, time; server = socket.create_server(('127.0.0.1', {self.port})); time.sleep(600)"
        programs = {
            "listen": serve,
            "fail": "import sys; sys.exit('no room on this disk')",
            "work first": f"import time\nend = time.process_time() + 3\nwhile time.process_time() < end: pass\n{serve}",
            "sleep": "import time; time.sleep(600)",
        }
        return [sys.executable, "-S", "-c", programs[does]]

    def _answers(self) -> bool:
        return True

    def _failed(self, what: str, way_out: str = "") -> NewstideError:
        return StoreUnavailable(what, way_out)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Listener]:
    (tmp_path / "does").write_text("listen")
    server = Listener(tmp_path, 0)
    yield server
    server.stop()


@pytest.fixture
def keeper(server: Listener, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    monkeypatch.setattr("newstide_app.services.local_services._LOOK_EVERY", 0.02)
    monkeypatch.setattr("newstide_app.services.local_services._LONGEST_WAIT", 0.05)
    stopping = Event()
    keeper = Keeper(server, stopping)
    yield keeper
    stopping.set()
    if keeper.ident is not None:
        keeper.end()
    assert not server.alive()


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill(server: Listener) -> None:
    assert server._process is not None
    server._process.kill()
    server._process.wait()


def test_what_has_never_come_up_ends_with_its_error(server: Listener, keeper: Keeper) -> None:
    (server.data_dir / "does").write_text("fail")
    keeper.start()
    with pytest.raises(StoreUnavailable, match="no room on this disk"):
        keeper.wait_until_up()


def test_what_was_up_and_fails_is_tried_until_it_comes_up_and_said_once(
    server: Listener, keeper: Keeper, capsys: pytest.CaptureFixture[str]
) -> None:
    keeper.start()
    keeper.wait_until_up()
    (server.data_dir / "does").write_text("fail")
    kill(server)
    starts = server._spawn
    tried = []

    def counted(command: Sequence[str], lock: IO[str]) -> None:
        tried.append(1)
        starts(command, lock)

    server._spawn = counted  # type: ignore[method-assign]
    until(lambda: len(tried) >= 4)
    (server.data_dir / "does").write_text("listen")
    until(lambda: server.alive() and listens(server.port))
    said = "".join(capsys.readouterr())
    assert said.count("a local server ended") == 1
    assert said.count("a local server cannot be started") == 1


def test_on_a_full_disk_a_server_is_down_until_there_is_room_and_both_is_said_once(
    server: Listener, keeper: Keeper, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [10 * server.least_room]
    looks: list[int] = []

    def found() -> int:
        looks.append(room[0])
        return room[0]

    monkeypatch.setattr(server, "room", found)
    keeper.start()
    keeper.wait_until_up()
    room[0] = server.least_room - 1
    until(lambda: not server.alive())
    room[0] = server.least_room  # a little room is not enough, else it would come and go
    seen = len(looks)
    until(lambda: len(looks) > seen + 5)
    assert not server.alive()
    room[0] = 2 * server.least_room
    until(lambda: server.alive() and listens(server.port))
    said = "".join(capsys.readouterr())
    assert said.count("the disk is full") == 1
    assert said.count("there is room again") == 1
    assert "a local server ended" not in said


def test_a_port_that_was_taken_meanwhile_is_left_and_the_new_address_is_known(server: Listener, keeper: Keeper) -> None:
    keeper.start()
    keeper.wait_until_up()
    before = keeper.address
    kill(server)
    with socket.create_server(("127.0.0.1", server.port)):
        until(lambda: keeper.address != before)
        assert listens(int(keeper.address.rpartition(":")[2]))


def test_a_server_that_works_at_its_start_is_waited_for_and_an_idle_one_is_not(
    server: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newstide.core.local_server._SILENT_FOR", 2.0)
    monkeypatch.setattr("newstide.core.local_server._WORK", 0.1)
    (server.data_dir / "does").write_text("work first")
    server.start()
    server.stop()
    (server.data_dir / "does").write_text("sleep")
    with pytest.raises(StoreUnavailable, match="did nothing for 2 s"):
        server.start()
    assert not server.alive()


def test_a_server_that_an_earlier_owner_left_behind_is_stopped_by_the_next(
    server: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newstide.core.local_server._LOCK_WITHIN", 0.2)
    server.start()
    with pytest.raises(StoreUnavailable, match=f"process {server.pid}"):
        Listener(tmp_path, 0).start()
    with Listener(tmp_path, 0, owned=True) as owner:
        until(lambda: not server.alive())
        assert owner.alive()


def test_a_folder_is_held_by_one_process_until_that_ends_and_not_by_its_children(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys; from pathlib import Path\n"
        "from newstide_app.services.endpoints import Endpoints, held_folder, write_endpoints\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "with held_folder(folder):\n"
        "    write_endpoints(folder, Endpoints(os.getpid(), 'kafka:1', 'http://milvus:2'))\n"
        "    child = subprocess.Popen(['sleep', '600'], close_fds=False)\n"
        "    print(child.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        try:
            found = read_endpoints(tmp_path)
            assert found is not None
            assert found.bootstrap_servers == "kafka:1"
            with (
                pytest.raises(NewstideError, match=rf"already running on .*process {owner.pid}"),
                held_folder(tmp_path),
            ):
                pass
            owner.kill()
            owner.wait()
            assert read_endpoints(tmp_path) is None
            with held_folder(tmp_path):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


def test_addresses_of_a_process_number_that_is_someone_else_s_by_now_are_not_believed(tmp_path: Path) -> None:
    write_endpoints(tmp_path, Endpoints(1, "kafka:1", "http://milvus:2"))
    assert read_endpoints(tmp_path) is None


def wait_for_the_end(service: Service) -> None:
    assert service.process is not None
    service.process.wait(60)


def test_a_service_that_never_comes_up_ends_with_an_error_and_one_that_is_killed_does_not() -> None:
    settings = Settings.load(monitoring={"port": 0})
    failing = Service("consume", lambda: ["no-such-command"], settings)
    failing.start()
    for _ in range(2):
        wait_for_the_end(failing)
        failing.look_after()
        failing.start_at = 0.0
        failing.look_after()
    wait_for_the_end(failing)
    with pytest.raises(NewstideError, match="consume ended 3 times without coming up"):
        failing.look_after()
    waiting = Service("web", lambda: ["web", "--port", str(free_port())], settings)
    for _ in range(5):
        waiting.start_at = 0.0
        waiting.look_after()
        assert waiting.process is not None
        waiting.process.kill()
        waiting.process.wait()
        waiting.look_after()
    assert waiting.process is None


def test_a_server_whose_port_another_takes_at_the_same_moment_takes_another_and_never_passes_for_it(
    server: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = int(other.getsockname()[1])
        found = iter([taken])
        monkeypatch.setattr("newstide.core.local_server.free_port", lambda _wanted: next(found, 0) or free_port(0))
        server.start()
        assert server.port != taken
        assert listens(server.port)


@pytest.mark.slow  # its twin: the test above
@pytest.mark.parametrize("kind", ["Kafka", "Milvus Lite"])
def test_so_do_the_real_servers(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(name: str, port: int) -> LocalServer:
        folder = tmp_path / name
        return (
            LocalKafka(folder, Settings().cache_dir, port=port) if kind == "Kafka" else LocalMilvus(folder, port=port)
        )

    with made("first", 0) as first:
        taken = iter([first.port])

        def free(wanted: int = 0) -> int:
            return next(taken, 0) or free_port(0) if wanted == first.port else free_port(wanted)

        monkeypatch.setattr("newstide.core.local_server.free_port", free)
        with made("second", first.port) as second:
            assert second.port != first.port
