"""Asks the API while headlines come in and runs go on: `python -m benchmarks.web`.

    python -m benchmarks.web --headlines 50000 --write

Real Kafka, Milvus Lite, `newstide consume`, `newstide recluster --every 30s` and `newstide web` as processes. All headlines
are sent at once; four clients ask once a second each, by turns for the newest headlines and for the stories, until all
headlines are read. No answer may be 503; 95 of 100 answers have to come within 2 s (headlines) and 1 s (stories).
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console

from benchmarks import document
from benchmarks.faults import PAGE
from benchmarks.machine import machine_card, machine_line, write_json
from newstide.core import logs
from newstide.core.errors import BrokerUnavailable
from newstide.core.headline import encode
from newstide.core.local_server import free_port
from newstide.core.settings import Settings
from newstide.kafka.lag import lag
from newstide.kafka.producer import Sender
from newstide.kafka.topics import ensure_topics
from tests.harness.services import Service, local_servers, made_headlines, opened, until

CLIENTS = 4
BARS = {"/api/headlines": 2.0, "/api/stories": 1.0}  # seconds within which 95 of 100 answers come
_EVERY = "30s"  # from run to run


def measure(headlines: int, folder: Path, *, model: str = "") -> dict[str, Any]:
    """Runs the load; returns seconds and statuses by path."""
    groups = {"embedding": {"model": model}} if model else {}
    with local_servers(folder, **groups) as (base, _):
        settings = base.updated(pages={"port": free_port()})
        ensure_topics(settings.kafka)
        services = {
            "consumer": Service("consumer", settings),
            "reclusterer": Service("reclusterer", settings, ["recluster", "--every", _EVERY]),
            "web": Service("web", settings, ["web"]),
        }
        answers: dict[str, list[tuple[int, float]]] = {path: [] for path in BARS}
        stop = threading.Event()
        try:
            services["consumer"].wait_until_ready()
            services["reclusterer"].wait_until_ready()
            services["web"].keep_up()
            address = f"http://127.0.0.1:{settings.pages.port}"
            until("the web server answers", lambda: _answers(address))
            _send(settings, headlines)
            started = time.monotonic()
            clients = [
                threading.Thread(target=_ask, args=(address, number, answers, stop), daemon=True)
                for number in range(CLIENTS)
            ]
            for client in clients:
                client.start()
            _until_read(settings)
            took = time.monotonic() - started
            stop.set()
            for client in clients:
                client.join()
            with opened(settings) as store:
                last, rows = store.last_run(), store.count_headlines()
        finally:
            stop.set()
            codes = {name: service.stop() for name, service in services.items()}
    runs = 0 if last is None else last.run
    return _summary(answers) | {
        "headlines": headlines,
        "rows": rows,
        "runs": runs,
        "seconds": took,
        "exit_codes": codes,
    }


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def _send(settings: Settings, headlines: int) -> None:
    sender = Sender(settings.kafka)
    for headline in made_headlines(headlines):
        sender.send(settings.kafka.topic, key=headline.id.encode(), value=encode(headline))
    sender.flush()
    sender.close()


def _ask(address: str, number: int, answers: dict[str, list[tuple[int, float]]], stop: threading.Event) -> None:
    paths = list(BARS)
    with httpx.Client(base_url=address, timeout=60) as client:
        turn = number
        while not stop.is_set():
            path, started = paths[turn % len(paths)], time.monotonic()
            status = client.get(path).status_code
            took = time.monotonic() - started
            answers[path].append((status, took))
            turn += 1
            stop.wait(max(0.0, 1.0 - took))


def _until_read(settings: Settings) -> None:
    def read() -> bool:
        try:
            return not sum(lag(settings.kafka, settings.kafka.group).values())
        except BrokerUnavailable:
            return False

    while not read():
        time.sleep(1.0)


def _summary(answers: dict[str, list[tuple[int, float]]]) -> dict[str, Any]:
    paths, missed = {}, []
    for path, found in answers.items():
        seconds = np.array([took for _, took in found] or [float("inf")])
        wrong = sum(status != 200 for status, _ in found)
        paths[path] = {
            "answers": len(found),
            "not 200": wrong,
            "p50": round(float(np.quantile(seconds, 0.5)), 3),
            "p95": round(float(np.quantile(seconds, 0.95)), 3),
            "worst": round(float(seconds.max()), 3),
        }
        if paths[path]["p95"] > BARS[path] or wrong:
            missed.append(path)
    return {"paths": paths, "missed": missed}


def figures(result: dict[str, Any], card: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = ["| path | answers | other than 200 | p50 | p95 | worst | bar for p95 |", "|---|---|---|---|---|---|---|"]
    for path, one in result["paths"].items():
        lines.append(
            f"| `{path}` | {one['answers']} | {one['not 200']} | {one['p50']:.2f} s | {one['p95']:.2f} s | "
            f"{one['worst']:.2f} s | {BARS[path]:g} s |"
        )
    where = (
        f"{result['headlines']:,} headlines read in {result['seconds']:.0f} s beside {result['runs']} "
        f"run{'s' * (result['runs'] != 1)}; "
        f"{machine_line(card)}"
    )
    return "\n".join([*lines, "", where])


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headlines", type=int, default=50_000)
    parser.add_argument("--model", default="", help="default: the default model")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    chosen = parser.parse_args()
    card = machine_card(0)
    logs.configure("warning", json=False)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(chosen.headlines, Path(folder), model=chosen.model)
    if chosen.json:
        write_json(chosen.json, card, [result])
    if chosen.write:
        document.replace(PAGE, "web", figures(result, card))
    Console(width=120).print(result)
    if result["missed"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
