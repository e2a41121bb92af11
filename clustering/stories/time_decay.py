"""How close in time the members of each node of a tree are: the mean of exp(-|dt| / scale) over their pairs, exactly.

A balanced tree over the distinct times holds, for each span of them, three sums over the points that are switched on:
over all pairs, and from each end of the span. Two neighbouring spans are joined by one product, so switching a point on
or off costs one walk to the top, where the sum over all pairs then stands. The points of a node are those of its largest
child, left switched on, and of its other children: a point is switched on again only where its part at least doubles in
size, log2(n) times at most.
"""

import numpy as np

from clustering.arrays import Indices, Labels, Values
from clustering.kernels import as_int64, kernel
from clustering.stories.leaf_order import LeafOrder


def pair_closeness(parent: Indices, leaves: LeafOrder, times: Values, scale: float) -> Values:
    """The mean of exp(-|dt| / scale) over the pairs of members of each inner node.

    Args:
        parent: (nodes,) of the tree; see `leaf_order`.
        leaves: The tree's leaves in order.
        times: (n,) of the leaves.
        scale: In the unit of `times`.

    Returns:
        (inner nodes,); 0 for a node of one leaf.
    """
    n = len(leaves.order)
    distinct, rank = np.unique(times, return_inverse=True)
    heavy = _largest_child(np.ascontiguousarray(parent), leaves.first, leaves.last)
    sums = _pair_sums(heavy, leaves.order, leaves.first, leaves.last, rank.astype(np.int32), distinct / scale)
    sizes = (leaves.last - leaves.first)[n:].astype(np.float64)
    closeness: Values = sums[n:] / np.maximum(sizes * (sizes - 1) / 2, 1)
    return closeness


@kernel()
def _largest_child(parent: Indices, first: Indices, last: Indices) -> Indices:
    """(nodes,) the child with most leaves, the smallest number on a tie; -1 for leaves."""
    heavy = np.full(len(parent), -1, np.int32)
    for node in range(len(parent)):
        above = parent[node]
        if above >= 0:
            rival = heavy[above]
            if rival < 0 or last[node] - first[node] > last[rival] - first[rival]:
                heavy[above] = node
    return heavy


@kernel()
def _pair_sums(heavy: Indices, order: Indices, first: Indices, last: Indices, rank: Indices, times: Values) -> Values:
    """(nodes,) sums over the pairs of each node's leaves; `times` are distinct, ascending, in units of the scale."""
    nodes = len(heavy)
    decay = _decays(times)
    width = len(decay)
    count = np.zeros(len(times), np.int64)
    pairs, from_low, from_high = np.zeros(2 * width), np.zeros(2 * width), np.zeros(2 * width)

    sums = np.zeros(nodes)
    chain = np.empty(nodes, np.int32)
    is_heavy = np.zeros(nodes, np.bool_)
    for node in range(nodes):
        if heavy[node] >= 0:
            is_heavy[heavy[node]] = True
    for top in range(nodes):
        if is_heavy[top] or heavy[top] < 0:
            continue
        length = 0  # from the top down along largest children to a leaf
        node = top
        while node >= 0:
            chain[length] = node
            length += 1
            node = heavy[node]
        for step in range(length - 1, -1, -1):
            node = chain[step]
            below = heavy[node]
            before, after = (last[node], last[node]) if below < 0 else (first[below], last[below])
            for place in range(first[node], before):
                _switch(rank[order[place]], as_int64(1), count, decay, pairs, from_low, from_high)
            for place in range(after, last[node]):
                _switch(rank[order[place]], as_int64(1), count, decay, pairs, from_low, from_high)
            sums[node] = pairs[1]
        for place in range(first[top], last[top]):
            _switch(rank[order[place]], as_int64(-1), count, decay, pairs, from_low, from_high)
    return sums


@kernel()
def _decays(times: Values) -> Values:
    """(width, 3) for each span that joins two: exp(-|dt|) across the gap, between the low ends, between the high ends.

    Span s joins 2 s and 2 s + 1, span 1 is all there is; span width + i is the distinct time i. Beyond the last time
    nothing is ever switched on, so its decays are never multiplied with anything but 0.
    """
    width = 1
    while width < len(times):
        width *= 2
    low, high = np.full(2 * width, times[-1]), np.full(2 * width, times[-1])
    low[width : width + len(times)] = times
    high[width : width + len(times)] = times
    decay = np.ones((width, 3))
    for span in range(width - 1, 0, -1):
        left, right = 2 * span, 2 * span + 1
        low[span], high[span] = low[left], high[right]
        decay[span, 0] = np.exp(high[left] - low[right])
        decay[span, 1] = np.exp(low[left] - low[right])
        decay[span, 2] = np.exp(high[left] - high[right])
    return decay


@kernel()
def _switch(
    place: int,
    by: int,
    count: Labels,
    decay: Values,
    pairs: Values,
    from_low: Values,
    from_high: Values,
) -> None:
    """Switches a point on (1) or off (-1) and brings the sums above it up to date."""
    count[place] += by
    points = count[place]
    span = place + len(decay)
    pairs[span], from_low[span], from_high[span] = points * (points - 1) / 2.0, points, points
    span //= 2
    while span >= 1:
        left, right = 2 * span, 2 * span + 1
        pairs[span] = pairs[left] + pairs[right] + from_high[left] * from_low[right] * decay[span, 0]
        from_low[span] = from_low[left] + from_low[right] * decay[span, 1]
        from_high[span] = from_high[right] + from_high[left] * decay[span, 2]
        span //= 2
