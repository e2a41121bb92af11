"""A consumer with a cheap model, read to the end of its topic."""

import threading
from collections.abc import Sequence
from typing import Any

from consumers.group import join_group
from consumers.loop import ingest
from consumers.tally import Tally
from newstide.core.settings import Settings
from newstide.embedding import Embedder
from newstide.kafka.consumer import records_of
from newstide.kafka.producer import Sender
from newstide.milvus import open_store
from tests.harness.hashing import Hashing


def drained(settings: Settings, embedder: Embedder | None = None, **options: Any) -> Tally:
    """Reads until everything that can be read is; `options` are the client's."""
    model = embedder or Hashing()
    consumer, sender = join_group(settings.kafka, **options), Sender(settings.kafka)
    store = open_store(settings.milvus, model.card)
    stop = threading.Event()
    timer = threading.Timer(120, stop.set)
    timer.start()
    try:
        tally = ingest(consumer, sender, store, model, settings, stop=stop, drain=True)
        assert not stop.is_set(), "it was not done within two minutes"
        return tally
    finally:
        timer.cancel()
        consumer.close(autocommit=False)
        sender.close()
        store.close()


def send(settings: Settings, values: Sequence[bytes | None], *, key: bytes | None = b"k", **kafka: Any) -> None:
    """Sends messages; those of one key to one partition."""
    sender = Sender(settings.kafka.model_copy(update=kafka))
    for value in values:
        sender.send(settings.kafka.topic, key=key, value=value)
    sender.flush()
    sender.close()


def letters_of(settings: Settings) -> list[tuple[bytes | None, dict[str, str]]]:
    """Value and headers of each dead letter."""
    found = records_of(settings.kafka, settings.kafka.dead_letter_topic)
    return [(one.value, {name: content.decode() for name, content in one.headers}) for one in found]


def require_sums(tally: Tally) -> None:
    """Both sums hold."""
    assert tally.messages == tally.read + tally.tombstones + tally.dead_letters + tally.skipped
    assert tally.headlines == tally.stored + tally.duplicates + tally.edits + tally.taken_down + tally.refused
