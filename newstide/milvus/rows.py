"""Rows of the collections as dataclasses: headlines, runs, means and events, and the hits of a search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from newstide.core.headline import Headline


@dataclass(frozen=True, slots=True)
class HeadlineRow:
    """A headline as the consumer stores it. Times are epoch milliseconds; `label_run` 0 = provisional."""

    headline: Headline
    embedding: npt.NDArray[np.float32]  # (dim,), unit length
    ingested_at: int
    cluster_label: int = -1
    label_probability: float = 0.0
    label_run: int = 0

    @classmethod
    def read(cls, row: Mapping[Any, Any], embedding: npt.NDArray[np.float32]) -> "HeadlineRow":
        """A row as a query or a backup gives its columns, with this vector."""
        names = ("id", "title", "published_at", "description", "source", "url", "language")
        return cls(
            headline=Headline(**{name: row[name] for name in names}),
            embedding=embedding,
            ingested_at=int(row["ingested_at"]),
            cluster_label=int(row["cluster_label"]),
            label_probability=float(row["label_probability"]),
            label_run=int(row["label_run"]),
        )


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search found: for each query, keys and cosine similarities, best first; None and -inf fill up short rows."""

    ids: npt.NDArray[np.object_]  # (queries, limit)
    similarities: npt.NDArray[np.float32]  # (queries, limit)


@dataclass(frozen=True, slots=True)
class RunRow:
    """One finished run. Times are epoch milliseconds."""

    run: int
    mean: npt.NDArray[np.float32]  # (dim,): of all rows of the window
    theta: float
    started_at: int
    finished_at: int
    status: str = "finished"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    durations: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LanguageMean:
    """The mean vector of one language's rows; language `""` = unknown."""

    language: str
    mean: npt.NDArray[np.float32]  # (dim,)
    count: int
    run: int


@dataclass(frozen=True, slots=True)
class StoryEvent:
    """One change of a story, as it stands in `events` and on the topic `story-events`. Times are epoch milliseconds.

    Attributes:
        id: run/story/kind.
        run: The run that decided it.
        at: When it did.
        newest_at: When the newest headline that the run saw was published.
        kind: What happened, to which `story`; see `clustering.stories.lineage.Event`, also for the fields not named here.
        title: Of the story, after it.
        previous_titles: Of `retitled`: the titles that were replaced, by language; `""`: the story's own.
        importance: As the run decided it.
        languages: Of the story's headlines, most frequent first.
        sources: Likewise.
    """

    id: str
    run: int
    at: int
    newest_at: int
    kind: str
    story: int
    title: str
    size: int
    previous_size: int
    importance: float
    languages: Sequence[str] = ()
    sources: Sequence[str] = ()
    parents: Sequence[int] = ()
    children: Sequence[int] = ()
    successor: int = -1
    previous_titles: Mapping[str, str] = field(default_factory=dict)
