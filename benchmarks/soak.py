"""Sends steady headlines through all of newstide for an hour: `python -m benchmarks.soak`, or `make soak`.

    python -m benchmarks.soak --minutes 60 --json FILE

Real Kafka, Milvus Lite, `newstide consume` and `newstide recluster --every 1m` as processes. Every ten seconds a sample
is taken: lag, each process's resident memory, and the seconds from producing headlines until a client with strictly
consistent reads sees them in Milvus. At the end the bars are checked; the curve goes into the JSON.
"""

import argparse
import json
import tempfile
import threading
import time
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import document
from benchmarks.faults import PAGE
from benchmarks.machine import machine_card, machine_line, write_json
from newstide.core import logs
from newstide.core.errors import BrokerUnavailable
from newstide.core.headline import encode
from newstide.core.settings import Settings
from newstide.kafka.lag import lag
from newstide.kafka.producer import Sender
from newstide.kafka.topics import ensure_topics
from newstide.milvus import Store, open_store
from tests.harness.services import Service, local_servers, made_headlines

SEED = 42
CURVE = PAGE.with_name("soak.svg")
RATE = 50.0  # headlines a second
_SAMPLE_EVERY = 10.0  # seconds
_WATCHED = 5  # one headline of so many is waited for: looking for all would be a load of its own
_LOOK_EVERY = 0.1  # seconds
P95_BAR, SKIPPED_BAR = 2.0, 0.1  # seconds; share of runs
GROWTH_BAR = 1.15  # memory of the last quarter of the time against the third, when the window is full
_GROWS = "Milvus"  # Milvus Lite keeps all rows in memory, and no rows are removed here


