"""A pipeline of a test's own, and its store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from newstide.core.settings import KafkaSettings, MilvusSettings, Settings
from newstide.milvus import Store, open_store
from tests.harness.hashing import Hashing


@pytest.fixture
def settings(tmp_path: Path, kafka_settings: KafkaSettings, milvus_settings: MilvusSettings) -> Settings:
    return Settings(data_dir=tmp_path, kafka=kafka_settings, milvus=milvus_settings)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = open_store(settings.milvus, Hashing.card)
    yield opened
    opened.close()
