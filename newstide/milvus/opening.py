"""Makes a collection ready: it exists, newstide made it, for the right model, and it is indexed and loaded."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from newstide.core.errors import EmptyStore
from newstide.embedding.base import ModelCard
from newstide.milvus import schema
from newstide.milvus.connection import Connection


def open_collection(
    connection: Connection,
    kind: str,
    name: str,
    card: ModelCard | None,
    *,
    make: bool,
    description_bytes: int,
    older: bool = False,
) -> tuple[ModelCard, dict[str, int]]:
    """Makes one collection ready; what an earlier attempt left half done is completed.

    Args:
        connection: To Milvus.
        kind: One of `schema.COLLECTIONS`.
        name: What it is called in Milvus.
        card: The model that must have made its vectors; None accepts any model.
        make: Whether to make a missing collection, for which `card` must be given.
        description_bytes: The size of the description's field, where the collection is made.
        older: Whether a collection of an earlier version is accepted.

    Returns:
        The model of its vectors, and how many bytes of UTF-8 each text field holds.

    Raises:
        EmptyStore: The collection is missing, and `make` is false.
        SchemaMismatch, ModelMismatch: Another program, version or model made the collection.
    """

    def prepare(client: MilvusClient) -> tuple[ModelCard, dict[str, int]]:
        if not client.has_collection(name, timeout=connection.timeout):
            if card is None or not make:
                raise EmptyStore(
                    f"Nothing has been ingested yet: Milvus at {connection.uri} has no collection {name!r}.",
                    "Start `newstide consume` and send headlines with `newstide produce`.",
                )
            _create(client, name, schema.fields(kind, card, description_bytes), schema.properties(card))
        description = dict(client.describe_collection(name, timeout=connection.timeout))
        found = schema.read_card(description, name, older=older)
        schema.require_same_model(found, card or found, name)
        if (
            card is not None and card.scripts is not None and found.scripts is None
        ):  # an earlier version made the collection
            client.alter_collection_properties(name, schema.scripts_property(card), timeout=connection.timeout)
            found = replace(found, scripts=card.scripts)
        if make:
            for field, choices in schema.indexes(kind, lite=connection.lite).items():
                _index(client, name, field, choices, connection.slow_timeout)
        connection.load(client, name)
        return found, schema.text_limits(description)

    return connection.call(prepare)


def _create(client: MilvusClient, name: str, fields: Any, properties: dict[str, str]) -> None:
    try:
        client.create_collection(name, schema=fields, properties=properties, consistency_level="Bounded")
    except MilvusException:  # another service that starts at the same time may be quicker
        if not client.has_collection(name):
            raise


def _index(client: MilvusClient, name: str, field: str, choices: Sequence[dict[str, Any]], timeout: float) -> None:
    for choice in choices:
        if client.list_indexes(name, field):
            return
        wanted = client.prepare_index_params()
        wanted.add_index(field, **choice)
        try:
            client.create_index(
                name, wanted, timeout=timeout, sync=False
            )  # else the client sleeps until the index is built, which loading waits for anyway
        except MilvusException:
            if choice is choices[-1] and not client.list_indexes(name, field):
                raise
