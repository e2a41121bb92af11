"""The long-running commands: connects a room's loop to Kafka, Milvus, the model, the settings and the heartbeat."""

from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING

from newstide import logs
from newstide.app.health import beat
from newstide.broker import Sender, ensure_topics, make_consumer
from newstide.embedding import load_embedder
from newstide.errors import RunFailed
from newstide.settings import Settings
from newstide.store import open_store

if TYPE_CHECKING:
    from clustering.reclusterer import RunReport
    from consumers.ingest import Tally


def run_consumer(settings: Settings, *, stop: Event, drain: bool) -> "Tally":
    """`newstide consume`."""
    from consumers.ingest import ingest

    log = logs.get("consumer")
    embedder = load_embedder(settings.embedding)
    ensure_topics(settings.kafka)
    store = open_store(settings.milvus, embedder.card)
    sender = Sender(settings.kafka)
    consumer = make_consumer(settings.kafka, [settings.kafka.topic], group=settings.kafka.group)
    log.info("consuming", topic=settings.kafka.topic, model=embedder.card.name, rows=store.count_headlines())
    try:
        tally = ingest(
            consumer,
            sender,
            store,
            embedder,
            settings,
            stop=stop,
            drain=drain,
            on_beat=_beating(settings, "consumer"),
        )
    finally:
        consumer.close(autocommit=False)
        sender.close()
        store.close()
    log.info(
        "stopped",
        read=tally.read,
        stored=tally.stored,
        duplicates=tally.duplicates,
        dead_letters=tally.dead_letters,
    )
    return tally


def run_reclusterer(
    settings: Settings, *, stop: Event, every: timedelta | None, force: bool = False
) -> "RunReport | None":
    """`newstide recluster`: the report of the one run, or None when it ran on a schedule."""
    from clustering.lease import acquired
    from clustering.reclusterer import recluster
    from clustering.schedule import run_every

    log = logs.get("reclusterer")
    ensure_topics(settings.kafka)
    if every is None:
        with acquired(settings.kafka, wait_ms=15_000) as lease:
            if lease is None:
                raise RunFailed("Another reclusterer is at work.", "Stop it, or leave the work to it.")
            return recluster(settings, lease=lease, force=force)
    log.info("reclustering", every=str(every), window=str(settings.clustering.window))
    run_every(every, settings, stop=stop, on_beat=_beating(settings, "reclusterer"))
    return None


def _beating(settings: Settings, service: str) -> Callable[..., None]:
    def on_beat(*_: object) -> None:
        beat(settings.data_dir, service)

    return on_beat
