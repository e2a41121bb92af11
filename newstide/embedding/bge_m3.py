"""BGE-M3 through FlagEmbedding: the production model. Dense vectors, 1024 dimensions, more than 100 languages.

Chen et al., "M3-Embedding" (2024).
"""

import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from newstide.embedding.base import Embedder
from newstide.embedding.checks import checked, missing
from newstide.errors import EmbedderError
from newstide.settings import EmbeddingSettings

_HUB_NAME = "BAAI/bge-m3"
_DIM = 1024
_SMALLEST_VOCABULARY = 100
_TOKENIZER_FILES = ("tokenizer.json", "sentencepiece.bpe.model")
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


def load(settings: EmbeddingSettings) -> Embedder:
    """Loads the model from `embedding.path` (a folder or a hub name), by default from the hub.

    Raises:
        EmbedderError: The extra `bge` is missing, the folder is incomplete, the hub cannot be reached; within seconds.
    """
    name = settings.path or _HUB_NAME
    folder = model_folder(name, settings.hub_timeout.total_seconds(), "bge-m3")
    weights = _require_files(folder)
    try:
        from FlagEmbedding import BGEM3FlagModel
    except ImportError as error:
        raise missing("bge", "FlagEmbedding", "bge-m3") from error
    try:
        model = BGEM3FlagModel(
            str(folder),
            use_fp16=settings.fp16,
            devices=settings.device,  # one: a list spawns a process pool
            batch_size=settings.batch_size,
            query_max_length=settings.max_tokens,
            passage_max_length=settings.max_tokens,
        )
    except Exception as error:
        raise EmbedderError(f"bge-m3 cannot be loaded from {folder}: {error!r}") from error
    _require_vocabulary(model, folder)

    def raw(texts: list[str]) -> npt.NDArray[np.float32]:
        dense = model.encode(
            texts,
            batch_size=settings.batch_size,
            max_length=settings.max_tokens,
            return_dense=True,
            return_sparse=False,
            return_colbert_vecs=False,
        )["dense_vecs"]
        return np.asarray(dense, np.float32)

    return checked("bge-m3", _DIM, weights, None, raw)


def model_folder(name: str, hub_timeout: float, model: str) -> Path:
    """The folder with a model's files: the given one, the hub's cache, or a fresh download.

    Raises:
        EmbedderError: There is none and the hub cannot be reached within `hub_timeout` seconds.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or name.startswith((".", "~")):
        raise EmbedderError(f"The folder {name} of {model} does not exist.", "Correct NEWSTIDE_EMBEDDING_PATH.")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError as error:
        raise missing("bge", "huggingface_hub", model) from error
    leave_out = ["onnx/*", "imgs/*", "*.jsonl"]
    try:
        return Path(snapshot_download(name, local_files_only=True, ignore_patterns=leave_out))
    except LocalEntryNotFoundError:
        require_hub(name, hub_timeout)
    try:
        return Path(snapshot_download(name, ignore_patterns=leave_out))
    except Exception as error:
        raise EmbedderError(
            f"{name} could not be fetched from the model hub: {error!r}",
            "Set NEWSTIDE_EMBEDDING_PATH to a folder that holds the model, or choose another model.",
        ) from error


def require_hub(name: str, timeout: float) -> None:
    """Raises `EmbedderError` within `timeout` seconds where the hub cannot be reached: its client retries for long."""
    endpoint = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
    try:
        socket.create_connection((endpoint.hostname or "", port), timeout).close()
    except OSError as error:
        raise EmbedderError(
            f"{name} is not in the local cache, and the model hub at {endpoint.hostname} cannot be reached: {error}.",
            "Set NEWSTIDE_EMBEDDING_PATH to a folder that holds the model, or choose another model.",
        ) from error


def _require_files(folder: Path) -> list[Path]:
    """FlagEmbedding loads a folder without tokenizer all the same, and then every text looks alike."""
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise EmbedderError(
            f"{folder} holds no tokenizer ({' or '.join(_TOKENIZER_FILES)}).", "Fetch the whole model again."
        )
    weights = [folder / name for name in _WEIGHT_FILES if (folder / name).is_file()]
    if not weights:
        raise EmbedderError(
            f"{folder} holds no weights ({' or '.join(_WEIGHT_FILES)}).", "Fetch the whole model again."
        )
    return weights[:1]


def _require_vocabulary(model: Any, folder: Path) -> None:
    size = len(model.tokenizer)
    if size < _SMALLEST_VOCABULARY:
        raise EmbedderError(f"The tokenizer in {folder} knows {size} tokens.", "Fetch the whole model again.")
