"""The long-running commands: connects a room's loop to Kafka, Milvus, the model, the settings and the heartbeat."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING

from newstide import logs
from newstide.app.health import beat
from newstide.app.monitoring import Monitor, monitored
from newstide.broker import Sender, ensure_topics
from newstide.embedding import load_embedder
from newstide.errors import RunFailed
from newstide.settings import Settings
from newstide.store import open_store

if TYPE_CHECKING:
    from clustering.reclusterer import RunReport
    from consumers.ingest import Tally
    from producers.publisher import Summary


def run_consumer(settings: Settings, *, stop: Event, drain: bool) -> "Tally":
    """`newstide consume`."""
    if drain:  # it ends by itself; nobody asks how it fares
        return _consume(settings, None, stop=stop, drain=True)
    with monitored("consumer", settings) as monitor:
        return _consume(settings, monitor, stop=stop, drain=False)


def _consume(settings: Settings, monitor: Monitor | None, *, stop: Event, drain: bool) -> "Tally":
    from consumers.group import join_group
    from consumers.ingest import ingest

    log = logs.get("consumer")
    embedder = load_embedder(settings.embedding)
    ensure_topics(settings.kafka)
    store = open_store(settings.milvus, embedder.card)
    sender = Sender(settings.kafka)
    consumer = join_group(settings.kafka)
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
            on_beat=_beating(settings, "consumer", None if monitor is None else monitor.consuming()),
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
    if every is None:
        ensure_topics(settings.kafka)
        with acquired(settings.kafka, wait_ms=15_000) as lease:
            if lease is None:
                raise RunFailed("Another reclusterer is at work.", "Stop it, or leave the work to it.")
            return recluster(settings, lease=lease, force=force)
    with monitored("reclusterer", settings) as monitor:
        monitor.reclustering(every.total_seconds())
        ensure_topics(settings.kafka)
        log.info("reclustering", every=str(every), window=str(settings.clustering.window))
        on_beat = _beating(settings, "reclusterer", monitor.beat)
        run_every(every, settings, stop=stop, on_beat=on_beat, on_run=monitor.ran)
    return None


def run_feeds(
    settings: Settings, urls: Sequence[str], *, stop: Event, every: timedelta, once: bool, allow_private: bool
) -> "Summary":
    """`newstide produce --rss`."""
    from producers.publisher import produce_feeds

    def produce(on_poll: Callable[..., None]) -> "Summary":
        return produce_feeds(
            urls,
            settings.kafka,
            state=settings.data_dir / "feeds.sqlite",
            every=every,
            once=once,
            allow_private=allow_private,
            stop=stop,
            on_poll=on_poll,
            limits=settings.feeds,
        )

    if once:
        return produce(lambda **_counts: None)
    with monitored("producer", settings, asks=["kafka"]) as monitor:
        return produce(monitor.polling())


def _beating(settings: Settings, service: str, also: Callable[..., None] | None = None) -> Callable[..., None]:
    def on_beat(*counts: object) -> None:
        beat(settings.data_dir, service)
        if also is not None:
            also(*counts)

    return on_beat
