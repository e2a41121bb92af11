"""Shared by all benchmarks: the machine's card, peak memory, and results as JSON."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
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
    """The card: the machine, the versions and the seed."""
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
        "commit": _commit(),
        "load_at_start": round(os.getloadavg()[0], 2),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_json(path: Path, card: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a result, and makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": dict(card), "rows": [dict(row) for row in rows]}, indent=1) + "\n")


def in_own_process(module: str, arguments: Sequence[str], timeout: float) -> dict[str, Any]:
    """What a module of ours prints as its last line, which is JSON; `left_out` says why where it gets nowhere."""
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return {"left_out": f"not done in {timeout:.0f} s"}
    if done.returncode:
        return {"left_out": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def kept_rows(path: Path) -> list[dict[str, Any]]:
    """The rows that an earlier command has written to a file; none where there is no such file."""
    return list(json.loads(path.read_text())["rows"]) if path.exists() else []


def machine_line(card: Mapping[str, Any]) -> str:
    """The card as the sentence under a table."""
    return (
        f"{card['processor']}, {card['cores']} cores, {card['memory_gb']} GB, load {card['load_at_start']} at the start; "
        f"seed {card['seed']}; commit {card.get('commit', 'unknown')}."
    )


def _commit() -> str:
    """The commit that is measured, with a `+` where files differ from it."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
