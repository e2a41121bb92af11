"""Times whole runs of one size: `python -m benchmarks.scale --rows 50000 --json FILE`.

Rows made like news (`benchmarks.news`) lie in Milvus Lite, and a process of its own reclusters them as `newstide recluster`
does, which loads compiled code when it starts: the first run; one for 0.1 % of new rows, and one for 1 %; one that 1 % of
the rows leave; and the first run of a process that is started anew. For each: the seconds and the processor time of the
reclusterer, its steps, what Milvus and it take of memory.

Each step's result is written to FILE at once. What is in FILE is not measured again: a command that was cut short goes on
where it stopped, from the data folder beside FILE, which is removed at the end.
"""

import argparse
import multiprocessing
import resource
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.machine import kept_rows, machine_card, write_json
from benchmarks.news import BEGIN, DAY, News, RealDay, real_day
from clustering.run.reclusterer import Memory, recluster
from clustering.run.warm_up import warm_up
from newstide.core import logs
from newstide.core.settings import Settings
from newstide.milvus import open_store
from newstide_app.services.local_services import LocalServices

SEED = 42
STEPS = ("rows written", "first run", "+0.1 %", "+1 %", "-1 %", "after a restart")
_WINDOW = 7 * DAY
_FILLED = 6 * DAY  # of the window before the first run


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--json", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    logs.configure("warning", json=False)
    card = machine_card(SEED)
    folder = chosen.json.with_suffix(".data")
    found = kept_rows(chosen.json)
    if not found:
        shutil.rmtree(folder, ignore_errors=True)
    settings = Settings(data_dir=folder / "newstide").updated(
        milvus={"timeout": "PT10M"},  # while Lite merges its files, it answers nobody
    )
    with LocalServices(settings) as local:
        for row in measured(chosen.rows, local.settings, real_day(folder), found):
            write_json(chosen.json, card, found := [*found, row])
    shutil.rmtree(folder)
    Console(width=160).print(table(found))


def measured(
    rows: int, settings: Settings, day: RealDay, found: Sequence[dict[str, Any]] = ()
) -> Iterator[dict[str, Any]]:
    """Measures the steps that are not among those found, one after another.

    Args:
        rows: Of the window.
        settings: With the addresses of Kafka and Milvus.
        day: What the rows are made like.
        found: What was measured before, in the order of `STEPS`.
    """
    few, share = max(1, rows // 1000), max(1, rows // 100)
    news = News(day, rows, SEED)
    store = open_store(settings.milvus, day.card)
    after, later, end = (BEGIN + _FILLED * permille // 1000 for permille in (1000, 1001, 1011))
    parts = {
        "rows written": (rows, BEGIN, after),
        "+0.1 %": (few, after, later),
        "+1 %": (share, later, end),
        "-1 %": (1, end + _WINDOW - _FILLED, end + _WINDOW),  # with the newest headline, the window moves
        "after a restart": (1, end + _WINDOW - _FILLED + 1, end + _WINDOW),
    }
    with closing(store), ExitStack() as stack:
        process: Connection | None = None
        for number, step in enumerate(STEPS):
            started = time.perf_counter()
            for part in news.take(*parts[step]) if step in parts else ():
                if number >= len(found):
                    store.insert_headlines(part)
            store.settle()
            if number < len(found):
                continue
            result: dict[str, Any] = {"rows": rows, "step": step, "written_seconds": time.perf_counter() - started}
            if step != STEPS[0]:
                if process is None or step == STEPS[-1]:
                    stack.close()
                    process = stack.enter_context(_reclusterer(settings))
                result |= _run(process)
            yield result | {"milvus": _milvus_memory(settings), "stored": store.count_headlines()}


@contextmanager
def _reclusterer(settings: Settings) -> Iterator[Connection]:
    """A process that makes a run whenever it is asked to, as the service does."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(settings, there), daemon=True)
    process.start()
    try:
        yield here
        here.send(False)
    finally:
        here.close()
        process.join(10)
        process.kill()


def _serve(settings: Settings, asked: Connection) -> None:
    logs.configure("warning", json=False)
    memory = Memory()
    warm_up(settings)
    while asked.recv():
        wall, spent = time.perf_counter(), time.process_time()
        report = recluster(settings, force=True, memory=memory)
        asked.send(
            {
                "seconds": time.perf_counter() - wall,
                "processor_seconds": time.process_time() - spent,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "report": report.as_dict(),
            }
        )


def _run(asked: Connection) -> dict[str, Any]:
    asked.send(True)
    result: dict[str, Any] = asked.recv()
    return result


def _milvus_memory(settings: Settings) -> dict[str, float]:
    """Megabytes that Milvus Lite holds, and held at most, as this machine's processes say; empty elsewhere."""
    port = str(settings.milvus.uri).rsplit(":", 1)[-1]
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if any("milvus-lite" in part for part in line) and port in line:
            peak = Path(f"/proc/{process.pid}/status").read_text().split("VmHWM:")[1].split()[0]
            return {"resident_mb": process.memory_info().rss / 2**20, "peak_mb": int(peak) / 1024}
    return {}


def table(found: Sequence[dict[str, Any]]) -> Table:
    """The results as a table."""
    steps = list(dict.fromkeys(name for row in found for name in row.get("report", {}).get("seconds", {})))
    shown = Table("rows", "step", "s", "processor s", *steps, "peak MB", "Milvus MB", title="Whole runs")
    for row in found:
        seconds = row.get("report", {}).get("seconds", {})
        shown.add_row(
            f"{row['rows']:,}",
            row["step"],
            f"{row.get('seconds', row['written_seconds']):.1f}",
            f"{row['processor_seconds']:.1f}" if "seconds" in row else "",
            *(f"{seconds[name]:.2f}" if name in seconds else "" for name in steps),
            f"{row['peak_mb']:,.0f}" if "peak_mb" in row else "",
            f"{row['milvus'].get('peak_mb', 0):,.0f}",
        )
    return shown


if __name__ == "__main__":
    main()
