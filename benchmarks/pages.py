"""Measures a run's page: its size, the time to write it and, in headless Chromium, the time until it is interactive.

    python -m benchmarks.pages [--rows 1000 50000 500000] [--maps-python PYTHON --maps-scripts node_modules]

It measures two other pages of the same headlines, with the same texts on hover: `plotly.express.scatter`, coloured by story
(as numbers: one trace), and datamapplot's interactive page, with the stories' titles as labels. The sizes of the first two
leave out plotly.js, which lies beside their pages. `--maps-python` is an interpreter that has datamapplot, where this one
has not (`pip install 'newstide[maps]'`). The page of datamapplot loads its scripts from other hosts; here the scripts come
from a folder, and the fonts are missing: `npm install --ignore-scripts deck.gl@9.1 apache-arrow`.

The bars of newstide's pages: 50,000 headlines in 6 MB, interactive in 3 s; 500,000 in 8 MB and 4 s. The benchmark
names missed bars and exits with 1. `--docs` writes the table of `docs/map.md`.
"""

import argparse
import importlib.util
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import document
from benchmarks.machine import RESULTS, machine_card, machine_line, write_json
from clustering.pages.run_page import Snapshot, write_snapshot
from newstide.core.local_server import free_port
from tests.harness.snapshots import made_snapshot

ROWS = (1_000, 50_000, 500_000)
BARS = {50_000: (6.0, 3.0), 500_000: (8.0, 4.0)}  # rows: (MB, seconds to interactive)
SEED = 0
PAGE = Path(__file__).parents[1] / "docs" / "map.md"
OPENED = (1440, 900)  # pixels of the window
CHROMIUM_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
]


_MAPS = """
import sys, time
import datamapplot, numpy, pandas
frame = pandas.read_parquet(sys.argv[1])
started = time.perf_counter()
figure = datamapplot.create_interactive_plot(
    frame[["x", "y"]].to_numpy(numpy.float32), frame["story"].to_numpy(object), hover_text=frame["hover"].to_numpy(object),
    enable_search=True, inline_data=True, offline_mode=False,
)
figure.save(sys.argv[2])
print(time.perf_counter() - started)
"""


_READY = {  # by the beginning of a page's name: an expression that is true once the map is drawn
    "plain.html": "document.querySelector('.js-plotly-plot .main-svg')",
    "datamapplot": "document.getElementById('loading')?.style.display === 'none'",
}
_MARKS = "performance.getEntriesByName('shown')"
_MARKER = """<script>
const watch = setInterval(() => {
  if (!(READY)) return;
  clearInterval(watch);
  requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("shown")));
}, 10);
</script>"""
_LONGEST = 60.0  # further seconds to wait for a page
_UNWATCHED = 10.0  # seconds for a page to draw itself before the browser is asked for the moment


