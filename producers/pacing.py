"""Replay by published time: rows come out in the rhythm in which they were published, at a chosen speed."""

import math
import time
from collections.abc import Callable, Iterable, Iterator

from newstide.core.errors import SettingsError
from producers.rows import Rejected, Row


def parse_pace(text: str) -> float:
    """The speed of a replay: `60x` is 60 (an hour in a minute), `real` is 1, `max` and `0` are 0 (no waiting).

    Raises:
        SettingsError: The text is none of these.
    """
    name = text.strip().lower()
    if name in ("max", "real"):
        return {"max": 0.0, "real": 1.0}[name]
    try:
        speed = float(name.removesuffix("x"))
    except ValueError:
        speed = math.nan
    if not (0 <= speed < math.inf) or (speed > 0 and not name.endswith("x")):
        raise SettingsError(f"{text!r} is no pace.", "Write it as 60x, 1x, real or max.")
    return speed


def paced(
    rows: Iterable[Row | Rejected],
    speed: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Row | Rejected]:
    """Yields each row when it is due: after its distance in time from the first row, divided by the speed.

    Rows that are due already (out of order, or held up by a slow reader) come at once, and so do rejected rows and
    rows without a time.

    Args:
        rows: The rows as they are read.
        speed: 60 replays an hour in a minute; 0 yields every row at once.
        clock: Returns seconds of a monotonic clock.
        sleep: Waits so many seconds.
    """
    start: tuple[float, int] | None = None
    for row in rows:
        if speed and isinstance(row, Row) and row.published:
            published_at = row.headline.published_at
            if start is None:
                start = clock(), published_at
            due = start[0] + (published_at - start[1]) / 1000 / speed
            if (wait := due - clock()) > 0:
                sleep(wait)
        yield row
