"""Does to a running `newstide up` what a machine does to itself: `python -m benchmarks.trouble`.

    python -m benchmarks.trouble --minutes 120 --write
    python -m benchmarks.trouble --minutes 6 --every 45 --only kill tree --only taken port

Headlines come in at 20 a second. Every two minutes one fault, drawn by a seed: a kill of one process or of the whole tree,
a port that is taken while its server is dead, a server that hangs, a full disk (root alone can mount a small one), headlines
that are dated years ahead, a flood of requests. Each headline that Kafka has acknowledged must be in Milvus once at the end;
one that is sent after a fault must be there within 60 s of the time from which both servers answer; and a fault may cost at
most 100 lines of log. At the end each story's row must say what its events say: number, status, successor, parents, the
run that it was born in, and title.
"""

import argparse
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from benchmarks import document
from benchmarks.faults import PAGE
from benchmarks.machine import RESULTS, machine_card, machine_line, write_json
from newstide.core import logs
from newstide.core.errors import NewstideError
from newstide.core.headline import Headline
from newstide.kafka.client import admin_client
from newstide_app.services.endpoints import read_endpoints
from tests.harness.events import differing, folded
from tests.harness.services import made_headlines, opened, until
from tests.harness.up import Up, fill, rows, send, taken_port

SEED = 20_261_129
RATE = 20  # headlines a second
BACK_BAR, LINES_BAR = 60.0, 100  # seconds; lines of log a fault
_LASTS = 15.0  # seconds of a fault that lasts
_FLOOD = 12  # clients


@dataclass(frozen=True)
class Hit:
    """A fault and what it cost: seconds until both servers answered, and from then until a new headline was in Milvus."""

    fault: str
    servers_after: float
    back_after: float
    lines: int


class Feed:
    """Sends headlines at a steady rate until it is stopped; sends those again that Kafka has not acknowledged."""

    def __init__(self, up: Up, made: Sequence[Headline]) -> None:
        self.sent: list[str] = []  # ids that Kafka has acknowledged
        self._up, self._made = up, made
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        for first in range(0, len(self._made), RATE):
            part = [one._replace(published_at=int(time.time() * 1000)) for one in self._made[first : first + RATE]]
            while not self.stop.is_set():
                try:
                    send(self._up.known(), part)
                except (NewstideError, OSError, TypeError):
                    self.stop.wait(1.0)
                    continue
                self.sent += [one.id for one in part]
                break
            due += 1.0
            if self.stop.wait(max(0.0, due - time.monotonic())):
                return


def _kill(word: str) -> Callable[[Up], None]:
    return lambda up: up.server(word).kill()


def _kill_tree(up: Up) -> None:
    up.kill_all()
    up.start()


def _taken(word: str) -> Callable[[Up], None]:
    def hit(up: Up) -> None:
        before = up.endpoints()
        address = before.bootstrap_servers if word == "java" else before.milvus_uri
        up.server(word).kill()
        port = taken_port(int(address.rpartition(":")[2].strip("/")))
        try:
            until("the server has another port", lambda: (read_endpoints(up.folder) or before) != before)
        finally:
            port.close()

    return hit


def _hangs(word: str) -> Callable[[Up], None]:
    def hit(up: Up) -> None:
        process = up.server(word)
        process.send_signal(signal.SIGSTOP)
        time.sleep(_LASTS)
        process.send_signal(signal.SIGCONT)

    return hit


def _full_disk(up: Up) -> None:
    filler = fill(up.folder)
    time.sleep(_LASTS)
    filler.unlink()


def _ahead(up: Up) -> None:
    day = 86_400_000
    made = made_headlines(5, mark=f"ahead{time.monotonic_ns()}")
    send(up.known(), [one._replace(published_at=int(time.time() * 1000) + 400 * day) for one in made])


