"""The schedule: APScheduler starts a run at each tick, never two at once, and missed ticks coalesce."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Protocol

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from clustering.run.lease import Lease
from clustering.run.reclusterer import Memory, RunReport, recluster
from newstide.core import logs
from newstide.core.errors import NewstideError, Unavailable
from newstide.core.retry import once_there
from newstide.core.settings import Settings

_STEP = 5.0  # seconds by which a clock that is set jumps; less is a clock that is kept right, or a machine at its limit
_ASKED_AGAIN = 10.0  # seconds from a tick without the lease to the next one, where `every` is longer

log = logs.get("reclusterer")


class OnRun(Protocol):
    """A function that is called after each tick."""

    def __call__(self, report: RunReport | None, /, *, stood_by: bool = False) -> None:
        """Takes the tick's report; None where the run failed, or (`stood_by`) another reclusterer was at work."""
        ...


def run_every(
    every: timedelta,
    settings: Settings,
    *,
    stop: Event,
    on_beat: Callable[[], None],
    on_run: OnRun = lambda _report, **_: None,
) -> None:
    """Reclusters now and then every `every`, until `stop` is set; the run at hand is finished first.

    A run that fails is logged, once for as long as Kafka or Milvus is away, and the next tick tries again; while
    another reclusterer holds the lease, this one stands by. Where the clock is set, ticks are counted anew from then: the
    scheduler counts by it, and one that was a year ahead would let a year pass.

    Args:
        every: Time from tick to tick; a tick that comes while a run is going on is skipped.
        settings: Of the runs.
        stop: Ends the schedule.
        on_beat: Called about once a second while the service is alive.
        on_run: Called after each tick with its report, or None where it failed or (`stood_by=True`) another was at work.
    """
    scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)}, timezone="UTC")
    lease = once_there(lambda: Lease(settings.kafka), stop, "reclusterer")
    if lease is None:
        return
    with lease:
        ticks = _Ticks(settings, lease, on_run)
        job = scheduler.add_job(
            ticks.run,
            IntervalTrigger(seconds=every.total_seconds(), timezone="UTC"),
            next_run_time=datetime.now().astimezone(),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        scheduler.add_listener(ticks.say_skipped, EVENT_JOB_MAX_INSTANCES)
        scheduler.start()
        try:
            on_beat()
            offset = _clock_offset()
            while not stop.wait(1.0):
                on_beat()
                before, offset = offset, _clock_offset()
                if abs(offset - before) > _STEP:
                    log.warning("the clock was set; a run begins now, and the next ones are counted from it")
                    job.modify(next_run_time=datetime.now().astimezone())
                elif ticks.asks_again():
                    job.modify(next_run_time=datetime.now().astimezone())
        finally:
            closing = Thread(target=scheduler.shutdown, name="the last run")
            closing.start()
            while closing.is_alive():  # the loop turns as long as the run at hand takes
                closing.join(1.0)
                on_beat()


class _Ticks:
    """Makes the run of a tick, and remembers what was logged about the last one."""

    def __init__(self, settings: Settings, lease: Lease, on_run: OnRun) -> None:
        self._settings = settings
        self._lease = lease
        self._on_run = on_run
        self._away = self._standing_by = False
        self._stood_by_at = float("inf")
        self._memory = Memory()
        self._skipped = False

    def asks_again(self) -> bool:
        """Whether it is time to ask for the lease that a tick was not given: a group that has just begun settles soon."""
        again = time.monotonic() - self._stood_by_at > _ASKED_AGAIN
        if again:
            self._stood_by_at = float("inf")
        return again

    def say_skipped(self, _event: JobSubmissionEvent) -> None:
        """Logs that a tick came while a run was going on; once a run."""
        if not self._skipped:
            log.warning("a tick was skipped: the run before it is still going on")
        self._skipped = True

    def run(self) -> None:
        self._skipped = False
        try:
            if not self._lease.held(wait_ms=5_000):
                if not self._standing_by:
                    log.info("standing by: another reclusterer is at work, or Kafka has yet to say that none is")
                self._standing_by, self._stood_by_at = True, time.monotonic()
                self._on_run(None, stood_by=True)
                return
            report = recluster(self._settings, lease=self._lease, memory=self._memory)
        except NewstideError as error:
            self._on_run(None)
            away = isinstance(error, Unavailable) and error.passing
            if not (away and self._away):
                log.error("the run failed; the last good labels and page stay in place", reason=str(error))
            self._away = away
        except Exception:
            self._on_run(None)
            log.exception("the run failed unexpectedly; the last good labels and page stay in place")
        else:
            if self._away:
                log.info("Kafka and Milvus answer again")
            self._away = self._standing_by = False
            self._on_run(report)
            log.info("run", **report.facts())


def _clock_offset() -> float:
    """By how much the wall clock is ahead of the monotonic clock: constant until someone sets the wall clock."""
    return time.time() - time.monotonic()
