"""Ends a service whose loop is silent for too long, so that whoever restarts services starts it again."""

import os
import sys
import threading
import traceback
from collections.abc import Callable

from newstide.core import logs

CODE = 70  # of a service that ended itself: an error inside, as sysexits.h numbers it
_LOOKS = 60  # looks within the silence that is allowed
_LONGEST = 5.0  # seconds from look to look
_FRAMES = 6  # of the main thread that the log shows

log = logs.get("monitoring")


def watch(
    service: str, last_beat: Callable[[], float | None], allowed: Callable[[], float], stop: threading.Event
) -> None:
    """Looks at the loop's last beat until `stop` is set; ends the process with `CODE` where it stays the same.

    The silence is counted in looks, so that a process that was suspended, or a machine that slept, gets its time anew.

    Args:
        service: The service's name, for the log.
        last_beat: When the loop last turned; None before its first turn, which may take long (a model's download).
        allowed: Seconds of silence that are allowed.
        stop: Ends the watch.
    """
    seen, silent = last_beat(), 0.0
    while not stop.wait(every := min(_LONGEST, allowed() / _LOOKS)):
        beat = last_beat()
        silent = 0.0 if beat is None or beat != seen else silent + every
        seen = beat
        if silent > allowed():
            end(service, silent)


def end(service: str, silent: float) -> None:
    """Says where the main thread hangs, and ends the process at once: a loop that hangs answers no signal either."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    hangs = [] if frame is None else traceback.format_list(traceback.extract_stack(frame)[-_FRAMES:])
    log.critical(
        "the loop is silent; the service ends itself, so that it is started again",
        service=service,
        silent_seconds=round(silent),
        hangs_at=" < ".join(one.strip().replace("\n", " ") for one in reversed(hangs)),
    )
    sys.stderr.flush()
    os._exit(CODE)
