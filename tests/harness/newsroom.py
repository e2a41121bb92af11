"""Topics of a test's own, and headlines put into Milvus without Kafka, for tests of what reads them."""

import time
from pathlib import Path
from typing import Any

from newstide.core.headline import from_fields
from newstide.core.settings import ClusteringSettings, KafkaSettings, LayoutSettings, MilvusSettings, Settings
from newstide.embedding import load_embedder
from newstide.embedding.headlines import embed_headlines
from newstide.kafka.local_broker import LocalKafka
from newstide.kafka.topics import ensure_topics
from newstide.milvus import HeadlineRow, open_store
from newstide.milvus.local_server import LocalMilvus

# Principal components: where the places on the map are nothing to a test, and UMAP would first be compiled for seconds.
PLAIN_MAP = LayoutSettings(neighbours=2)


def own_topics(address: str, mark: str) -> KafkaSettings:
    """Settings with topics and a group of one's own, not made yet."""
    return KafkaSettings(
        bootstrap_servers=address,
        topic=f"headlines-{mark}",
        dead_letter_topic=f"headlines-{mark}.dead-letter",
        events_topic=f"story-events-{mark}",
        lease_topic=f"recluster-lease-{mark}",
        group=f"newstide-{mark}",
    )


def for_the_day(settings: Settings) -> Settings:
    """These without a window, as the bundled day is long gone, and without pages, at which few tests look."""
    return settings.updated(clustering={"window": None}, pages={"enabled": False})


def of_a_module(folder: Path, kafka: LocalKafka, milvus: LocalMilvus, mark: str) -> Settings:
    """Settings of what the tests of one module share: topics, which are made, and collections; without a window."""
    settings = Settings(
        data_dir=folder,
        kafka=own_topics(kafka.bootstrap_servers, mark),
        milvus=MilvusSettings(uri=milvus.uri, prefix=f"{mark}_"),
        clustering=ClusteringSettings(window=None),
        layout=PLAIN_MAP,
    )
    ensure_topics(settings.kafka)
    return settings


def add_headlines(settings: Settings, fields: list[dict[str, Any]]) -> None:
    """Embeds headlines and inserts them, as the consumer would, without a label."""
    embedder = load_embedder(settings.embedding)
    found = [from_fields(one, 4_000_000_000_000).headline for one in fields]  # a clock that none of them is ahead of
    vectors = embed_headlines(embedder, found)
    store = open_store(settings.milvus, embedder.card)
    now = int(time.time() * 1000)
    try:
        store.insert_headlines([HeadlineRow(one, vector, now) for one, vector in zip(found, vectors, strict=True)])
    finally:
        store.close()
