"""Any model that the package sentence-transformers loads, by hub name or folder."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from newstide.core.errors import EmbedderError
from newstide.core.settings import EmbeddingSettings
from newstide.embedding.checked_embedder import CheckedEmbedder, checked, loading, require_package
from newstide.embedding.hub import model_folder
from newstide.embedding.scripts import written_scripts

PREFIX = "sentence-transformers:"

_CHARACTERS_A_TOKEN = 16  # more than a token of any script is long


def load(name: str, settings: EmbeddingSettings) -> CheckedEmbedder:
    """Loads the model `name`, a folder or a name on the hub.

    Raises:
        EmbedderError: The extra `bge` is missing, or the model cannot be fetched or loaded.
    """
    shown = f"{PREFIX}{name}"
    require_package("sentence_transformers", "bge", shown)
    folder = model_folder(
        name,
        settings.hub_timeout.total_seconds(),
        lambda cached: bool(_weights(cached)),
        f"Name a folder that holds the model ({PREFIX}PATH), or choose another model.",
    )
    weights = _weights(folder)
    if not weights:
        raise EmbedderError(f"{folder} holds no weights (*.safetensors or *.bin).", "Fetch the whole model again.")
    with loading(shown, folder):
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(folder), device=settings.device)
        longest = model.max_seq_length
        model.max_seq_length = min(settings.max_tokens, longest or settings.max_tokens)

    def raw(texts: list[str]) -> npt.NDArray[np.float32]:
        vectors = model.encode(texts, batch_size=settings.batch_size, show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(vectors, np.float32)

    with loading(shown, folder):
        dim = raw(["newstide"]).shape[1]
    longest = _CHARACTERS_A_TOKEN * settings.max_tokens
    return checked(
        _card_name(name, folder), dim, weights, None, raw, longest=longest, scripts=_scripts(model.tokenizer)
    )


def _scripts(tokenizer: object) -> tuple[str, ...] | None:
    """The scripts that the tokenizer's vocabulary writes; None where it shows no vocabulary."""
    get = getattr(tokenizer, "get_vocab", None)
    return None if get is None else written_scripts(get())


def _card_name(name: str, folder: Path) -> str:
    """The model's name, or a folder's last part: paths differ between machines, the fingerprint tells models apart."""
    return f"{PREFIX}{folder.resolve().name if Path(name).expanduser().is_dir() else name}"


def _weights(folder: Path) -> list[Path]:
    """All weight files, including those of pooling and projection layers."""
    for pattern in ("*.safetensors", "*.bin"):
        if found := sorted(folder.rglob(pattern)):
            return found
    return []
