"""What `benchmarks.ingest` found, as a table, as Markdown, and against its bars."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table

from benchmarks.machine import machine_line

SHARE_BARS = {"use-multilingual": 0.75, "multilingual-e5-small": 0.85}  # share of the embedder's own rate
LARGE_BARS = {
    "a run each minute": ("1m", 0.8),
    "runs back to back": ("1s", 0.65),
}  # interval, share of the embedder's rate
DELAY_BAR = 1.0  # seconds, p95, from sending a headline to reading its row with a label


def wrong(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence for each bar that is missed."""
    missed = []
    for row in rows:
        name = row["model"]
        if row["share"] < (bar := SHARE_BARS.get(name, 0.0)):
            missed.append(f"{name}: {row['share']:.0%} of the embedder's rate; the bar is {bar:.0%}.")
        if "rate" in row and row["delay_p95"] > DELAY_BAR:
            missed.append(f"{name}: p95 of {row['delay_p95']:.2f} s to a label; the bar is {DELAY_BAR:g} s.")
        for beside, (_, bar) in LARGE_BARS.items():
            if beside in row and row[beside]["share"] < bar:
                share = row[beside]["share"]
                missed.append(f"{name}: {share:.0%} of the embedder's rate beside {beside}; the bar is {bar:.0%}.")
        if "rate" in row and not row["labelled_on_arrival"] > 0:
            missed.append(f"{name}: no headline had a story's label on arrival.")
    return missed


def figures(rows: Sequence[dict[str, Any]], card: dict[str, Any]) -> str:
    """The results as Markdown."""
    kinds: dict[str, Callable[[dict[str, Any]], str]] = {
        "headlines": lambda row: f"{row['headlines']:,}",
        "embedder alone, headlines a second": lambda row: f"{row['embedder_rate']:,.0f}",
        "from topic to Milvus, headlines a second": lambda row: f"{row['ingest_rate']:,.0f} ({row['share']:.0%})",
        "the same beside reclustering runs": lambda row: (
            f"{row['beside_run_rate']:,.0f} ({row['beside_run_share']:.0%})"
        ),
        "the same with many rows in the window": _large,
        "share of each stage": _stages,
        "delay to a label, p50; p95": lambda row: (
            f"{row['delay_p50']:.2f} s; {row['delay_p95']:.2f} s at {row['rate']:.0f} a second" if "rate" in row else ""
        ),
        "with a story's label on arrival": lambda row: f"{row['labelled_on_arrival']:.0%}" if "rate" in row else "",
        "what is missed": lambda row: " ".join(wrong([row])) or "nothing",
    }
    lines = [f"| {kind} | {' | '.join(show(row) for row in rows)} |" for kind, show in kinds.items()]
    head = f"| what | {' | '.join(row['model'] for row in rows)} |"
    where = machine_line(card) + " One run."
    return "\n".join([head, "|---" * (len(rows) + 1) + "|", *lines, "", where])


def _large(row: dict[str, Any]) -> str:
    told = (
        f"{row[name]['share']:.0%} beside {name} ({row[name]['runs']} finished)" for name in LARGE_BARS if name in row
    )
    return f"{', '.join(told)}: {row['rows_beside']:,} rows" if "rows_beside" in row else "–"


def _stages(row: dict[str, Any]) -> str:
    stages = sorted(row["stages"].items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in stages if share >= 0.005)


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """The results as a table."""
    shown = Table(
        *(
            "model",
            "headlines",
            "embedder /s",
            "ingest /s",
            "share",
            "beside a run",
            "stages",
            "steady /s",
            "p50",
            "p95",
        ),
        title="From topic to Milvus",
    )
    for row in rows:
        delays = (
            [f"{row['rate']:.0f}", f"{row['delay_p50']:.2f} s", f"{row['delay_p95']:.2f} s"] if "rate" in row else []
        )
        shown.add_row(
            *(row["model"], f"{row['headlines']:,}"),
            *(f"{row['embedder_rate']:,.0f}", f"{row['ingest_rate']:,.0f}", f"{row['share']:.0%}"),
            f"{row['beside_run_rate']:,.0f}",
            _stages(row),
            *delays,
        )
    return shown
