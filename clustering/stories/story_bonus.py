"""How much each node of a tree is what a story of the last run was, so that the selection can value it for that.

A choice between two clusterings that are as good as each other would be made anew with every headline that comes in; whoever
follows a story would see it fall apart and come together again. So what was a story counts for a little more than it is
worth.
"""

import numpy as np

from clustering.arrays import Indices, Labels, Values
from clustering.kernels import kernel
from clustering.stories.leaf_order import LeafOrder


def resemblance(parent: Indices, leaves: LeafOrder, stories: Labels) -> tuple[Values, Indices]:
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
