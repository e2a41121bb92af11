"""Runs the tests as `make test` does: `python -m tests [--all] [--workers N] [--coverage] [arguments of pytest]`.

First the kernels are compiled once. Then the workers share all tests that can run side by side, file by file, the longest
files first (`tests/harness/longest.py`). Then those marked `alone`, which measure time, memory or pixels, run one after
another. One table sums up. Tests marked `slow` are left out unless `--all` is given.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
WORKERS = 4  # on two cores: the tests mostly wait for Kafka, Milvus, processes and Chromium
_NOTHING_TO_RUN = 5  # pytest's exit code
_SHOWN = 25  # files whose times are listed
_REASON = 200  # characters


@dataclass(frozen=True)
class Part:
    """What one call of pytest did: its counts, and the tests that failed."""

    name: str
    code: int
    seconds: float
    passed: int
    skipped: int
    failed: tuple[str, ...]  # each with the first line of its reason
    files: Mapping[str, float]  # seconds that each file's tests took, with their fixtures


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs both parts; 0 where all tests passed."""
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__)
    parser.add_argument("--all", action="store_true", help="with the tests marked slow")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--coverage", action="store_true", help="count the lines that run, in child processes too")
    chosen, rest = parser.parse_known_args(arguments)
    tier = "not bge" if chosen.all else "not bge and not slow"
    pytest = [sys.executable, "-m", *(["coverage", "run", "-m"] if chosen.coverage else []), "pytest", *rest]
    if chosen.coverage:
        subprocess.run([sys.executable, "-m", "coverage", "erase"], cwd=ROOT, check=True)
    started = time.monotonic()
    print("compiling the kernels ...", flush=True)
    _compile(tier)
    together = ["-n", str(chosen.workers), "--dist", "loadfile", "--no-loadscope-reorder", "--durations", "20"]
    parts = [
        _run("side by side", [*pytest, *together, "-m", f"{tier} and not alone"], OPENBLAS_NUM_THREADS="1"),
        _run("alone", [*pytest, "--durations", "5", "-m", f"{tier} and alone", *([] if rest else _files_of("alone"))]),
    ]
    _print_summary(parts, time.monotonic() - started)
    failed = any(part.code not in (0, _NOTHING_TO_RUN) for part in parts)
    covered = _covered_enough() if chosen.coverage else True
    return int(failed or not covered)


def _compile(tier: str) -> None:
    """The kernels, and beside them the byte code of all tests, which pytest keeps while it collects them."""
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-m", tier]
    beside = subprocess.Popen(collect, cwd=ROOT, env=_environment(), stdout=subprocess.DEVNULL)
    subprocess.run([sys.executable, "-m", "tests.harness.warm"], cwd=ROOT, env=_environment(), check=True)
    beside.wait()  # what is wrong with the tests, the workers say


def _files_of(mark: str) -> list[str]:
    """The test files that name a mark: to collect the others as well would take longer than these tests."""
    return [str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if f"mark.{mark}" in path.read_text()]


def _environment() -> dict[str, str]:
    """That of all processes: one in which Python keeps its byte code, so that not each of them compiles it anew."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _run(name: str, command: Sequence[str], **variables: str) -> Part:
    """Runs pytest; its variables are for all processes that tests start, too: threads of OpenBLAS wait for work awake."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run(
            [*command, f"--junitxml={report}", "-o", "junit_family=xunit1"],
            cwd=ROOT,
            env={**_environment(), **variables, "PYTHONPATH": str(ROOT)},
            check=False,
        )
        cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []  # noqa: S314 - it is ours
    bad = [one for one in cases if one.find("failure") is not None or one.find("error") is not None]
    skipped = sum(one.find("skipped") is not None for one in cases)
    failed = tuple(f"{one.get('file')}::{one.get('name')}: {_reason(one)}" for one in bad)
    files: dict[str, float] = defaultdict(float)
    for one in cases:
        files[str(one.get("file"))] += float(one.get("time", 0))
    passed = len(cases) - skipped - len(bad)
    return Part(name, done.returncode, time.monotonic() - started, passed, skipped, failed, files)


def _reason(case: ElementTree.Element) -> str:
    """The first line of why a test failed, or why pytest could not run it."""
    what = case.find("failure") if case.find("failure") is not None else case.find("error")
    message = "" if what is None else what.get("message", "").strip()
    return message.partition("\n")[0][:_REASON]


def _covered_enough() -> bool:
    """Prints the files whose lines do not all run; whether the share that `pyproject.toml` asks for is reached."""
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet"], cwd=ROOT, check=True)
    return subprocess.run([*coverage, "report"], cwd=ROOT, check=False).returncode == 0


def _print_summary(parts: Sequence[Part], seconds: float) -> None:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"\n{'':14}{'passed':>8}{'failed':>8}{'skipped':>9}{'minutes':>9}")
    for part in parts:
        print(f"{part.name:14}{part.passed:8}{len(part.failed):8}{part.skipped:9}{part.seconds / 60:9.1f}")
    longest = sorted(parts[0].files.items(), key=lambda one: -one[1])[:_SHOWN]
    print("\nseconds of the longest files, of a worker's:")
    print("\n".join(f"{seconds:6.0f}  {file}" for file, seconds in longest))
    for part in parts:
        for test in part.failed:
            print(f"FAILED {test}")
        if part.code and part.code != _NOTHING_TO_RUN and not part.failed:
            print(f"FAILED {part.name}: pytest ended with {part.code}")
    print(
        f"{seconds / 60:.1f} minutes in all, of which the processors worked {(used.ru_utime + used.ru_stime) / 60:.1f}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
