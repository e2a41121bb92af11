"""Which model is used, and on which text: those of the settings, else those of the vectors in Milvus, else the defaults."""

from threading import Event

from newstide.core import logs
from newstide.core.errors import EmbedderError
from newstide.core.settings import DEFAULT_TEXT, Settings
from newstide.embedding import Embedder, ModelCard, load_embedder
from newstide.milvus import aliases, schema
from newstide.milvus.connection import Connection

log = logs.get("embedding")


def model_in_use(settings: Settings, *, stop: Event | None = None) -> Embedder:
    """Loads the model of an installation. Milvus is asked only where no model is set, or not what it embeds.

    Args:
        settings: Names the model and the address of Milvus; with neither, the default model is loaded.
        stop: Ends all waiting for Milvus.

    Raises:
        StoreUnavailable: Milvus does not answer which model its collections belong to.
        SchemaMismatch: The collections were made by something else.
        EmbedderError: The model cannot be loaded.
    """
    asked = None in (settings.embedding.model, settings.embedding.text) and settings.milvus.uri is not None
    return model_for(settings, card_there(settings, stop) if asked else None)


def model_for(settings: Settings, there: ModelCard | None) -> Embedder:
    """Loads the model of an installation whose collections hold vectors of `there`; None where there are none yet.

    Raises:
        EmbedderError: The model cannot be loaded.
    """
    chosen = settings.embedding
    if there is None:
        return load_embedder(chosen, settings.cache_dir)
    if chosen.text is None:
        if there.text != DEFAULT_TEXT:
            log.info("embedding.text is not set; the collections' is used", text=there.text)
        chosen = chosen.model_copy(update={"text": there.text})
    if chosen.model is not None:
        return load_embedder(chosen, settings.cache_dir)
    log.info("no model is set; the collections' model is used", model=there.name)
    try:
        return load_embedder(chosen.model_copy(update={"model": there.name}), settings.cache_dir)
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
