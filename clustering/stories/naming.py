"""Names: a story's most central headline, its keywords by class-based TF-IDF, and its facts."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from clustering.arrays import Flags, Labels, Values, Vectors
from clustering.kernels import kernel, parallel_range
from clustering.stories.importance import importance
from clustering.stories.keywords import Words, keywords
from clustering.stories.titles import choose_titles
from newstide.core.language_means import primary_language
from newstide.core.outlets import without_endings

_TITLE_HALF_LIFE = 24.0  # hours: of two equally central headlines, the newer one is the title
_RECENT = 0.1  # similarity that a headline loses by being infinitely older
_FEW = 50  # rows of a window
_CHANCE = 0.2  # mean + 2 deviations of random pairs in windows of thousands, .20 to .24 with three models and sets


def name_stories(
    labels: Labels,
    vectors: Vectors,
    headlines: pd.DataFrame,
    theta: float,
    *,
    before: Mapping[int, Mapping[str, Any]] | None = None,
    newest: int | None = None,
    unchanged: Collection[int] = (),
    words: Words | None = None,
    point: Labels | None = None,
) -> pd.DataFrame:
    """Names the stories of a window.

    Args:
        labels: (n,) story number of each row, -1 = noise.
        vectors: (n, dim) unit rows in clustering space.
        headlines: (n) rows with `title`, `source`, `language`, `published_at` (epoch ms).
        theta: Mean similarity to its members with which a headline still belongs to a story.
        before: By number, the rows of the stories that were there: their titles stay as `titles.choose_titles` says.
        newest: The time (epoch ms) up to which the last hours are counted; None: of the newest headline given.
        unchanged: Numbers of those of them that have the same headlines: they keep titles, keywords and lists.
        words: Of the titles, where they are kept from run to run.
        point: (n,) the same number for copies of a title; None: titles are compared.

    Returns:
        One row a story, ascending by `cluster_label`: `title`, `titles`, `challenged`, `previous_titles` (see
        `titles.choose_titles`), `keywords`, `languages`, `sources` (lists, most frequent first), `size`, `importance`,
        `first_published_at`, `last_published_at` (of the headlines given), `centroid` ((dim,), unit length), `reach` (the
        smallest similarity to the centroid with which the mean similarity to the members is theta: theta / |mean member
        vector|).
    """
    inside = np.flatnonzero(labels >= 0)
    if not len(inside):
        return pd.DataFrame(columns=_COLUMNS)
    numbers, own = np.unique(labels[inside], return_inverse=True)
    order = np.argsort(own, kind="stable")
    bounds = np.searchsorted(own[order], np.arange(len(numbers) + 1))
    means = _means(vectors, inside[order], bounds)
    lengths = np.maximum(np.linalg.norm(means, axis=1), 1e-9)
    centroids = (means / lengths[:, None]).astype(np.float32)
    times = headlines["published_at"].to_numpy(np.int64)[inside[order]]
    known = [(before or {}).get(number, {}) for number in numbers.tolist()]
    same = [
        number in unchanged and bool(row) and not row["challenged"]
        for number, row in zip(numbers.tolist(), known, strict=True)
    ]
    told = _told(
        headlines.iloc[inside].assign(story=own).reset_index(drop=True),
        inside,
        vectors,
        centroids,
        ~np.array(same, np.bool_),
        known,
        words or Words(),
    )
    latest = int(headlines["published_at"].max()) if newest is None else newest
    matters = importance(labels, headlines, latest, point)
    return pd.DataFrame(
        {
            "cluster_label": numbers,
            **{name: pd.Series([row[name] for row in told], dtype=object).to_numpy() for name in _TOLD},
            "size": np.diff(bounds),
            "importance": [matters[int(number)] for number in numbers],
            "first_published_at": np.minimum.reduceat(times, bounds[:-1]),
            "last_published_at": np.maximum.reduceat(times, bounds[:-1]),
            "centroid": list(centroids),
            "reach": np.minimum(_theta_of_arrivals(theta, len(labels)) / lengths, 1.0),
        },
        columns=_COLUMNS,
    )


def _told(
    members: pd.DataFrame,
    rows: Labels,
    vectors: Vectors,
    centroids: Vectors,
    asked: Flags,
    known: Sequence[Mapping[str, Any]],
    words: Words,
) -> list[dict[str, Any]]:
    """`_TOLD` of each story, anew for those that are asked for, as it is known of the others.

    Args:
        members: (m,) the headlines of all stories, with `story`, its place.
        rows: (m,) their rows in `vectors`.
        vectors: (n, dim)
        centroids: (stories, dim)
        asked: (stories,)
        known: (stories,) the rows of the stories that were there; empty for the others.
        words: Of the titles.
    """
    story = members["story"].to_numpy(np.int64)
    found = keywords(without_endings(members["title"].tolist()), story, members["language"], asked, words)
    told = [{name: row.get(name) for name in _TOLD} | {"challenged": [], "previous_titles": {}} for row in known]
    places, chosen = np.flatnonzero(asked), np.flatnonzero(asked[story])
    if not len(chosen):
        return told
    some = members.iloc[chosen].reset_index(drop=True)
    some["central"] = _closeness(vectors, rows[chosen], centroids, story[chosen])
    some["story"] = np.searchsorted(places, story[chosen])
    latest = some.groupby("story")["published_at"].transform("max")
    age = (latest - some["published_at"]) / 3_600_000
    some["fit"] = some["central"] - _RECENT * (1 - 0.5 ** (age / _TITLE_HALF_LIFE))
    titles = choose_titles(some, places, dict(enumerate(known)))
    grouped = some.groupby("story")
    for at, row, (_, languages), (_, sources) in zip(
        places.tolist(), titles.to_dict("records"), grouped["language"], grouped["source"], strict=True
    ):
        told[at] = {
            **{str(name): value for name, value in row.items()},
            "keywords": found[at],
            "languages": _most_frequent(map(primary_language, languages)),
            "sources": _most_frequent(sources),
        }
    return told


@kernel(parallel=True)
def _means(vectors: Vectors, rows: Labels, bounds: Labels) -> Values:
    """(stories, dim) of the rows from each bound to the next."""
    dim = vectors.shape[1]
    means = np.zeros((len(bounds) - 1, dim), np.float64)
    for story in parallel_range(len(bounds) - 1):
        for row in rows[bounds[story] : bounds[story + 1]]:
            for column in range(dim):
                means[story, column] += vectors[row, column]
        for column in range(dim):
            means[story, column] /= bounds[story + 1] - bounds[story]
    return means


@kernel(parallel=True)
def _closeness(vectors: Vectors, rows: Labels, centroids: Vectors, story: Labels) -> Values:
    """(m,) the similarity of each row to its story's centroid."""
    found = np.zeros(len(rows), np.float64)
    for place in parallel_range(len(rows)):
        for column in range(vectors.shape[1]):
            found[place] += np.float64(vectors[rows[place], column]) * np.float64(centroids[story[place], column])
    return found


def _theta_of_arrivals(theta: float, rows: int) -> float:
    """Among few rows theta tells them from each other, not from whatever else may arrive: then it is not taken as low."""
    return max(theta, _CHANCE) if rows < _FEW else theta


# What is said of a story's headlines.
_TOLD = ("title", "titles", "challenged", "previous_titles", "keywords", "languages", "sources")
_COLUMNS = [
    "cluster_label",
    *_TOLD,
    "size",
    "importance",
    "first_published_at",
    "last_published_at",
    "centroid",
    "reach",
]


def _most_frequent(values: Iterable[str]) -> list[str]:
    counts = Counter(value for value in values if value)
    return sorted(counts, key=lambda value: (-counts[value], value))
