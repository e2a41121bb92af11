"""Rows made like news, for sizes that no labelled set has: stories of every size around the vectors of real headlines.

The bundled day is embedded with the default model. A made story's centre is a mixture of two or three real headlines'
vectors; its headlines lie around it as the real ones lie around the centres of their true stories, dimension by dimension.
Sizes of stories follow a power law, and a third of the headlines are in no story.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from newstide.core.headline import Headline
from newstide.core.settings import EmbeddingSettings
from newstide.embedding import ModelCard, load_embedder
from newstide.embedding.headlines import embed_headlines
from newstide.milvus import HeadlineRow
from producers.files import read_files
from producers.rows import Row
from producers.sample import day_file, true_stories

Vectors = npt.NDArray[np.float32]

DAY = 86_400_000  # milliseconds
BEGIN = 1_760_000_000_000  # epoch ms of the first row
_SHARE_ALONE = 1 / 3  # of the headlines
_ROWS_A_STORY = 12  # on average
_STEEPNESS = 0.9  # of the power law of stories' sizes
_APART = 0.5  # deviations of a real headline from the mean of all that a made story's centre is moved by
_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class RealDay:
    """What is taken from the bundled day: the default model's card, vectors, and how headlines lie around their stories.

    Attributes:
        card: Of the model.
        vectors: (m, dim) unit rows.
        within: (dim,) standard deviation of headlines around the centre of their true story.
        among: (dim,) standard deviation of headlines around the mean of all.
        titles: (m,)
    """

    card: ModelCard
    vectors: Vectors
    within: Vectors
    among: Vectors
    titles: list[str]


def real_day(cache: Path) -> RealDay:
    """Embeds the bundled day with the default model; the vectors are kept at `cache`."""
    embedder = load_embedder(EmbeddingSettings())
    rows = [row.headline for row in read_files([day_file()]) if isinstance(row, Row)]
    path = cache / f"day_{embedder.card.fingerprint[:12]}.npy"
    if path.exists():
        vectors = np.load(path)
    else:
        vectors = embed_headlines(embedder, rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, vectors)
    truth = true_stories()
    _, story = np.unique([truth[row.id] for row in rows], return_inverse=True)
    sizes = np.bincount(story)
    centres = np.zeros((len(sizes), vectors.shape[1]))
    np.add.at(centres, story, vectors)
    centres /= sizes[:, None]
    some = sizes[story] >= 3
    within = (vectors[some] - centres[story[some]]).std(axis=0)
    return RealDay(
        embedder.card,
        vectors.astype(np.float32),
        within.astype(np.float32),
        vectors.std(axis=0).astype(np.float32),
        [row.title for row in rows],
    )


class News:
    """A stream of made rows, the same for the same seed, however many are taken at once.

    Args:
        day: What they are made like.
        rows: How many rows the window of seven days is going to hold: stories are as many as belong to it.
        seed: Of everything.
    """

    def __init__(self, day: RealDay, rows: int, seed: int = 42) -> None:
        self._day = day
        rng = np.random.default_rng(seed)
        stories = max(2, int(rows * (1 - _SHARE_ALONE)) // _ROWS_A_STORY)
        share = 1 / np.arange(1, stories + 1) ** _STEEPNESS
        self._share = np.cumsum(share / share.sum())
        self._centres = self._directions(rng, stories)
        words = sorted({word for title in day.titles for word in title.split() if len(word) > 3})
        self._words = np.array(words, object)
        self._topics = rng.integers(0, len(words), (stories, 9))
        self._rng = rng
        self._made = 0

    def take(self, count: int, begin: int, end: int) -> Iterator[list[HeadlineRow]]:
        """Rows in parts, published evenly between two times (epoch ms), in order."""
        times = np.linspace(begin, end, count, endpoint=False).astype(np.int64).tolist()
        for start in range(0, count, _AT_ONCE):
            yield self._part(times[start : start + _AT_ONCE])

    def _part(self, times: list[int]) -> list[HeadlineRow]:
        rng, n = self._rng, len(times)
        story = np.searchsorted(self._share, rng.random(n)).clip(0, len(self._share) - 1)
        alone = rng.random(n) < _SHARE_ALONE
        centres = self._centres[story]
        centres[alone] = self._directions(rng, int(alone.sum()))
        noise = rng.standard_normal(centres.shape, np.float32) * self._day.within
        vectors = centres + noise * rng.uniform(0.6, 1.1, (n, 1)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        topics = self._topics[story]
        topics[alone] = rng.integers(0, len(self._words), (int(alone.sum()), 9))
        shown = np.argsort(rng.random(topics.shape), axis=1)[:, :6]
        titles = self._words[np.take_along_axis(topics, shown, axis=1)]
        extra = self._words[rng.integers(0, len(self._words), n)]
        sources = rng.integers(0, 200, n).tolist()
        made = []
        for row, at in enumerate(times):
            number = self._made + row
            headline = Headline(
                id=f"{number * 2654435761 % 2**32:08x}{number:08x}",
                title=" ".join([*titles[row], extra[row]]),
                description="",
                source=f"Source {sources[row]}",
                url=f"https://news.example/{number}",
                language=("en", "de", "fr", "es")[sources[row] % 4],
                published_at=at,
            )
            made.append(HeadlineRow(headline, vectors[row], at))
        self._made += n
        return made

    def _directions(self, rng: np.random.Generator, count: int) -> Vectors:
        """Centres of stories: mixtures of real headlines, moved by as much as these differ."""
        real = self._day.vectors
        weights = rng.dirichlet(np.ones(3), count).astype(np.float32)
        chosen = rng.integers(0, len(real), (count, 3))
        mixed = np.zeros((count, real.shape[1]), np.float32)
        for place in range(3):
            mixed += weights[:, place, None] * real[chosen[:, place]]
        mixed += _APART * rng.standard_normal(mixed.shape, np.float32) * self._day.among
        return mixed
