"""The store of a test's own pipeline."""

from collections.abc import Iterator

import pytest

from newstide.core.settings import Settings
from newstide.milvus import Store, open_store
from tests.harness.hashing import Hashing


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = open_store(settings.milvus, Hashing.card)
    yield opened
    opened.close()