class LeftOut(Exception):
    """Why a contender is not measured."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the number of missed bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--repeats", type=int, default=3, help="how often each page is opened; the median counts")
    parser.add_argument("--maps-python", default=sys.executable, help="an interpreter that has datamapplot")
    parser.add_argument("--maps-scripts", type=Path, help="node_modules with deck.gl and apache-arrow")
    parser.add_argument("--json", type=Path, default=RESULTS / "pages.json")
    parser.add_argument("--docs", action="store_true", help="write the table of docs/map.md")
    chosen = parser.parse_args(arguments)
    card = machine_card(SEED)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as directory:
        for count in chosen.rows:
            snapshot = made_snapshot(count)
            for name, write in {"newstide": _newstide, "plotly.express": _plotly_express}.items():
                started = time.perf_counter()
                page = write(Path(directory) / f"{name}-{count}", snapshot)
                found.append(_measure(name, snapshot, time.perf_counter() - started, page, chosen.repeats))
                print(_line(found[-1]), flush=True)
            try:
                page, seconds = _datamapplot(Path(directory), snapshot, chosen.maps_python)
                repeats = 1 if chosen.maps_scripts else 0  # datamapplot's page takes long to open
                found.append(_measure("datamapplot", snapshot, seconds, page, repeats, chosen.maps_scripts))
            except LeftOut as reason:
                found.append({"page": "datamapplot", "rows": count, "left_out": str(reason)})
            print(_line(found[-1]), flush=True)
    missed = []
    for row in found:
        row["missed"] = misses(row)
        missed += row["missed"]
    print(*missed, sep="\n", flush=True)
    write_json(chosen.json, card, found)
    if chosen.docs:
        document.replace(PAGE, "pages", table(found, card))
    return len(missed)


def misses(row: dict[str, Any]) -> list[str]:
    """A sentence for each bar that a page of newstide misses; a time that was not measured misses its bar."""
    if row["page"] != "newstide" or row["rows"] not in BARS:
        return []
    most_mb, most_seconds = BARS[row["rows"]]
    said = []
    if row["mb"] > most_mb:
        said.append(f"its size is {row['mb']:.2f} MB, more than {most_mb:g}")
    if row["interactive_seconds"] is None:
        said.append("the time until it is interactive was not measured: Chromium is not installed")
    elif row["interactive_seconds"] > most_seconds:
        said.append(f"it is interactive after {row['interactive_seconds']:.2f} s, more than {most_seconds:g}")
    return [f"the page of {row['rows']:,} headlines: {what}" for what in said]


def table(rows: Sequence[dict[str, Any]], card: dict[str, Any]) -> str:
    """The results as Markdown."""
    head = "| page | headlines | MB | written, s | interactive, s |\n|---|---|---|---|---|"
    return "\n".join([head, *map(_line, rows), "", machine_line(card)])


def _line(row: dict[str, Any]) -> str:
    if "left_out" in row:
        return f"| {row['page']} | {row['rows']:,} | left out: {row['left_out']} | | |"
    shown = "not opened, or not in 70 s" if row["interactive_seconds"] is None else f"{row['interactive_seconds']:.2f}"
    cells = [row["page"], f"{row['rows']:,}", f"{row['mb']:.2f}", f"{row['write_seconds']:.2f}", shown]
    return f"| {' | '.join(cells)} |"


def _measure(
    name: str, snapshot: Snapshot, seconds: float, page: Path, repeats: int, scripts: Path | None = None
) -> dict[str, Any]:
    from playwright.sync_api import TimeoutError as NotInTime

    opened: list[float] = []
    try:
        opened += [_interactive(page, scripts) for _ in range(repeats if _chromium() else 0)]
    except NotInTime:
        print(f"{page.name} is not drawn within {_UNWATCHED + _LONGEST:.0f} s", file=sys.stderr)
    return {
        "page": name,
        "rows": len(snapshot.headlines),
        "stories": len(snapshot.stories),
        "mb": page.stat().st_size / 1e6,
        "write_seconds": seconds,
        "interactive_seconds": statistics.median(opened) if opened else None,
    }


def _newstide(directory: Path, snapshot: Snapshot) -> Path:
    return write_snapshot(directory, snapshot, max_points=50_000)


def _plotly_express(directory: Path, snapshot: Snapshot) -> Path:
    import plotly.express as px

    directory.mkdir()
    page = directory / "plain.html"
    hover = ["title", "source", "url", "language", "published_at"]
    figure = px.scatter(snapshot.headlines, x="x", y="y", color="cluster_label", hover_data=hover)
    figure.write_html(page, include_plotlyjs="directory")
    return page


def _datamapplot(directory: Path, snapshot: Snapshot, python: str) -> tuple[Path, float]:
    """The page of datamapplot, and the seconds to make and write it, without the interpreter's start."""
    if python == sys.executable and importlib.util.find_spec("datamapplot") is None:
        raise LeftOut("datamapplot is not installed (`pip install 'newstide[maps]'`, or --maps-python)")
    headlines = snapshot.headlines
    titles = dict(zip(snapshot.stories["cluster_label"], snapshot.stories["title"], strict=True))
    columns = ["title", "source", "url", "language", "published_at"]
    hover = headlines[columns].astype(str).agg(" · ".join, axis=1)
    data, page = directory / "rows.parquet", directory / f"datamapplot-{len(headlines)}.html"
    story = headlines["cluster_label"].map(titles).fillna("Unlabelled")
    pd.DataFrame({"x": headlines["x"], "y": headlines["y"], "story": story, "hover": hover}).to_parquet(data)
    made = subprocess.run([python, "-c", _MAPS, data, page], capture_output=True, text=True, check=False, timeout=1800)
    if made.returncode:
        raise LeftOut(f"datamapplot ended with {(made.stderr.strip().splitlines() or [str(made.returncode)])[-1]}")
    return page, float(made.stdout.split()[-1])


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


def _interactive(page: Path, scripts: Path | None) -> float:
    """Seconds from a navigation's start until the page's map is drawn and the next frame shown.

    The page marks that moment itself, and no debugger is attached to the browser before: an attached debugger slows the
    reading of plotly.js by half a second.

    Args:
        page: The page's file.
        scripts: A folder `node_modules` that serves what the page requests of unpkg.com; other hosts are not reached.
    """
    from playwright.sync_api import sync_playwright

    opened = _marking(page, scripts)
    port = free_port()
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        command = [
            *(str(_chromium()), "--headless=new", f"--user-data-dir={profile}", f"--remote-debugging-port={port}"),
            *(f"--window-size={OPENED[0]},{OPENED[1]}", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
            *CHROMIUM_FLAGS,
        ]
        process = subprocess.Popen([*command, opened.absolute().as_uri()], stderr=subprocess.DEVNULL)
        try:
            time.sleep(_UNWATCHED)
            browser = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
            tab = next(tab for tab in browser.contexts[0].pages if tab.url.startswith("file:"))
            tab.wait_for_function(f"() => {_MARKS}.length", timeout=_LONGEST * 1000)
            return float(tab.evaluate(f"() => {_MARKS}[0].startTime")) / 1000
        finally:
            process.terminate()
            process.wait()


def _marking(page: Path, scripts: Path | None) -> Path:
    """A copy of the page that marks when it is shown, which newstide's page does by itself."""
    ready = _READY.get(page.name.split("-")[0])
    if ready is None:
        return page
    text = page.read_text(encoding="utf-8")
    if scripts is not None:
        text = re.sub(r"https://unpkg\.com/([^/@\"']+)(?:@[^/\"']*)?/", rf"{scripts.absolute().as_uri()}/\1/", text)
    marking = page.with_name(f"marking-{page.name}")
    marking.write_text(text + _MARKER.replace("READY", ready), encoding="utf-8")
    return marking


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
