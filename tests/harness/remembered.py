"""Models that a process loads once, and texts that it embeds once: many tests read the same bundled day.

A vector is then that of the batch in which its text was met first; a model's vectors differ in their last digits from batch
to batch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from newstide import embedding
from newstide.core.settings import EmbeddingSettings
from newstide.embedding import PACKAGED, Embedder, ModelCard

_models: dict[tuple[str, str, Path], "_Remembering"] = {}


class _Remembering:
    """An embedder that keeps what it has embedded."""

    def __init__(self, model: Embedder) -> None:
        self._model = model
        self._vectors: dict[str, npt.NDArray[np.float32]] = {}

    @property
    def card(self) -> ModelCard:
        return self._model.card

    @property
    def languages(self) -> frozenset[str] | None:
        return self._model.languages

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """See `Embedder.encode`."""
        new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        if isinstance(texts, str) or not texts:
            return self._model.encode(texts)
        if new:
            self._vectors.update(zip(new, self._model.encode(new), strict=True))
        return np.stack([self._vectors[text] for text in texts])


@contextmanager
def remembered() -> Iterator[None]:
    """Within the block the packaged models are loaded and asked once."""

    def once(
        name: str, load: Callable[[EmbeddingSettings, Path], Embedder]
    ) -> Callable[[EmbeddingSettings, Path], Embedder]:
        def loaded(settings: EmbeddingSettings, cache: Path) -> Embedder:
            key = name, settings.model_dump_json(), cache
            if key not in _models:
                _models[key] = _Remembering(load(settings, cache))
            return _models[key]

        return loaded

    loaders = {name: once(name, load) if name in PACKAGED else load for name, load in embedding._LOADERS.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "_LOADERS", loaders)
        yield
