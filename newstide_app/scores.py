"""How well labels match the true stories."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scores:
    """How well labels match the truth; a headline in no story counts as a story of its own.

    Attributes:
        precision, recall, f1: B-cubed (Bagga and Baldwin 1998).
        ami: Adjusted mutual information.
        ari: Adjusted Rand index.
        noise_share: Of headlines in no story.
        clusters: Stories of two headlines and more.
    """

    precision: float
    recall: float
    f1: float
    ami: float
    ari: float
    noise_share: float
    clusters: int


def score(truth: Sequence[str], labels: Labels) -> Scores:
    """Compares labels (n,), -1 = noise, with the true stories (n,)."""
    if not len(labels):
        return Scores(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)
    stories, own = _numbered(truth, labels)
    precision, recall = (float(of.mean()) for of in _bcubed(stories, own))
    return Scores(
        precision,
        recall,
        _f1(precision, recall),
        float(adjusted_mutual_info_score(stories, own)),
        float(adjusted_rand_score(stories, own)),
        float((labels < 0).mean()),
        int((np.unique(own, return_counts=True)[1] > 1).sum()),
    )


def f1_by(groups: Sequence[str], truth: Sequence[str], labels: Labels) -> dict[str, tuple[float, int]]:
    """The B-cubed F1 of each group of headlines and how many it has, the largest group first.

    B-cubed is a mean over headlines: here over those of the group, each still compared with all headlines.

    Args:
        groups: (n,) such as languages.
        truth: (n,) true stories.
        labels: (n,) -1 = noise.
    """
    precision, recall = _bcubed(*_numbered(truth, labels))
    names, group = np.unique(np.array(groups, object), return_inverse=True)
    rows = np.bincount(group)
    means = [np.bincount(group, weights=of) / rows for of in (precision, recall)]
    return {
        str(names[one]): (_f1(float(means[0][one]), float(means[1][one])), int(rows[one]))
        for one in np.argsort(-rows, kind="stable")
    }


def _numbered(truth: Sequence[str], labels: Labels) -> tuple[Labels, Labels]:
    """True stories and labels (n,) as numbers, in which each headline of no story has one of its own."""
    stories, _ = pd.factorize(pd.Series(list(truth), dtype=object))
    own = np.array(labels, np.int64)
    noise = own < 0
    own[noise] = own.max(initial=-1) + 1 + np.arange(int(noise.sum()))
    return stories.astype(np.int64), own


def _bcubed(stories: Labels, own: Labels) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Precision and recall (n,) of each headline."""
    pairs = pd.DataFrame({"story": stories, "label": own})
    both = pairs.groupby(["story", "label"])["story"].transform("size").to_numpy(np.float64)
    in_story = pairs.groupby("story")["story"].transform("size").to_numpy(np.float64)
    in_label = pairs.groupby("label")["label"].transform("size").to_numpy(np.float64)
    return both / in_label, both / in_story


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall)
