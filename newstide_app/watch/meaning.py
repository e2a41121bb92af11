"""How alike an event's title is to the sentence of a watch, in the space in which headlines are compared."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from newstide.core.errors import EmptyStore
from newstide.core.language_means import Means, Vectors, centre
from newstide.core.settings import Settings
from newstide.embedding import Embedder
from newstide.milvus import open_store
from newstide.milvus.model import model_for
from newstide_app.services.endpoints import with_endpoints
from newstide_app.watch.events import StoryEvent

_KNOWN_FOR = 60.0  # seconds that means and chance are taken for, which a run changes a little


class Meanings:
    """The sentences of watches, and the last run's measure of chance: mean and deviation of random pairs' similarity.

    Args:
        settings: Where Milvus is.
        sentences: By the watch's name.
    """

    def __init__(self, settings: Settings, sentences: Mapping[str, str]) -> None:
        self._settings = settings
        self._sentences = sentences
        self._embedder: Embedder | None = None
        self._vectors: dict[str, Vectors] = {}
        self._chance: tuple[float, float] | None = None
        self._means: Means | None = None
        self._read_at = -_KNOWN_FOR

    def deviations(self, watch: str, events: Sequence[StoryEvent]) -> list[float]:
        """For each event, by how many standard deviations above chance its title is alike to the watch's sentence.

        Before the first run nothing is known of chance, and nothing is alike.

        Raises:
            StoreUnavailable: Milvus cannot be reached.
        """
        if time.monotonic() - self._read_at > _KNOWN_FOR:
            self._read()
        if self._chance is None or self._means is None or self._embedder is None:
            return [-np.inf] * len(events)
        languages = [event.languages[0] if event.languages else "" for event in events]
        titles = self._embedder.encode([event.title for event in events])
        return above_chance(titles, languages, self._vectors[watch], self._means, self._chance)

    def _read(self) -> None:
        """The model once, and the last run's figures."""
        try:
            store = open_store(with_endpoints(self._settings).milvus, None)
        except EmptyStore:
            return
        try:
            last = store.last_run()
            if self._embedder is None or self._embedder.card != store.card:
                self._embedder = model_for(self._settings, store.card)
                sentences = self._embedder.encode(list(self._sentences.values()))
                self._vectors = dict(zip(self._sentences, sentences, strict=True))
            if last is not None and (chance := last.counts.get("random_pairs")) and chance["deviation"] > 0:
                self._chance = chance["mean"], chance["deviation"]
                self._means = Means(last.mean, {one.language: (one.mean, one.count) for one in store.means()})
        finally:
            store.close()
        self._read_at = time.monotonic()


def above_chance(
    titles: Vectors, languages: Sequence[str], sentence: Vectors, means: Means, chance: tuple[float, float]
) -> list[float]:
    """By how many standard deviations above chance titles are alike to a sentence.

    Args:
        titles: (n, dim) embeddings.
        languages: (n,) BCP 47 tags, empty where unknown.
        sentence: (dim,) an embedding; its language is not known.
        means: Of the space in which headlines are compared.
        chance: Mean and standard deviation of random pairs' similarity there.
    """
    mean, deviation = chance
    alike = centre(titles, languages, means) @ centre(sentence[None], [""], means)[0]
    return [float(one) for one in (alike - mean) / deviation]
