"""What every embedding model offers, and the card that says which model made a collection's vectors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from newstide.core.setting_types import EmbeddedText

EARLIER_TEXT: EmbeddedText = "title+description"  # what versions embedded that had no setting for it


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Which model made the vectors: a collection's properties hold the card, and a mismatch is refused.

    Attributes:
        name: The model's name, as in the setting `embedding.model`.
        dim: The dimensions of its vectors.
        fingerprint: Hex digest of the weights, and of what of a headline is embedded (`newstide.embedding.headlines`).
        engine: The library that computes the vectors, and the layout of its weights. Engines are not compared, since
            those of one fingerprint agree at a cosine of 0.998 or more (`tests/e5/test_vectors.py`): a
            collection may hold both.
        scripts: ISO 15924 codes of the scripts that its vocabulary writes (`newstide.embedding.scripts`); None where
            they are not known, or the vocabulary writes all. Scripts follow from the weights, so they are not compared.
        text: What of a headline is embedded, as in the setting `embedding.text`. The fingerprint holds it.
    """

    name: str
    dim: int
    fingerprint: str
    engine: str = field(default="", compare=False)
    scripts: tuple[str, ...] | None = field(default=None, compare=False)
    text: EmbeddedText = field(default=EARLIER_TEXT, compare=False)


@runtime_checkable
class Embedder(Protocol):
    """A loaded model."""

    @property
    def card(self) -> ModelCard:
        """Name, dimension and fingerprint."""
        ...

    @property
    def languages(self) -> frozenset[str] | None:
        """Primary language subtags the model was trained on; None where it claims to know all."""
        ...

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeds texts, in order. Threads may share a model.

        Returns:
            (len(texts), dim), rows of unit length; (0, dim) for no texts.

        Raises:
            EmbedderError: The model failed, or made something other than unit vectors.
        """
        ...
