"""Vectors that any processor makes the same, bit for bit: for tests of what is computed from vectors."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

DIM = 32


def word_vectors(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """(len(texts), 32) unit rows: the normalised sum of what each word's SHA-256 digest holds as numbers.

    The sums are of half integers, so they are exact in whichever order they are made, and so is their squares' sum; root and
    quotient are rounded as IEEE 754 demands. A model's vectors differ in their last digits from processor to processor.
    """
    rows = np.stack([sum((_numbers(word) for word in text.lower().split()), np.zeros(DIM)) for text in texts])
    lengths = np.sqrt(np.array([float(row @ row) for row in rows]))
    return np.asarray(rows / lengths[:, None], np.float32)


def _numbers(word: str) -> npt.NDArray[np.float64]:
    return np.frombuffer(hashlib.sha256(word.encode()).digest(), np.uint8).astype(np.float64) - 127.5
