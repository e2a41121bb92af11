"""An hour of steady headlines through the whole of newstide: `python -m benchmarks.soak`, or `make soak`.

    python -m benchmarks.soak --minutes 60 --json FILE

Real Kafka, Milvus Lite, `newstide consume` and `newstide recluster --every 1m` as processes. Every ten seconds a sample
is taken: lag, each process's resident memory, and how long headlines took from being produced to being seen in Milvus by
a client that reads strictly. At the end the bars are checked; the curve goes into the JSON.
"""

import argparse
import json
import tempfile
import threading
import time
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine_card, write_json
from benchmarks.services import Service, made_headlines
from newstide import logs
from newstide.broker import Sender, ensure_topics, lag
from newstide.headline import encode
from newstide.local_kafka import LocalKafka
from newstide.milvus_lite import LocalMilvus
from newstide.settings import MonitoringSettings, Settings
from newstide.store import Store, open_store

SEED = 42
RATE = 50.0  # headlines a second
_SAMPLE_EVERY = 10.0  # seconds
_WATCHED = 5  # every so-many-th headline is waited for: looking for all of them would be a load of its own
_LOOK_EVERY = 0.1  # seconds
P95_BAR, SKIPPED_BAR = 2.0, 0.1  # seconds; share of runs
GROWTH_BAR = 1.15  # memory of the last quarter of the time against the third, when the window is full
_GROWS = "Milvus"  # Milvus Lite keeps in memory what it keeps at all, and nothing is removed here


class Watch:
    """When headlines are produced, and when they are seen."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._waiting: dict[str, float] = {}
        self._delays: list[float] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def expect(self, id_: str) -> None:
        """It is being produced now."""
        with self._lock:
            self._waiting[id_] = time.monotonic()

    def taken(self) -> tuple[list[float], int]:
        """Seconds of those seen since the last call, and how many are not seen yet."""
        with self._lock:
            delays, self._delays = self._delays, []
            return delays, len(self._waiting)

    def _run(self) -> None:
        while not self.stop.wait(_LOOK_EVERY):
            with self._lock:
                ids = list(self._waiting)[:1_000]
            seen = self._store.known_ids(ids) if ids else set()
            now = time.monotonic()
            with self._lock:
                self._delays += [now - self._waiting.pop(id_) for id_ in seen]


def soak(minutes: float, folder: Path, *, window: str = "30m", every: str = "1m") -> dict[str, Any]:
    """Runs it; the curve and what it comes to."""
    base = Settings(data_dir=folder)
    with (
        LocalKafka(folder / "kafka", base.cache_dir, port=0) as kafka,
        LocalMilvus(folder / "milvus", port=0) as milvus,
    ):
        settings = Settings(data_dir=folder, monitoring=MonitoringSettings(port=0)).updated(
            kafka={"bootstrap_servers": kafka.bootstrap_servers},
            milvus={"uri": milvus.uri},
            clustering={"window": window},
        )
        ensure_topics(settings.kafka)
        services = {
            "consumer": Service("consumer", settings),
            "reclusterer": Service("reclusterer", settings, ["recluster", "--every", every]),
        }
        try:
            services["consumer"].wait_until_ready()
            store = open_store(settings.milvus, None)
            services["reclusterer"].wait_until_ready()
            servers = {"broker": kafka.pid, "Milvus": milvus.pid}
            curve, sent = _steady(settings, services, servers, store, minutes * 60)
            rows = store.count_headlines()
            store.close()
        finally:
            codes = {name: service.stop() for name, service in services.items()}
    runs, skipped = _runs(folder / "reclusterer.log")
    return _summary(curve, sent, rows, runs, skipped) | {
        "minutes": minutes,
        "rate": RATE,
        "window": window,
        "every": every,
        "exit_codes": codes,
        "curve": curve,
    }


def _steady(
    settings: Settings, services: dict[str, Service], servers: dict[str, int | None], store: Store, seconds: float
) -> tuple[list[dict[str, Any]], int]:
    sender, watch = Sender(settings.kafka), Watch(store)
    curve: list[dict[str, Any]] = []
    started = time.monotonic()
    next_sample = started + _SAMPLE_EVERY
    sent = 0
    texts = cycle(made_headlines(20_000))
    try:
        while (now := time.monotonic()) < started + seconds:
            while sent < (now - started) * RATE:
                headline = next(texts)
                id_ = f"soak{sent:08d}"
                if sent % _WATCHED == 0:
                    watch.expect(id_)
                made = replace(headline, id=id_, published_at=int(time.time() * 1000))
                sender.send(settings.kafka.topic, key=id_.encode(), value=encode(made))
                sent += 1
            if now >= next_sample:
                next_sample += _SAMPLE_EVERY
                pids = servers | {name: service.pid for name, service in services.items()}
                curve.append(_sample(settings, watch, pids, now - started))
            time.sleep(0.02)
        sender.flush()
        deadline = time.monotonic() + 60
        while sum(lag(settings.kafka, settings.kafka.group).values()) and time.monotonic() < deadline:
            time.sleep(0.5)
    finally:
        watch.stop.set()
        watch.thread.join()
        sender.close()
    return curve, sent


def _sample(settings: Settings, watch: Watch, pids: dict[str, int | None], at: float) -> dict[str, Any]:
    delays, unseen = watch.taken()
    memory = {name: round(psutil.Process(pid).memory_info().rss / 2**20) for name, pid in pids.items() if pid}
    return {
        "seconds": round(at, 1),
        "lag": sum(lag(settings.kafka, settings.kafka.group).values()),
        "seen": len(delays),
        "unseen": unseen,
        "p50": round(float(np.quantile(delays, 0.5)), 3) if delays else None,
        "p95": round(float(np.quantile(delays, 0.95)), 3) if delays else None,
        "worst": round(max(delays), 3) if delays else None,
        "memory_mb": memory,
    }


def _runs(log: Path) -> tuple[list[float], int]:
    """Seconds of each finished run, and how many ticks were skipped."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
    finished = [float(line["seconds"]) for line in lines if line.get("event") == "run" and "seconds" in line]
    return finished, sum("tick was skipped" in line.get("event", "") for line in lines)


