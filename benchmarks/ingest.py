"""Measures rate and delay of headlines from the topic to Milvus: `python -m benchmarks.ingest --json FILE --write`.

A real local Kafka and a real Milvus Lite server share the machine with the consumer. One run measures, for each model:

* `embedder`: headlines a second of the model alone, in the consumer's batches, with all cores.
* `ingest`: headlines a second from topic to acknowledged rows, and the share of each stage; then the same beside
  reclustering runs, each a process of its own.
* `large`: for the default model, the same beside a reclusterer with 50,000 rows in its window: a run each minute, and one
  run after another. The consumer has read the open stories before, as it does once when it starts.
* `steady`: headlines sent at a fixed rate, lower for a slow model; for each headline, the seconds until a client with
  strictly consistent reads sees its row, which has its provisional label from the first.

What the file holds of other models stays. Exits with 1 where a bar is missed (`benchmarks.ingest_report`): the share of the
embedder's own rate, the delay, labels on arrival.
"""

import argparse
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import document
from benchmarks.faults import PAGE
from benchmarks.ingest_report import LARGE_BARS, figures, table, wrong
from benchmarks.machine import RESULTS, kept_rows, machine_card, write_json
from benchmarks.news import BEGIN, DAY, News, real_day
from newstide.core import logs
from newstide.core.headline import Headline, encode
from newstide.core.settings import DEFAULT_MODEL, Settings
from newstide.embedding import Embedder, load_embedder
from newstide.embedding.headlines import embed_headlines
from newstide.kafka.lag import lag
from newstide.kafka.producer import Sender
from newstide.kafka.topics import ensure_topics
from newstide.milvus import Store, open_store
from newstide_app.services.local_services import LocalServices
from newstide_app.services.supervisor import service
from tests.harness.services import endless_headlines, until

SEED = 42
MODELS = ("use-multilingual", "multilingual-e5-small")
ROUNDS = 5  # rounds of ingest, each between two rounds of the model alone, since a machine's speed drifts
LOAD = 0.5  # largest share of the embedder's rate that the steady part sends: with more, queues measure the model alone
_LOOK_EVERY = 0.05  # seconds
_PATIENCE = 120.0
_LARGE_SECONDS = 75.0  # in which headlines come beside a reclusterer


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headlines", type=int, nargs="+", default=[20_000, 10_000], help="headlines for each model")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--rate", type=float, default=50.0, help="headlines a second in the steady part")
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds of the steady part; 0: leave it out")
    parser.add_argument("--rows", type=int, default=50_000, help="rows in the large part's window; 0: leave it out")
    parser.add_argument("--json", type=Path, default=RESULTS / "ingest.json")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    chosen = parser.parse_args()
    card = machine_card(SEED)
    logs.configure("warning", json=False)
    found = [row for row in kept_rows(chosen.json) if row["model"] not in chosen.models]
    numbers = chosen.headlines * len(chosen.models)
    for model, headlines in zip(chosen.models, numbers, strict=False):
        with _pipeline(model) as (settings, embedder, store):
            source = endless_headlines()
            found.append({"model": model, **throughput(settings, embedder, store, source, headlines)})
            if chosen.seconds:
                rate = min(chosen.rate, LOAD * found[-1]["embedder_rate"])
                found[-1] |= steady(settings, store, source, rate, chosen.seconds)
        if chosen.rows and model == DEFAULT_MODEL:
            with _pipeline(model) as (settings, embedder, store):
                found[-1] |= large(settings, embedder, store, endless_headlines(), chosen.rows)
    Console(width=140).print(table(found))
    write_json(chosen.json, card, found)
    if chosen.write:
        document.replace(PAGE, "ingest", figures(found, card))
    if missed := wrong(found):
        raise SystemExit("\n".join(missed))


@contextmanager
def _pipeline(model: str) -> Iterator[tuple[Settings, Embedder, Store]]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder)).updated(embedding={"model": model})
        embedder = load_embedder(settings.embedding)
        with LocalServices(settings) as local:
            ensure_topics(local.settings.kafka)
            store = open_store(local.settings.milvus, embedder.card)
            try:
                yield local.settings, embedder, store
            finally:
                store.close()


