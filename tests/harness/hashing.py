"""A model that costs nothing, for tests of the loop around it: words hashed into a unit vector."""

import hashlib
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from newstide.core.errors import EmbedderError
from newstide.embedding.base import ModelCard

DIM = 32
POISON = "poison"  # a text with this word cannot be embedded


class Hashing:
    """Deterministic; `seconds` a call, where a slow model is wanted."""

    card = ModelCard("hashing", DIM, "0" * 64)
    languages: frozenset[str] | None = None

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(len(texts), DIM) unit rows."""
        time.sleep(self.seconds)
        if any(POISON in text for text in texts):
            raise EmbedderError("A text cannot be embedded.")
        seeds = [hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest() for text in texts]
        rows = np.stack([np.frombuffer(seed, np.uint8).astype(np.float32) - 127.5 for seed in seeds])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
