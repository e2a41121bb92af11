"""Rows that the store's tests write."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from newstide.core.headline import Headline
from newstide.embedding.base import ModelCard
from newstide.milvus import HeadlineRow

DIM = 8
CARD = ModelCard("test-model", DIM, "0123456789abcdef" * 4)


def unit_vectors(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """(count, DIM) random unit vectors."""
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def headline_row(id_: str, vector: npt.NDArray[np.float32] | None = None, **changes: Any) -> HeadlineRow:
    """A row; `changes` of the headline's fields or of the row's."""
    own = {name: changes.pop(name) for name in list(changes) if name in HeadlineRow.__dataclass_fields__}
    headline = Headline(**{"id": id_, "title": f"Title of {id_}", "published_at": 1_000, **changes})
    return HeadlineRow(
        **{
            "headline": headline,
            "embedding": unit_vectors(1)[0] if vector is None else vector,
            "ingested_at": 2_000,
            **own,
        }
    )


def headline_rows(count: int, seed: int = 0) -> list[HeadlineRow]:
    """Rows `h00000`, `h00001`, ... published a millisecond apart."""
    vectors = unit_vectors(count, seed)
    return [headline_row(f"h{number:05}", vectors[number], published_at=number) for number in range(count)]


def story_frame(labels: list[int], **changes: Any) -> pd.DataFrame:
    """One story a label; `changes` hold for each of them."""
    vectors = unit_vectors(len(labels), seed=1)
    return pd.DataFrame(
        [
            {
                "cluster_label": label,
                "centroid": vectors[number],
                "title": f"Story {label}",
                "titles": {"en": f"Story {label}"},
                "challenged": [],
                "importance": 1.5,
                "first_seen_at": 3,
                "keywords": ["strike", "Łódź", 'a "quoted" word'],
                "languages": ["pl", "en"],
                "sources": [],
                "size": 3,
                "previous_size": 0,
                "first_published_at": 1_700_000_000_000,
                "last_published_at": 1_700_000_100_000,
                "reach": 0.5,
                "status": "open",
                "parents": [1, 2],
                "successor": -1,
                "former_ids": [],
                "created_run": 1,
                "updated_run": 2,
                **changes,
            }
            for number, label in enumerate(labels)
        ]
    )
