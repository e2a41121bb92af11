"""A benchmark of reading files and messages: `python -m benchmarks.reading [--rows 100000]` prints rates by CPU time.

Read are the bundled day's headlines again and again, numbered so that each is another one: `read_files` reads them as CSV
and as JSON lines, the consumer's `MessageReader` as messages. With `--against FOLDER`, a checkout of an earlier version
reads the same in turn, and the bar is to be no slower. Each reading has a process of its own; the fastest one counts.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, machine_card, write_json
from producers.sample import day_file

BAR = 1.0  # of the earlier version's rate
COLUMNS = ("title", "description", "source", "url", "language", "published_at")
KINDS = {"CSV": "headlines.csv", "JSON lines": "headlines.jsonl", "messages": "headlines.jsonl"}
_OURS = Path(__file__).parent.parent
# Run with another version on the path, so it knows where versions keep what it calls. It prints rows and CPU seconds.
_READ = """
import sys, time
kind, file, now = sys.argv[1], sys.argv[2], 1_790_000_000_000
if kind == "messages":
    from types import SimpleNamespace
    values = open(file, "rb").read().splitlines()
    records = [SimpleNamespace(value=value, headers=(), timestamp=now) for value in values]
    try:
        from consumers.messages import MessageReader
        from newstide.core.settings import ConsumerSettings, LimitSettings
        reader = MessageReader(ConsumerSettings(), LimitSettings())
        read = lambda records: sum(item.headline is not None for one in records for item in reader.items(one, now))
    except ImportError:
        from newstide.headline import decode
        read = lambda records: sum(decode(one.value, one.timestamp, now).headline is not None for one in records)
    read(records[:100])
    started = time.process_time()
    count = read(records)
else:
    try:
        from producers.files import read_files
    except ImportError:
        from producers.sources import read_files
    started = time.process_time()
    count = sum(hasattr(row, "headline") for row in read_files([file]))
print(count, time.process_time() - started)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; how many kinds are read slower than the earlier version reads them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="headlines of each kind")
    parser.add_argument("--rounds", type=int, default=3, help="readings of each kind and version")
    parser.add_argument("--against", type=Path, help="a checkout of an earlier version")
    parser.add_argument("--json", type=Path, default=RESULTS / "reading.json", help="where the results go")
    chosen = parser.parse_args(arguments)
    card = machine_card(seed=0)
    with tempfile.TemporaryDirectory() as folder:
        write_headlines(Path(folder), chosen.rows)
        results = [measure(kind, Path(folder), chosen.rounds, chosen.against) for kind in KINDS]
    write_json(chosen.json, card, results)
    for result in results:
        print(line_of(result))
    return sum(result.get("ratio", BAR) < BAR or result["read"] != chosen.rows for result in results)


def write_headlines(folder: Path, rows: int) -> None:
    """The two files of `KINDS`, of so many different headlines."""
    with day_file().open(encoding="utf-8") as lines:
        day = [json.loads(line) for line in lines]
    with (
        (folder / KINDS["CSV"]).open("w", encoding="utf-8", newline="") as table,
        (folder / KINDS["JSON lines"]).open("w", encoding="utf-8") as objects,
    ):
        writer = csv.DictWriter(table, COLUMNS)
        writer.writeheader()
        for number in range(rows):
            given = day[number % len(day)]
            row = {name: given[name] for name in COLUMNS if name in given}
            row |= {"title": f"{given['title']} {number}", "url": f"{given['url']}-{number}"}
            writer.writerow(row)
            objects.write(json.dumps(row, ensure_ascii=False) + "\n")


def measure(kind: str, folder: Path, rounds: int, against: Path | None) -> dict[str, Any]:
    """One kind of file, or messages, read by this version and by the earlier one, in turn."""
    versions = {"rate": _OURS} | ({"earlier_rate": against} if against is not None else {})
    found: dict[str, Any] = {"kind": kind, "read": 0} | dict.fromkeys(versions, 0.0)
    for _ in range(rounds):
        for name, checkout in versions.items():
            count, seconds = _read(kind, folder / KINDS[kind], checkout)
            found[name] = max(found[name], count / seconds)
            if name == "rate":
                found["read"] = count
    if against is not None:
        found["ratio"] = found["rate"] / found["earlier_rate"]
    return found


def line_of(result: Mapping[str, Any]) -> str:
    """A result as a line of the table on screen."""
    line = f"{result['kind']:12} {result['rate']:>10,.0f} a second"
    if "ratio" not in result:
        return line
    verdict = "pass" if result["ratio"] >= BAR else "MISSED"
    return f"{line}; the earlier version {result['earlier_rate']:,.0f}: {result['ratio']:.2f} x, {verdict}"


def _read(kind: str, file: Path, checkout: Path) -> tuple[int, float]:
    """How many headlines were read, and the CPU seconds that took."""
    command = [sys.executable, "-P", "-c", _READ, kind, str(file)]
    ran = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(checkout)}, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise RuntimeError(f"{checkout} cannot read {kind}: {ran.stderr.strip().splitlines()[-1:]}")
    count, seconds = ran.stdout.split()[-2:]
    return int(count), float(seconds)


if __name__ == "__main__":
    raise SystemExit(main())
