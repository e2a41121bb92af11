"""Clusters from hdbscan's condensed tree, by the library itself while that is quick.

The library compares every cluster of the condensed tree with all of it to find its children, so that its choice takes time
in the square of their number: a minute at a million rows, nine tenths of the whole. Above a bound the same choice is
made here in one pass. It is held to the library's by tests, down to the last bit of the probabilities.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from clustering.arrays import Labels, Values
from clustering.kernels import kernel

Selection = Literal["eom", "leaf"]

MOST_FOR_LIBRARY = 20_000  # clusters in the condensed tree; the library takes a second or two for them


def labels_of_merges(
    merges: Values, min_cluster_size: int, selection: Selection = "eom", most_for_library: int = MOST_FOR_LIBRARY
) -> tuple[Labels, Values]:
    """What `hdbscan.HDBSCAN.fit` does once it has its single-linkage tree.

    Args:
        merges: (n - 1, 4) in scipy's format.
        min_cluster_size: At least 2.
        selection: Excess of mass, or leaves.
        most_for_library: With more clusters than that in the condensed tree, the choice is made here.

    Returns:
        Labels (n,), -1 = noise, and probabilities (n,).
    """
    from hdbscan._hdbscan_tree import compute_stability, condense_tree, get_clusters

    condensed = condense_tree(merges, min_cluster_size)
    stability = compute_stability(condensed)
    if len(stability) <= most_for_library:
        labels, probabilities, _ = get_clusters(condensed, stability, selection)
        return labels, probabilities
    return _chosen(condensed, stability, selection)


def _chosen(condensed: npt.NDArray[Any], stability: dict[int, float], selection: Selection) -> tuple[Labels, Values]:
    """`get_clusters` in time proportional to the tree."""
    root = int(condensed["parent"].min())  # also the number of rows
    columns = [np.ascontiguousarray(condensed[name]) for name in ("parent", "child", "lambda_val", "child_size")]
    values = np.zeros(int(condensed["parent"].max()) + 1 - root)
    values[np.fromiter(stability, np.int64, len(stability)) - root] = np.fromiter(stability.values(), np.float64)
    label_of = _labels_of_clusters(columns[0], columns[1], columns[3], values, root, selection == "leaf")
    return _labels_of_rows(columns[0], columns[1], columns[2], label_of, root)


@kernel()
def _labels_of_clusters(
    parent: Labels, child: Labels, child_size: Labels, stability: Values, root: int, leaves: bool
) -> Labels:
    """The label that each condensed cluster's rows get (clusters,), numbered from 0 in the clusters' order; -1 = none.

    Clusters are numbered from the root down, so the last come first. A sum of two is rounded to single precision before it
    is compared, as in the library.
    """
    clusters = len(stability)
    above = np.full(clusters, -1, np.int64)
    below = np.zeros(clusters, np.float64)
    is_split = np.zeros(clusters, np.bool_)
    is_chosen = np.zeros(clusters, np.bool_)
    for line in range(len(parent)):
        if child_size[line] > 1:
            above[child[line] - root] = parent[line] - root
            is_split[parent[line] - root] = True
    for cluster in range(clusters - 1, 0, -1):
        best = stability[cluster]
        together = np.float32(below[cluster])
        if (leaves and is_split[cluster]) or (not leaves and together > best):
            best = np.float64(together)
        else:
            is_chosen[cluster] = True
        below[above[cluster]] += best
    label_of = np.full(clusters, -1, np.int64)
    labels = 0
    inherited = np.full(clusters, -1, np.int64)
    for cluster in range(1, clusters):
        inherited[cluster] = inherited[above[cluster]]
        if inherited[cluster] < 0 and is_chosen[cluster]:
            inherited[cluster] = cluster
            label_of[cluster] = labels
            labels += 1
        elif inherited[cluster] >= 0:
            label_of[cluster] = label_of[inherited[cluster]]
    return label_of


@kernel()
def _labels_of_rows(
    parent: Labels, child: Labels, lambdas: Values, label_of: Labels, root: int
) -> tuple[Labels, Values]:
    """Labels (n,), and probabilities (n,): the density at which a row leaves, by that at which its cluster ends."""
    clusters = len(label_of)
    end = np.zeros(clusters, np.float64)
    for line in range(len(parent)):
        end[parent[line] - root] = max(end[parent[line] - root], lambdas[line])
    chosen = np.full(clusters, -1, np.int64)  # of each label: its cluster, the first with that label
    for cluster in range(clusters):
        if label_of[cluster] >= 0 and chosen[label_of[cluster]] < 0:
            chosen[label_of[cluster]] = cluster
    labels = np.full(root, -1, np.int64)
    probabilities = np.zeros(root, np.float64)
    for line in range(len(parent)):
        row = child[line]
        label = label_of[parent[line] - root]
        if row >= root or label < 0:
            continue
        labels[row] = label
        last = end[chosen[label]]
        if last == 0.0 or not np.isfinite(lambdas[line]):
            probabilities[row] = 1.0
        else:
            probabilities[row] = min(lambdas[line], last) / last
    return labels, probabilities
