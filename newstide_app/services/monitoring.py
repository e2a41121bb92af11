"""`/metrics`, `/healthz` and `/readyz` of a service, each process its own, and the looks at Kafka and Milvus behind them.

Alive is a service whose loop turns. Ready is one that can do its work: Kafka and Milvus answer, and runs go well.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from newstide import __version__
from newstide.core import logs
from newstide.core.errors import EmptyStore, NewstideError, SettingsError, StoreUnavailable
from newstide.core.settings import MilvusSettings, Settings
from newstide.kafka.lag import lag
from newstide.milvus import open_store
from newstide.milvus.connection import Connection
from newstide_app.services.endpoints import with_endpoints
from newstide_app.services.metrics import (
    ConsumerMetrics,
    FeedMetrics,
    RunMetrics,
    ServerMetrics,
    make_registry,
)

if TYPE_CHECKING:
    from clustering.run.report import RunReport
    from consumers.loop import Tally

PORTS = {"consumer": 9464, "reclusterer": 9465, "producer": 9466, "web": 9467}
_NEXT = len(PORTS)  # ports further for the next process of the same service
_TRIES = 16

log = logs.get("monitoring")


class Monitor:
    """What a service tells of itself; all methods may be called from any thread."""

    def __init__(self, service: str, settings: Settings) -> None:
        self.service = service
        self.registry = make_registry(service, __version__)
        self.servers = ServerMetrics(self.registry)
        self.runs: RunMetrics | None = None
        self._settings = settings
        self._lock = Lock()
        self._reasons: dict[str, str] = {"start": f"{service} is starting."}
        self._beat: float | None = None
        self._silence = settings.monitoring.silence.total_seconds()
        self._success = time.monotonic()
        self._run_every: float | None = None

    def consuming(self) -> Callable[["Tally"], None]:
        """For the consumer's loop: to be called after every poll."""
        metrics = ConsumerMetrics(self.registry)

        def record(counts: "Tally") -> None:
            metrics.record(counts)
            self.beat()

        return record

    def reclustering(self, every: float) -> None:
        """Runs are expected every so many seconds."""
        self.runs = RunMetrics(self.registry, with_pages=self._settings.pages.enabled)
        self._run_every = every

    def ran(self, report: "RunReport | None", /, *, stood_by: bool = False) -> None:
        """A tick is over; None: the run failed, or another reclusterer is at work."""
        if self.runs is None:
            return
        if report is not None:
            self.runs.finished(report)
        elif stood_by:
            self.runs.stood_by()
        else:
            self.runs.failed()
            return
        self._success = time.monotonic()

    def polling(self, every: float) -> Callable[..., None]:
        """For the poller of feeds: to be called after every look at one, of which there is one every so many seconds."""
        self._silence = max(self._silence, 3 * every)
        metrics = FeedMetrics(self.registry)

        def record(**counts: Any) -> None:
            metrics.polled(**counts)
            self.beat()

        return record

    def beat(self) -> None:
        """The loop turns."""
        if self._beat is None:
            self.set("start", "")
        self._beat = time.monotonic()

    def set(self, what: str, reason: str) -> None:
        """Why the service is not ready, or with an empty reason that this is over."""
        with self._lock:
            if reason:
                self._reasons[what] = reason
            else:
                self._reasons.pop(what, None)

    def not_alive(self) -> str:
        """Why the service counts as dead, or nothing."""
        if self._beat is None:
            return ""  # the first start may fetch a model's weights for half an hour
        silent = time.monotonic() - self._beat
        return (
            f"{self.service} has not turned for {silent:.0f} s; {self._silence:.0f} s are allowed."
            if silent > self._silence
            else ""
        )

    def not_ready(self) -> list[str]:
        """Why the service cannot do its work, or nothing."""
        with self._lock:
            reasons = list(self._reasons.values())
        if self._run_every is not None:
            age = time.monotonic() - self._success
            allowed = self._run_every * self._settings.monitoring.missed_runs
            if age > allowed:
                reasons.append(f"The last good run is {age:.0f} s old; {allowed:.0f} s are allowed. See the log.")
        dead = self.not_alive()
        return [dead, *reasons] if dead else reasons


@contextmanager
def monitored(service: str, settings: Settings, *, asks: Iterable[str] = ("kafka", "milvus")) -> Iterator[Monitor]:
    """Serves a service's metrics and health while it runs; with `monitoring.port` 0 it only counts.

    Args:
        service: One of `PORTS`.
        settings: Addresses, ports and limits.
        asks: The servers it cannot do without.

    Raises:
        SettingsError: The configured address or port cannot be bound.
    """
    monitor = Monitor(service, settings)
    if settings.monitoring.port == 0:
        yield monitor
        return
    server = _bound(service, settings, _application(monitor))
    host, port = str(server.server_address[0]), int(server.server_address[1])
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    stop = Event()
    looks = {"kafka": _ask_kafka, "milvus": _ask_milvus}
    threads = [Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="monitoring", daemon=True)]
    threads += [
        Thread(target=looks[name], args=(monitor, settings, stop), name=f"look at {name}", daemon=True) for name in asks
    ]
    card = _card(settings.data_dir, service, os.getpid())
    try:
        card.parent.mkdir(parents=True, exist_ok=True)
        card.write_text(json.dumps({"service": service, "pid": os.getpid(), "address": address}) + "\n")
    except OSError as error:
        log.warning("`newstide doctor` will not find this service", reason=str(error))
    for thread in threads:
        thread.start()
    log.info("monitoring", service=service, metrics=f"{address}/metrics")
    try:
        yield monitor
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        with suppress(OSError):
            card.unlink()


