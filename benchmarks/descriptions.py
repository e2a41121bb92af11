"""Measures what to embed of headlines of which only some have a description: `python -m benchmarks.descriptions FOLDER`.

Clusters the bundled day (with its times), giveme5w1h (without) and a made week, in which as many descriptions are kept as a
share says, drawn at random three times, or those of half of the outlets, by the three ways of `embedding.text`; and replays
the day. Each text is embedded once. Writes a table of `docs/quality.md`.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks import document
from benchmarks.machine import RESULTS, machine_card, write_json
from benchmarks.quality import PAGE, code_version, embeddings, kept
from newstide.core.setting_types import EmbeddedText
from newstide.core.settings import DEFAULT_MODEL, Settings
from newstide.embedding.base import ModelCard
from newstide.embedding.headlines import embed
from newstide_app.evaluation import cluster_labelled, read_labelled
from newstide_app.replay import replay_rows
from newstide_app.scores import score
from producers.sample import day_file
from tests.harness.made_stream import told_headlines

Vectors = npt.NDArray[np.float32]

WAYS: tuple[EmbeddedText, ...] = get_args(EmbeddedText)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
BY_OUTLET = "half of the outlets"
DRAWS = 3
HOURS = (3, 6)
MADE_ROWS = 2_000


@dataclass
class Known:
    """An embedder that looks texts up, so that each is embedded once."""

    card: ModelCard = field(default_factory=lambda: ModelCard("known", 0, ""))
    languages: frozenset[str] | None = None
    vectors: dict[str, Vectors] = field(default_factory=dict)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.encode`."""
        return np.stack([self.vectors[text] for text in texts])


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of giveme5w1h.parquet")
    parser.add_argument("--models", nargs="+", default=[DEFAULT_MODEL])
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument(
        "--embeddings", type=Path, help="folder that keeps embeddings; default: newstide's cache folder"
    )
    parser.add_argument("--json", type=Path, default=RESULTS / "descriptions.json")
    chosen = parser.parse_args()
    folder = chosen.embeddings or Settings().cache_dir / "quality"
    found = kept(chosen.json)
    for model in chosen.models:
        for name, rows, timed in _sets(chosen.data):
            known = known_texts(folder, model, rows)
            if known is None:
                break
            measured = list(measure(rows, known, timed=timed, draws=chosen.draws))
            measured += replays(rows, known) if timed else []
            found = [row for row in found if (row["model"], row["set"]) != (model, name)]
            found += [{"model": model, "set": name, "code": code_version(), **row} for row in measured]
            print(*found[-len(measured) :], sep="\n", flush=True)
            write_json(chosen.json, machine_card(0), found)
    document.replace(PAGE, "descriptions", f"{table(found)}\n\n{replay_table(found)}")


def _sets(data: Path) -> Iterator[tuple[str, pd.DataFrame, bool]]:
    yield "day", read_labelled(Path(day_file()), needs_time=True), True
    yield "giveme5w1h", read_labelled(data / "giveme5w1h.parquet", needs_time=False), False
    yield "made week", told_headlines(MADE_ROWS), True


def known_texts(folder: Path, model: str, rows: pd.DataFrame) -> Known | None:
    """The vectors of all titles, and of all titles with their descriptions; None where the model is not installed."""
    texts = [*rows["title"], *(f"{a}\n{b}" for a, b in zip(rows["title"], rows["description"], strict=True) if b)]
    vectors = embeddings(folder, model, texts)
    return None if vectors is None else Known(vectors=dict(zip(texts, vectors, strict=True)))


def measure(rows: pd.DataFrame, known: Known, *, timed: bool, draws: int) -> Iterator[dict[str, Any]]:
    """The mean scores of each share of descriptions and each way."""
    scores: dict[tuple[str, EmbeddedText], list[tuple[float, float, float]]] = {}
    truth = rows["story_id"].tolist()
    for draw in range(draws):
        for share, has in described(rows, np.random.default_rng(draw)).items():
            descriptions = np.where(has, rows["description"], "").tolist()
            for way in WAYS:
                if draw and (has.all() or not has.any()):  # every draw is the same
                    continue
                vectors = embed(known, rows["title"].tolist(), descriptions, way)
                one = score(truth, cluster_labelled(rows, vectors, Settings(), use_time=timed))
                scores.setdefault((share, way), []).append((one.f1, one.ami, one.precision))
    for (share, way), some in scores.items():
        f1, ami, precision = np.mean(some, axis=0).tolist()
        yield {"share": share, "way": way, "f1": f1, "ami": ami, "precision": precision}


def described(rows: pd.DataFrame, rng: np.random.Generator) -> dict[str, npt.NDArray[np.bool_]]:
    """(n,) which headlines keep their description, by what the table calls it."""
    has = (rows["description"] != "").to_numpy()
    found = {f"{share:.0%}": has & (rng.random(len(rows)) < share) for share in SHARES}
    outlets = sorted(set(rows["source"]))
    without = set(rng.permutation(outlets)[: len(outlets) // 2])
    return found | {BY_OUTLET: has & ~rows["source"].isin(without).to_numpy()}


def replays(rows: pd.DataFrame, known: Known) -> Iterator[dict[str, Any]]:
    """The figures of a set that is replayed, with all the descriptions that it has."""
    truth = rows["story_id"].tolist()
    readable = np.ones(len(rows), np.bool_)  # every model can read every title
    for hours in HOURS:
        for way in WAYS:
            vectors = embed(known, rows["title"].tolist(), rows["description"].tolist(), way)
            done = replay_rows(rows, vectors, readable, Settings(), timedelta(hours=hours))
            last = score(truth, done.last)
            yield {
                "hours": hours,
                "way": way,
                "arrival": score(truth, done.arrival).f1,
                "last": last.f1,
                "precision": last.precision,
                "churn": done.churn,
                "right": done.arrivals(truth)["right"],
            }


def table(results: Sequence[dict[str, Any]]) -> str:
    """A line for each set and share, a column for each way."""
    lines = [f"| model, set | descriptions kept | {' | '.join(WAYS)} |", "|---|---|" + "---|" * len(WAYS)]
    rows = [row for row in results if "share" in row]
    for model, name, share in dict.fromkeys((row["model"], row["set"], row["share"]) for row in rows):
        some = {row["way"]: row for row in rows if (row["model"], row["set"], row["share"]) == (model, name, share)}
        cells = [f"{row['f1']:.3f} / {row['ami']:.3f} / {row['precision']:.3f}" for row in (some[way] for way in WAYS)]
        lines.append(f"| {model}, {name} | {share} | {' | '.join(cells)} |")
    return "\n".join(lines)


def replay_table(results: Sequence[dict[str, Any]]) -> str:
    """A line for each replay."""
    lines = ["| model, set | text | every | F1 on arrival | right | last F1 | precision | churn |", "|" + "---|" * 8]
    for row in (row for row in results if "hours" in row):
        figures = " | ".join(f"{row[name]:.3f}" for name in ("arrival", "right", "last", "precision"))
        lines.append(
            f"| {row['model']}, {row['set']} | {row['way']} | {row['hours']} h | {figures} | {row['churn']:.1%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
