"""What a run compiles is compiled beforehand, beside what takes time anyway."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher as Dispatcher

from clustering.map import warm_up as map_part
from clustering.run import warm_up as module
from clustering.run.warm_up import warm_up, warming_up
from newstide.core.settings import Settings
from newstide_app.evaluation import evaluate_file
from producers.sample import day_file


def compiled() -> set[tuple[str, str]]:
    """The kernels of this process, with the types that each of them is compiled for."""
    return {
        (f"{name}.{function.py_func.__name__}", str(types))
        for name, module in list(sys.modules.items())
        if name.startswith("clustering.")
        for function in vars(module).values()
        if isinstance(function, Dispatcher)
        for types in function.signatures
    }


def test_after_it_a_run_of_real_headlines_compiles_next_to_nothing() -> None:
    settings = Settings()
    warm_up(settings)
    before = compiled()
    evaluate_file(day_file(), settings, use_time=True)
    assert len(before) > 20
    assert len(compiled() - before) <= len(before) // 20  # what only larger graphs need


def test_it_ends_before_its_next_step_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Event()
    stop.set()
    monkeypatch.setattr(module, "cluster_rows", lambda *_, **__: pytest.fail("it went on"))
    warm_up(Settings(), stop)


def test_its_failure_is_no_failure_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise np.linalg.LinAlgError("no")

    monkeypatch.setattr(module, "update_graph", broken)
    with warming_up(Settings()):
        pass


def test_it_draws_no_map_while_another_process_compiles_that_part(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    graph, clusters = SimpleNamespace(), SimpleNamespace(labels=np.zeros(64, np.int64), centred=None, threshold=None)
    clusters.threshold = SimpleNamespace(theta=0.5)
    monkeypatch.setattr(module, "update_graph", lambda *_, **__: (graph, None))
    monkeypatch.setattr(module, "cluster_rows", lambda *_, **__: clusters)
    monkeypatch.setattr(module, "name_stories", lambda *_: None)

    def draw(*_: object, **__: object) -> SimpleNamespace:
        done.append("drawn")
        return SimpleNamespace(layout=None)

    monkeypatch.setattr(module, "lay_out_some", draw)

    def ready(_seconds: float) -> bool:
        done.append("asked")
        return len(done) >= 3

    warm_up(Settings(), None, ready)
    assert done == ["asked", "asked", "asked", "drawn", "asked", "drawn"]
    stop = Event()

    def told_to_end(_seconds: float) -> bool:
        stop.set()
        return False

    warm_up(Settings(), stop, told_to_end)
    assert len(done) == 6, "told to end while it waited, it drew nothing"


def test_the_maps_part_is_compiled_elsewhere_where_it_is_not_on_disk_and_that_process_ends_with_the_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start(*_: object, **__: object) -> "subprocess.Popen[bytes]":
        started.append(popen([sys.executable, "-c", "import time; time.sleep(300)"]))
        return started[-1]

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
    for lacks in (False, True):
        monkeypatch.setattr(map_part, "lacks_code", lambda _kernel, lacks=lacks: lacks)
        with map_part.compiling_map(Settings().layout) as ended:
            assert ended(0.01) is not lacks
    assert [process.returncode for process in started] == [-signal.SIGKILL]


@pytest.mark.slow  # it takes 25 s of a processor; its fast twin is the test before
def test_a_process_of_its_own_compiles_all_that_a_map_needs(tmp_path: Path) -> None:
    code = (
        "from clustering.kernel_cache import lacks_code\n"
        "from clustering.map.layout import medians\n"
        "from clustering.map.warm_up import compiling_map\n"
        "from newstide.core.settings import LayoutSettings\n"
        "before = lacks_code(medians)\n"
        "with compiling_map(LayoutSettings()) as ended:\n"
        "    print(before, ended(200), lacks_code(medians))\n"
    )
    where = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=where, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "False"], done.stderr
    assert list(tmp_path.rglob("layouts.*.nbc")), "UMAP's own"
