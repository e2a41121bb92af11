"""Times what a run and readers ask of Milvus Lite: `python -m benchmarks.lite --rows 20000`.

Rows made like news are written; then a filter, a page of rows, vectors by id, labels and a search are timed, once each.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.news import BEGIN, DAY, News, real_day
from benchmarks.scale import SEED
from clustering.run.window import COLUMNS
from newstide.core import logs
from newstide.core.settings import MilvusSettings
from newstide.milvus import filters, open_store
from newstide.milvus.local_server import LocalMilvus

_WINDOW = 7 * DAY
_SOME = 1_000


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    rows = parser.parse_args().rows
    logs.configure("warning", json=False)
    with tempfile.TemporaryDirectory() as folder, LocalMilvus(Path(folder) / "milvus", port=0) as milvus:
        day = real_day(Path(folder))
        store = open_store(MilvusSettings.model_validate({"uri": milvus.uri, "timeout": "PT10M"}), day.card)

        def write() -> None:
            for part in News(day, rows, SEED).take(rows, BEGIN, BEGIN + _WINDOW):
                store.insert_headlines(part)
            store.settle()

        shown = Table("asked", "seconds", title=f"Milvus Lite, {rows:,} rows of {day.card.dim} dimensions")
        shown.add_row("all rows written", _seconds(write))
        ids = [str(id_) for id_ in store.headlines("", ["id"])["id"]]
        some = [ids[row] for row in np.random.default_rng(SEED).choice(len(ids), min(_SOME, len(ids)), replace=False)]
        late = filters.published_after(BEGIN + _WINDOW - _WINDOW // 100)
        labels, chances = np.arange(len(some)), np.ones(len(some), np.float32)
        asked: dict[str, Callable[[], object]] = {
            "rows of the last hundredth of the window, counted": lambda: store.count_headlines(late),
            "the first page of the window's rows": lambda: next(store.iterate_headlines(filters.PROVISIONAL, COLUMNS)),
            f"{len(some):,} vectors by id": lambda: store.embeddings(some),
            f"{len(some):,} labels written": lambda: store.write_labels(some, labels, chances, 1),
            "rows without a label, counted": lambda: store.count_headlines(filters.PROVISIONAL),
            "10 searches for 10 headlines": lambda: store.search_headlines(day.vectors[:10], 10),
        }
        for what, action in asked.items():
            shown.add_row(what, _seconds(action))
        store.close()
    Console(width=100).print(shown)


def _seconds(action: Callable[[], object]) -> str:
    started = time.perf_counter()
    action()
    return f"{time.perf_counter() - started:.2f}"


if __name__ == "__main__":
    main()
