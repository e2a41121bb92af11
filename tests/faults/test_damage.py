"""Damaged files, folders that cannot be written, commands that are killed: each is named, and nothing else is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import structlog

from clustering.pages.run_page import export_page
from clustering.run.reclusterer import recluster
from newstide.core.settings import KafkaSettings, MilvusSettings, Settings, as_environment
from newstide.kafka.lag import progress
from newstide.kafka.topics import ensure_topics
from newstide.milvus import Store, open_store
from newstide_app.maintenance.dead_letters import letters, replay, waiting
from newstide_app.maintenance.reembed import reembed
from producers.sample import day_file
from tests.harness.consuming import drained
from tests.harness.newsroom import add_headlines
from tests.harness.workers import good, send

ROOT = Path(__file__).parents[2]
_SLOW = pytest.mark.slow  # of several kinds of one damage one is enough at each change


def child(code: str, settings: Settings, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own that runs this code under these settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("NEWSTIDE_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**own, **as_environment(settings), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def test_a_replay_that_is_killed_sends_none_too_few_and_the_next_one_finishes(settings: Settings, store: Store) -> None:
    send(settings, [*good(range(3)), *((b"k", b"{broken %d" % number) for number in range(9))])
    assert drained(settings).dead_letters == 9
    code = """
import os, signal
from newstide.core.settings import Settings
from newstide.kafka.producer import Sender
from newstide_app.maintenance.dead_letters import replay
sent, plain = 0, Sender.send
def send(self, *arguments, **named):
    global sent
    if sent == 4:
        self.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    sent += 1
    plain(self, *arguments, **named)
Sender.send = send
replay(Settings.load().kafka)
"""
    assert child(code, settings).returncode == -signal.SIGKILL
    assert waiting(settings.kafka) == 9, "a replay that was cut off is not taken for done"
    assert drained(settings).dead_letters == 4
    assert replay(settings.kafka).sent == 9
    assert drained(settings).dead_letters == 9
    assert len(list(letters(settings.kafka))) == 9 + 4 + 9
    assert store.count_headlines() == 3


@pytest.fixture
def newsroom(kafka_settings: KafkaSettings, milvus_settings: MilvusSettings, tmp_path: Path) -> Settings:
    """A store with one run and its page."""
    settings = Settings(data_dir=tmp_path / "data", kafka=kafka_settings, milvus=milvus_settings).updated(
        clustering={"window": None}, monitoring={"port": 0}
    )
    add_headlines(settings, day()[:120])
    recluster(settings)
    return settings


def day() -> list[dict[str, object]]:
    return [json.loads(line) for line in day_file().read_text(encoding="utf-8").splitlines()]


def labels(settings: Settings) -> dict[str, int]:
    store = open_store(settings.milvus, None)
    try:
        rows = store.headlines("", ["id", "cluster_label"])
        return dict(zip(rows["id"], rows["cluster_label"].astype(int), strict=True))
    finally:
        store.close()


@pytest.mark.slow  # its twin, cut off by an exception: tests/test_reembed.py
def test_a_reembed_that_is_killed_turns_no_reader_and_the_next_one_goes_on_from_there(newsroom: Settings) -> None:
    code = """
import os, signal
from newstide.core.settings import Settings
from newstide.milvus import Store
from newstide_app.maintenance import reembed
reembed._BATCH, calls, plain = 20, [], Store.insert_headlines
def insert(self, rows, **named):
    calls.append(plain(self, rows, **named))
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return calls[-1]
Store.insert_headlines = insert
reembed.reembed(Settings.load(), "use-multilingual")
"""
    ensure_topics(newsroom.kafka)
    progress(newsroom.kafka, newsroom.kafka.group)  # waits for the coordinator, which a new group has not got yet
    before = labels(newsroom)
    store = open_store(newsroom.milvus, None)
    card = store.card
    store.close()
    assert child(code, newsroom).returncode == -signal.SIGKILL
    store = open_store(newsroom.milvus, None)
    assert store.card == card, "readers stay with the model that has all headlines"
    store.close()
    assert labels(newsroom) == before
    done = reembed(newsroom, "use-multilingual")
    assert (done.kept, done.embedded, done.failed) == (40, 80, 0)
    assert set(labels(newsroom)) == set(before)


def test_an_export_that_is_killed_leaves_no_half_file_and_the_next_one_works(
    newsroom: Settings, tmp_path: Path
) -> None:
    target = tmp_path / "page.html"
    target.write_text("the last export")
    code = f"""
