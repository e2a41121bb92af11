"""The store as the API reads it: opened at the first question, again after Milvus has been away."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import numpy as np
import numpy.typing as npt
import pandas as pd

from newstide.core.errors import ModelMismatch, StoreRefused, StoreSlow, StoreUnavailable
from newstide.core.settings import Settings
from newstide.embedding import Embedder
from newstide.milvus import Store, open_store
from newstide.milvus.model import model_for
from newstide.milvus.schema import require_same_model
from newstide_app.queries import Lately
from newstide_app.services.endpoints import with_endpoints

T = TypeVar("T")

_AT_ONCE = 4  # questions to Milvus; pages are served beside them
_PATIENCE = timedelta(seconds=20)  # a reader at a browser does not wait as long as a service does
_KEPT = 10.0  # seconds
_SHARED = 1.0  # seconds for which an answer is given to all who ask the same
_AWAY = 2.0  # seconds for which nobody else tries


class Reader:
    """A store that may be away. Its methods may be called from any task; the work is done in threads of its own."""

    def __init__(self, settings: Settings) -> None:
        timeout = min(settings.milvus.timeout, _PATIENCE)
        self._settings = settings.updated(milvus={"timeout": timeout})
        self._limiter: anyio.CapacityLimiter | None = None
        self._opening, self._encoding = threading.Lock(), threading.Lock()
        self._store: Store | None = None
        self._asking: Counter[Store] = Counter()  # questions at work, by the store they ask
        self._embedder: Embedder | None = None
        self._stories: tuple[int, float, pd.DataFrame] | None = None
        self._away: tuple[float, StoreUnavailable] | None = None
        self._shared: dict[str, asyncio.Future[Any]] = {}
        self.lately = Lately()

    async def read(self, question: Callable[[Store], T], same: str = "") -> T:
        """Asks the store something.

        Args:
            question: Asked in a thread, with the store.
            same: Names the question: whoever asks the same while it is being asked, or within a second after, gets the
                same answer, so that many readers of one page are one reader to Milvus. Empty: it is asked by itself.

        Raises:
            StoreSlow: Milvus did not answer this question in time; others are asked all the same.
            StoreUnavailable: Milvus is away; within two seconds after it was found so, at once.
            EmptyStore: Nothing has been ingested yet.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_AT_ONCE)
        if not same:
            return await anyio.to_thread.run_sync(self._read, question, limiter=self._limiter)
        asked = self._shared.get(same)
        if asked is None:
            asked = self._shared[same] = asyncio.ensure_future(
                anyio.to_thread.run_sync(self._read, question, limiter=self._limiter)
            )
            asked.add_done_callback(lambda done: self._forget_soon(same, done))
        answer: T = await asyncio.shield(asked)  # a reader who goes away takes no answer from the others
        return answer

    def _forget_soon(self, same: str, done: "asyncio.Future[Any]") -> None:
        """An answer is kept for a second, an error for nobody."""
        if done.cancelled() or done.exception() is not None:
            self._shared.pop(same, None)
        else:
            done.get_loop().call_later(_SHARED, self._shared.pop, same, None)

    def stories(self, store: Store) -> pd.DataFrame:
        """All stories, kept until the next run; not for long, since headlines may be taken down between two runs."""
        last = store.last_run()
        run = 0 if last is None else last.run
        kept, now = self._stories, time.monotonic()
        if kept is not None and kept[0] == run and now - kept[1] < _KEPT:
            return kept[2]
        stories = store.stories().drop(columns=["former_ids", "challenged"])
        self._stories = (run, now, stories)
        return stories

    def vector(self, store: Store, text: str) -> npt.NDArray[np.float32]:
        """(1, dim) a text as the store's model sees it; the model is loaded with the first.

        Raises:
            EmbedderError: The model cannot be loaded.
            ModelMismatch: The store holds another model's vectors.
        """
        with self._encoding:
            unset = None in (self._settings.embedding.model, self._settings.embedding.text)
            if self._embedder is None or (unset and self._embedder.card != store.card):
                self._embedder = model_for(self._settings, store.card)
            require_same_model(store.card, self._embedder.card, self._settings.milvus.prefix + "headlines")
            vectors: npt.NDArray[np.float32] = self._embedder.encode([text])
        return vectors

    def close(self) -> None:
        """Closes the store, once nobody asks it any more."""
        with self._opening:
            store = self._store
        if store is not None:
            self._drop(store)

    def _read(self, question: Callable[[Store], T]) -> T:
        with self._lent() as store:
            try:
                return question(store)
            except StoreSlow:
                raise  # others ask meanwhile, and are answered
            except StoreUnavailable as error:
                self._away = (time.monotonic(), error)
                self._drop(store)
                raise
            except (StoreRefused, ModelMismatch):
                self._drop(store)  # the collections may be others by now
                raise

    @contextmanager
    def _lent(self) -> Iterator[Store]:
        """A store that stays open until it is given back."""
        with self._opening:
            store = self._opened()
            self._asking[store] += 1
        try:
            yield store
        finally:
            with self._opening:
                self._asking[store] -= 1
                left = not self._asking[store]
                if left:
                    del self._asking[store]
                unwanted = left and store is not self._store
            if unwanted:
                store.close()

    def _drop(self, store: Store) -> None:
        """Drops the store: the next question opens another, and the last reader of this one closes it."""
        with self._opening:
            if self._store is store:
                self._store = None
                if not self._asking[store]:
                    store.close()

    def _opened(self) -> Store:
        if self._away is not None and time.monotonic() - self._away[0] < _AWAY:
            raise StoreUnavailable(self._away[1].message, self._away[1].way_out)
        self._away = None
        if self._store is None:
            self._stories = None
            self.lately = Lately()
            self._store = self._try_to_open()
        return self._store

    def _try_to_open(self) -> Store:
        try:
            return open_store(with_endpoints(self._settings).milvus, None)
        except StoreUnavailable as error:
            self._away = (time.monotonic(), error)
            raise
