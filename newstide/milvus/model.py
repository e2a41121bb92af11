"""Which model is used: that of the settings, else that of the vectors in Milvus, else the default model."""

from threading import Event

from newstide.core import logs
from newstide.core.errors import EmbedderError
from newstide.core.settings import EmbeddingSettings, Settings
from newstide.embedding import Embedder, ModelCard, load_embedder
from newstide.milvus import aliases, schema
from newstide.milvus.connection import Connection

log = logs.get("embedding")


def model_in_use(settings: Settings, *, stop: Event | None = None) -> Embedder:
    """Loads the model of an installation. Milvus is asked only where no model is set.

    Args:
        settings: Names the model and the address of Milvus; with neither, the default model is loaded.
        stop: Ends all waiting for Milvus.

    Raises:
        StoreUnavailable: No model is set, and Milvus does not answer which model its collections belong to.
        SchemaMismatch: The collections were made by something else.
        EmbedderError: The model cannot be loaded.
    """
    asked = settings.embedding.model is None and settings.milvus.uri is not None
    return model_for(settings, card_there(settings, stop) if asked else None)


def model_for(settings: Settings, there: ModelCard | None) -> Embedder:
    """Loads the model of an installation whose collections hold vectors of `there`; None where there are none yet.

    Raises:
        EmbedderError: The model cannot be loaded.
    """
    if settings.embedding.model is not None or there is None:
        return load_embedder(settings.embedding, settings.cache_dir)
    log.info("no model is set; the collections' model is used", model=there.name)
    try:
        return load_embedder(_with(settings.embedding, there.name), settings.cache_dir)
    except EmbedderError as error:
        raise EmbedderError(
            f"No model is set, and the collections' model, {there.name}, does not load: {error.message}",
            error.way_out or "Set NEWSTIDE_EMBEDDING_MODEL to that model's name or folder.",
        ) from error


def card_there(settings: Settings, stop: Event | None = None) -> ModelCard | None:
    """The model whose vectors readers of Milvus are led to; None where nothing has been made yet.

    Raises:
        StoreUnavailable: Milvus cannot be reached.
        SchemaMismatch: The collection was made by something else.
    """
    connection = Connection(settings.milvus, stop)
    try:
        prefix = settings.milvus.prefix
        suffix = aliases.suffix_in_use(connection, prefix)
        if suffix is None:
            return None
        name = f"{prefix}headlines{suffix}"
        description = connection.call(lambda client: dict(client.describe_collection(name, timeout=connection.timeout)))
        return schema.read_card(description, name)
    finally:
        connection.close()


def _with(settings: EmbeddingSettings, model: str) -> EmbeddingSettings:
    return settings.model_copy(update={"model": model})