def _flood(up: Up) -> None:
    found = read_endpoints(up.folder)
    end = time.monotonic() + _LASTS

    def ask() -> None:
        with httpx.Client(base_url=found.pages if found else "", timeout=20) as client:
            while time.monotonic() < end:
                with suppress(httpx.HTTPError):
                    client.get("/api/headlines")
                    client.get("/api/stories?limit=0")

    clients = [threading.Thread(target=ask, daemon=True) for _ in range(_FLOOD)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


FAULTS: dict[str, Callable[[Up], None]] = {
    "kill tree": _kill_tree,
    "kill consumer": _kill("newstide_app consume"),
    "kill reclusterer": _kill("newstide_app recluster"),
    "kill web": _kill("newstide_app web"),
    "kill Kafka": _kill("java"),
    "kill Milvus": _kill("milvus-lite"),
    "Kafka's port taken": _taken("java"),
    "Milvus' port taken": _taken("milvus-lite"),
    "Kafka hangs": _hangs("java"),
    "Milvus hangs": _hangs("milvus-lite"),
    "full disk": _full_disk,
    "headlines 400 days ahead": _ahead,
    "flood of requests": _flood,
}


def trouble(
    minutes: float, every: float, only: Sequence[str], folder: Path, *, disk: bool, seed: int = SEED
) -> dict[str, Any]:
    """Runs the faults; returns what they cost and what was there at the end.

    Args:
        minutes: How long headlines come in.
        every: Seconds from fault to fault.
        only: Names of `FAULTS` to draw from; empty: all.
        folder: For all data.
        disk: Whether the folder is a disk of its own, which may be filled.
        seed: Of the order of faults.
    """
    random_ = random.Random(seed)
    names = [name for name in only or FAULTS if disk or name != "full disk"]
    order: list[str] = []
    while len(order) < int(minutes * 60 / every):
        order += random_.sample(names, len(names))
    order = order[: int(minutes * 60 / every)]
    up = Up(folder / "data", folder.parent / f"{folder.name}.log")
    hits: list[Hit] = []
    try:
        up.endpoints()
        feed = Feed(up, made_headlines(int(minutes * 60 * RATE) + 60 * RATE))
        for number, name in enumerate(order):
            begins = time.monotonic() + every
            hits.append(_strike(up, name, f"marker{number:05d}"))
            feed.stop.wait(max(0.0, begins - time.monotonic()))
        feed.stop.set()
        feed.thread.join(120)
        found = _looked_at(up, feed)
    finally:
        up.end()
    worst = Counter({hit.fault: hit.lines for hit in hits})
    slow = [hit.fault for hit in hits if hit.back_after > BACK_BAR]
    loud = [hit.fault for hit in hits if hit.lines > LINES_BAR]
    missed = [f"{name}: more than {BACK_BAR:.0f} s" for name in slow] + [f"{name}: log lines" for name in loud]
    missed += [f"{name}: {found[name]}" for name in ("lost", "doubled", "lineage") if found[name]]
    facts = {"minutes": minutes, "every": every, "seed": seed, "faults": len(hits), "most_lines": dict(worst)}
    return {**facts, **found, "hits": [asdict(hit) for hit in hits], "missed": missed}


def _strike(up: Up, name: str, mark: str) -> Hit:
    lines = len(up.said().splitlines())
    FAULTS[name](up)
    over = time.monotonic()
    until("both servers answer", lambda: _ready(up), every=0.5)
    ready = time.monotonic()
    marker = made_headlines(1, mark=mark)
    until("Kafka takes a headline", lambda: _taken_in(up, marker), every=0.5)
    until("it is in Milvus", lambda: _has(up, marker[0].id), every=0.5)
    back = time.monotonic()
    return Hit(name, round(ready - over, 1), round(back - ready, 1), len(up.said().splitlines()) - lines)


def _ready(up: Up) -> bool:
    try:
        with admin_client(up.known().kafka, 0) as admin:
            admin.list_topics()
    except Exception:  # noqa: BLE001 - not there yet, in whatever way
        return False
    return rows(up) >= 0


def _taken_in(up: Up, headlines: list[Headline]) -> bool:
    try:
        send(up.known(), headlines)
    except (NewstideError, OSError):
        return False
    return True


def _has(up: Up, id_: str) -> bool:
    try:
        with opened(up.known()) as store:
            return bool(store.known_ids([id_]))
    except NewstideError:
        return False


def _looked_at(up: Up, feed: Feed) -> dict[str, Any]:
    """What is there, against what Kafka has acknowledged; and the stories, against their events."""

    def missing() -> set[str]:
        with opened(up.known()) as store:
            return set(feed.sent) - set(store.headlines("", ["id"])["id"])

    with suppress(TimeoutError):
        until("all are there", lambda: not missing(), every=2.0)
    lost = len(missing())
    up.process.send_signal(signal.SIGSTOP)  # no service is started again: what is compared stays as it is
    with suppress(TimeoutError):
        up.server("newstide_app recluster").terminate()
    time.sleep(5.0)
    with opened(up.known()) as store:
        ids = store.headlines("", ["id"])["id"]
        stories = store.stories()
        doubled = store.count_headlines() - ids.nunique()
    wrong = differing(stories, folded(up.known()))
    up.process.send_signal(signal.SIGCONT)
    return {"acknowledged": len(feed.sent), "lost": lost, "doubled": doubled, "stories": len(stories), "lineage": wrong}


def figures(result: dict[str, Any], card: dict[str, Any]) -> str:
    """The result as Markdown."""
    rows_ = [
        "| fault | times | servers answer after, most | back after, most | log lines, most |",
        "|---|---|---|---|---|",
    ]
    hits = result["hits"]
    for name in dict.fromkeys(hit["fault"] for hit in hits):
        own = [hit for hit in hits if hit["fault"] == name]
        most = [max(hit[key] for hit in own) for key in ("servers_after", "back_after", "lines")]
        rows_.append(f"| {name} | {len(own)} | {most[0]:.0f} s | {most[1]:.0f} s | {most[2]} |")
    what = (
        f"{result['minutes']:g} minutes, a fault every {result['every']:g} s, {result['acknowledged']:,} headlines "
        f"acknowledged: {result['lost']} lost, {result['doubled']} doubled; stories that differ from their events: "
        f"{len(result['lineage'])} of {result['stories']}. Missed: {'; '.join(result['missed']) or 'nothing'}."
    )
    return "\n".join([*rows_, "", what, "", machine_line(card)])


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--every", type=float, default=120.0, help="seconds from fault to fault")
    parser.add_argument("--only", action="append", default=[], choices=list(FAULTS))
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, default=RESULTS / "trouble.json")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    chosen = parser.parse_args()
    card = machine_card(chosen.seed)
    logs.configure("warning", json=False)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "disk"
        folder.mkdir()
        mounted = os.geteuid() == 0 and not subprocess.call(
            ["/bin/mount", "-t", "tmpfs", "-o", "size=2g", "tmpfs", str(folder)], stderr=subprocess.DEVNULL
        )
        try:
            result = trouble(chosen.minutes, chosen.every, chosen.only, folder, disk=mounted, seed=chosen.seed)
        finally:
            if mounted:
                subprocess.call(["/bin/umount", "--lazy", str(folder)])
    write_json(chosen.json, card, [result])
    if chosen.write:
        document.replace(PAGE, "trouble", figures(result, card))
    Console(width=140).print(figures(result, card))
    if result["missed"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
