"""What every benchmark needs: the card of the machine, peak memory, and results as JSON."""

import gc
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_PACKAGES = (
    *("newstide", "hdbscan", "fast-hdbscan", "scikit-learn", "numba", "numpy", "scipy", "faiss-cpu"),
    *("umap-learn", "plotly"),
)


def machine_card(seed: int) -> dict[str, Any]:
    """The machine, the versions and the seed."""
    import psutil

    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
        "seed": seed,
        "load_at_start": round(os.getloadavg()[0], 2),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_json(path: Path, card: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a result; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": dict(card), "rows": [dict(row) for row in rows]}, indent=1) + "\n")


def machine_line(card: Mapping[str, Any]) -> str:
    """The card as the sentence under a table."""
    return (
        f"{card['processor']}, {card['cores']} cores, {card['memory_gb']} GB, load {card['load_at_start']} at the start; "
        f"seed {card['seed']}."
    )


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


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