def throughput(
    settings: Settings, embedder: Embedder, store: Store, source: Iterator[Headline], headlines: int
) -> dict[str, Any]:
    """Measures the embedder's rate, then the consumer's rate, alone and beside a run."""
    batch = settings.consumer.batch_size
    embed_headlines(embedder, [next(source) for _ in range(batch)])
    each = max(1, round(headlines / ROUNDS / batch)) * batch
    part = max(1, each // batch // 2) * batch
    model = _embedded(embedder, source, part, batch)  # seconds
    whole = 0.0
    stages: Counter[str] = Counter()
    for _ in range(ROUNDS):
        seconds, by_stage = _ingested(settings, embedder, store, source, each)
        whole += seconds
        stages.update(by_stage)
        model += _embedded(embedder, source, part, batch)
    embedder_rate, alone = part * (ROUNDS + 1) / model, each * ROUNDS / whole
    shares = {stage: spent / sum(stages.values()) for stage, spent in stages.items()}
    with _runs(settings) as runs:
        seconds, _ = _ingested(settings, embedder, store, source, headlines // 4)
    beside = headlines // 4 / seconds
    return {
        "headlines": each * ROUNDS,
        "embedder_rate": embedder_rate,
        "ingest_rate": alone,
        "share": alone / embedder_rate,
        "stages": shares,
        "beside_run_rate": beside,
        "beside_run_share": beside / embedder_rate,
        "runs_beside": len(runs),
    }


def _embedded(embedder: Embedder, source: Iterator[Headline], headlines: int, batch: int) -> float:
    """Seconds that the model alone takes."""
    some = [next(source) for _ in range(headlines)]
    started = time.perf_counter()
    for start in range(0, headlines, batch):
        embed_headlines(embedder, some[start : start + batch])
    return time.perf_counter() - started


@contextmanager
def _runs(settings: Settings) -> Iterator[list[int]]:
    """Makes one run after another until the block ends; yields the list of exit codes once the first run is at work."""
    graph, done, codes = settings.data_dir / "cache" / "graph.bin", threading.Event(), list[int]()

    def again() -> None:
        while not done.is_set():
            one = service("recluster", ["recluster", "--once", "--force"], settings)
            one.start()
            assert one.process is not None
            codes.append(one.process.wait())

    thread = threading.Thread(target=again)
    thread.start()
    try:
        until("a run is at work", graph.exists)  # written after its rows are read; most of the run follows
        yield codes
    finally:
        done.set()
        thread.join()
    if any(codes):
        raise SystemExit(f"Runs ended with {codes}.")


def large(
    settings: Settings, embedder: Embedder, store: Store, source: Iterator[Headline], rows: int
) -> dict[str, Any]:
    """Measures the consumer's share of the model's rate beside a reclusterer that has so many rows in its window."""
    for part in News(real_day(settings.data_dir), rows, SEED).take(rows, BEGIN, BEGIN + DAY):
        store.insert_headlines(part)
    settings = settings.updated(clustering={"window": None})
    batch = settings.consumer.batch_size
    alone = 20 * batch  # headlines that the model embeds alone, before and after
    found: dict[str, Any] = {"rows_beside": rows}
    for name, (every, _) in LARGE_BARS.items():
        seconds, runs = _embedded(embedder, source, alone, batch), _run_number(store)
        headlines = round(_LARGE_SECONDS * alone / seconds / batch) * batch
        reclusterer = service("recluster", ["recluster", "--every", every], settings)
        reclusterer.start()
        try:
            while (began := _run_number(store)) == runs:
                time.sleep(1)
            spent, _ = _ingested(settings, embedder, store, source, headlines, before=batch)
            runs = _run_number(store) - began
        finally:
            reclusterer.stop()
        seconds = (seconds + _embedded(embedder, source, alone, batch)) / 2
        found[name] = {"share": headlines / spent / (alone / seconds), "headlines": headlines, "runs": runs}
    return found


def _run_number(store: Store) -> int:
    last = store.last_run()
    return 0 if last is None else last.run


def _ingested(
    settings: Settings, embedder: Embedder, store: Store, source: Iterator[Headline], headlines: int, before: int = 0
) -> tuple[float, dict[str, float]]:
    """Seconds from the first records read until all headlines are stored and committed, and the seconds by stage.

    With `before`, the time begins when so many other headlines are stored, with which the consumer got ready.
    """
    from consumers.group import join_group
    from consumers.loop import ingest
    from consumers.tally import Tally

    everything = headlines + before
    send(settings, [next(source) for _ in range(everything)])
    began = ended = 0.0
    done = 0

    def look(tally: Tally) -> None:
        nonlocal began, ended, done
        if tally.stored >= max(before, 1) and not began:
            began = time.perf_counter() if before else started + tally.seconds["poll"]
            done = tally.stored if before else 0
        if tally.stored == everything and not ended:
            ended = time.perf_counter()

    consumer = join_group(settings.kafka)
    sender = Sender(settings.kafka)
    try:
        while not consumer.assignment():  # joining a group takes Kafka some seconds
            consumer.poll(timeout_ms=100, max_records=1)
            for partition in consumer.assignment():
                consumer.seek(partition, consumer.committed(partition) or 0)
        started = time.perf_counter()
        tally = ingest(consumer, sender, store, embedder, settings, stop=threading.Event(), drain=True, on_beat=look)
    finally:
        consumer.close(autocommit=False)
        sender.close()
    if tally.stored != everything:
        raise SystemExit(f"{everything} headlines were sent, {tally.stored} stored: {tally}")
    return (ended - began) * headlines / (everything - done), tally.seconds


def send(settings: Settings, headlines: Sequence[Headline]) -> None:
    """Puts headlines on the topic and waits until Kafka has them."""
    sender = Sender(settings.kafka)
    for headline in headlines:
        sender.send(settings.kafka.topic, key=headline.id.encode(), value=encode(headline))
    sender.flush()
    sender.close()


def steady(settings: Settings, store: Store, source: Iterator[Headline], rate: float, seconds: float) -> dict[str, Any]:
    """Seconds from the call that sends a headline until a strictly consistent read finds its row."""
    consumer = service("consume", ["consume"], settings)
    consumer.start()
    sender = Sender(settings.kafka)
    sent: dict[str, float] = {}
    delays: dict[str, float] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.is_set() or (len(delays) < len(sent) and time.monotonic() < latest + _PATIENCE):
            waiting = [id_ for id_ in list(sent) if id_ not in delays]
            seen = store.known_ids(waiting) if waiting else set()
            now = time.monotonic()
            delays.update({id_: now - sent[id_] for id_ in seen})
            time.sleep(_LOOK_EVERY)

    latest = time.monotonic() + _PATIENCE
    watcher = threading.Thread(target=watch)
    try:
        first = next(source)
        sent[first.id] = time.monotonic()
        sender.send(settings.kafka.topic, key=first.id.encode(), value=encode(first))
        sender.flush()
        watcher.start()
        while len(delays) < 1:  # meanwhile the consumer loads its model and joins the group
            if time.monotonic() > latest:
                raise SystemExit("The consumer stored nothing within two minutes.")
            time.sleep(0.1)
        started = time.monotonic()
        latest = started + seconds
        for number in count():
            due = started + number / rate
            if due > latest:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            headline = next(source)._replace(published_at=int(time.time() * 1000))
            sent[headline.id] = time.monotonic()
            sender.send(settings.kafka.topic, key=headline.id.encode(), value=encode(headline))
        sender.flush()
    finally:
        done.set()
        watcher.join()
        sender.close()
        behind = sum(lag(settings.kafka, settings.kafka.group).values())
        consumer.stop()
    del sent[first.id], delays[first.id]
    rows = store.headlines("label_run == 0", ["id", "cluster_label"]).set_index("id")["cluster_label"]
    labelled = rows.reindex(list(sent)).ge(0).mean()
    values = np.array([delays.get(id_, np.inf) for id_ in sent])
    return {
        "rate": rate,
        "steady_seconds": seconds,
        "steady_headlines": len(values),
        "delay_p50": float(np.quantile(values, 0.5)),
        "delay_p95": float(np.quantile(values, 0.95)),
        "delay_max": float(values.max()),
        "labelled_on_arrival": float(labelled),
        "lag_at_end": behind,
    }


if __name__ == "__main__":
    main()
