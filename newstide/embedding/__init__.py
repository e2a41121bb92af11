"""The embedding models, one file each, behind one protocol; loaded when first asked for, since some are slow."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from platformdirs import user_cache_path

from newstide.core.errors import EmbedderError
from newstide.core.settings import DEFAULT_MODEL, DEFAULT_TEXT, EmbeddingSettings
from newstide.embedding.base import Embedder, ModelCard
from newstide.embedding.checked_embedder import CheckedEmbedder
from newstide.embedding.headlines import with_text
from newstide.embedding.scripts import E5_SCRIPTS, USE_SCRIPTS

__all__ = ["PACKAGED", "Embedder", "ModelCard", "load_embedder", "unknown_languages"]

PACKAGED = {
    "multilingual-e5-small": E5_SCRIPTS,
    "use-multilingual": USE_SCRIPTS,
}  # the scripts that each model writes

_SENTENCE_TRANSFORMERS = "sentence-transformers:"
_ALIASES = {"nb": "no", "nn": "no", "iw": "he", "in": "id", "ji": "yi", "jw": "jv", "fil": "tl", "cmn": "zh"}


def load_embedder(settings: EmbeddingSettings, cache: Path | None = None) -> Embedder:
    """Loads the model that the settings name; where they name none, the default (see `newstide.milvus.model`).

    Args:
        settings: The name of the model, what of a headline is embedded, and how the model is run.
        cache: Where a converted model is kept; by default in the user's cache folder.

    Raises:
        EmbedderError: The model's package is missing, its weights cannot be fetched, or they are damaged.
    """
    found = _weights_of(DEFAULT_MODEL if settings.model is None else settings.model, settings, cache)
    return replace(found, card=with_text(found.card, settings.text or DEFAULT_TEXT))


def _weights_of(name: str, settings: EmbeddingSettings, cache: Path | None) -> CheckedEmbedder:
    if name.startswith(_SENTENCE_TRANSFORMERS) and name != _SENTENCE_TRANSFORMERS:
        from newstide.embedding.sentence_transformers import load

        return load(name.removeprefix(_SENTENCE_TRANSFORMERS), settings)
    if name not in _LOADERS:
        raise EmbedderError(
            f"embedding.model {name!r} is unknown.",
            f"The models are {', '.join(_LOADERS)} and {_SENTENCE_TRANSFORMERS}NAME_OR_PATH.",
        )
    return _LOADERS[name](settings, cache or user_cache_path("newstide"))


def unknown_languages(embedder: Embedder, languages: Iterable[str]) -> Counter[str]:
    """How many of the given languages the model was not trained on, by their primary subtag.

    Args:
        embedder: The model.
        languages: BCP 47 tags; an empty one or `und` means unknown, and is not counted.
    """
    known = embedder.languages
    if known is None:
        return Counter()
    primary = (language.replace("_", "-").partition("-")[0].lower() for language in languages)
    return Counter(
        language
        for language in primary
        if language and language != "und" and _ALIASES.get(language, language) not in known
    )


def _use_multilingual(settings: EmbeddingSettings, _cache: Path) -> CheckedEmbedder:
    from newstide.embedding.use_multilingual import load

    return load(settings)


def _bge_m3(settings: EmbeddingSettings, _cache: Path) -> CheckedEmbedder:
    from newstide.embedding.bge_m3 import load

    return load(settings)


def _multilingual_e5_small(settings: EmbeddingSettings, cache: Path) -> CheckedEmbedder:
    from newstide.embedding.e5 import load

    return load(settings, cache)


_LOADERS: Mapping[str, Callable[[EmbeddingSettings, Path], CheckedEmbedder]] = {
    "multilingual-e5-small": _multilingual_e5_small,
    "use-multilingual": _use_multilingual,
    "bge-m3": _bge_m3,
}
