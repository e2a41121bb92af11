"""`/metrics`, `/healthz` and `/readyz` of a service, each process its own, and the looks at Kafka and Milvus behind them.

A service is alive while its loop turns, and ready while it can do its work: Kafka and Milvus answer, and runs succeed.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from prometheus_client import make_asgi_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from newstide import __version__
from newstide.core import logs
from newstide.core.errors import EmptyStore, NewstideError, SettingsError, StoreUnavailable
from newstide.core.files import replace_text
from newstide.core.settings import MilvusSettings, Settings
from newstide.kafka.lag import progress
from newstide.milvus import open_store
from newstide.milvus.connection import Connection
from newstide_app.services import silence
from newstide_app.services.cards import card_of
from newstide_app.services.endpoints import with_endpoints
from newstide_app.services.http import serving
from newstide_app.services.metrics import ConsumerMetrics, FeedMetrics, RunMetrics, ServerMetrics, make_registry

if TYPE_CHECKING:
    from clustering.run.report import RunReport
    from consumers.tally import Tally
    from producers.feed_poller import OnPoll

PORTS = {"consumer": 9464, "reclusterer": 9465, "producer": 9466, "web": 9467, "watch": 9468}
_NEXT = len(PORTS)  # ports further for the next process of the same service
_TRIES = 16

log = logs.get("monitoring")


class Monitor:
    """What a service reports about itself; all methods may be called from any thread."""

    def __init__(self, service: str, settings: Settings) -> None:
        self.service = service
        self.registry = make_registry(service, __version__)
        self.servers = ServerMetrics(self.registry)
        self.runs: RunMetrics | None = None
        self._settings = settings
        self._lock = Lock()
        self._reasons: dict[str, str] = {"start": f"{service} is starting."}
        self.last_beat: float | None = None  # on the monotonic clock
        self.silence = settings.monitoring.silence.total_seconds()  # allowed between two beats
        self._success = time.monotonic()
        self._run_every: float | None = None
        self._ran = False

    def consuming(self) -> Callable[["Tally"], None]:
        """For the consumer's loop: to be called after every poll."""
        metrics = ConsumerMetrics(self.registry)

        def record(counts: "Tally") -> None:
            metrics.record(counts)
            waits = counts.waits
            self.set("batch", "" if waits is None else f"A batch waits for {waits[0]}: {waits[1]}")
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
            if report.status == "finished":
                unwritten = self._settings.pages.enabled and not report.page
                self.set("page", f"The page of run {report.run} could not be written; see the log." * unwritten)
        elif stood_by:
            self.runs.stood_by()
        else:
            self.runs.failed()
            return
        self._success, self._ran = time.monotonic(), True

    def found(self, run: int, finished_at: float) -> None:
        """The last run that was made before this process began, and when it finished (epoch seconds).

        Its age must not begin anew with each start.
        """
        if self.runs is not None and not self._ran:
            self.runs.found(run, finished_at)
            self._success = min(self._success, time.monotonic() - (time.time() - finished_at))

    def polling(self, every: float) -> "OnPoll":
        """For the poller of feeds: to be called after every look at one, of which there is one every so many seconds."""
        self.silence = max(self.silence, 3 * every)
        metrics = FeedMetrics(self.registry)

        def record(*, well: bool, read: int, rejected: int, failing: int) -> None:
            metrics.polled(well=well, read=read, rejected=rejected, failing=failing)
            self.beat()

        return record

    def beat(self, at: float | None = None) -> None:
        """The loop turns; `at` is when it did, on the monotonic clock, where it is not now."""
        if self.last_beat is None:
            self.set("start", "")
        self.last_beat = time.monotonic() if at is None else at

    def set(self, what: str, reason: str) -> None:
        """Why the service is not ready, or with an empty reason that this is over."""
        with self._lock:
            if reason:
                self._reasons[what] = reason
            else:
                self._reasons.pop(what, None)

    def not_alive(self) -> str:
        """Why the service counts as dead, or nothing."""
        if self.last_beat is None:
            return ""  # the first start may fetch a model's weights for half an hour
        silent = time.monotonic() - self.last_beat
        return (
            f"The loop of the {self.service} has been silent for {silent:.0f} s; {self.silence:.0f} s are allowed."
            if silent > self.silence
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
def monitored(
    service: str, settings: Settings, *, asks: Iterable[str] = ("kafka", "milvus"), ends_silent: bool = False
) -> Iterator[Monitor]:
    """Serves a service's metrics and health while it runs; with `monitoring.port` 0 its `/healthz` alone, to this machine.

    Args:
        service: One of `PORTS`.
        settings: Addresses, ports and limits.
        asks: The servers it cannot do without.
        ends_silent: Whether the process ends once the loop has been silent for `monitoring.silence`.

    Raises:
        SettingsError: The configured address or port cannot be bound.
    """
    monitor = Monitor(service, settings)
    off = settings.monitoring.port == 0
    listener = _bound(service, settings)
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    stop = Event()
    looks = {} if off else {"kafka": _ask_kafka, "milvus": _ask_milvus}
    threads = [
        Thread(target=looks[name], args=(monitor, settings, stop), name=f"look at {name}", daemon=True)
        for name in asks
        if name in looks
    ]
    if ends_silent:
        arguments = (service, lambda: monitor.last_beat, lambda: monitor.silence, stop)
        threads.append(Thread(target=silence.watch, args=arguments, name="watch the loop", daemon=True))
    card = card_of(settings.data_dir, service, os.getpid())
    try:
        told = {"service": service, "pid": os.getpid(), "address": address, "metrics": not off}
        replace_text(card, json.dumps(told) + "\n")
    except OSError as error:
        log.warning("`newstide doctor` will not find this service", reason=str(error))
    for thread in threads:
        thread.start()
    if not off:
        log.info("monitoring", service=service, metrics=f"{address}/metrics")
    try:
        with serving(_application(monitor, only_health=off), listener):
            yield monitor
    finally:
        stop.set()
        with suppress(OSError):
            card.unlink()


class _Metrics:
    """`/metrics`, as the Prometheus client serves it."""

    def __init__(self, monitor: Monitor) -> None:
        self._app = make_asgi_app(monitor.registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _application(monitor: Monitor, *, only_health: bool) -> Starlette:
    def answer(reasons: list[str], well: str) -> Response:
        return _lines(reasons or [well], 503 if reasons else 200)

    def healthz(_request: Request) -> Response:
        dead = monitor.not_alive()
        return answer([dead] if dead else [], "alive")

    def readyz(_request: Request) -> Response:
        return answer(monitor.not_ready(), "ready")

    async def unknown(_request: Request, _error: Exception) -> Response:
        return _lines(["There is /healthz." if only_health else "There are /metrics, /healthz and /readyz."], 404)

    async def not_get(_request: Request, _error: Exception) -> Response:
        return _lines(["Only GET is known here."], 405)

    routes = [Route("/healthz", healthz)]
    if not only_health:
        routes += [Route("/readyz", readyz), Route("/metrics", _Metrics(monitor), methods=["GET"])]
    return Starlette(routes=routes, exception_handlers={404: unknown, 405: not_get})


def _lines(lines: list[str], status: int) -> Response:
    return PlainTextResponse("".join(f"{line}\n" for line in lines), status, headers={"Cache-Control": "no-store"})


def _bound(service: str, settings: Settings) -> socket.socket:
    """A socket on the configured port; without one, or with 0, on the service's own or the next free one kept for it.

    With 0 only this machine is let in, to ask for `/healthz`.
    """
    port = settings.monitoring.port
    host = "127.0.0.1" if port == 0 else settings.monitoring.host
    ports = [port] if port else list(range(PORTS[service], PORTS[service] + _TRIES * _NEXT, _NEXT))
    if port == 0:
        ports.append(0)  # any: the card in the data folder says which
    reason = ""
    for candidate in ports:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, candidate), family=family, backlog=128)
        except OSError as error:
            reason = str(error)
    raise SettingsError(
        f"Metrics cannot be served at {host}:{ports[0]}: {reason}.",
        "Correct monitoring.host or monitoring.port; NEWSTIDE_MONITORING_PORT=0 goes without.",
    )


def _ask_kafka(monitor: Monitor, settings: Settings, stop: Event) -> None:
    def ask() -> None:
        found = progress(settings.kafka, settings.kafka.group, patience=0)
        monitor.servers.lag({number: one.lag for number, one in found.items()})
        monitor.servers.held_back({number: one.held_back for number, one in found.items()})

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
    try:
        store = open_store(settings, None)
    except EmptyStore:
        return
    try:
        last = store.last_run()
    finally:
        store.close()
    if last is not None:
        monitor.found(last.run, last.finished_at / 1000)


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