def _summary(curve: list[dict[str, Any]], sent: int, rows: int, runs: list[float], skipped: int) -> dict[str, Any]:
    p95 = [one["p95"] for one in curve if one["p95"] is not None]
    quarter = max(len(curve) // 4, 1)
    growth = {}
    for name in curve[-1]["memory_mb"]:
        values = np.array([one["memory_mb"].get(name, np.nan) for one in curve], float)
        growth[name] = round(float(np.nanmedian(values[-quarter:]) / np.nanmedian(values[-2 * quarter : -quarter])), 2)
    found = {
        "sent": sent,
        "rows": rows,
        "lag_most": max(one["lag"] for one in curve),
        "p95_of_all_samples": round(float(np.quantile(p95, 0.95)), 3),
        "p95_median_of_samples": round(float(np.median(p95)), 3),
        "memory_growth": growth,
        "runs": len(runs),
        "skipped": skipped,
        "run_seconds_most": max(runs, default=0.0),
    }
    bars = {
        "rows are missing": rows != sent,
        "p95 from produced to visible": found["p95_of_all_samples"] >= P95_BAR,
        "skipped runs": skipped > SKIPPED_BAR * (len(runs) + skipped),
        "memory grows": max(value for name, value in growth.items() if name != _GROWS) > GROWTH_BAR,
        "lag grows": found["lag_most"] > RATE * 60,
    }
    return found | {"missed": [name for name, missed in bars.items() if missed]}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--window", default="30m")
    parser.add_argument("--every", default="1m")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    card = machine_card(SEED)
    logs.configure("warning", json=False)
    with tempfile.TemporaryDirectory() as folder:
        result = soak(chosen.minutes, Path(folder), window=chosen.window, every=chosen.every)
    if chosen.json:
        write_json(chosen.json, card, [result])
    shown = Table("", "", title=f"{chosen.minutes:g} minutes of {RATE:g} headlines a second")
    for name, value in result.items():
        if name != "curve":
            shown.add_row(name, str(value))
    Console(width=120).print(shown)
    if result["missed"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