class Watch:
    """Measures the seconds from producing headlines until they are seen in Milvus."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._waiting: dict[str, float] = {}
        self._delays: list[float] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def expect(self, id_: str) -> None:
        """Notes that this headline is being produced now."""
        with self._lock:
            self._waiting[id_] = time.monotonic()

    def taken(self) -> tuple[list[float], int]:
        """The seconds of headlines seen since the last call, and the number of those not seen yet."""
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
    """Runs the soak; returns its curve and its figures."""
    with local_servers(folder, clustering={"window": window}) as (settings, servers):
        ensure_topics(settings.kafka)
        services = {
            "consumer": Service("consumer", settings),
            "reclusterer": Service("reclusterer", settings, ["recluster", "--every", every]),
        }
        try:
            services["consumer"].wait_until_ready()
            store = open_store(settings.milvus, None)
            services["reclusterer"].wait_until_ready()
            pids = {name: server.pid for name, server in servers.items()}
            curve, sent = _steady(settings, services, pids, store, minutes * 60)
            rows = store.count_headlines()
            store.close()
        finally:
            codes = {name: service.stop() for name, service in services.items()}
    runs, skipped = _runs(folder / "reclusterer.log")
    ended = [name for name, service in services.items() if service.starts > 1 or codes[name]]
    return _summary(curve, sent, rows, runs, skipped, ended) | {
        "minutes": minutes,
        "rate": RATE,
        "window": window,
        "every": every,
        "exit_codes": codes,
        "starts": {name: service.starts for name, service in services.items()},
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
                made = headline._replace(id=id_, published_at=int(time.time() * 1000))
                sender.send(settings.kafka.topic, key=id_.encode(), value=encode(made))
                sent += 1
            if now >= next_sample:
                next_sample += _SAMPLE_EVERY
                curve.append(_sample(settings, watch, services, servers, now - started))
            time.sleep(0.02)
        sender.flush()
        curve.append(_sample(settings, watch, services, servers, time.monotonic() - started))
        deadline = time.monotonic() + 60
        while sum(lag(settings.kafka, settings.kafka.group).values()) and time.monotonic() < deadline:
            time.sleep(0.5)
    finally:
        watch.stop.set()
        watch.thread.join()
        sender.close()
    return curve, sent


def _sample(
    settings: Settings, watch: Watch, services: dict[str, Service], servers: dict[str, int | None], at: float
) -> dict[str, Any]:
    for service in services.values():
        service.keep_up()  # a service that has ended is counted and started again
    delays, unseen = watch.taken()
    memory = {}
    for name, pid in (servers | {name: service.pid for name, service in services.items()}).items():
        with suppress(psutil.NoSuchProcess):
            memory[name] = round(psutil.Process(pid).memory_info().rss / 2**20)
    behind: int | None = None
    with suppress(BrokerUnavailable):
        behind = sum(lag(settings.kafka, settings.kafka.group).values())
    return {
        "seconds": round(at, 1),
        "lag": behind,
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


def _summary(
    curve: list[dict[str, Any]], sent: int, rows: int, runs: list[float], skipped: int, ended: list[str]
) -> dict[str, Any]:
    seen = [one for one in curve if one["seen"]]
    quarter = max(len(curve) // 4, 1)
    growth = {}
    for name in curve[-1]["memory_mb"]:
        values = np.array([one["memory_mb"].get(name, np.nan) for one in curve], float)
        last, before = values[-quarter:], values[-2 * quarter : -quarter or None]
        growth[name] = round(float(np.nanmedian(last) / np.nanmedian(before if len(before) else last)), 2)
    found: dict[str, Any] = {
        "sent": sent,
        "rows": rows,
        "lag_most": max((one["lag"] for one in curve if one["lag"] is not None), default=0),
        "p95_at_most": _p95(seen),
        "p95_median_of_samples": round(float(np.median([one["p95"] for one in seen])), 3) if seen else float("inf"),
        "samples": len(seen),
        "samples_over_the_bar": sum(one["p95"] >= P95_BAR for one in seen),
        "memory_growth": growth,
        "runs": len(runs),
        "skipped": skipped,
        "run_seconds_most": max(runs, default=0.0),
    }
    bars = {
        "rows are missing": rows != sent,
        "p95 from produced to visible": found["p95_at_most"] >= P95_BAR,
        "skipped runs": skipped > SKIPPED_BAR * (len(runs) + skipped),
        "memory grows": max(value for name, value in growth.items() if name != _GROWS) > GROWTH_BAR,
        "a service ended by itself": bool(ended),
        "lag grows": found["lag_most"] > RATE * 60,
    }
    return found | {"missed": [name for name, missed in bars.items() if missed]}


def _p95(samples: list[dict[str, Any]]) -> float:
    """The largest possible p95 of all headlines: half of a sample lies below its p50, 45 % between p50 and p95."""
    if not samples:
        return float("inf")
    delays = np.array([[one["p50"], one["p95"], one["worst"]] for one in samples])
    shares = np.outer([one["seen"] for one in samples], [0.5, 0.45, 0.05])
    order = np.argsort(delays, axis=None)
    below = np.cumsum(shares.ravel()[order]) / shares.sum()
    return round(float(delays.ravel()[order][np.searchsorted(below, 0.95)]), 3)


def figures(result: dict[str, Any], card: dict[str, Any]) -> str:
    """The result as Markdown, with the curve."""
    rows = {
        "minutes; headlines a second; window; a run every": f"{result['minutes']:g}; {RATE:g}; {result['window']}; "
        f"{result['every']}",
        "headlines sent; rows in Milvus": f"{result['sent']:,}; {result['rows']:,}",
        "largest lag": f"{result['lag_most']:,} headlines",
        "from produced to visible, p95 of all; of the median ten seconds": f"at most {result['p95_at_most']:.2f} s; "
        f"{result['p95_median_of_samples']:.2f} s",
        f"ten seconds whose own p95 was {P95_BAR:g} s or more": f"{result['samples_over_the_bar']} of {result['samples']}",
        "memory, last quarter against the third": ", ".join(
            f"{name} × {growth:.2f}" for name, growth in result["memory_growth"].items()
        ),
        "runs; skipped ticks; longest run": f"{result['runs']}; {result['skipped']}; {result['run_seconds_most']:.1f} s",
        "what is missed": "; ".join(result["missed"]) or "nothing",
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    where = machine_line(card)
    return "\n".join(["| what | figure |", "|---|---|", *lines, "", where, "", f"![The curve]({CURVE.name})"])


def drawn(curve: list[dict[str, Any]]) -> str:
    """The curve as SVG: lag, delay and memory over time, each in a strip of its own with its largest value."""
    width, height, gap, left = 720, 110, 34, 10
    strips: dict[str, list[float | None]] = {
        "lag, headlines": [one["lag"] for one in curve],
        "p95 from produced to visible, s": [one["p95"] for one in curve],
        **{
            f"memory of the {name}, MB": [one["memory_mb"].get(name) for one in curve] for name in curve[0]["memory_mb"]
        },
    }
    end = max(one["seconds"] for one in curve) or 1.0
    parts = []
    for number, (name, values) in enumerate(strips.items()):
        bottom = (number + 1) * (height + gap)
        most = max((value for value in values if value is not None), default=0) or 1
        points = " ".join(
            f"{left + width * one['seconds'] / end:.1f},{bottom - height * value / most:.1f}"
            for one, value in zip(curve, values, strict=True)
            if value is not None
        )
        parts += [
            f'<text x="{left}" y="{bottom - height - 8}">{name}: at most {most:g}</text>',
            f'<line x1="{left}" y1="{bottom}" x2="{left + width}" y2="{bottom}" stroke="#999"/>',
            f'<polyline points="{points}" fill="none" stroke="#1f6f8b" stroke-width="1.5"/>',
        ]
    total = len(strips) * (height + gap) + 40
    parts.append(f'<text x="{left}" y="{total - 14}">0 to {end / 60:.0f} minutes</text>')
    return document.svg(width + 2 * left, total, parts)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--window", default="30m")
    parser.add_argument("--every", default="1m")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", action="store_true", help="put the table and the curve into docs")
    chosen = parser.parse_args()
    card = machine_card(SEED)
    logs.configure("warning", json=False)
    with tempfile.TemporaryDirectory() as folder:
        result = soak(chosen.minutes, Path(folder), window=chosen.window, every=chosen.every)
    if chosen.json:
        write_json(chosen.json, card, [result])
    if chosen.write:
        CURVE.write_text(drawn(result["curve"]), encoding="utf-8")
        document.replace(PAGE, "soak", figures(result, card))
    shown = Table("", "", title=f"{chosen.minutes:g} minutes of {RATE:g} headlines a second")
    for name, value in result.items():
        if name != "curve":
            shown.add_row(name, str(value))
    Console(width=120).print(shown)
    if result["missed"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
