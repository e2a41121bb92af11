"""BGE-M3 through FlagEmbedding: the production model. Dense vectors, 1024 dimensions, more than 100 languages.

Chen et al., "M3-Embedding: Multi-Linguality, Multi-Functionality, Multi-Granularity Text Embeddings" (2024).
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from newstide.core.errors import EmbedderError
from newstide.core.settings import EmbeddingSettings
from newstide.embedding.checked_embedder import CheckedEmbedder, checked, loading, require_package
from newstide.embedding.hub import model_folder
from newstide.embedding.scripts import written_scripts

_NAME = "bge-m3"
_HUB_NAME = "BAAI/bge-m3"
_DIM = 1024
_CHARACTERS_A_TOKEN = 16  # more than a token of any script is long
_TOKENIZER_FILES = ("tokenizer.json", "sentencepiece.bpe.model")
_WEIGHT_PATTERNS = ("model*.safetensors", "pytorch_model*.bin")  # the first pattern that matches counts
_FETCH_AGAIN = "Fetch the whole model again."


def load(settings: EmbeddingSettings) -> CheckedEmbedder:
    """Loads the model from `embedding.path` (a folder or a hub name), by default from the hub.

    Raises:
        EmbedderError: The extra `bge` is missing, the folder is incomplete, the hub cannot be reached; within seconds.
    """
    require_package("FlagEmbedding", "bge", _NAME)
    folder = model_folder(settings.path or _HUB_NAME, settings.hub_timeout.total_seconds(), _is_complete)
    weights = _require_files(folder)
    with loading(_NAME, folder):
        import torch
        from FlagEmbedding import BGEM3FlagModel

        model = BGEM3FlagModel(
            str(folder),
            use_fp16=settings.fp16 and settings.device != "cpu",
            devices=settings.device,  # one device: a list of devices starts a pool of processes
            batch_size=settings.batch_size,
            passage_max_length=settings.max_tokens,
        )
        _require_vocabulary(model, folder)
        network = model.model.to(settings.device).eval()

    def embed(texts: list[str]) -> npt.NDArray[np.float32]:
        inputs = model.tokenizer(
            texts, truncation=True, max_length=settings.max_tokens, padding=True, return_tensors="pt"
        ).to(settings.device)
        with torch.inference_mode():
            dense = network(inputs, return_dense=True)["dense_vecs"]
        return np.asarray(dense.float().cpu().numpy())

    def raw(texts: list[str]) -> npt.NDArray[np.float32]:
        # FlagEmbedding's own `encode` embeds each first batch twice, to see whether it fits into memory, hides errors
        # there, and draws progress bars. This does the same without these, by length, to pad little.
        order = np.argsort([-len(text) for text in texts], kind="stable")
        vectors = np.empty((len(texts), _DIM), np.float32)
        for start in range(0, len(order), settings.batch_size):
            batch = order[start : start + settings.batch_size]
            vectors[batch] = embed([texts[row] for row in batch])
        return vectors

    longest = _CHARACTERS_A_TOKEN * settings.max_tokens
    scripts = written_scripts(model.tokenizer.get_vocab())
    return checked(_NAME, _DIM, weights, None, raw, longest=longest, scripts=scripts)


def weight_files(folder: Path) -> list[Path]:
    """The files that the weights are read from; empty where the folder holds no weights."""
    for pattern in _WEIGHT_PATTERNS:
        if found := sorted(folder.glob(pattern)):
            return found
    return []


def _is_complete(folder: Path) -> bool:
    return (
        (folder / "config.json").is_file()
        and bool(weight_files(folder))
        and any((folder / name).is_file() for name in _TOKENIZER_FILES)
    )


def _require_files(folder: Path) -> list[Path]:
    """FlagEmbedding loads a folder without a tokenizer all the same, and then every text looks alike."""
    if not (folder / "config.json").is_file():
        raise EmbedderError(f"{folder} holds no model (config.json).", _FETCH_AGAIN)
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise EmbedderError(f"{folder} holds no tokenizer ({' or '.join(_TOKENIZER_FILES)}).", _FETCH_AGAIN)
    weights = weight_files(folder)
    if not weights:
        raise EmbedderError(f"{folder} holds no weights ({' or '.join(_WEIGHT_PATTERNS)}).", _FETCH_AGAIN)
    return weights


def _require_vocabulary(model: Any, folder: Path) -> None:
    """The tokenizer must know about as many tokens as the network has vectors for."""
    size, expected = len(model.tokenizer), int(model.model.model.config.vocab_size)
    if size < expected // 2 or size > expected:
        raise EmbedderError(
            f"The tokenizer in {folder} knows {size} tokens, the model {expected}: they belong to different models.",
            _FETCH_AGAIN,
        )
