"""Measures how many headlines keep their story when more arrive: `python -m benchmarks.identity DATA_FOLDER`.

All but a hundredth of a set is clustered, then the whole set, as the next run would do. Sets without times are clustered
without damping, sets with times as by default, without a window. Prints and writes the second table of `docs/quality.md`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks import document
from benchmarks.machine import RESULTS, machine_card, write_json
from benchmarks.quality import PAGE, code_version, embeddings, kept
from clustering.stories.lineage import label_stability
from newstide.core.settings import ClusteringSettings, Settings
from newstide_app.evaluation import read_labelled
from tests.harness.relabelled import relabelled

SETS = {"uci_stories": False, "allsides_roundups": False, "abp_stream": True}  # whether times are used
MODELS = ("use-multilingual", "multilingual-e5-small")


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the labelled files")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument(
        "--embeddings", type=Path, help="folder that keeps embeddings; default: newstide's cache folder"
    )
    parser.add_argument("--json", type=Path, default=RESULTS / "identity.json")
    chosen = parser.parse_args()
    found = kept(chosen.json)
    for name in chosen.sets:
        timed = SETS[name]
        rows = read_labelled(chosen.data / f"{name}.parquet", needs_time=timed, needs_stories=False)
        settings = Settings().clustering if timed else Settings().clustering.model_copy(update={"time_weight": 0.0})
        for model in chosen.models:
            vectors = embeddings(chosen.embeddings or Settings().cache_dir / "quality", model, rows["title"].tolist())
            if vectors is None:
                continue
            found = [one for one in found if (one["set"], one["model"]) != (name, model)]
            for draw in range(chosen.draws):
                some = [
                    {"model": model, "set": name, "code": code_version(), **one}
                    for one in measure(rows, vectors, settings, draw)
                ]
                found += some
                print(*some, sep="\n", flush=True)
            write_json(chosen.json, machine_card(0), found)
    document.replace(PAGE, "identity", table(found))


def measure(
    rows: pd.DataFrame, vectors: npt.NDArray[np.float32], settings: ClusteringSettings, draw: int
) -> list[dict[str, Any]]:
    """One draw: the share of rows that keep their story, without the bonus for stories of the last run and with it."""
    later = [settings.model_copy(update={"inertia": 0.0}), settings]
    found = []
    for changed, (before, after) in zip(later, relabelled(rows, vectors, settings, draw, later), strict=True):
        both = (before >= 0) & (after >= 0)
        found.append(
            {
                "draw": draw,
                "inertia": changed.inertia,
                "kept_of_clustered": float((after == before)[both].mean()),
                "kept_of_all": label_stability(before, after, before[before >= 0].tolist()),
                "noise": float((after < 0).mean()),
            }
        )
    return found


def table(results: Sequence[dict[str, Any]]) -> str:
    """A line for each set and model: least and largest share of the draws; a dash where the default has no inertia."""
    lines = [
        "| set, model | keep their number, of rows in a story before and after | of all rows in a story before "
        "(noise counts as lost) | the same without inertia |",
        "|---|---|---|---|",
    ]
    for name, model in dict.fromkeys((row["set"], row["model"]) for row in results):
        some = [row for row in results if (row["set"], row["model"]) == (name, model)]
        plain = [row for row in some if row["inertia"] == 0]
        default = [row for row in some if row["inertia"] != 0]
        cells = [_range(default, "kept_of_clustered"), _range(default, "kept_of_all"), _range(plain, "kept_of_all")]
        lines.append(f"| {name}, {model} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _range(rows: Sequence[dict[str, Any]], key: str) -> str:
    if not rows:
        return "–"
    values = sorted(100 * row[key] for row in rows)
    return f"{values[0]:.2f} to {values[-1]:.2f} %"


if __name__ == "__main__":
    main()
