"""How large a run's page is, how long it takes to write and, in headless Chromium, to become interactive.

    python -m benchmarks.pages [--rows 1000 50000 500000] [--repeats 3] [--maps-python PYTHON]

Beside it, of the same headlines with the same texts on hover: `plotly.express.scatter`, coloured by story (as numbers: one
trace), and datamapplot's interactive page, with the stories' titles as labels. plotly.js is left out of the sizes of the
first two; it lies beside their pages. datamapplot's page loads deck.gl and fonts from elsewhere, so that it is written but
not opened: its time would be the network's. `--maps-python` is an interpreter that has datamapplot, where this
one has not (`pip install 'newstide[maps]'`).
"""

import argparse
import importlib.util
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from clustering.snapshot import Snapshot, write_snapshot

_SYLLABLES = ["ba", "ster", "lo", "min", "is", "tra", "ne", "cor", "vi", "dal", "un", "pe", "ri", "gon", "te", "sa"]
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


class LeftOut(Exception):
    """Why a contender is not measured."""


def main() -> None:
    """Prints a line for each page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 50_000, 500_000])
    parser.add_argument("--repeats", type=int, default=3, help="times each page is opened; the median is told")
    parser.add_argument("--maps-python", default=sys.executable, help="an interpreter that has datamapplot")
    chosen = parser.parse_args()
    print(
        "| page | headlines | stories | written, s | MB | interactive, s | of it busy, s |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as directory:
        for count in chosen.rows:
            snapshot = made_snapshot(count)
            writers = {"newstide": _newstide, "plotly.express": _plotly_express}
            for name, write in writers.items():
                started = time.perf_counter()
                page = write(Path(directory) / f"{name}-{count}", snapshot)
                _tell(name, snapshot, time.perf_counter() - started, page, chosen.repeats)
            try:
                page, seconds = _datamapplot(Path(directory), snapshot, chosen.maps_python)
                _tell("datamapplot", snapshot, seconds, page, repeats=0)
            except LeftOut as reason:
                print(f"| datamapplot | {count:,} | left out: {reason} | | | | |", flush=True)


def _tell(name: str, snapshot: Snapshot, seconds: float, page: Path, repeats: int) -> None:
    opened = [_interactive(page) for _ in range(repeats)]
    times = [f"{statistics.median(column):.2f}" for column in zip(*opened, strict=True)] or ["not opened", ""]
    cells = [name, f"{len(snapshot.headlines):,}", f"{len(snapshot.stories):,}", f"{seconds:.2f}"]
    print("|", " | ".join([*cells, f"{page.stat().st_size / 1e6:.2f}", *times]), "|", flush=True)


def made_snapshot(rows: int) -> Snapshot:
    """Made-up headlines, three in four in stories whose sizes fall like a power law."""
    random = np.random.default_rng(rows)
    stories = max(2, rows // 12)
    weights = 1 / np.arange(1, stories + 1) ** 0.8
    labels = random.choice(stories, rows, p=weights / weights.sum())
    labels[random.random(rows) < 0.25] = -1
    centres = random.normal(scale=10, size=(stories, 2))
    places = np.where(labels[:, None] < 0, random.normal(scale=11, size=(rows, 2)), centres[labels])
    places += random.normal(scale=0.25, size=(rows, 2))
    vocabulary = np.array(["".join(random.choice(_SYLLABLES, random.integers(1, 4))) for _ in range(20_000)])
    frequency = 1 / np.arange(10, 20_010)  # about Zipf's law, as words of a language are
    words = vocabulary[random.choice(20_000, (rows, 9), p=frequency / frequency.sum())]
    sources = random.integers(0, 400, rows)
    headlines = pd.DataFrame(
        {
            "id": [f"{row:032x}" for row in range(rows)],
            "title": [" ".join(line).capitalize() for line in words],
            "source": [f"Paper {source}" for source in sources],
            "url": [
                f"https://www.paper{source}.example/2026/10/{'-'.join(line[:6])}-{random.integers(1_000_000)}"
                for source, line in zip(sources, words, strict=True)
            ],
            "language": random.choice(["en", "de", "fr", "es", "pt"], rows),
            "published_at": 1_790_000_000_000 + random.integers(0, 7 * 86_400_000, rows),
            "cluster_label": labels,
            "label_probability": random.random(rows),
            "x": places[:, 0],
            "y": places[:, 1],
        }
    )
    return Snapshot(1, int(time.time() * 1000), headlines, _stories(headlines), {"model": "made up"})


def _stories(headlines: pd.DataFrame) -> pd.DataFrame:
    inside = headlines[headlines["cluster_label"] >= 0]
    stories = inside.groupby("cluster_label").agg(
        title=("title", "first"),
        size=("id", "size"),
        first_published_at=("published_at", "min"),
        last_published_at=("published_at", "max"),
        sources=("source", lambda names: sorted(set(names))),
        languages=("language", lambda tags: sorted(set(tags))),
    )
    return stories.assign(
        keywords=stories["title"].str.split(),
        parents=pd.Series([[] for _ in range(len(stories))], index=stories.index, dtype=object),
        events=pd.Series([["grown"] for _ in range(len(stories))], index=stories.index, dtype=object),
        previous_size=1,
        status="open",
        successor=-1,
    ).reset_index()


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
    """Its page, and the seconds that making and writing it took, without the interpreter's start."""
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
        raise LeftOut(f"it ended with {(made.stderr.strip().splitlines() or [str(made.returncode)])[-1]}")
    return page, float(made.stdout.split()[-1])


def _interactive(page: Path) -> tuple[float, float]:
    """Seconds from opening a page until its map is drawn and the next frame shown, and how much of it was work.

    The second is processor time of the page's main thread, which other work on the machine does not lengthen. Both are
    NaN without Chromium.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        return float("nan"), float("nan")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        tab = browser.new_page(viewport={"width": 1440, "height": 900})
        tab.goto("about:blank")
        meter = tab.context.new_cdp_session(tab)
        meter.send("Performance.enable", {"timeDomain": "threadTicks"})
        started = time.perf_counter()
        tab.goto(page.as_uri(), wait_until="commit", timeout=120_000)
        tab.wait_for_selector(".js-plotly-plot .main-svg", timeout=120_000, state="attached")
        if page.name != "plain.html":
            tab.wait_for_selector("html[data-ready=yes]", timeout=120_000, state="attached")
        tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        seconds = time.perf_counter() - started
        metrics = {metric["name"]: metric["value"] for metric in meter.send("Performance.getMetrics")["metrics"]}
        browser.close()
    return seconds, float(metrics["TaskDuration"])


if __name__ == "__main__":
    main()
