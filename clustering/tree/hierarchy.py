"""From neighbour lists to the tree: core distances, spanning tree, bridges, dendrogram.

What is equal to hdbscan on the full distance matrix, and what cannot be:

* On the same connected graph (missing pairs infinite far apart), the heights at which any two rows meet are hdbscan's.
* With `min_samples=1` and distinct distances the binary tree is hdbscan's too, hence its labels and probabilities.
* With `min_samples >= 2` core distances repeat as weights. hdbscan breaks such ties by the order of rows; its labels change
  when rows are permuted. In the tree here what merges at one height is one node, and the order of rows cannot matter.
* Against *all* distances instead of the k nearest: a row's core distance is exact when its list holds its nearest
  `min_samples`. A spanning-tree edge between rows of one component that do not list each other is missed; the way
  around through the lists may be longer. With k >= 30 that is rare.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustering.arguments import as_array, require_whole
from clustering.arrays import Edges, Floats, Indices, Values, Vectors
from clustering.time_damping import TimeDamping, damping_of
from clustering.tree.bridging import Metric, bridges
from clustering.tree.dendrogram import dendrogram, sorted_edges
from clustering.tree.forest import spanning_forest
from clustering.tree.reachability import core_distances
from clustering.tree.validation import validated_neighbours
from newstide.core.errors import InvalidGraph


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A spanning tree by mutual reachability, and the dendrogram of its single linkage.

    Attributes:
        n: Rows.
        edges: (m, 2) the spanning tree, smaller row first, ascending by (weight, smaller row, larger row); m = n - 1 where
            all rows are connected.
        weights: (m,) mutual reachability.
        core: (n,) core distances; infinite for rows with fewer than `min_samples` neighbours.
        parent: (nodes,) of the dendrogram, -1 for the root. Leaves are the nodes 0 to n - 1 (the rows), a parent's number
            is larger than its children's, the root is last. Equal heights are contracted: a node has two or more
            children, each a row or at a smaller height.
        height: (nodes,) 0 for leaves; infinite for a root over components that nothing connects.
        size: (nodes,) rows below.
        components: Pieces that the lists alone fall into.
    """

    n: int
    edges: Edges
    weights: Values
    core: Floats
    parent: Indices
    height: Values
    size: Indices
    components: int


def build_hierarchy(
    indices: npt.ArrayLike,
    distances: npt.ArrayLike,
    *,
    min_samples: int = 3,
    vectors: Vectors | None = None,
    damping: TimeDamping | None = None,
    memory_mb: int = 256,
) -> Hierarchy:
    """The tree of a top-k graph.

    Args:
        indices: (n, k) row numbers of neighbours, -1 = missing. A row's own number is ignored. The order does not matter.
        distances: (n, k) of the lists' neighbours, finite and not negative. Float32 stays float32. Give them in the
            precision they have: what is 0 but for rounding is told by it (see `floored_weights`).
        min_samples: Neighbours (the row itself not counted) that a row must have within its core distance; as hdbscan,
            at most n - 1 are asked for.
        vectors: (n, dim) where `distances` are sqrt(2 - 2 cosine) of them: then components are joined to their truly
            nearest. Without vectors they stay apart, under a root of infinite height.
        damping: Of the rows, where the cosines that `distances` are made of are damped by distance in time.
        memory_mb: Most memory for a block of products when components are joined.

    Raises:
        InvalidGraph: Lists, distances, vectors or parameters of which no tree can be made; the message names the value.
    """
    rows, lengths = validated_neighbours(indices, distances)
    n, k = rows.shape
    require_whole("min_samples", min_samples, 1)
    require_whole("memory_mb", memory_mb, 1)
    needed = min(min_samples, n - 1)
    if needed > k:
        raise InvalidGraph(
            f"min_samples is {min_samples}, and the lists hold {k} neighbours a row.",
            "Search more neighbours than min_samples, or lower min_samples.",
        )
    damping = damping_of(damping, n)
    metric = None if vectors is None else Metric(as_array("Vectors", vectors), damping)
    if metric is not None and len(metric.vectors) != n:
        raise InvalidGraph(f"{len(metric.vectors)} vectors for {n} rows.", "Give one vector per row of the lists.")
    if n <= 1:
        return _without_edges(n, lengths)
    core = core_distances(rows, lengths, needed)
    edges, weights, component = spanning_forest(rows, lengths, core)
    components = n - len(edges)
    if metric is not None and components > 1:
        more, longer = bridges(component, core, metric, memory_mb)
        edges, weights = np.concatenate((edges, more)), np.concatenate((weights, longer))
    del component
    edges, weights = sorted_edges(edges, weights)
    parent, height, size = dendrogram(edges, weights, n)
    return Hierarchy(n, edges, weights, core, parent, height, size, components)


def _without_edges(n: int, lengths: Floats) -> Hierarchy:
    """The tree of one row, or of none."""
    return Hierarchy(
        n=n,
        edges=np.empty((0, 2), np.int32),
        weights=np.empty(0, np.float64),
        core=np.full(n, np.inf, lengths.dtype),
        parent=np.full(n, -1, np.int32),
        height=np.zeros(n, np.float64),
        size=np.ones(n, np.int32),
        components=n,
    )
