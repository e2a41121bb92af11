"""Kills every part of newstide while headlines stream in, and counts what is lost.

Its long form is `python -m benchmarks.faults`; `tests/faults` runs a short one. The real services run as processes of
their own. Headlines come in portions at a steady rate; within each, one of the four gets SIGKILL at a moment drawn from
a fixed seed, and is started again. What it was doing is looked up while it is dead.
"""

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from newstide.core.errors import BrokerUnavailable
from newstide.core.headline import Headline
from newstide.core.local_server import LocalServer
from newstide.core.settings import Settings
from newstide.kafka.lag import lag
from newstide.kafka.topics import ensure_topics
from newstide.milvus import Store
from newstide_app.maintenance.dead_letters import letters
from tests.harness.services import COMMANDS, RATE, Feed, Service, fed, local_servers, made_headlines, opened, until

SEED = 20_261_124
VICTIMS = ("consumer", "reclusterer", "broker", "Milvus")
_WHILE_WRITING = 0.5  # share of the reclusterer's kills that are drawn from the moments after its first label
_TAIL = 0.05  # seconds after a portion in which a kill may still come: what a batch takes


@dataclass(frozen=True)
class Kill:
    """One kill, and what it met."""

    victim: str
    second: float  # since the start
    in_flight: int  # headlines sent or being sent that were not in Milvus yet (of Milvus: not committed yet)
    uncommitted: int = 0  # of a consumer: rows in Milvus whose offsets were not committed
    run: str = ""  # of a reclusterer: how far it was, one of `STAGES`


STAGES = ("before its labels", "labels written, run not", "run written, page not", "between runs")


@dataclass
class _Scene:
    """Everything that runs, and what has happened to it."""

    settings: Settings
    services: dict[str, Service]
    servers: dict[str, LocalServer]
    feed: Feed
    started: float
    kills: list[Kill] = field(default_factory=list)
    ingested: dict[str, int] = field(default_factory=dict)  # by id, as first seen: a row written again has a later time


