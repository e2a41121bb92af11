"""Which stories a watch's `meaning` finds, by its `deviations`: `python -m benchmarks.meaning [--model NAME] [--docs]`.

The stories of the bundled day, as one run clusters it, with the vectors, the space and the measure of chance that the
service has. Ten sentences name subjects of the day, five name some that are not there. A story is right where most of its
headlines tell of what the sentence means. `--docs` writes the table into docs/watches.md.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks import document
from clustering.stories.clusters import cluster_rows
from clustering.stories.naming import name_stories
from newstide.core.settings import Settings
from newstide.embedding import load_embedder
from newstide.embedding.headlines import embed
from newstide_app.evaluation import read_labelled
from newstide_app.replay import update_exact_graph
from newstide_app.watch.meaning import above_chance
from producers.sample import day_file

PAGE = Path("docs/watches.md")
DEVIATIONS = (2.0, 2.5, 3.0, 3.25, 3.5, 4.0)
SENTENCES: dict[str, set[str]] = {  # what is meant -> the day's events that tell of it
    "A strong earthquake shakes a city": {"quake-chile", "quake-crete", "quake-groningen"},
    "Train drivers go on strike": {"rail-strike-de", "rail-strike-fr", "tube-strike"},
    "A central bank decides on its interest rate": {"boc-rate", "riksbank-rate", "bok-rate", "tcmb-rate"},
    "A storm or hurricane makes landfall": {"hurricane-odalys", "typhoon-kanari", "storm-benedikt"},
    "Online services are down after an outage": {"cloud-outage", "pay-outage"},
    "Miners are trapped underground": {"silesia-mine", "shanxi-mine"},
    "A manufacturer recalls a dangerous product": {"baby-milk-recall", "torvald-recall", "peanut-recall"},
    "A famous singer or actor has died": {"achterberg-death", "valadares-death"},
    "A spacecraft lands on the moon": {"moon-landing"},
    "A football club sacks its manager": {"tynebank-sacking", "rheinhafen-coach"},
    "A volcano erupts and villages are evacuated": set(),
    "The cardinals elect a new pope": set(),
    "The Olympic Games open with a ceremony": set(),
    "A nuclear power station leaks radiation": set(),
    "An airliner crashes after take-off": set(),
}  # fmt: skip


def main() -> int:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="another than the default")
    parser.add_argument("--docs", action="store_true", help=f"write the table into {PAGE}")
    asked = parser.parse_args()
    found = measure(Settings().updated(embedding={"model": asked.model} if asked.model else {}))
    print(json.dumps(found, indent=2, ensure_ascii=False))
    if asked.docs:
        document.replace(PAGE, "meaning", table(found["by_deviations"]))
    return 0


def measure(settings: Settings) -> dict[str, Any]:
    """What each least number of deviations finds, and by sentence how alike the stories are that are meant."""
    embedder = load_embedder(settings.embedding)
    rows = read_labelled(day_file(), needs_time=False).sort_values("id", ignore_index=True)
    vectors = embed(embedder, rows["title"].tolist(), rows["description"].tolist())
    graph = update_exact_graph(None, rows["id"], rows["id"], vectors, settings.clustering)
    clusters = cluster_rows(graph, rows, settings.clustering)
    stories = name_stories(clusters.labels, clusters.centred, rows, clusters.threshold.theta)
    events = rows["story_id"].groupby(clusters.labels).agg(lambda some: some.mode().iloc[0])
    told = events.loc[stories["cluster_label"].astype(int)].tolist()
    titles = embedder.encode(stories["title"].tolist())
    languages = [some[0] if some else "" for some in stories["languages"]]
    chance = clusters.threshold.mean, clusters.threshold.deviation
    alike = np.array([
        above_chance(titles, languages, sentence, clusters.means, chance) for sentence in embedder.encode(list(SENTENCES))
    ])  # fmt: skip
    right = np.array([[event in meant for event in told] for meant in SENTENCES.values()])
    there = right.any(axis=1)
    return {
        "stories": len(stories),
        "by_deviations": [
            {
                "deviations": least,
                "right": int((right & (alike >= least)).sum()),
                "of": int(right.sum()),
                "wrong": int((~right & (alike >= least))[there].sum()),
                "wrong_of_absent": int((alike >= least)[~there].sum()),
            }
            for least in DEVIATIONS
        ],
        "by_sentence": [
            _sentence(text, own, which, stories) for text, own, which in zip(SENTENCES, alike, right, strict=True)
        ],
    }  # fmt: skip


def _sentence(text: str, alike: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], stories: pd.DataFrame) -> Any:
    wrong = np.flatnonzero(~right)[np.argsort(-alike[~right])][:3]
    return {
        "sentence": text,
        "right": [f"{value:.2f}" for value in sorted(alike[right], reverse=True)],
        "nearest wrong": [f"{alike[at]:.2f} {stories.loc[at, 'title']}" for at in wrong],
    }


def table(found: list[dict[str, float]]) -> str:
    """For the documentation."""
    lines = ["| `deviations` | right stories found | wrong ones, ten sentences | wrong ones, five of nothing there |"]
    lines.append("|---|---|---|---|")
    lines += [
        f"| {one['deviations']:g} | {one['right']} of {one['of']} | {one['wrong']} | {one['wrong_of_absent']} |"
        for one in found
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
