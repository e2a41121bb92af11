"""`newstide up` as a process: a port that is taken meanwhile, a full disk, a kill of everything at once."""

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from newstide.core.headline import Headline
from newstide_app.services.endpoints import Endpoints, read_endpoints
from tests.harness.services import made_headlines, until
from tests.harness.up import Up, fill, rows, send, taken_port, up

pytestmark = pytest.mark.slow  # the fast twins: tests/test_local_services.py


def test_the_services_follow_a_server_whose_port_was_taken_while_it_was_dead(tmp_path: Path) -> None:
    made = made_headlines(60)
    with up(tmp_path / "data", tmp_path / "log") as one:
        send(one.reached(), made[:30])
        until("the first are there", lambda: rows(one) == 30)
        for name, word in (("kafka", "java"), ("milvus", "milvus-lite")):
            before = one.endpoints()
            address = before.bootstrap_servers if name == "kafka" else before.milvus_uri
            port = int(address.rpartition(":")[2].strip("/"))
            one.server(word).kill()
            taken = taken_port(port)
            try:
                until("it has another port", partial(_moved, one, before))
            finally:
                taken.close()
        send(one.reached(), made[30:])
        until("the rest are there", lambda: rows(one) == 60)
        assert one.said().count("the services follow") >= 2
        assert one.process.poll() is None


def _moved(one: Up, before: Endpoints) -> bool:
    return (read_endpoints(one.folder) or before) != before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 500 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", "size=500m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    yield disk
    subprocess.run(["/bin/umount", "--lazy", str(disk)], check=True)


def test_on_a_full_disk_everything_waits_says_so_once_and_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    made = made_headlines(400)
    with up(small_disk / "data", tmp_path / "log") as one:
        send(one.reached(), made[:200])
        until("some are there", lambda: rows(one) > 0)
        filler = fill(small_disk)
        until("both servers are held", lambda: one.said().count("the disk is full") == 2)
        assert one.process.poll() is None
        filler.unlink()
        until("both servers are back", lambda: one.said().count("there is room again") == 2)
        until("Kafka takes headlines", lambda: _sent(one, made[200:]))
        until("all acknowledged headlines are there", lambda: rows(one) == 400)
        assert one.said().count("the disk is full") == 2, "of each server once"
        assert one.process.poll() is None
        assert len(one.said().splitlines()) < 200


def _sent(one: Up, headlines: list[Headline]) -> bool:
    try:
        send(one.reached(), headlines)
    except Exception:  # noqa: BLE001 - Kafka is not back yet; sent again, which changes nothing
        return False
    return True


def test_a_kill_of_the_whole_tree_at_once_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The long form: `python -m benchmarks.trouble --only kill`."""
    made = made_headlines(300)
    one = Up(tmp_path / "data", tmp_path / "log")
    try:
        for part in range(3):
            until("Kafka takes headlines", partial(_sent, one, made[part * 100 : part * 100 + 100]))
            one.kill_all()
            one.start()
        until("all are there", lambda: rows(one) == 300)
    finally:
        one.end()
