"""How much a story matters: how many tell it, in how many languages, and how much of it is new."""

import numpy as np
import pandas as pd

from clustering.arrays import Flags, Labels
from clustering.pairs import counted_pairs
from clustering.stories.similarity import collapse_titles
from newstide.core.language_means import primary_language

_NEW = 6 * 3_600_000  # ms
_MOST = 0.5  # of the window's headlines: where more have no source, each of those counts as one of its own


def importance(labels: Labels, headlines: pd.DataFrame, newest: int, point: Labels | None = None) -> dict[int, float]:
    """ln(1 + sources) x (1 + ln languages) x (1 + share of the headlines of the last 6 hours), by story.

    Copies of a title count once, as the first of them. A headline without a source counts as none, or as one of its own
    where more than half of the window's headlines have none; a headline without a language counts as none.

    Args:
        labels: (n,) story of each row, -1 = none.
        headlines: (n) rows with `title`, `source`, `language`, `published_at` (epoch ms).
        newest: The time (epoch ms) up to which the last hours are counted.
        point: (n,) the same number for copies of a title; None: titles are compared.
    """
    inside = np.flatnonzero(labels >= 0)
    if not len(inside):
        return {}
    members = headlines.iloc[inside]
    stories, own = np.unique(labels[inside], return_inverse=True)
    copied = collapse_titles(members["title"].tolist())[1] if point is None else point[inside]
    times = members["published_at"].to_numpy(np.int64)
    by_time = np.argsort(times, kind="stable")
    _, at = np.unique(own[by_time] * np.int64(copied.max() + 1) + copied[by_time], return_index=True)
    first = by_time[at]
    own, is_new = own[first], times[first] > newest - _NEW
    source, source_names = pd.factorize(members["source"].to_numpy(object)[first])
    language, tags = pd.factorize(members["language"].to_numpy(object)[first])
    primary, primary_names = pd.factorize(np.array([primary_language(str(tag)) for tag in tags], object))
    sources = _different(own, source, source_names == "", len(stories))
    languages = _different(own, primary[language], primary_names == "", len(stories))
    counts = np.bincount(own, minlength=len(stories))
    if float((headlines["source"] == "").mean()) > _MOST:
        sources += np.bincount(own[(source_names == "")[source]], minlength=len(stories))
    new = np.bincount(own[is_new], minlength=len(stories)) / counts
    values = np.log1p(sources) * (1 + np.log(np.maximum(languages, 1))) * (1 + new)
    return dict(zip(stories.tolist(), values.tolist(), strict=True))


def _different(own: Labels, code: Labels, is_none: Flags, stories: int) -> Labels:
    """(stories,) how many different codes stand with each story; (codes,) says which of them count as none."""
    told = ~is_none[code]
    which, _, _ = counted_pairs(own[told], code[told])
    return np.bincount(which, minlength=stories)
