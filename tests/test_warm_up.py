"""What a run compiles is compiled beforehand, beside what takes time anyway."""

import sys
from threading import Event

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher as Dispatcher

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