def run(
    headlines: int, kills: int, folder: Path, *, on_kill: Callable[[Kill], None] = lambda _kill: None
) -> dict[str, Any]:
    """Sends headlines, kills each of `VICTIMS` so many times, and looks at what is there.

    Args:
        headlines: How many.
        kills: Of each victim, at random moments from a fixed seed.
        folder: For all data.
        on_kill: Told of each kill.

    Returns:
        Counts, and under `disagreements` a sentence for whatever does not agree; empty when all is well.
    """
    random_ = random.Random(SEED)
    order = [name for name in VICTIMS for _ in range(kills)]
    random_.shuffle(order)
    started = time.monotonic()
    with local_servers(folder, clustering={"window": None}, milvus={"timeout": "10s"}) as (base, servers):
        settings = base.updated(consumer={"batch_size": 32})  # small: a portion is several batches
        ensure_topics(settings.kafka)
        services = {name: Service(name, settings) for name in COMMANDS}
        made = made_headlines(headlines)
        try:
            services["consumer"].keep_up()
            services["consumer"].wait_until_ready()  # it makes the collections that the reclusterer wants
            services["reclusterer"].keep_up()
            with fed(settings) as feed:
                scene = _Scene(settings, services, servers, feed, started)
                for number, victim in enumerate(order):
                    first, end = (len(made) * at // len(order) for at in (number, number + 1))
                    on_kill(_strike(scene, victim, made[first:end], random_))
                for service in services.values():
                    service.wait_until_ready()
                _until_read(scene)
        finally:
            codes = {name: service.stop() for name, service in services.items()}
        killed_in = time.monotonic() - started
        last = _run_once(settings)
        with opened(settings) as store:
            found = _looked_at(store, scene, [headline.id for headline in made], last)
    wrong = found.pop("disagreements") + [f"the {name} ended with {code}" for name, code in codes.items() if code]
    done = Counter(kill.victim for kill in scene.kills)
    return {
        "headlines": headlines,
        "kills": {name: done[name] for name in VICTIMS},
        "seed": SEED,
        **found,
        "disagreements": wrong,
        "met": _met(scene.kills),
        "ended_by_itself": {name: service.starts - 1 - done[name] for name, service in services.items()},
        "moments": [asdict(kill) for kill in scene.kills],
        "seconds_of_kills": killed_in,
        "seconds": time.monotonic() - started,
    }


def _strike(scene: _Scene, victim: str, portion: Sequence[Headline], random_: random.Random) -> Kill:
    """Sends a portion, kills the victim meanwhile, looks at what it was doing, and starts it again."""
    for name, service in scene.services.items():
        service.keep_up()
        if name in (victim, "consumer"):
            service.wait_until_ready()
    _until_read(scene)  # so that the consumer is at work, and not waiting for its partitions
    graph = scene.settings.data_dir / "cache" / "graph.bin"
    before = _changed_at(graph)
    with opened(scene.settings) as store:
        last_run = 0 if (last := store.last_run()) is None else last.run
    acknowledged = scene.feed.acknowledged
    part = len(portion) // 2 if victim == "reclusterer" else len(portion)  # the rest comes during its run
    scene.feed.put(portion[:part])
    until("Kafka takes headlines", lambda: scene.feed.acknowledged > acknowledged, every=0.01)
    latest = len(portion) / RATE + _TAIL
    if victim == "reclusterer":
        latest = _into_a_run(scene, graph, before)
        scene.feed.put(portion[part:])
        if random_.random() < _WHILE_WRITING:
            latest = _into_its_writes(scene, last_run)
    time.sleep(random_.uniform(0, latest))
    second = time.monotonic() - scene.started
    if victim in scene.services:
        scene.services[victim].kill()
        kill = _seen(scene, victim, second)
    else:
        server = scene.servers[victim]
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        until(f"{victim} is dead", lambda: not server.alive())
        kill = _seen(scene, victim, second)
        server.start()
    scene.kills.append(kill)
    return kill


def _into_a_run(scene: _Scene, graph: Path, before: int) -> float:
    """Waits until a run has written its graph; how long it may take from there, seconds.

    One that was killed holds the lease until its session runs out: without the wait, most kills would meet a stand-by.
    """
    until("a run has begun", lambda: _changed_at(graph) != before, every=0.02)
    with opened(scene.settings) as store:
        last = store.last_run()
    took = {} if last is None else last.durations
    return 0.3 + 1.2 * sum(seconds for step, seconds in took.items() if step not in ("rows", "graph"))


def _into_its_writes(scene: _Scene, last_run: int) -> float:
    """Waits until the run has written a label; for how many seconds to kill it from there.

    The writes are short: moments drawn from the whole run would hardly ever fall between them.
    """
    with opened(scene.settings) as store:
        until("a label is written", lambda: store.count_headlines(f"label_run > {last_run}"), every=0.01)
    return 0.4


def _seen(scene: _Scene, victim: str, second: float) -> Kill:
    """What the victim was doing, seen while it is dead."""
    fed, settings = scene.feed.fed, scene.settings
    if victim == "Milvus":
        unread = sum(lag(settings.kafka, settings.kafka.group).values())
        return Kill(victim, second, fed - scene.feed.acknowledged + unread)
    with opened(settings) as store:
        rows = len(_note(scene, store))
        if victim == "consumer":
            committed = scene.feed.acknowledged - sum(lag(settings.kafka, settings.kafka.group).values())
            return Kill(victim, second, fed - rows, uncommitted=max(rows - committed, 0))
        if victim == "broker":
            return Kill(victim, second, fed - rows)
        return Kill(victim, second, fed - rows, run=_stage(store, settings))


def _note(scene: _Scene, store: Store) -> pd.DataFrame:
    """All rows there are, and when they came in as far as it was not seen before."""
    rows = store.headlines("", ["id", "ingested_at", "cluster_label", "label_run"])
    scene.ingested = dict(zip(rows["id"], rows["ingested_at"].astype(int), strict=True)) | scene.ingested
    return rows


def _stage(store: Store, settings: Settings) -> str:
    """How far the reclusterer that was killed had come: one of `STAGES`."""
    last = store.last_run()
    run_ = 0 if last is None else last.run
    page = settings.snapshots_dir / f"run-{run_:06d}.html"
    if run_ and not page.exists():
        return STAGES[2]
    if store.count_headlines(f"label_run > {run_}"):
        return STAGES[1]
    graph = settings.data_dir / "cache" / "graph.bin"
    return STAGES[0 if _changed_at(graph) > _changed_at(page) else 3]


def _met(kills: Sequence[Kill]) -> dict[str, int]:
    """How many kills met something at work."""
    met = {f"{name}: headlines in flight": 0 for name in VICTIMS}
    for kill in kills:
        met[f"{kill.victim}: headlines in flight"] += kill.in_flight > 0
    met["consumer: rows in Milvus, offsets not committed"] = sum(kill.uncommitted > 0 for kill in kills)
    return met | {f"reclusterer: {stage}": sum(kill.run == stage for kill in kills) for stage in STAGES}


def _changed_at(file: Path) -> int:
    return file.stat().st_mtime_ns if file.exists() else 0


def _until_read(scene: _Scene) -> None:
    """All that was sent has arrived, and is committed."""
    kafka = scene.settings.kafka

    def read() -> bool:
        scene.services["consumer"].keep_up()
        try:
            return scene.feed.arrived() and not sum(lag(kafka, kafka.group).values())
        except BrokerUnavailable:
            return False

    until("the consumer has read all", read, every=0.5)


def _run_once(settings: Settings) -> dict[str, Any]:
    """One more run, as a person makes it."""
    from newstide_app.services.run import run_reclusterer

    report = run_reclusterer(settings, stop=threading.Event(), every=None)
    assert report is not None
    return report.as_dict()


def _looked_at(store: Store, scene: _Scene, sent: Sequence[str], last: dict[str, Any]) -> dict[str, Any]:
    """What is there, against what was sent; and whether rows, stories, run and page say the same."""
    settings, rows = scene.settings, _note(scene, store)
    again_written = int((rows["ingested_at"] != rows["id"].map(scene.ingested)).sum())
    there = set(rows["id"])
    refused = {json.loads(letter.value or b"{}").get("id") for letter in letters(settings.kafka)}
    stories = store.stories().set_index("cluster_label")
    sizes = rows.loc[rows["cluster_label"] >= 0, "cluster_label"].value_counts().sort_index()
    living = stories[stories["status"] == "open"]
    run_ = store.last_run()
    assert run_ is not None
    pages = settings.snapshots_dir
    latest = json.loads((pages / "latest.json").read_text(encoding="utf-8"))["run"]
    page = json.loads((pages / f"run-{latest:06d}.json").read_text(encoding="utf-8"))
    again = _run_once(settings)
    checks = {
        "a headline kept a provisional label": bool((rows["label_run"] == 0).any()),
        "a row's label is no open story": not set(sizes.index) <= set(living.index),
        "a story's size is not its number of rows": sizes.to_dict() != living["size"].sort_index().to_dict(),
        "the last run's counts are not the rows'": run_.counts["rows"] != len(there),
        "the page is not the last run's": page["run"] != run_.run or page["headlines"] != len(there),
        "the page's stories are not the open ones": page["stories"] != len(living),
        "a label is of a run that never finished": int(rows["label_run"].max()) > run_.run,
        "run numbers have gaps": store.runs()["run"].tolist() != list(range(1, run_.run + 1)),
        "the next run found something to mend": again["status"] != "nothing new",
        "rows were written again": bool(again_written),
        "headlines nobody sent are there": not there <= set(sent),
    }
    return {
        "lost": len(set(sent) - there - refused),
        "dead_letters": len(refused),
        "duplicated": store.count_headlines() - len(there),
        "written_again": again_written,
        "stories": len(living),
        "runs": run_.run,
        "repaired_labels": int(last["changed"]),
        "disagreements": [sentence for sentence, wrong in checks.items() if wrong],
    }
