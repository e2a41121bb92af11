"""The collections: their fields, the version of the schema, and the model whose vectors they hold."""

from collections.abc import Mapping
from typing import Any, cast, get_args

import pandas as pd
from pymilvus import CollectionSchema, DataType, MilvusClient

from newstide.core import headline as contract
from newstide.core.errors import ModelMismatch, SchemaMismatch
from newstide.core.setting_types import EmbeddedText
from newstide.embedding.base import EARLIER_TEXT, ModelCard

SCHEMA_VERSION = "3"
UPGRADABLE = "2"  # the schema that `newstide_app.maintenance.upgrade` brings up to date in place
READABLE = ("1", "2", "3")  # schemas that a backup can read; `as_of_this_version` says what earlier stories lack
COLLECTIONS = (
    "headlines",
    "stories",
    "runs",
    "means",
)  # of one model; `events`, `tombstones` and `unfinished` belong to no model

_BYTES = 4  # of UTF-8 a character at most: a server counts a VARCHAR in bytes, Lite in characters
_TEXT: Mapping[str, int] = {
    "id": contract.MAX_ID_BYTES,
    "title": contract.MAX_TITLE * _BYTES,
    "source": contract.MAX_SOURCE * _BYTES,
    "url": contract.MAX_URL * _BYTES,
    "language": 35 * _BYTES,
    "status": 16,
    "kind": 16,
    "key": 80,
    "cause": 80,
    "point": 64,
    "content": 60_000,
}
VECTOR = {
    "headlines": "embedding",
    "stories": "centroid",
    "runs": "mean",
    "means": "mean",
    "events": "place",
    "tombstones": "place",
    "unfinished": "place",
}
_FILTERED = ("published_at", "ingested_at", "cluster_label", "label_run")
PRIMARY = {
    "headlines": "id",
    "stories": "cluster_label",
    "runs": "run",
    "means": "language",
    "events": "id",
    "tombstones": "key",
    "unfinished": "part",
}


def fields(kind: str, card: ModelCard, description_bytes: int) -> CollectionSchema:
    """The fields of one of `COLLECTIONS`."""
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    for field, type_ in _fields(kind).items():
        options: dict[str, Any] = {"is_primary": True} if field == PRIMARY[kind] else {}
        if type_ is DataType.FLOAT_VECTOR:
            options["dim"] = card.dim
        elif type_ is DataType.VARCHAR:
            options["max_length"] = _TEXT.get(field, description_bytes)
        schema.add_field(field, type_, **options)
    return schema


def indexes(kind: str, *, lite: bool) -> dict[str, list[dict[str, Any]]]:
    """The index of each field that has one; the second choice is for servers that do not know the first."""
    vector: dict[str, Any] = {"index_type": index_type(kind, lite=lite), "metric_type": "COSINE"}
    if vector["index_type"] == "HNSW":
        vector["params"] = {"M": 30, "efConstruction": 360}
    numbers = _FILTERED if kind == "headlines" else ()
    return {VECTOR[kind]: [vector]} | {
        field: [{"index_type": "INVERTED"}, {"index_type": "STL_SORT"}] for field in numbers
    }


def index_type(kind: str, *, lite: bool) -> str:
    """The vector index: exact where there are few rows, and on Lite, whose HNSW takes longer to build than it saves."""
    return "FLAT" if lite or kind != "headlines" else "HNSW"


def text_limits(description: Mapping[str, Any]) -> dict[str, int]:
    """How many bytes of UTF-8 each text field of a collection holds."""
    return {
        field["name"]: int(field["params"]["max_length"])
        for field in description["fields"]
        if field["type"] == DataType.VARCHAR
    }


def read_card(description: Mapping[str, Any], name: str, *, older: bool = False) -> ModelCard:
    """The model that made a collection's vectors; with `older`, also of a collection of an earlier version.

    Raises:
        SchemaMismatch: The collection was made by another version of newstide, or by something else.
    """
    properties = description.get("properties") or {}
    version = properties.get("newstide.schema")
    if version not in (READABLE if older else (SCHEMA_VERSION,)):
        made_by = "something other than newstide" if version is None else f"newstide with schema {version}"
        raise SchemaMismatch(
            f"The collection {name!r} was made by {made_by}; this newstide needs schema {SCHEMA_VERSION}.",
            "Set NEWSTIDE_MILVUS_PREFIX (or milvus.database) to keep newstide's collections apart."
            + _way_from(version),
        )
    return card_of(properties)


def card_of(properties: Mapping[str, str]) -> ModelCard:
    """The card that the properties of a collection or a backup name. An earlier version named no text.

    Raises:
        SchemaMismatch: A later version embedded what this one does not know.
    """
    text = properties.get("newstide.text", EARLIER_TEXT)
    if text not in get_args(EmbeddedText):
        raise SchemaMismatch(
            f"The vectors are of the text {text!r}, which this newstide does not know.",
            "Use the version that made them.",
        )
    return ModelCard(
        properties["newstide.model"],
        int(properties["newstide.dimension"]),
        properties["newstide.fingerprint"],
        properties.get("newstide.engine", ""),
        tuple(properties["newstide.scripts"].split()) if "newstide.scripts" in properties else None,
        cast("EmbeddedText", text),
    )