import os, signal
from pathlib import Path
from newstide.core.settings import Settings
import newstide.core.files
from clustering.pages.run_page import export_page
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
export_page(Settings.load().snapshots_dir, 1, Path({str(target)!r}))
"""
    assert child(code, newsroom).returncode == -signal.SIGKILL
    assert target.read_text() == "the last export"
    export_page(newsroom.snapshots_dir, 1, target)
    assert target.read_text().startswith("<!doctype html>")


def test_damaged_pages_and_caches_cost_themselves_alone(newsroom: Settings) -> None:
    before = labels(newsroom)
    for path in newsroom.snapshots_dir.iterdir():
        if path.is_file() and path.suffix in (".html", ".json"):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] + b"\xff\xfe")
    for path in (newsroom.data_dir / "cache").iterdir():
        path.write_bytes(b"\x00" + path.read_bytes()[:-9])
    add_headlines(newsroom, day()[120:140])
    with structlog.testing.capture_logs() as logged:
        report = recluster(newsroom)
    assert report.status == "finished"
    assert report.page
    assert json.loads((newsroom.snapshots_dir / "latest.json").read_text())["run"] == 2
    assert (newsroom.snapshots_dir / "run-000002.html").read_text().startswith("<!doctype html>")
    after = labels(newsroom)
    kept = sum(after[id_] == label for id_, label in before.items() if label >= 0)
    assert kept >= 0.9 * sum(label >= 0 for label in before.values()), "stories went under their numbers"
    assert not [line for line in logged if line["log_level"] == "error"]


_COMPILE = """
import numpy as np
from clustering.kernels import find
from newstide.core import logs
logs.configure("info", json=True)
print(find(np.array([1, 2, 2], np.int64), 0))
"""


@pytest.mark.parametrize("damage", ["flipped", *(pytest.param(one, marks=_SLOW) for one in ("cut", "empty", "index"))])
def test_damaged_compiled_code_is_compiled_anew(damage: str, tmp_path: Path) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        return child(_COMPILE, Settings(data_dir=tmp_path), NUMBA_CACHE_DIR=str(tmp_path / "compiled"))

    assert run().stdout == "2\n"
    files = list((tmp_path / "compiled").rglob(f"*.nb{'i' if damage == 'index' else 'c'}"))
    assert files
    for path in files:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes({"flipped": bytes(content), "empty": b""}.get(damage, bytes(content[:40])))
    again = run()
    assert (again.returncode, again.stdout) == (0, "2\n"), again.stderr
    assert "is compiled anew" in again.stderr
    quiet = run()
    assert (quiet.stdout, quiet.stderr) == ("2\n", ""), "it was kept again"


_COMPILE_OF_OTHERS = """
import numba
from clustering.kernel_cache import careful_caches
with careful_caches():
    @numba.njit("i8(i8)", cache=True)
    def more(value):
        return value + 1
print(more(1))
"""
_MAP = """
import numpy as np
from clustering.map.layout import lay_out
from newstide.core import logs
from newstide.core.settings import LayoutSettings
logs.configure("info", json=True)
vectors = np.random.default_rng(1).standard_normal((60, 8)).astype(np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
similarities = vectors @ vectors.T - 2 * np.eye(60, dtype=np.float32)
indices = np.argsort(-similarities, axis=1)[:, :20].astype(np.int32)
found = lay_out(
    vectors, indices, np.take_along_axis(similarities, indices, 1), [str(row) for row in range(60)], None, LayoutSettings()
)
print(np.isfinite(found.positions).all())
"""


@pytest.fixture
def no_cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder for compiled code that is full, or read-only: root heeds no permissions, so it is a mount."""
    folder = tmp_path / "compiled"
    folder.mkdir()
    made = subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False)
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        if request.param == "full":
            with suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
                while filler.write(b"x" * 4_096):
                    pass
        else:
            subprocess.run(["/bin/mount", "-o", "remount,ro", str(folder)], check=True)
        yield folder
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("no_cache", ["full", "read-only"], indirect=True)
@pytest.mark.parametrize(
    "code", [pytest.param(_COMPILE + _COMPILE_OF_OTHERS, id="kernels"), pytest.param(_MAP, id="map", marks=_SLOW)]
)
def test_where_compiled_code_cannot_be_kept_a_run_compiles_and_does_without(
    code: str, no_cache: Path, tmp_path: Path
) -> None:
    # Where the folder that was named takes nothing, numba would take one of two others: none of them is there, either.
    none = (
        "from numba.core import caching\ncaching.CacheImpl._locator_classes = caching.CacheImpl._locator_classes[:1]\n"
    )
    (tmp_path / "code.py").write_text(none + code)
    done = child(
        f"import runpy; runpy.run_path({str(tmp_path / 'code.py')!r})",
        Settings(data_dir=tmp_path),
        NUMBA_CACHE_DIR=str(no_cache),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout in ("2\n2\n", "True\n")
    assert "Traceback" not in done.stderr


@pytest.fixture
def read_only(newsroom: Settings) -> Iterator[Settings]:
    """The newsroom's data folder, which takes no writes: root heeds no permissions, so it is a mount."""
    folder = newsroom.data_dir
    aside = folder.with_name("aside")
    shutil.copytree(folder, aside)
    made = subprocess.run(["/bin/mount", "-t", "tmpfs", "tmpfs", str(folder)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    shutil.copytree(aside, folder, dirs_exist_ok=True)
    subprocess.run(["/bin/mount", "-o", "remount,ro", str(folder)], check=True)
    yield newsroom
    subprocess.run(["/bin/umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow  # its twin: tests/faults/test_full_disk.py
def test_in_a_read_only_data_folder_a_run_writes_its_labels_and_names_what_it_cannot_write(read_only: Settings) -> None:
    add_headlines(read_only, day()[120:140])
    with structlog.testing.capture_logs() as logged:
        report = recluster(read_only)
    assert (report.status, report.page) == ("finished", "")
    said = [line["event"] for line in logged if line["log_level"] in ("error", "warning")]
    assert any("page could not be written" in line for line in said), said
    assert any("Read-only file system" in str(line.get("reason")) for line in logged)
    store = open_store(read_only.milvus, None)
    try:
        assert store.count_headlines("label_run == 0") == 0
    finally:
        store.close()
