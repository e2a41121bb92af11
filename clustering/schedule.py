"""Runs again and again: APScheduler starts one at each tick, never two at once, and missed ticks coalesce."""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from clustering.lease import Lease
from clustering.reclusterer import recluster
from newstide import logs
from newstide.errors import NewstideError
from newstide.settings import Settings

log = logs.get("reclusterer")


def run_every(
    every: timedelta,
    settings: Settings,
    *,
    stop: Event,
    on_beat: Callable[[], None],
    on_run: Callable[..., None] = lambda _report, **_: None,
) -> None:
    """Reclusters now and then every `every`, until `stop` is set; the run at hand is finished first.

    A run that fails is logged and the next tick tries again; while another reclusterer holds the lease, this one
    stands by.

    Args:
        every: Time from tick to tick; a tick that comes while a run is going on is skipped.
        settings: Of the runs.
        stop: Ends the schedule.
        on_beat: Called about once a second while the service is alive.
        on_run: Called after each tick with its report, or None where it failed or (`stood_by=True`) another was at work.
    """
    scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)}, timezone="UTC")
    with Lease(settings.kafka) as lease:
        scheduler.add_job(
            _run,
            IntervalTrigger(seconds=every.total_seconds(), timezone="UTC"),
            args=(settings, lease, on_run),
            next_run_time=datetime.now().astimezone(),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        scheduler.add_listener(_say_skipped, EVENT_JOB_MAX_INSTANCES)
        scheduler.start()
        try:
            while not stop.wait(1.0):
                on_beat()
        finally:
            scheduler.shutdown(wait=True)


def _run(settings: Settings, lease: Lease, on_run: Callable[..., None]) -> None:
    try:
        if not lease.held(wait_ms=5_000):
            log.info("standing by: another reclusterer is at work")
            on_run(None, stood_by=True)
            return
        report = recluster(settings, lease=lease)
    except NewstideError as error:
        on_run(None)
        log.error("the run failed; the last good labels and page stay in place", reason=str(error))
    except Exception:
        on_run(None)
        log.exception("the run failed unexpectedly; the last good labels and page stay in place")
    else:
        on_run(report)
        log.info("run", **report.facts())


def _say_skipped(_event: JobSubmissionEvent) -> None:
    log.warning("a tick was skipped: the run before it is still going on")