def as_of_this_version(stories: pd.DataFrame, finished: Mapping[int, int]) -> pd.DataFrame:
    """Stories of an earlier schema with what they lack; the next run that names them fills in titles and importance.

    Args:
        stories: Rows of `stories`, of any of the `READABLE` schemas.
        finished: When each run finished (epoch ms), by its number.
    """
    new = stories.copy()
    if "former_ids" not in new:  # before schema 2
        new["former_ids"] = pd.Series([[] for _ in range(len(new))], index=new.index, dtype=object)
    if "titles" not in new:  # before schema 3
        new["titles"] = pd.Series([{} for _ in range(len(new))], index=new.index, dtype=object)
        new["challenged"] = pd.Series([[] for _ in range(len(new))], index=new.index, dtype=object)
        new["importance"] = 0.0
        new["first_seen_at"] = [
            finished.get(int(run), int(first))
            for run, first in zip(new["created_run"], new["first_published_at"], strict=True)
        ]
    return new


def require_same_model(there: ModelCard, wanted: ModelCard, name: str) -> None:
    """Raises `ModelMismatch` unless both cards are of the same model, dimension and weights, and of the same text."""
    if (there.name, there.dim) == (wanted.name, wanted.dim) and there.text != wanted.text:
        raise ModelMismatch(
            f"The collection {name!r} holds vectors of {there.text!r}, but embedding.text is {wanted.text!r}: "
            "their vectors cannot be compared.",
            f"Set NEWSTIDE_EMBEDDING_TEXT={there.text} or leave it empty; `newstide reembed --to {there.name} --text "
            f"{wanted.text}` makes the vectors anew.",
        )
    if there != wanted:
        raise ModelMismatch(
            f"The collection {name!r} holds vectors of {_show(there)}, but the embedder is {_show(wanted)}: "
            "their vectors cannot be compared.",
            f"Set NEWSTIDE_EMBEDDING_MODEL={there.name}, or keep the new model's rows apart with "
            "NEWSTIDE_MILVUS_PREFIX.",
        )


def _fields(kind: str) -> dict[str, DataType]:
    number, text, vector, json = DataType.INT64, DataType.VARCHAR, DataType.FLOAT_VECTOR, DataType.JSON
    return {
        "headlines": {
            "id": text,
            "embedding": vector,
            "title": text,
            "description": text,
            "source": text,
            "url": text,
            "language": text,
            "published_at": number,
            "ingested_at": number,
            "cluster_label": number,
            "label_probability": DataType.FLOAT,
            "label_run": number,
        },
        "stories": {
            "cluster_label": number,
            "centroid": vector,
            "title": text,
            "titles": json,
            "challenged": json,
            "keywords": json,
            "languages": json,
            "sources": json,
            "size": number,
            "previous_size": number,
            "importance": DataType.FLOAT,
            "first_seen_at": number,
            "first_published_at": number,
            "last_published_at": number,
            "reach": DataType.FLOAT,
            "status": text,
            "parents": json,
            "successor": number,
            "former_ids": json,
            "created_run": number,
            "updated_run": number,
        },
        "runs": {
            "run": number,
            "mean": vector,
            "theta": DataType.DOUBLE,
            "status": text,
            "started_at": number,
            "finished_at": number,
            "parameters": json,
            "counts": json,
            "durations": json,
        },
        "means": {"language": text, "mean": vector, "count": number, "run": number},
        **_of_no_model(),
    }[kind]


def _of_no_model() -> dict[str, dict[str, DataType]]:
    """The fields of the collections that outlive a change of model."""
    number, text, vector, json = DataType.INT64, DataType.VARCHAR, DataType.FLOAT_VECTOR, DataType.JSON
    return {
        "events": {
            "id": text,
            "run": number,
            "at": number,
            "newest_at": number,
            "kind": text,
            "story": number,
            "title": text,
            "previous_titles": json,
            "size": number,
            "previous_size": number,
            "importance": DataType.FLOAT,
            "languages": json,
            "sources": json,
            "parents": json,
            "children": json,
            "successor": number,
            "place": vector,
        },
        "tombstones": {"key": text, "cause": text, "point": text, "title": text, "created_at": number, "place": vector},
        "unfinished": {"part": number, "parts": number, "mark": number, "content": text, "place": vector},
    }


def columns(kind: str) -> list[str]:
    """A collection's fields without its vector."""
    return [field for field in _fields(kind) if field != VECTOR[kind]]


def properties(card: ModelCard) -> dict[str, str]:
    """The properties in which a collection names its schema and its model."""
    return {
        "newstide.schema": SCHEMA_VERSION,
        "newstide.model": card.name,
        "newstide.dimension": str(card.dim),
        "newstide.fingerprint": card.fingerprint,
        "newstide.engine": card.engine,
        "newstide.text": card.text,
        **scripts_property(card),
    }


def scripts_property(card: ModelCard) -> dict[str, str]:
    """Which scripts the model's vocabulary writes, where this is known."""
    return {} if card.scripts is None else {"newstide.scripts": " ".join(card.scripts)}


def _way_from(version: str | None) -> str:
    """What brings the rows of an earlier schema over."""
    if version == UPGRADABLE:
        return " `newstide upgrade` brings them up to date where they are."
    return " `newstide backup` and `newstide restore` bring their rows over." if version in READABLE else ""


def _show(card: ModelCard) -> str:
    return f"{card.name} ({card.dim} dimensions, fingerprint {card.fingerprint[:12]})"
