"""Pairs of whole numbers, such as a row's story and its cluster, counted."""

import numpy as np

from clustering.arrays import Labels


def counted_pairs(first: Labels, second: Labels) -> tuple[Labels, Labels, Labels]:
    """The different pairs of whole numbers, ascending by the first and then by the second, and how often each comes.

    Args:
        first: (n,)
        second: (n,)

    Returns:
        Firsts, seconds and counts, of the same length.
    """
    (ones, one), (others, other) = (np.unique(values, return_inverse=True) for values in (first, second))
    keys, counts = np.unique(one.ravel() * np.int64(max(1, len(others))) + other.ravel(), return_counts=True)
    places = np.divmod(keys, max(1, len(others)))
    return ones[places[0]], others[places[1]], counts


def most_frequent(first: Labels, second: Labels) -> tuple[Labels, Labels]:
    """The different numbers of `first` (n,), ascending, and what stands with each most often in `second` (n,).

    Of those that stand with it equally often, the smallest.
    """
    ones, others, counts = counted_pairs(first, second)
    order = np.lexsort((others, -counts, ones))
    place = order[np.unique(ones[order], return_index=True)[1]]
    return ones[place], others[place]
