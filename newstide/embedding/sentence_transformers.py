"""Any model that the package sentence-transformers loads, by hub name or folder."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from newstide.embedding.base import Embedder
from newstide.embedding.bge_m3 import model_folder
from newstide.embedding.checks import checked, missing
from newstide.errors import EmbedderError
from newstide.settings import EmbeddingSettings


def load(name: str, settings: EmbeddingSettings) -> Embedder:
    """Loads the model.

    Raises:
        EmbedderError: The extra `bge` is missing, the model cannot be had or is not one.
    """
    shown = f"sentence-transformers:{name}"
    folder = model_folder(name, settings.hub_timeout.total_seconds(), shown)
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise missing("bge", "sentence-transformers", shown) from error
    try:
        model = SentenceTransformer(str(folder), device=settings.device)
    except Exception as error:
        raise EmbedderError(f"{shown} cannot be loaded from {folder}: {error!r}") from error
    model.max_seq_length = min(settings.max_tokens, model.max_seq_length or settings.max_tokens)

    def raw(texts: list[str]) -> npt.NDArray[np.float32]:
        vectors = model.encode(texts, batch_size=settings.batch_size, show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(vectors, np.float32)

    dim = int(raw(["newstide"]).shape[1])
    return checked(_card_name(name, folder), dim, _weights(folder), None, raw)


def _card_name(name: str, folder: Path) -> str:
    """A folder's name does not say which model it is from one machine to the next: the fingerprint does."""
    return f"sentence-transformers:{folder.name if Path(name).expanduser().is_dir() else name}"


def _weights(folder: Path) -> list[Path]:
    for pattern in ("*.safetensors", "*.bin"):
        if found := sorted(folder.rglob(pattern)):
            return found
    raise EmbedderError(f"{folder} holds no weights.", "Fetch the whole model again.")
