"""Where a run's window ends: at the newest headline, unless that headline is dated in the future.

The clocks of senders and of this machine can be wrong. A headline further ahead of this machine's clock than `limits.ahead`
moves no window; and where most headlines are so far ahead, this machine's clock is behind.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from newstide.milvus import RunRow, Store, filters


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest headline, by which the window is set.

    Attributes:
        at: The headline's publication time, epoch ms; None where there is no headline.
        ahead: Headlines that are dated further ahead of the clock than `limits.ahead`.
        clock_behind: Whether most headlines are, so that the clock is what is wrong.
    """

    at: int | None
    ahead: int = 0
    clock_behind: bool = False


def find_newest(
    store: Store, last: RunRow | None, now: int, ahead: int, times: npt.NDArray[np.int64] | None = None
) -> Newest:
    """Finds the newest headline by one bounded query, from the last run's newest on; by a scan where that row has gone.

    Args:
        store: The store.
        last: The last run, with its newest headline in `counts`.
        now: By this machine's clock, epoch ms.
        ahead: Milliseconds that a headline may be ahead of it.
        times: Of all headlines from the last run's newest on, and perhaps of others, if they are known.
    """
    latest = now + ahead
    known = None if last is None else last.counts.get("newest")
    if known is not None and int(known) <= latest:
        if times is None:
            times = store.published_at(filters.published_since(int(known)))
        times = times[times >= int(known)]
        within = times[times <= latest]
        if len(within):
            return Newest(int(within.max()), len(times) - len(within))
    too_new = store.count_headlines(filters.published_after(latest))
    if too_new and 2 * too_new > store.count_headlines():
        return Newest(_newest(store, "") if known is None else int(known), too_new, clock_behind=True)
    return Newest(_newest(store, filters.published_until(latest)), too_new)


def _newest(store: Store, where: str) -> int | None:
    times = store.published_at(where)
    return int(np.max(times)) if len(times) else None
