"""The damping of a similarity by distance in time: s + weight (exp(-|dt| / scale) - 1)."""

from typing import NamedTuple

import numpy as np

from clustering.arguments import require_number, require_unmasked
from clustering.arrays import Values
from clustering.kernels import kernel
from newstide.core.errors import InvalidGraph


class _Damping(NamedTuple):
    times: Values
    weight: float
    scale: float


class TimeDamping(_Damping):
    """When each row was published, and how much distance in time takes from the similarity of two rows.

    A named tuple, so that compiled kernels take it as it is.

    Attributes:
        times: (n,) days.
        weight: lambda, what is taken from two rows that are infinitely far apart.
        scale: tau, days.

    Raises:
        InvalidGraph: A time is not finite, the weight is negative, or the scale is not positive.
    """

    __slots__ = ()

    def __new__(cls, times: Values, weight: float, scale: float) -> "TimeDamping":
        """Checks the values once, for all who use them."""
        times = _as_times(times)
        if len(wrong := np.flatnonzero(~np.isfinite(times))):
            raise InvalidGraph(f"Row {wrong[0]} has the time {times[wrong[0]]}.", "Give finite times, in days.")
        require_number("The weight of the damping by time", weight, 0)
        require_number("The scale of the damping by time", scale)
        if scale <= 0:
            raise InvalidGraph(f"The scale of the damping by time is {scale!r}.", "Give more than 0 days.")
        return super().__new__(cls, times, float(weight), float(scale))


def _as_times(times: Values) -> Values:
    require_unmasked("The times", times)
    if np.iscomplexobj(times):
        raise InvalidGraph(f"The times are {times!r:.80}.", "Give real numbers, in days.")
    try:
        found = np.ascontiguousarray(times, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InvalidGraph(f"The times are {times!r:.80}.", "Give one number of days per row.") from None
    if found.ndim != 1:
        raise InvalidGraph(f"The times have the shape {found.shape}.", "Give one number of days per row.")
    return found


UNDAMPED = TimeDamping(np.empty(0), 0.0, 1.0)  # its times are never looked at


def damping_of(damping: TimeDamping | None, n: int) -> TimeDamping:
    """The damping of n rows; `UNDAMPED` for None and for a weight of 0.

    Raises:
        InvalidGraph: There is not one time per row, or the damping is none, or holds values of which none can be made.
    """
    if damping is not None and not isinstance(damping, TimeDamping):
        raise InvalidGraph(f"The damping is {damping!r:.80}.", "Give a TimeDamping, or None.")
    if damping is None:
        return UNDAMPED
    damping = TimeDamping(*damping)  # `_replace` and `_make` check nothing
    if damping.weight == 0:
        return UNDAMPED
    if len(damping.times) != n:
        raise InvalidGraph(f"{len(damping.times)} times for {n} rows.", "Give one time, in days, per row.")
    return damping


@kernel()
def damped(similarity: float, damping: TimeDamping, one: int, two: int) -> float:
    """The similarity of two rows, damped by their distance in time."""
    if damping.weight > 0.0:
        similarity += damping.weight * (np.exp(-abs(damping.times[one] - damping.times[two]) / damping.scale) - 1.0)
    return similarity
