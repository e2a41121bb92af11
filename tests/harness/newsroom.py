"""Topics of a test's own, and headlines put into Milvus without Kafka, for tests of what reads them."""

import time
from typing import Any

from newstide.core.headline import from_fields
from newstide.core.settings import KafkaSettings, Settings
from newstide.embedding import load_embedder
from newstide.milvus import HeadlineRow, open_store


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


def add_headlines(settings: Settings, fields: list[dict[str, Any]]) -> None:
    """Embeds headlines and inserts them, as the consumer would, without a label."""
    embedder = load_embedder(settings.embedding)
    found = [from_fields(one, 4_000_000_000_000).headline for one in fields]  # a clock that none of them is ahead of
    vectors = embedder.encode([headline.text for headline in found])
    store = open_store(settings.milvus, embedder.card)
    now = int(time.time() * 1000)
    try:
        store.insert_headlines([HeadlineRow(one, vector, now) for one, vector in zip(found, vectors, strict=True)])
    finally:
        store.close()
