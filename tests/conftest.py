"""Fixtures that several test files share: one real Apache Kafka and one real Milvus Lite for the whole session."""

import uuid
from collections.abc import Iterator

import pytest

from newstide.broker import ensure_topics
from newstide.local_kafka import LocalKafka
from newstide.settings import KafkaSettings, Settings


@pytest.fixture(scope="session")
def local_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A running local Kafka on a free port; its jars come from the user's cache, or are fetched into it once."""
    with LocalKafka(tmp_path_factory.mktemp("kafka"), Settings().cache_dir, port=0) as kafka:
        yield kafka


@pytest.fixture
def kafka_settings(local_kafka: LocalKafka) -> KafkaSettings:
    """Settings with topics and a group of this test's own; the topics are made."""
    mark = uuid.uuid4().hex[:8]
    settings = KafkaSettings(
        bootstrap_servers=local_kafka.bootstrap_servers,
        topic=f"headlines-{mark}",
        dead_letter_topic=f"headlines-{mark}.dead-letter",
        events_topic=f"story-events-{mark}",
        lease_topic=f"recluster-lease-{mark}",
        group=f"newstide-{mark}",
    )
    ensure_topics(settings)
    return settings
