"""Waiting for Kafka and Milvus: with growing, jittered pauses, one line of log, and an end when the service stops."""

from collections.abc import Callable
from threading import Event
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential_jitter,
)

from newstide.core import logs
from newstide.core.errors import Unavailable

T = TypeVar("T")

_LONGEST = 5.0  # seconds between two tries


def once_there(
    connect: Callable[[], T], stop: Event, component: str, *, on_wait: Callable[[str], None] = lambda _reason: None
) -> T | None:
    """What `connect` returns, as soon as the servers that it asks are there; None where `stop` was set before.

    Args:
        connect: Is called again while it raises `Unavailable`, but for refusals, which waiting would not change.
        stop: Ends the waiting when it is set.
        component: The component that the log names as waiting.
        on_wait: Is told the reason before each wait.

    Raises:
        Unavailable: A server refuses.
    """
    log = logs.get(component)

    def say(state: RetryCallState) -> None:
        if state.outcome is None:
            return
        reason = str(state.outcome.exception())
        on_wait(reason)
        if state.attempt_number == 1:
            log.warning("waiting for a server", reason=reason)

    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, Unavailable) and error.passing),
        wait=wait_exponential_jitter(initial=0.5, max=_LONGEST),
        stop=stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        before_sleep=say,
        retry_error_callback=lambda _state: None,
    )
    connected: T | None = retrying(connect)
    if retrying.statistics.get("attempt_number", 1) > 1 and not stop.is_set():
        log.info("the servers are there", attempts=retrying.statistics["attempt_number"])
    return connected
