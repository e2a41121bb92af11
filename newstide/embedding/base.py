"""What every embedding model offers, and the card that says which model made a collection's vectors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Which model made the vectors: stands in the collections' properties, and a mismatch is refused.

    Attributes:
        name: As in `embedding.model`.
        dim: Of its vectors.
        fingerprint: Hex digest of the weights.
        engine: What computes with them, and from which layout. Not compared: engines of one fingerprint agree at a cosine
            of 0.998 or more (`tests/test_e5.py`), so that their vectors may lie side by side.
        scripts: Those that its vocabulary writes, by their ISO 15924 codes (`newstide.embedding.scripts`); None where that
            is not known, or where it writes all. Follows from the weights, so not compared either.
    """

    name: str
    dim: int
    fingerprint: str
    engine: str = field(default="", compare=False)
    scripts: tuple[str, ...] | None = field(default=None, compare=False)


@runtime_checkable
class Embedder(Protocol):
    """A loaded model."""

    @property
    def card(self) -> ModelCard:
        """Name, dimension and weight fingerprint."""
        ...

    @property
    def languages(self) -> frozenset[str] | None:
        """Primary language subtags the model was trained on; None where it claims all."""
        ...

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeds texts, in order. Threads may share a model.

        Returns:
            (len(texts), dim), rows of unit length; (0, dim) for no texts.

        Raises:
            EmbedderError: The model failed or made something that is no unit vector.
        """
        ...
