"""Texts to vectors by CTranslate2 in 8-bit integers, with one thread a core.

No thread waits for another inside a product, as those of OpenMP do in busy loops: every core has a batch of its own.

The padding of a text depends on that text alone. Padding changes the order of sums, and rounding to 8 bits turns
a changed last digit into a cosine of 0.999: otherwise a text's vector would depend on its batch.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from newstide.core.errors import EmbedderError
from newstide.embedding.e5.instructions import ctranslate2
from newstide.embedding.e5.tokens import Tokenizer

Vectors = npt.NDArray[np.float32]

USE_INSTEAD = "Set NEWSTIDE_EMBEDDING_MODEL=use-multilingual (16 languages), which runs on any processor."
_TYPE = "int8"
_BATCH_TOKENS = 512  # tokens of a batch, padding included: as many as fit into a core's cache
_STEP = 2  # tokens: lengths are padded to whole steps, and only texts of one padded length share a batch
_MOST_WORKERS = 32


@dataclass(frozen=True, slots=True)
class Network:
    """The sizes of a model: rows of `dim` numbers, at most `positions` tokens, and a text's first and last token."""

    dim: int
    positions: int
    begin: int
    end: int


class Engine:
    """A loaded model. Threads may share it.

    Args:
        folder: A converted model; its files may be removed once the engine is made.
        network: The model's sizes.
        tokenizer: Cuts texts into its tokens.
        batch_size: The most texts that a core takes together.

    Raises:
        EmbedderError: This processor cannot run the model.
    """

    def __init__(self, folder: Path, network: Network, tokenizer: Tokenizer, batch_size: int) -> None:
        require_processor()
        self._network, self._tokenizer, self._most = network, tokenizer, batch_size
        self._workers = min(len(os.sched_getaffinity(0)), _MOST_WORKERS)
        self._encoder = ctranslate2.Encoder(
            str(folder), device="cpu", compute_type=_TYPE, inter_threads=self._workers, intra_threads=1
        )
        self._pool = ThreadPoolExecutor(self._workers, "e5")

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """(n, dim) the mean of each text's tokens; a text's vector does not depend on the others.

        A text of more tokens than the model has positions for is read window by window, without overlap, and the
        windows count by their tokens.
        """
        windows, owners, weights = self._windows(self._tokenizer(texts))
        sums = np.zeros((len(texts), self._network.dim), np.float32)
        batches = list(self._batches(windows))
        for batch, means in zip(batches, self._pool.map(lambda some: self._means(windows, some), batches), strict=True):
            np.add.at(sums, owners[batch], means * weights[batch, None])
        return sums

    def _windows(self, contents: Sequence[list[int]]) -> tuple[list[list[int]], npt.NDArray[np.intp], Vectors]:
        """The windows that the network reads, the text of each, and the share of that text's tokens in it."""
        begin, end, room = [self._network.begin], [self._network.end], self._network.positions - 2
        windows, owners, weights = [], [], []
        for number, ids in enumerate(contents):
            for start in range(0, len(ids), room):
                part = ids[start : start + room]
                windows.append(begin + part + end)
                owners.append(number)
                weights.append(len(part) / len(ids))
        return windows, np.array(owners, np.intp), np.array(weights, np.float32)

    def _batches(self, windows: Sequence[list[int]]) -> Iterator[list[int]]:
        """Windows of one padded length, the longest first, so that the last batch to end is a short one."""
        order = sorted(range(len(windows)), key=lambda number: -len(windows[number]))
        share = min(self._most, -(-len(windows) // self._workers))  # a few texts, too, are shared among the threads
        for length, group in groupby(order, lambda number: _padded(len(windows[number]))):
            same = list(group)
            most = max(1, min(share, _BATCH_TOKENS // length))
            for start in range(0, len(same), most):
                yield same[start : start + most]

    def _means(self, windows: Sequence[list[int]], batch: Sequence[int]) -> Vectors:
        """(len(batch), dim) the mean over all tokens of each window but padding."""
        rows = [windows[number] for number in batch]
        lengths = np.array([len(row) for row in rows], np.int32)
        ids = np.full((len(rows), _padded(int(lengths.max()))), self._network.end, np.int32)
        for padded, row in zip(ids, rows, strict=True):
            padded[: len(row)] = row
        view = ctranslate2.StorageView.from_array
        hidden = np.asarray(self._encoder.forward_batch(view(ids), view(lengths)).last_hidden_state)
        return np.stack([states[:length].mean(axis=0) for states, length in zip(hidden, lengths, strict=True)])


def _padded(length: int) -> int:
    return -(-length // _STEP) * _STEP


def require_processor() -> None:
    """Raises `EmbedderError` where CTranslate2 has no fast 8-bit integers on this processor."""
    types = ctranslate2.get_supported_compute_types("cpu")
    if _TYPE not in types:
        raise EmbedderError(
            f"multilingual-e5-small needs a processor with fast 8-bit integers; CTranslate2 offers {sorted(types)} here.",
            USE_INSTEAD,
        )


def engine_name() -> str:
    """The engine for the card: the library, its version, and the type of number in which it computes."""
    return f"ctranslate2 {ctranslate2.__version__} {_TYPE}"
