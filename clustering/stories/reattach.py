"""Headlines that no cluster takes in any more stay with the story that they were in, while they still belong there."""

import numpy as np

from clustering.arrays import Labels, Values, Vectors
from clustering.kernels import kernel
from clustering.pairs import most_frequent
from clustering.time_damping import TimeDamping, damping_of


def reattached(
    labels: Labels,
    stories: Labels,
    vectors: Vectors,
    theta: float,
    *,
    min_size: int = 2,
    damping: TimeDamping | None = None,
) -> Labels:
    """Rows that no cluster holds any more stay with their story, where their mean similarity to it reaches theta.

    The story is the cluster that holds most of its rows; if there is none, what is left of it, as a cluster of its own.

    Args:
        labels: (n,) clusters, -1 = none.
        stories: (n,) the last run's story of each row, -1 = none.
        vectors: (n, dim) unit rows in clustering space.
        theta: Least mean similarity to a cluster's members.
        min_size: Least rows of a cluster.
        damping: By distance in time, of the same rows, or None.

    Returns:
        (n,) labels.
    """
    when = damping_of(damping, len(labels))

    def similarity(rows: Labels, members: Labels) -> Values:
        """(rows,) the mean over the members, from the sum of their vectors: memory grows with rows plus members."""
        alike: Values = vectors[rows] @ (vectors[members].sum(axis=0, dtype=np.float64) / len(members))
        if when.weight > 0:
            alike += when.weight * (_closeness(when.times[rows], when.times[members], when.scale) - 1)
        return alike

    result = labels.copy()
    heirs = _heirs(labels, stories)
    lost = np.flatnonzero((labels < 0) & (stories >= 0))
    lost = lost[np.argsort(stories[lost], kind="stable")]
    order = np.argsort(labels, kind="stable")
    ascending = labels[order]
    free = int(labels.max(initial=-1)) + 1
    for rows in np.split(lost, np.flatnonzero(np.diff(stories[lost])) + 1):
        n = len(rows)
        if n and (heir := heirs.get(int(stories[rows[0]]))) is not None:
            members = order[np.searchsorted(ascending, heir) : np.searchsorted(ascending, heir, side="right")]
            result[rows[similarity(rows, members) >= theta]] = heir
        elif n >= max(min_size, 2) and (similarity(rows, rows).sum() - 1) / (n - 1) >= theta:  # a row is 1 to itself
            result[rows] = free
            free += 1
    return result


def _closeness(at: Values, times: Values, scale: float) -> Values:
    """(rows,) for each of `at`, the mean of exp(-|dt| / scale) over `times`."""
    order = np.argsort(at, kind="stable")
    closeness = np.empty(len(at))
    closeness[order] = _decayed(at[order], np.sort(times), scale) / len(times)
    return closeness


@kernel()
def _decayed(at: Values, times: Values, scale: float) -> Values:
    """(rows,) sums of exp(-|dt| / scale) over `times`; both ascending. One pass for what lies before, one for after."""
    sums = np.zeros(len(at))
    total, place = 0.0, 0
    for row in range(len(at)):
        if row > 0:
            total *= np.exp((at[row - 1] - at[row]) / scale)
        while place < len(times) and times[place] <= at[row]:
            total += np.exp((times[place] - at[row]) / scale)
            place += 1
        sums[row] += total
    total, place = 0.0, len(times) - 1
    for row in range(len(at) - 1, -1, -1):
        if row < len(at) - 1:
            total *= np.exp((at[row] - at[row + 1]) / scale)
        while place >= 0 and times[place] > at[row]:
            total += np.exp((at[row] - times[place]) / scale)
            place -= 1
        sums[row] += total
    return sums


def _heirs(labels: Labels, stories: Labels) -> dict[int, int]:
    """The cluster that holds most rows of each story, of equals the first."""
    both = (labels >= 0) & (stories >= 0)
    found, clusters = most_frequent(stories[both], labels[both])
    return dict(zip(found.tolist(), clusters.tolist(), strict=True))
