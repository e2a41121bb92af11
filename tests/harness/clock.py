"""A clock for one module alone: the process's own is also the clock of event loops that run in other threads."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest


def set_clock(monkeypatch: pytest.MonkeyPatch, module: str, monotonic: Callable[[], float]) -> None:
    """Gives a module, which has imported `time`, another `time.monotonic`; everything else keeps the real one."""
    monkeypatch.setattr(f"{module}.time", SimpleNamespace(**{**vars(time), "monotonic": monotonic}))
