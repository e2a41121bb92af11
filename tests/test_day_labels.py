"""The bundled day's labels, bit for bit, for vectors that are the same on every processor.

A change that is meant to change no label leaves the digests as they are. One that is meant to writes what the failing test
shows in their place, and says in its message what became of the labels. Probabilities and similarities are no part of them:
their last digits are the processor's. So is the order in which numpy leaves equal weights, on which the labels of hdbscan's
own selections and of the tutorial depend: here a stable sort takes its place. `test_tutorial_mode.py` has the library's.
"""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clustering.arrays import Labels, Vectors
from clustering.stories.clusters import cluster_rows
from newstide.core.settings import ClusteringSettings
from newstide_app.evaluation import read_labelled
from newstide_app.replay import update_exact_graph
from producers.sample import day_file
from tests.harness.day_runs import in_six_runs
from tests.harness.word_vectors import word_vectors

# All that the labels depend on, so that another default does not change them.
CHOSEN: dict[str, Any] = {
    "neighbours": 30,
    "spare_neighbours": 10,
    "min_samples": 1,
    "min_cluster_size": 2,
    "deduplicate": True,
    "centre": True,
    "smoothing": 1.0,
    "time_weight": 0.2,
    "time_scale": timedelta(days=7),
    "deviations": 2.0,
    "size_exponent": 1.25,
    "theta_drift": 0.02,
    "inertia": 0.1,
    "seed": 42,
}
WAYS: dict[str, dict[str, Any]] = {
    "calibrated": {"selection": "calibrated"},
    "calibrated, undamped and as embedded": {
        "selection": "calibrated",
        "time_weight": 0.0,
        "smoothing": 0.0,
        "centre": False,
    },
    "excess of mass": {"selection": "eom"},
    "excess of mass, min_samples 3": {"selection": "eom", "min_samples": 3, "min_cluster_size": 3},
    "leaves": {"selection": "leaf"},
    "tutorial": {"tutorial": True},
}
VECTORS = "0a96df057a52d467199bc06c082a94b999cfdef51e247ac21ebb45b7caa5f906"
# Clusters, rows in none, and the digest of the labels.
AT_ONCE: dict[str, tuple[int, int, str]] = {
    "calibrated": (200, 256, "aec749a9882b84af1e5e4502fffd5665d92f6644c38c77d59111f2da4555153e"),
    "calibrated, undamped and as embedded": (
        181,
        347,
        "850c5d52c05520faf2cca0d860a0789ecb8f37fb8a191b769b9a45f68e8352ac",
    ),
    "excess of mass": (182, 224, "5c874998f312ace6321fad00a6cd8128c229382a28d5222f78e5c04c4e69bd80"),
    "excess of mass, min_samples 3": (35, 624, "24a57bb6d22a00325365b44c10daa5aab366448734be4552a284bb5feabb7df9"),
    "leaves": (192, 236, "b8f143eee155b2fbe1da9b399156169ab3e3850a529eef71edab164cc9e26d62"),
    "tutorial": (17, 681, "3137457423aa24c36f45a4fa475afdc7f80c16341d3b2993aca126faef310d5b"),
}
# The same of the stories' numbers in each of six runs.
RUN_BY_RUN = (
    214,
    651,
    "c1bd6d03a36497c046716e6161873dd033b46cdabf06768f36773e4a2892f197",
)


@pytest.fixture(scope="module")
def day() -> pd.DataFrame:
    return read_labelled(Path(day_file()), needs_time=True)


@pytest.fixture(scope="module")
def vectors(day: pd.DataFrame) -> Vectors:
    return word_vectors((day["title"] + " " + day["description"]).tolist())


def summed_up(labels: Labels) -> tuple[int, int, str]:
    stored = np.ascontiguousarray(labels, "<i8")
    return len(np.unique(labels[labels >= 0])), int((labels < 0).sum()), hashlib.sha256(stored.tobytes()).hexdigest()


def test_vectors_of_words_are_the_same_everywhere(vectors: Vectors) -> None:
    assert hashlib.sha256(vectors.astype("<f4").tobytes()).hexdigest() == VECTORS


@pytest.mark.parametrize("way", WAYS)
def test_the_bundled_days_labels_are_what_they_were(
    way: str, day: pd.DataFrame, vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clustering.tree.prim.order_of_path", lambda _, weights: np.argsort(weights, kind="stable"))
    settings = ClusteringSettings(**CHOSEN).model_copy(update=WAYS[way])
    graph = update_exact_graph(None, day["id"], day["id"], vectors, settings)
    assert summed_up(cluster_rows(graph, day, settings).labels) == AT_ONCE[way]


def test_the_stories_numbers_of_six_runs_are_what_they_were(day: pd.DataFrame, vectors: Vectors) -> None:
    runs = in_six_runs(day, vectors, ClusteringSettings(**CHOSEN))
    assert summed_up(np.concatenate([run.after for run in runs])) == RUN_BY_RUN
