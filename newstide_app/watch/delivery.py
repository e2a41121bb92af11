"""Deliveries: for each target a thread of its own that empties its queue, so that a dead target stops no other."""

import random
import time
from collections.abc import Callable, Mapping
from threading import Event, Thread

from newstide.core import logs
from newstide.core.errors import Undelivered
from newstide_app.watch.outbox import Outbox, Queued
from newstide_app.watch.targets import Target

_FIRST_WAIT = 1.0  # seconds before a delivery is tried again; each further wait is twice as long
_TRIES_REFUSED = 5  # of an alert that its target refuses
_LOOK_EVERY = 1.0  # seconds, where nothing wakes it

log = logs.get("watch")

OnDelivery = Callable[[str, str, float], None]  # target; delivered, failed or refused; seconds since the event


class Deliveries:
    """The threads that deliver, one a target.

    Args:
        outbox: Whose messages they are.
        targets: By name.
        longest_wait: Seconds between two tries, at most.
        on_delivery: Told of each try.
    """

    def __init__(
        self, outbox: Outbox, targets: Mapping[str, Target], longest_wait: float, on_delivery: OnDelivery
    ) -> None:
        self._outbox = outbox
        self._longest_wait = longest_wait
        self._on_delivery = on_delivery
        self._stop = Event()
        self._awake = {name: Event() for name in targets}
        self._threads = [
            Thread(target=self._deliver_to, args=(name, target), name=f"deliver to {name}", daemon=True)
            for name, target in targets.items()
        ]

    def start(self) -> None:
        """Begins; what waits from before goes first."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """There is something new in the outbox."""
        for awake in self._awake.values():
            awake.set()

    def stop(self, within: float) -> None:
        """Begins no further delivery, and waits so many seconds for those at hand; the rest stays in the outbox."""
        self._stop.set()
        self.wake()
        deadline = time.monotonic() + within
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _deliver_to(self, name: str, target: Target) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._awake[name].clear()
                queued = self._outbox.next(name)
                if queued is None:
                    self._awake[name].wait(_LOOK_EVERY)
                    continue
                wait = self._deliver(name, target, queued, failures)
            except Exception:
                log.exception("a delivery broke off; it is tried again", target=name)
                wait = self._longest_wait if failures else _FIRST_WAIT
            failures = failures + 1 if wait else 0
            if wait:
                self._stop.wait(wait)

    def _deliver(self, name: str, target: Target, queued: Queued, failures: int) -> float:
        """Tries once; seconds to wait before the next try, 0 where the alert is done with."""
        try:
            target.deliver(queued.alert)
        except Undelivered as error:
            if error.refused and queued.tries + 1 >= _TRIES_REFUSED:
                self._outbox.refused(name, queued.number)
                log.error("a target refuses an alert, which is given up", target=name, reason=error.message)
                self._on_delivery(name, "refused", 0.0)
                return 0.0
            self._outbox.failed(name, queued.number, error.message, time.time())
            self._on_delivery(name, "failed", 0.0)
            wait = pause(failures, self._longest_wait, error.wait)
            if not failures:
                log.warning("a target does not take an alert; it is tried again", target=name, reason=error.message)
            return wait
        self._outbox.delivered(name, queued.number)
        if failures:
            log.info("a target takes alerts again", target=name)
        self._on_delivery(name, "delivered", max(0.0, time.time() - queued.event_at / 1000))
        return 0.0


def pause(failures: int, longest: float, asked: float = 0.0) -> float:
    """Seconds to wait after so many failures in a row before this one: half by chance, and at least what was asked for."""
    wait = min(longest, _FIRST_WAIT * 2.0 ** min(failures, 30))
    return max(asked, wait * random.uniform(0.5, 1.0))
