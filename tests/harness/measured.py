"""Seconds and peak memory of what a process does."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class Measured:
    """Seconds by the clock and of all cores' work, and the most memory held beyond what was held before."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0


@contextmanager
def measured() -> Iterator[Measured]:
    """Times what it holds and watches the process's memory, by the kernel's own record where there is one."""
    import psutil

    process = psutil.Process()
    gc.collect()
    result = Measured()
    has_record = _reset_peak()
    before = process.memory_info().rss
    samples = [before]
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(lambda: process.memory_info().rss, samples, stop), daemon=True)
    if not has_record:
        watcher.start()
    started, worked = time.perf_counter(), time.process_time()
    try:
        yield result
    finally:
        result.seconds = time.perf_counter() - started
        result.cpu_seconds = time.process_time() - worked
        stop.set()
        peak = _recorded_peak() if has_record else max(*samples, process.memory_info().rss)
        result.peak_mb = (peak - before) / 2**20


def _watch(resident: Callable[[], int], samples: list[int], stop: threading.Event) -> None:
    while not stop.wait(0.005):
        samples.append(resident())


def _reset_peak() -> bool:
    """Makes Linux forget the process's peak memory; whether it could."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _recorded_peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
