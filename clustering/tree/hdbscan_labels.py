"""Clusters by the `hdbscan` library itself, run on the spanning tree instead of on all distances."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustering.arguments import require_whole
from clustering.arrays import Edges, Floats, Labels, Values, Vectors
from clustering.time_damping import TimeDamping
from clustering.tree.extraction import MOST_FOR_LIBRARY, Selection, labels_of_merges
from clustering.tree.hierarchy import Hierarchy, build_hierarchy
from clustering.tree.prim import merges_of_tree
from newstide.core.errors import InvalidGraph

_UNREACHABLE = 1e300  # stands for an infinite edge: the library refuses those, and 1 / 1e300 is as good as nothing
_SCALE_QUANTILE = 0.9
_ROUNDING = 8


@dataclass(frozen=True, slots=True)
class Clustering:
    """The result of one clustering.

    Attributes:
        labels: (n,) cluster of each row, -1 = noise.
        probabilities: (n,) strength of membership, 0 for noise.
        hierarchy: The tree the clusters were chosen from.
    """

    labels: Labels
    probabilities: Values
    hierarchy: Hierarchy


def cluster_neighbours(
    indices: npt.ArrayLike,
    distances: npt.ArrayLike,
    *,
    min_cluster_size: int = 3,
    min_samples: int = 3,
    selection: Selection = "eom",
    vectors: Vectors | None = None,
    damping: TimeDamping | None = None,
    memory_mb: int = 256,
) -> Clustering:
    """HDBSCAN on neighbour lists.

    On the dense matrix of the same connected graph hdbscan finds the same labels and probabilities if no two distances are
    equal, none is 0, and `min_samples` is 1. Otherwise there are ties, which hdbscan breaks by the order of rows: its labels
    change when rows are permuted. Here ties are broken in the same order, over the edges of one spanning tree: the labels
    are nearly always hdbscan's own, far closer than those are to each other. Equal to exact HDBSCAN on *all* distances up to
    spanning-tree edges that no list holds (see `build_hierarchy`).

    Where some distance is 0 or as good as 0 in the precision of `distances`, the smallest are raised to a floor (see
    `floored_weights`), and labels are those of hdbscan on the tree raised so. The tree, its condensation and the
    stabilities are made by the library's rules in every case, the last two by its own code; with more than 20,000 clusters
    in the condensed tree the choice among them is made here (see `extraction`), equal to the library's to the last bit.

    Args:
        indices: See `build_hierarchy`, as for the other arguments.
        distances: See there.
        min_cluster_size: Smallest cluster, at least 2.
        min_samples: See there.
        selection: Excess of mass, or leaves.
        vectors: See there. Without, components that nothing connects are clusters of their own under the root, where they
            reach `min_cluster_size`.
        damping: See there.
        memory_mb: See there.

    Raises:
        InvalidGraph: Naming the value that no clustering can be made of.
    """
    require_whole("min_cluster_size", min_cluster_size, 2)
    if not isinstance(selection, str) or selection not in ("eom", "leaf"):
        raise InvalidGraph(f"The selection is {selection!r:.80}.", "Choose eom or leaf, the selections of the library.")
    hierarchy = build_hierarchy(
        indices,
        distances,
        min_samples=min_samples,
        vectors=vectors,
        damping=damping,
        memory_mb=memory_mb,
    )
    labels, probabilities = library_clusters(hierarchy, min_cluster_size, selection)
    return Clustering(labels, probabilities, hierarchy)


def library_clusters(
    hierarchy: Hierarchy,
    min_cluster_size: int,
    selection: Selection,
    most_for_library: int = MOST_FOR_LIBRARY,
) -> tuple[Labels, Values]:
    """Labels (n,) and probabilities (n,) that hdbscan chooses from the tree.

    The same, up to the numbering and to ties, as `HDBSCAN(metric="precomputed", min_samples=1).fit(spanning tree as a
    sparse matrix)`, whose core distances raise no edge of a tree; but that goes through Python for every edge and takes
    three times as long. The library is left out where it takes too long to choose (see `extraction`).
    """
    n = hierarchy.n
    if n < 2 * min_cluster_size:  # the root is no cluster, and nothing under it can be split into two
        return np.full(n, -1, np.int64), np.zeros(n, np.float64)
    weights = floored_weights(hierarchy.weights, hierarchy.core)
    edges, weights = connected_tree(hierarchy, weights)
    return labels_of_merges(merges_of_tree(edges, weights), min_cluster_size, selection, most_for_library)


def floored_weights(weights: Values, core: Floats) -> Values:
    """The guard against duplicates: weights raised to a floor below the smallest that is not 0, if any is 0.

    Four copies of a headline are a cluster at distance 0, whose excess of mass is infinite: no cluster around them could
    ever be chosen. The floor is the smallest weight that is not 0, times the share of rows that are no copies. So a few
    copies count for hardly more than any other row can, and clusters around them can be chosen; where two thirds of the
    rows are copies, the copies are chosen, as hdbscan does it. What is 0 but for rounding counts as 0: sqrt(2 - 2 cosine)
    is off by the square root of the precision, which is told by the type of `core`, that of the lists' distances. Where
    nothing is at distance 0 the weights (ascending) are left as they are.
    """
    if not len(weights):
        return weights
    finite = core[np.isfinite(core)]
    # of the usual large distance, not of the largest: one row far from all others must not make theirs count as 0
    scale = float(np.quantile(finite, _SCALE_QUANTILE)) if len(finite) else 0.0
    if scale == 0:  # nearly all rows are copies
        scale = float(np.quantile(weights, _SCALE_QUANTILE))
    as_good_as_0 = _ROUNDING * np.sqrt(np.finfo(core.dtype).eps) * scale
    first = int(np.searchsorted(weights, as_good_as_0, side="right"))
    if first == 0:
        return weights
    smallest = float(weights[first]) if first < len(weights) else 1.0
    no_copies = 1 - np.count_nonzero(core <= as_good_as_0) / len(core)
    return np.maximum(weights, smallest * max(no_copies, 1 / len(core)))


def connected_tree(hierarchy: Hierarchy, weights: Values) -> tuple[Edges, Values]:
    """The tree's edges and `weights`, with edges as good as infinite between what nothing connects."""
    n = hierarchy.n
    if len(weights) == n - 1:
        return hierarchy.edges, weights
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(weights), np.int8), tuple(hierarchy.edges.T)), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    ends = np.unique(component, return_index=True)[1].astype(np.int32)
    more = np.stack((ends[:-1], ends[1:]), axis=1)
    return np.concatenate((hierarchy.edges, more)), np.concatenate((weights, np.full(len(more), _UNREACHABLE)))
