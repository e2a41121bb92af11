"""Names: a story's most central headline, its keywords by class-based TF-IDF, and its facts."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import CountVectorizer

from clustering.arrays import Labels, Vectors
from clustering.stories.importance import importance
from clustering.stories.titles import choose_titles
from newstide.core.language_means import primary_language
from newstide.core.outlets import without_endings

KEYWORDS = 8  # a story
_TITLE_HALF_LIFE = 24.0  # hours: of two equally central headlines, the newer one is the title
_RECENT = 0.1  # similarity that a headline loses by being infinitely older
_FEW = 50  # rows of a window
_CHANCE = 0.2  # mean + 2 deviations of random pairs in windows of thousands, .20 to .24 with three models and sets
_UNSPACED = r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]"  # kana, Han, Thai: written without spaces


def name_stories(
    labels: Labels,
    vectors: Vectors,
    headlines: pd.DataFrame,
    theta: float,
    *,
    before: Mapping[int, Mapping[str, Any]] | None = None,
    newest: int | None = None,
) -> pd.DataFrame:
    """Names the stories of a window.

    Args:
        labels: (n,) story number of each row, -1 = noise.
        vectors: (n, dim) unit rows in clustering space.
        headlines: (n) rows with `title`, `source`, `language`, `published_at` (epoch ms).
        theta: Mean similarity to its members with which a headline still belongs to a story.
        before: By number, the rows of the stories that were there: their titles stay as `titles.choose_titles` says.
        newest: The time (epoch ms) up to which the last hours are counted; None: of the newest headline given.

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
    starts = np.searchsorted(own[order], np.arange(len(numbers)))
    means = np.add.reduceat(vectors[inside[order]].astype(np.float64), starts, axis=0)
    sizes = np.bincount(own)
    means /= sizes[:, None]
    lengths = np.maximum(np.linalg.norm(means, axis=1), 1e-9)
    centroids = (means / lengths[:, None]).astype(np.float32)

    members = headlines.iloc[inside].assign(story=own).reset_index(drop=True)
    members["central"] = np.einsum("ij,ij->i", vectors[inside], centroids[own])
    latest = members.groupby("story")["published_at"].transform("max")
    age = (latest - members["published_at"]) / 3_600_000
    members["fit"] = members["central"] - _RECENT * (1 - 0.5 ** (age / _TITLE_HALF_LIFE))
    titles = choose_titles(members, numbers, before or {})
    matters = importance(labels, headlines, int(headlines["published_at"].max()) if newest is None else newest)
    grouped = members.groupby("story")
    return pd.DataFrame(
        {
            "cluster_label": numbers,
            **{name: titles[name] for name in titles},
            "keywords": _keywords(
                without_endings(members["title"].tolist()), own, members["language"].tolist(), len(numbers)
            ),
            "languages": [_most_frequent(map(primary_language, some)) for _, some in grouped["language"]],
            "sources": [_most_frequent(some) for _, some in grouped["source"]],
            "size": sizes,
            "importance": [matters[int(number)] for number in numbers],
            "first_published_at": grouped["published_at"].min().to_numpy(),
            "last_published_at": grouped["published_at"].max().to_numpy(),
            "centroid": list(centroids),
            "reach": np.minimum(_theta_of_arrivals(theta, len(labels)) / lengths, 1.0),
        },
        columns=_COLUMNS,
    )


def _theta_of_arrivals(theta: float, rows: int) -> float:
    """Among few rows theta tells them from each other, not from whatever else may arrive: then it is not taken as low."""
    return max(theta, _CHANCE) if rows < _FEW else theta


_COLUMNS = [
    "cluster_label",
    "title",
    "titles",
    "challenged",
    "previous_titles",
    "keywords",
    "languages",
    "sources",
    "size",
    "importance",
    "first_published_at",
    "last_published_at",
    "centroid",
    "reach",
]


def _keywords(titles: Sequence[str], own: Labels, languages: Iterable[str], count: int) -> list[list[str]]:
    """Class-based TF-IDF (Grootendorst 2022): tf x log(1 + words a class on average / frequency over all classes)."""
    vectorizer = CountVectorizer(analyzer=_WordSplitter(_stop_words(languages)))
    try:
        words = vectorizer.fit_transform(titles)
    except ValueError:  # nothing but stop words
        return _plain_words(titles, own, count)
    from scipy.sparse import csr_matrix

    classes = csr_matrix((np.ones(len(own)), (own, np.arange(len(own)))), shape=(count, len(own))) @ words
    frequency = np.asarray(classes.sum(axis=0)).ravel()
    weight = np.log(1 + classes.sum() / count / frequency)
    vocabulary = vectorizer.get_feature_names_out()
    keywords = []
    for row in range(count):
        start, stop = classes.indptr[row], classes.indptr[row + 1]
        columns, tf = classes.indices[start:stop], classes.data[start:stop]
        ranked = sorted(zip(-tf * weight[columns], vocabulary[columns], strict=True))
        keywords.append(_distinct(str(word) for _, word in ranked))
    return [some or plain for some, plain in zip(keywords, _plain_words(titles, own, count), strict=True)]


def _plain_words(titles: Sequence[str], own: Labels, count: int) -> list[list[str]]:
    """Each story's words by frequency, stop words among them: for those like "What we know so far"."""
    split = _WordSplitter(frozenset(), shortest=1)
    words: list[Counter[str]] = [Counter() for _ in range(count)]
    for story, title in zip(own, titles, strict=True):
        words[story].update(split(title))
    return [_distinct(sorted(some, key=lambda word: (-some[word], word))) for some in words]


class _WordSplitter:
    """A title's words: as they stand where words are spaced, as pairs of characters where they are not."""

    def __init__(self, stop_words: frozenset[str], shortest: int = 3) -> None:
        self._shortest = shortest
        self._stop_words = stop_words
        self._word = _word()
        self._unspaced = re.compile(f"{_UNSPACED}+")

    def __call__(self, title: str) -> list[str]:
        text = title.casefold()
        unspaced = [run[at : at + 2] for run in self._unspaced.findall(text) for at in range(max(len(run) - 1, 1))]
        spaced = self._word.findall(self._unspaced.sub(" ", text))
        return [word for word in spaced if word not in self._stop_words and len(word) >= self._shortest] + [
            pair for pair in unspaced if not all("\u3040" <= character <= "\u309f" for character in pair)
        ]


@cache
def _word() -> re.Pattern[str]:
    """A letter and what follows it; marks are part of a word, though not of re's: a vowel sign of Hindi or Tamil is one."""
    marks = re.escape("".join(chr(code) for code in range(0x20000) if unicodedata.category(chr(code))[0] == "M"))
    inside = rf"\w{marks}"
    return re.compile(rf"(?<![{inside}])[^\W\d_][{inside}'’\u200c\u200d-]*[{inside}]")


def _stop_words(languages: Iterable[str]) -> frozenset[str]:
    from stop_words import StopWordError, get_stop_words

    found: set[str] = set()
    for language in {primary_language(tag) for tag in languages} | {"en"}:
        try:
            found.update(get_stop_words(language))
        except StopWordError:  # it has no list for this language
            continue
    return frozenset(word.casefold() for word in found)


def _distinct(words: Iterable[str]) -> list[str]:
    """The first words of which none is a part of another."""
    kept: list[str] = []
    for word in words:
        if not any(word in other or other in word for other in kept):
            kept.append(word)
            if len(kept) == KEYWORDS:
                break
    return kept


def _most_frequent(values: Iterable[str]) -> list[str]:
    counts = Counter(value for value in values if value)
    return sorted(counts, key=lambda value: (-counts[value], value))
