"""How large a run's page is, how long it takes to write and, in headless Chromium, to become interactive.

    python -m benchmarks.pages [--rows 1000 50000 500000]

Beside it, `plotly.express.scatter` of the same headlines, coloured by story (as numbers: one trace) with the same texts on
hover. plotly.js is left out of both sizes; it lies beside both pages.
"""

import argparse
import shutil
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


def main() -> None:
    """Prints a line for each page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 5_000, 50_000, 500_000])
    rows = parser.parse_args().rows
    print(f"{'page':<18}{'headlines':>10}{'stories':>9}{'write s':>9}{'MB':>8}{'interactive s':>15}{'of it busy':>12}")
    with tempfile.TemporaryDirectory() as directory:
        for count in rows:
            snapshot = made_snapshot(count)
            for name, write in (("newstide", _newstide), ("plotly.express", _plotly_express)):
                started = time.perf_counter()
                page = write(Path(directory) / f"{name}-{count}", snapshot)
                seconds = time.perf_counter() - started
                opened, busy = _interactive(page)
                size = page.stat().st_size / 1e6
                shown = f"{count:>10,}{len(snapshot.stories):>9,}{seconds:>9.2f}{size:>8.2f}"
                print(f"{name:<18}{shown}{opened:>15.2f}{busy:>12.2f}", flush=True)


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