def running_services(data_dir: Path) -> list[dict[str, Any]]:
    """The services that run on this data folder and machine: `service`, `pid`, `address`, and `not_ready` (lines)."""
    found = []
    for card in sorted((data_dir / "monitoring").glob("*.json")):
        try:
            service = json.loads(card.read_text())
            os.kill(int(service["pid"]), 0)
            address = str(service["address"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it was killed
        found.append({**service, "not_ready": _ask_readiness(address)})
    return found


def _ask_readiness(address: str) -> list[str]:
    if urlsplit(address).scheme != "http":
        return [f"{address} is no address."]
    try:
        with build_opener(ProxyHandler({})).open(f"{address}/readyz", timeout=3):
            return []
    except OSError as error:
        read = getattr(error, "read", None)
        text = read().decode(errors="replace").strip() if read is not None else str(error)
        return text.splitlines() or [type(error).__name__]


def _application(monitor: Monitor) -> Callable[..., Iterable[bytes]]:
    metrics = make_wsgi_app(monitor.registry)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            return answer(start_response, "405 Method Not Allowed", ["Only GET is known here."])
        if path == "/metrics":
            exposed: Iterable[bytes] = metrics(environ, start_response)
            return exposed
        if path == "/healthz":
            dead = monitor.not_alive()
            return answer(start_response, "503 Service Unavailable" if dead else "200 OK", [dead or "alive"])
        if path == "/readyz":
            reasons = monitor.not_ready()
            return answer(start_response, "503 Service Unavailable" if reasons else "200 OK", reasons or ["ready"])
        return answer(start_response, "404 Not Found", ["There are /metrics, /healthz and /readyz."])

    def answer(start_response: Callable[..., Any], status: str, lines: list[str]) -> Iterable[bytes]:
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
        start_response(status, headers)
        return ["".join(f"{line}\n" for line in lines).encode()]

    return application


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    allow_reuse_address = True

    def server_bind(self) -> None:
        """Binds; the base class would then look up this machine's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    timeout = 10  # seconds for a request to arrive

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
        """Says nothing."""


def _bound(service: str, settings: Settings, application: Callable[..., Iterable[bytes]]) -> WSGIServer:
    """On the configured port; without one on the service's own, or the next free one of those kept for it."""
    host, port = settings.monitoring.host, settings.monitoring.port
    ports = [port] if port else range(PORTS[service], PORTS[service] + _TRIES * _NEXT, _NEXT)
    kind = _Server6 if ":" in host else _Server
    reason = ""
    for candidate in ports:
        try:
            return make_server(host, candidate, application, server_class=kind, handler_class=_Quiet)
        except OSError as error:
            reason = str(error)
    raise SettingsError(
        f"Metrics cannot be served at {host}:{ports[0]}: {reason}.",
        "Correct monitoring.host or monitoring.port; NEWSTIDE_MONITORING_PORT=0 goes without.",
    )


def _ask_kafka(monitor: Monitor, settings: Settings, stop: Event) -> None:
    def ask() -> None:
        monitor.servers.lag(lag(settings.kafka, settings.kafka.group, patience=0))

    _ask_again_and_again("kafka", ask, monitor, settings, stop)


def _ask_milvus(monitor: Monitor, settings: Settings, stop: Event) -> None:
    longest = min(settings.milvus.timeout, max(settings.monitoring.look_every, timedelta(seconds=2)))
    connection: list[Connection] = []
    told = False

    def ask() -> None:
        nonlocal told
        impatient = with_endpoints(settings).milvus.model_copy(update={"timeout": longest})
        if not connection:
            connection.append(Connection(impatient))
        try:
            connection[0].call(lambda client: client.get_server_version(timeout=connection[0].timeout))
        except StoreUnavailable:
            connection.pop().close()  # a local one may be at another address when it is back
            raise
        if not told and monitor.runs is not None:
            _tell_last_run(monitor, impatient)
            told = True

    _ask_again_and_again("milvus", ask, monitor, settings, stop)
    for one in connection:
        one.close()


def _tell_last_run(monitor: Monitor, settings: MilvusSettings) -> None:
    """The last good run is older than this process: its age must not begin anew with each start."""
    try:
        store = open_store(settings, None)
    except EmptyStore:
        return
    try:
        last = store.last_run()
    finally:
        store.close()
    if last is not None and monitor.runs is not None:
        monitor.runs.found(last.run, last.finished_at / 1000)


def _ask_again_and_again(
    server: str, ask: Callable[[], None], monitor: Monitor, settings: Settings, stop: Event
) -> None:
    while True:
        try:
            ask()
        except NewstideError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - a look must not end the looking
            reason = f"{server} answers {type(error).__name__}: {error}"
        else:
            reason = ""
        monitor.servers.server(server, answers=not reason)
        monitor.set(server, reason)
        if stop.wait(settings.monitoring.look_every.total_seconds()):
            return


def _card(data_dir: Path, service: str, pid: int) -> Path:
    return data_dir / "monitoring" / f"{service}-{pid}.json"
