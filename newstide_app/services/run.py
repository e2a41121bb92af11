"""The long-running commands: connects a room's loop to Kafka, Milvus, the model, the settings and the monitoring."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from newstide.core import logs
from newstide.core.errors import RunFailed
from newstide.core.retry import once_there
from newstide.core.settings import Settings
from newstide.embedding import Embedder
from newstide.kafka.producer import Sender
from newstide.kafka.topics import ensure_topics
from newstide.milvus import Store, open_store
from newstide.milvus.model import model_in_use
from newstide_app.services.monitoring import Monitor, monitored

if TYPE_CHECKING:
    from kafka import KafkaConsumer

    from clustering.run.reclusterer import RunReport
    from consumers.tally import Tally
    from producers.feed_poller import OnPoll
    from producers.publisher import Summary

_CUT_OFF_AFTER = 4.0  # seconds from being told to stop, for a call to Milvus
_CLOSE_WITHIN = 2.0  # seconds to leave the group, and to send what is left


def run_consumer(settings: Settings, *, stop: Event, drain: bool) -> "Tally":
    """`newstide consume`."""
    if drain:  # it ends by itself; nobody asks how it fares
        return _consume(settings, None, stop=stop, drain=True)
    with monitored("consumer", settings, ends_silent=True) as monitor:
        return _consume(settings, monitor, stop=stop, drain=False)


def _consume(settings: Settings, monitor: Monitor | None, *, stop: Event, drain: bool) -> "Tally":
    from consumers.loop import ingest
    from consumers.tally import Tally

    log = logs.get("consumer")

    def starting(reason: str) -> None:
        if monitor is not None:
            monitor.set("start", f"The consumer is starting: {reason}")

    starting("it loads the model, which the first start fetches.")
    embedder = once_there(lambda: model_in_use(settings, stop=stop), stop, "consumer", on_wait=starting)
    if embedder is None:
        return Tally()
    connections = once_there(lambda: _connections(settings, embedder, stop), stop, "consumer", on_wait=starting)
    if connections is None:
        return Tally()
    cut_off = Thread(target=_cut_off, args=(connections, stop), name="cut off", daemon=True)
    # The products of arriving headlines and stories are small: threads would take longer to wait for each other.
    with threadpool_limits(1, user_api="blas"), connections:
        cut_off.start()
        log.info("consuming", topic=settings.kafka.topic, model=embedder.card.name)
        tally = ingest(
            connections.consumer,
            connections.sender,
            connections.store,
            embedder,
            settings,
            stop=stop,
            drain=drain,
            on_beat=(lambda _tally: None) if monitor is None else monitor.consuming(),
        )
    log.info(
        "stopped",
        messages=tally.messages,
        stored=tally.stored,
        duplicates=tally.duplicates,
        dead_letters=tally.dead_letters,
    )
    return tally


@dataclass
class _Connections:
    """What the consumer's loop works with; all of it is closed in order at the loop's end."""

    store: Store
    sender: Sender
    consumer: "KafkaConsumer"
    closing: ExitStack
    closed: Event = field(default_factory=Event)

    def __enter__(self) -> None:
        """They are open already."""

    def __exit__(self, *_: object) -> None:
        self.closing.close()
        self.closed.set()


def _connections(settings: Settings, embedder: Embedder, stop: Event) -> _Connections:
    """Opens all of them, or none."""
    from consumers.group import join_group

    with ExitStack() as stack:
        ensure_topics(settings.kafka, timeout=1.0)
        store = open_store(settings.milvus, embedder.card, stop=stop)
        stack.callback(store.close)
        sender = Sender(settings.kafka, patience=_CLOSE_WITHIN)
        stack.callback(sender.close, _CLOSE_WITHIN)
        consumer = join_group(settings.kafka)
        stack.callback(consumer.close, autocommit=False, timeout_ms=int(_CLOSE_WITHIN * 1000))
        return _Connections(store, sender, consumer, stack.pop_all())


def _cut_off(connections: _Connections, stop: Event) -> None:
    """Ends a call to a Milvus that does not answer, where the service was told to stop some seconds ago."""
    while not stop.wait(1.0):
        if connections.closed.is_set():
            return
    if not connections.closed.wait(_CUT_OFF_AFTER):
        connections.store.close()


def run_reclusterer(
    settings: Settings, *, stop: Event, every: timedelta | None, force: bool = False
) -> "RunReport | None":
    """`newstide recluster`: the report of the one run, or None when it ran on a schedule."""
    from clustering.run.lease import acquired
    from clustering.run.reclusterer import recluster
    from clustering.run.schedule import run_every
    from clustering.run.warm_up import warming_up

    log = logs.get("reclusterer")
    if every is None:
        ensure_topics(settings.kafka)
        with acquired(settings.kafka, wait_ms=15_000) as lease:
            if lease is None:
                raise RunFailed(
                    "Another reclusterer is at work.", "Stop the other reclusterer, or leave the work to it."
                )
            return recluster(settings, lease=lease, force=force)
    with monitored("reclusterer", settings, ends_silent=True) as monitor, warming_up(settings):
        monitor.reclustering(every.total_seconds())
        once_there(
            lambda: ensure_topics(settings.kafka, timeout=1.0),
            stop,
            "reclusterer",
            on_wait=lambda reason: monitor.set("start", f"The reclusterer is starting: {reason}"),
        )
        if stop.is_set():
            return None
        log.info("reclustering", every=str(every), window=str(settings.clustering.window))
        run_every(every, settings, stop=stop, on_beat=monitor.beat, on_run=monitor.ran)
    return None


def run_feeds(
    settings: Settings,
    urls: Sequence[str],
    *,
    stop: Event,
    every: timedelta,
    once: bool,
    allow_private: bool,
    rejects: Path | None = None,
) -> "Summary":
    """`newstide produce --rss`."""
    from producers.publisher import produce_feeds

    def produce(on_poll: "OnPoll") -> "Summary":
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
            headline_limits=settings.limits,
            rejects=rejects or settings.data_dir / "rejects.jsonl",
        )

    if once:
        return produce(lambda **_counts: None)
    with monitored("producer", settings, asks=["kafka"], ends_silent=True) as monitor:
        return produce(monitor.polling(every.total_seconds()))
