"""Models that a process loads once, and texts that it embeds once: many tests read the same bundled day.

A vector is then that of the batch in which its text was met first; a model's vectors differ in their last digits from batch
to batch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from newstide import embedding
from newstide.core.settings import EmbeddingSettings
from newstide.embedding import PACKAGED, Embedder, ModelCard

_models: dict[tuple[str, str, Path], "_Remembering"] = {}


@dataclass(frozen=True)
class _Remembering:
    """An embedder that keeps what it has embedded."""

    card: ModelCard
    languages: frozenset[str] | None
    _model: Embedder
    _vectors: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)

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
            key = name, settings.model_copy(update={"text": None}).model_dump_json(), cache
            if key not in _models:
                model = load(settings, cache)
                _models[key] = _Remembering(model.card, model.languages, model)
            return _models[key]

        return loaded

    loaders = {name: once(name, load) if name in PACKAGED else load for name, load in embedding._LOADERS.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "_LOADERS", loaders)
        yield
