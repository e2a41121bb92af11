"""Kills every part of newstide while headlines stream in, and counts what is lost: `python -m benchmarks.faults`.

    python -m benchmarks.faults --headlines 20000 --kills 20 --json FILE

The real services run as processes of their own: Kafka, Milvus Lite, `newstide consume`, `newstide recluster`. Headlines
are sent in portions; after each, one of the four is killed with SIGKILL at a moment that a seed list fixes, and started
again. When all is read and one more run was made, every headline must be in Milvus once, and rows, stories, the run and
its page must agree. `tests/faults` runs a short form.
"""

import argparse
import json
import os
import queue
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine_card, write_json
from newstide import logs
from newstide.broker import Sender, ensure_topics, lag
from newstide.errors import BrokerUnavailable
from newstide.headline import Headline, encode
from newstide.local_kafka import LocalKafka
from newstide.milvus_lite import LocalMilvus
from newstide.processes import LocalServer, dying_with_parent, terminate
from newstide.settings import ClusteringSettings, MonitoringSettings, Settings, as_environment
from newstide.store import Store, open_store
from producers.sample import day_file

SEED = 20_261_124
VICTIMS = ("consumer", "reclusterer", "broker", "Milvus")
_COMMANDS = {"consumer": ["consume"], "reclusterer": ["recluster", "--every", "2s"]}
_READY = {"consumer": "consuming", "reclusterer": "reclustering"}  # words of their logs
_LATEST = {"consumer": 1.0, "reclusterer": 3.0, "broker": 1.0, "Milvus": 1.0}  # seconds after they are at work
_PATIENCE = 300.0  # seconds


class Service:
    """`newstide COMMAND` as a process; started again whenever it is found dead."""

    def __init__(self, name: str, settings: Settings, command: Sequence[str] = ()) -> None:
        self.name = name
        self._command = command or _COMMANDS[name]
        self._settings = settings
        self._log = settings.data_dir / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._start_of_log = 0

    @property
    def pid(self) -> int | None:
        """Its process."""
        return None if self._process is None else self._process.pid

    def keep_up(self) -> None:
        """Starts it unless it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        with self._log.open("ab") as log:
            self._start_of_log = log.tell()
            own = {name: value for name, value in os.environ.items() if not name.startswith("NEWSTIDE_")}
            self._process = subprocess.Popen(
                dying_with_parent([sys.executable, "-m", "newstide.app", *self._command]),
                env={**own, **as_environment(self._settings)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Until its log says that it is at work; started again where it gave up because another was away."""
        _until(f"the {self.name} is at work", self._ready)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, within: float = 60.0) -> int:
        """SIGTERM; its exit code."""
        return 0 if self._process is None else terminate(self._process, within)

    def _ready(self) -> bool:
        self.keep_up()
        return _READY[self.name].encode() in self._log.read_bytes()[self._start_of_log :]


def run(headlines: int, kills: int, folder: Path, *, pause: float = 0.0) -> dict[str, Any]:
    """Sends headlines, kills each of `VICTIMS` so many times, and looks at what is there.

    Args:
        headlines: How many.
        kills: Of each victim, at random moments from a fixed seed.
        folder: For all data.
        pause: Seconds to wait after each kill before the victim is started again.

    Returns:
        Counts, and under `disagreements` a sentence for whatever does not agree; empty when all is well.
    """
    random_ = random.Random(SEED)
    order = [name for name in VICTIMS for _ in range(kills)]
    random_.shuffle(order)
    started = time.monotonic()
    base = Settings(data_dir=folder)
    with (
        LocalKafka(folder / "kafka", base.cache_dir, port=0) as kafka,
        LocalMilvus(folder / "milvus", port=0) as milvus,
    ):
        settings = Settings(
            data_dir=folder,
            clustering=ClusteringSettings(window=None),
            monitoring=MonitoringSettings(port=0),
        ).updated(kafka={"bootstrap_servers": kafka.bootstrap_servers}, milvus={"uri": milvus.uri, "timeout": "10s"})
        ensure_topics(settings.kafka)
        services = {name: Service(name, settings) for name in _COMMANDS}
        servers: dict[str, LocalServer] = {"broker": kafka, "Milvus": milvus}
        try:
            services["consumer"].keep_up()
            services["consumer"].wait_until_ready()  # it makes the collections that the reclusterer wants
            services["reclusterer"].keep_up()
            with _feed(settings) as feed:
                sent = _kill_all(settings, order, headlines, feed, services, servers, random_, pause)
            _until_read(settings, services["consumer"])
        finally:
            codes = {name: service.stop() for name, service in services.items()}
        killed_in = time.monotonic() - started
        last = _run_once(settings)
        store = open_store(settings.milvus, None)
        try:
            found = _looked_at(store, settings, sent, last)
        finally:
            store.close()
    wrong = found.pop("disagreements") + [f"the {name} ended with {code}" for name, code in codes.items() if code]
    return {
        "headlines": headlines,
        "kills": dict.fromkeys(VICTIMS, kills),
        "seed": SEED,
        **found,
        "disagreements": wrong,
        "seconds_of_kills": killed_in,
        "seconds": time.monotonic() - started,
    }


def made_headlines(number: int, *, mark: str = "h") -> list[Headline]:
    """The bundled day's headlines again and again, no two the same; of the last hour."""
    day = [json.loads(line) for line in day_file().read_text(encoding="utf-8").splitlines()]
    start = int(time.time() * 1000) - 3_600_000
    return [
        Headline(
            id=f"{mark}{at:08d}",
            title=f"{day[at % len(day)]['title']} ({at})",
            source=day[at % len(day)].get("source", ""),
            language=day[at % len(day)].get("language", ""),
            published_at=start + at,
        )
        for at in range(number)
    ]


