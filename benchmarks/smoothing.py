"""Measures the effect of smoothing on the stories, and its time: `python -m benchmarks.smoothing FOLDER`.

Clusters the three labelled sets (titles, no times) and the bundled day (title and description, times), in one run and
replayed every 3 and 6 hours, by the settings among which the default was chosen. Writes a table of `docs/quality.md`.
`--cost` prints the time of smoothing generated rows beside that of weighing the edges; the bar is twice as long.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks import document
from benchmarks.descriptions import known_texts
from benchmarks.machine import RESULTS, machine_card, write_json
from benchmarks.quality import BEFORE, PAGE, SETS, code_version, embeddings, kept
from clustering.stories.similarity import reweigh
from clustering.stories.smoothing import smoothed
from clustering.time_damping import TimeDamping
from newstide.core.settings import DEFAULT_TEXT, Settings
from newstide.embedding.base import EARLIER_TEXT
from newstide.embedding.headlines import embed
from newstide_app.evaluation import cluster_labelled, read_labelled
from newstide_app.replay import replay_rows
from newstide_app.scores import score
from producers.sample import day_file

Vectors = npt.NDArray[np.float32]

MODELS = ("multilingual-e5-small", "use-multilingual")
AS_BEFORE, DEFAULT = (
    "one text, not smoothed, exponent 1.5, 2 deviations",
    "**strength .6, exponent 1.3125, 1.75 deviations**",
)
VARIANTS: dict[str, dict[str, Any]] = {
    AS_BEFORE: BEFORE,
    DEFAULT: {},
    "1, 1.25, 2": {"smoothing": 1.0, "size_exponent": 1.25, "deviations": 2.0},
    "1, 1.375, 2": {"smoothing": 1.0, "size_exponent": 1.375, "deviations": 2.0},
    ".8, 1.3125, 2": {"smoothing": 0.8, "deviations": 2.0},
    ".8, 1.3125, 1.75": {"smoothing": 0.8},
    ".6, 1.3125, 2": {"deviations": 2.0},
    ".6, 1.3125, 1.75, inertia .1": {"inertia": 0.1},
}
HOURS = (3, 6)
SEED = 42


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="folder of the labelled files")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument(
        "--embeddings", type=Path, help="folder that keeps embeddings; default: newstide's cache folder"
    )
    parser.add_argument("--json", type=Path, default=RESULTS / "smoothing.json")
    parser.add_argument("--cost", action="store_true", help="measure the time instead")
    parser.add_argument("--rows", type=int, default=100_000, help="of --cost")
    chosen = parser.parse_args()
    if chosen.cost:
        print(cost(chosen.rows))
        return
    if chosen.data is None:
        parser.error("name the folder of the labelled files")
    folder = chosen.embeddings or Settings().cache_dir / "quality"
    found = kept(chosen.json)
    for model in chosen.models:
        sets = [read_labelled(chosen.data / f"{name}.parquet", needs_time=False) for name in SETS]
        day = read_labelled(Path(day_file()), needs_time=True)
        vectors = [embeddings(folder, model, rows["title"].tolist()) for rows in sets]
        known = known_texts(folder, model, day)
        if known is None:
            continue
        for name, change in VARIANTS.items():
            settings = Settings().updated(clustering=change)
            text = EARLIER_TEXT if name == AS_BEFORE else DEFAULT_TEXT
            of_day = embed(known, day["title"].tolist(), day["description"].tolist(), text)
            figures = measure(sets, day, [*vectors, of_day], settings)
            row = {"model": model, "variant": name, "code": code_version(), **figures}
            found = [one for one in found if (one["model"], one["variant"]) != (model, name)] + [row]
            print(row, flush=True)
            write_json(chosen.json, machine_card(SEED), found)
    document.replace(PAGE, "smoothing", table(found))


def measure(
    sets: Sequence[pd.DataFrame], day: pd.DataFrame, vectors: Sequence[Any], settings: Settings
) -> dict[str, float]:
    """B-cubed F1 of each set and of the day, and the figures of the day's replays."""
    found: dict[str, float] = {}
    for name, rows, some in zip(SETS, sets, vectors, strict=False):
        found[name] = _f1(rows, cluster_labelled(rows, some, settings, use_time=False))
    found["day"] = _f1(day, cluster_labelled(day, vectors[-1], settings, use_time=True))
    readable = np.ones(len(day), np.bool_)  # every model can read every title of the day
    for hours in HOURS:
        replayed = replay_rows(day, vectors[-1], readable, settings, timedelta(hours=hours))
        arrival, last, churn = replayed.arrival, replayed.last, replayed.churn
        found[f"{hours} h, arrival"] = _f1(day, arrival)
        found[f"{hours} h, last"] = _f1(day, last)
        found[f"{hours} h, precision"] = score(day["story_id"].tolist(), last).precision
        found[f"{hours} h, churn"] = churn
        found[f"{hours} h, right"] = replayed.arrivals(day["story_id"].tolist())["right"]
    return found


def _f1(rows: pd.DataFrame, labels: npt.NDArray[np.int64]) -> float:
    return score(rows["story_id"].tolist(), labels).f1


def table(results: Sequence[dict[str, Any]]) -> str:
    """A line for each model and variant."""
    replays = [f"{hours} h: arrival / right / last / precision / churn" for hours in HOURS]
    lines = [f"| model, settings | {' | '.join(SETS)} | their mean | day | {' | '.join(replays)} |"]
    lines.append("|" + "---|" * (len(SETS) + len(HOURS) + 3))
    for row in results:
        cells = [f"{row[name]:.3f}" for name in SETS]
        cells += [f"{np.mean([row[name] for name in SETS]):.3f}", f"{row['day']:.3f}"]
        for hours in HOURS:
            shares = " / ".join(
                f"{row[f'{hours} h, {what}']:.3f}" for what in ("arrival", "right", "last", "precision")
            )
            cells.append(f"{shares} / {row[f'{hours} h, churn']:.1%}")
        lines.append(f"| {row['model']}, {row['variant']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cost(rows: int, dim: int = 384, k: int = 30) -> str:
    """The time of smoothing and of weighing the edges, each the shortest of five turns."""
    rng = np.random.default_rng(SEED)
    vectors = rng.standard_normal((rows, dim), np.float32)
    vectors += 3 * vectors[rng.integers(0, rows // 20 + 1, rows)]  # so that every edge within a story has a weight
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    indices = rng.integers(0, rows, (rows, k), np.int32)
    damping = TimeDamping(rng.random(rows) * 7, 0.2, 7.0)
    weighing = _shortest(lambda: reweigh(indices, vectors, damping))
    smoothing = _shortest(
        lambda: smoothed(indices, vectors, -1.0, damping)
    )  # every neighbour counts, which takes longest
    return (
        f"{rows:,} rows x {dim}, {k} neighbours: smoothing {smoothing:.2f} s, weighing the edges {weighing:.2f} s: "
        f"{smoothing / weighing:.2f} times as long; the bar is 2."
    )


def _shortest(step: Callable[[], object]) -> float:
    step()
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    main()
