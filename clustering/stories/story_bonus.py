"""What lets stories stay as they were from run to run.

A choice between two clusterings that are as good as each other would be made anew with every headline that comes in; whoever
follows a story would see it fall apart and come together again. So what was a story counts for a little more than it is
worth, and a headline that no cluster takes in any more stays with its story while it still belongs there.
"""

import numpy as np
import numpy.typing as npt

from clustering.kernels import kernel
from clustering.stories.leaf_order import Indices, LeafOrder

Numbers = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]


def resemblance(parent: Indices, leaves: LeafOrder, stories: Numbers) -> tuple[Values, Indices]:
    """How much each inner node of a tree is what a story of the last run was.

    Args:
        parent: (nodes,) of the tree.
        leaves: Of the same tree.
        stories: (n,) the last run's story of each row, -1 = none, or not there yet; such rows count for nothing.

    Returns:
        (inner nodes,) the Jaccard index of the node's rows and the story's, of the one story with which it exceeds a half,
        0 where there is none; and (inner nodes,) that story's size.
    """
    numbers, compact = np.unique(stories, return_inverse=True)
    compact = compact - int(len(numbers) > 0 and numbers[0] < 0)
    in_order = compact[leaves.order]
    places = np.argsort(in_order, kind="stable").astype(np.int32)
    starts = np.searchsorted(in_order[places], np.arange(len(numbers) + 1)).astype(np.int32)
    return _resemblance(parent, leaves.first, leaves.last, np.asarray(compact, np.int32), places, starts)


@kernel()
def _resemblance(
    parent: Indices, first: Indices, last: Indices, story: Indices, places: Indices, starts: Indices
) -> tuple[Values, Indices]:
    """`places[starts[s] : starts[s + 1]]` are story s's places in the order of leaves, ascending.

    A Jaccard index above a half needs more than half of a node's rows. Who that can be is found by majority vote (Boyer and
    Moore 1981) from the leaves to the root.
    """
    n, nodes = len(story), len(parent)
    jaccard = np.zeros(nodes - n, np.float64)
    size = np.zeros(nodes - n, np.int32)
    leader = np.full(nodes, -1, np.int32)
    lead = np.zeros(nodes, np.int32)
    known = np.zeros(nodes, np.int32)
    for node in range(nodes):
        if node < n:
            if story[node] >= 0:
                leader[node], lead[node], known[node] = story[node], 1, 1
        elif lead[node] > 0:
            of_story = places[starts[leader[node]] : starts[leader[node] + 1]]
            shared = np.searchsorted(of_story, last[node]) - np.searchsorted(of_story, first[node])
            share = shared / (known[node] + len(of_story) - shared)
            if share > 0.5:
                jaccard[node - n] = share
                size[node - n] = len(of_story)
        above = parent[node]
        if above < 0:
            continue
        known[above] += known[node]
        if leader[above] == leader[node]:
            lead[above] += lead[node]
        elif lead[node] > lead[above]:
            leader[above], lead[above] = leader[node], lead[node] - lead[above]
        else:
            lead[above] -= lead[node]
    return jaccard, size


def rejoined(
    labels: Numbers,
    stories: Numbers,
    vectors: Vectors,
    theta: float,
    *,
    min_size: int = 2,
    times: Values | None = None,
    time_weight: float = 0.0,
    time_scale: float = 1.0,
) -> Numbers:
    """Rows that no cluster holds any more stay with their story, where their mean similarity to it reaches theta.

    The story is the cluster that holds most of its rows; if there is none, what is left of it, as a cluster of its own.

    Args:
        labels: (n,) clusters, -1 = none.
        stories: (n,) the last run's story of each row, -1 = none.
        vectors: (n, dim) unit rows in clustering space.
        theta: Least mean similarity to a cluster's members.
        min_size: Least rows of a cluster.
        times: (n,) days, or None.
        time_weight: lambda of the damping by distance in time.
        time_scale: tau, days.

    Returns:
        (n,) labels.
    """

    def similarity(rows: Numbers, members: Numbers) -> Values:
        """(rows,) the mean over the members, from the sum of their vectors: memory grows with rows plus members."""
        alike: Values = vectors[rows] @ (vectors[members].sum(axis=0, dtype=np.float64) / len(members))
        if times is not None and time_weight > 0:
            alike += time_weight * (_closeness(times[rows], times[members], time_scale) - 1)
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


def _heirs(labels: Numbers, stories: Numbers) -> dict[int, int]:
    """The cluster that holds most rows of each story, of equals the first."""
    both = (labels >= 0) & (stories >= 0)
    if not both.any():
        return {}
    pairs, counts = np.unique(np.stack((stories[both], labels[both])), axis=1, return_counts=True)
    order = np.lexsort((pairs[1], -counts, pairs[0]))
    first = np.unique(pairs[0][order], return_index=True)[1]
    return dict(zip(pairs[0][order][first].tolist(), pairs[1][order][first].tolist(), strict=True))