def _kill_all(
    settings: Settings,
    order: Sequence[str],
    headlines: int,
    feed: "queue.Queue[Headline | None]",
    services: dict[str, Service],
    servers: dict[str, LocalServer],
    random_: random.Random,
    pause: float,
) -> list[str]:
    """One portion of headlines and one kill after another; the ids sent."""
    made = made_headlines(headlines)
    for number, victim in enumerate(order):
        for name, service in services.items():
            service.keep_up()
            if name in (victim, "consumer"):
                service.wait_until_ready()
        _until_read(settings, services["consumer"])  # so that it is at work, and not waiting for its partitions
        for some in np.array_split(np.arange(headlines), len(order))[number].tolist():
            feed.put(made[some])
        time.sleep(random_.uniform(0, _LATEST[victim]))
        if victim in services:
            services[victim].kill()
            time.sleep(pause)
        else:
            server = servers[victim]
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            _until(f"{victim} is dead", lambda server=server: not server.alive())
            time.sleep(pause)
            server.start()
    for service in services.values():
        service.wait_until_ready()
    return [headline.id for headline in made]


@contextmanager
def _feed(settings: Settings) -> Iterator["queue.Queue[Headline | None]"]:
    """A queue whose headlines are sent by a thread; at the end all are acknowledged, or it raises."""
    waiting: queue.Queue[Headline | None] = queue.Queue()
    sender = Sender(settings.kafka)
    errors: list[BaseException] = []

    def send() -> None:
        try:
            while (headline := waiting.get()) is not None:
                sender.send(settings.kafka.topic, key=headline.id.encode(), value=encode(headline))
            sender.flush()
        except BaseException as error:  # noqa: BLE001 - told to the one who waits
            errors.append(error)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield waiting
    finally:
        waiting.put(None)
        thread.join(_PATIENCE)
        sender.close()
    if errors:
        raise errors[0]


def _until_read(settings: Settings, consumer: Service) -> None:
    def read() -> bool:
        consumer.keep_up()
        try:
            return not sum(lag(settings.kafka, settings.kafka.group).values())
        except BrokerUnavailable:
            return False

    _until("the consumer has read all", read, every=0.5)


def _run_once(settings: Settings) -> dict[str, Any]:
    """One more run, as a person makes it."""
    from newstide.app.services import run_reclusterer

    report = run_reclusterer(settings, stop=threading.Event(), every=None)
    assert report is not None
    return report.as_dict()


def _looked_at(store: Store, settings: Settings, sent: Sequence[str], last: dict[str, Any]) -> dict[str, Any]:
    """What is there, against what was sent; and whether rows, stories, run and page say the same."""
    rows = store.headlines("", ["id", "cluster_label", "label_run"])
    there = set(rows["id"])
    stories = store.stories().set_index("cluster_label")
    sizes = rows.loc[rows["cluster_label"] >= 0, "cluster_label"].value_counts().sort_index()
    opened = stories[stories["status"] == "open"]
    run_ = store.last_run()
    assert run_ is not None
    pages = settings.snapshots_dir
    latest = json.loads((pages / "latest.json").read_text(encoding="utf-8"))["run"]
    page = json.loads((pages / f"run-{latest:06d}.json").read_text(encoding="utf-8"))
    again = _run_once(settings)
    checks = {
        "a headline kept a provisional label": bool((rows["label_run"] == 0).any()),
        "a row's label is no open story": not set(sizes.index) <= set(opened.index),
        "a story's size is not its number of rows": sizes.to_dict() != opened["size"].sort_index().to_dict(),
        "the last run's counts are not the rows'": run_.counts["rows"] != len(there),
        "the page is not the last run's": page["run"] != run_.run or page["headlines"] != len(there),
        "the page's stories are not the open ones": page["stories"] != len(opened),
        "a label is of a run that never finished": int(rows["label_run"].max()) > run_.run,
        "run numbers have gaps": store.runs()["run"].tolist() != list(range(1, run_.run + 1)),
        "the next run found something to mend": again["status"] != "nothing new",
        "headlines nobody sent are there": not there <= set(sent),
    }
    return {
        "lost": len(set(sent) - there),
        "duplicated": len(rows) - len(there) + store.count_headlines() - len(rows),
        "stories": len(opened),
        "runs": run_.run,
        "repaired_labels": int(last["changed"]),
        "disagreements": [sentence for sentence, wrong in checks.items() if wrong],
    }


def _until(what: str, condition: Any, *, every: float = 0.1) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Within {_PATIENCE:.0f} s it did not happen that {what}.")
        time.sleep(every)


def table(result: dict[str, Any]) -> Table:
    """The result as a table."""
    shown = Table("headlines", "kills", "lost", "duplicated", "finished runs", "disagreements", "seconds")
    kills = ", ".join(f"{name} {count}" for name, count in result["kills"].items())
    shown.add_row(
        *(f"{result['headlines']:,}", kills, str(result["lost"]), str(result["duplicated"]), str(result["runs"])),
        *("; ".join(result["disagreements"]) or "none", f"{result['seconds']:.0f}"),
    )
    return shown


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headlines", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=20, help="of each: consumer, reclusterer, broker, Milvus")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="for all data, kept; default: one that is removed again")
    chosen = parser.parse_args()
    card = machine_card(SEED)
    logs.configure("warning", json=False)
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = run(chosen.headlines, chosen.kills, folder)
    Console(width=140).print(table(result))
    if chosen.json:
        write_json(chosen.json, card, [result])
    if result["lost"] or result["duplicated"] or result["disagreements"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
