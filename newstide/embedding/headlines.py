"""What of a headline becomes its vector: the setting `embedding.text`, the same wherever headlines are embedded.

A description moves a vector. Where only some headlines of a stream have a description, those with one would lie apart from
those without. So by default a vector is the normalised sum of two: of the title, and, with `DESCRIBED` times the weight, of
the title with the description.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from newstide.core.headline import Headline
from newstide.core.setting_types import EmbeddedText
from newstide.embedding.base import EARLIER_TEXT, Embedder, ModelCard

DESCRIBED = 1.5  # docs/decisions/2026-11-29-embedded-text.md has other weights
_SHORTEST = 1e-3  # of such a sum that still has a direction


def embed_headlines(embedder: Embedder, headlines: Sequence[Headline]) -> npt.NDArray[np.float32]:
    """(n, dim) unit vectors of headlines, by the way that the embedder's card names.

    Raises:
        EmbedderError: The model failed.
    """
    return embed(embedder, [one.title_alone for one in headlines], [one.description for one in headlines])


def embed(
    embedder: Embedder, titles: Sequence[str], descriptions: Sequence[str], way: EmbeddedText | None = None
) -> npt.NDArray[np.float32]:
    """(n, dim) unit vectors of titles (n,) and descriptions (n,), which may be empty.

    Args:
        embedder: The model.
        titles: Without the outlet's name.
        descriptions: Of the same headlines.
        way: Instead of the way that the embedder's card names.

    Raises:
        EmbedderError: The model failed.
    """
    way = way or embedder.card.text
    if way == "title":
        return embedder.encode(titles)
    texts = [f"{title}\n{more}" if more else title for title, more in zip(titles, descriptions, strict=True)]
    if way == "title+description":
        return embedder.encode(texts)
    place = {text: at for at, text in enumerate(dict.fromkeys((*titles, *texts)))}  # copies of a text are embedded once
    vectors = embedder.encode(list(place))
    of_titles = vectors[[place[title] for title in titles]]
    sums = of_titles + DESCRIBED * vectors[[place[text] for text in texts]]
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    described = np.array([bool(more) for more in descriptions], np.bool_)[:, None] & (lengths > _SHORTEST)
    return np.where(described, sums / np.maximum(lengths, _SHORTEST), of_titles)


def with_text(card: ModelCard, way: EmbeddedText) -> ModelCard:
    """The card of the model's weights as that of vectors made in this way: vectors of two ways cannot be compared.

    The fingerprint names both. That of titles with descriptions in one text is the weights' alone, as versions had it that
    knew no other way.
    """
    if way == EARLIER_TEXT:
        return replace(card, text=way)
    weight = f" {DESCRIBED}" if way == "both" else ""
    digest = hashlib.sha256(f"{card.fingerprint}\n{way}{weight}".encode()).hexdigest()[: len(card.fingerprint)]
    return replace(card, fingerprint=digest, text=way)
