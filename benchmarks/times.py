"""A benchmark of how many times `parse_time` reads in a second of CPU time, where each text is another one.

`python -m benchmarks.times [--rows 1000000]` runs it, and ends with the number of layouts that miss the bar.
"""

import argparse
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from newstide.core.times import parse_time

BAR = 200_000  # times a second, of one layout
LAYOUTS = (
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S",
    "%a, %d %b %Y %H:%M:%S +0000",
    "%d/%m/%Y %H:%M:%S",
    "%d %B %Y, %I:%M:%S %p",
    "%Y年%m月%d日 %H:%M:%S",
    "%Y-%m-%d %H:%M:%S Europe/Berlin",
    "%s",
)
_FIRST = datetime(2001, 1, 1, tzinfo=UTC)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the number of layouts that are slower than the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="different texts of each layout")
    rows = parser.parse_args(arguments).rows
    missed = 0
    for layout in LAYOUTS:
        texts = [(_FIRST + timedelta(seconds=613 * number)).strftime(layout) for number in range(rows)]
        started = time.process_time()
        read = sum((parsed := parse_time(text, order="day")) is not None and parsed.fault is None for text in texts)
        rate = rows / (time.process_time() - started)
        missed += rate < BAR or read < rows
        print(f"{layout:34} {rate:>10,.0f} a second{'' if read == rows else f', {rows - read:,} not read'}")
    return missed


if __name__ == "__main__":
    raise SystemExit(main())
