"""Calibrated selection: the clusters of a tree whose members are more alike than chance would make them.

From the tree, those disjoint nodes that maximise the sum of (mean pair similarity - theta) x size^exponent. theta comes
from random pairs (`clustering.stories.similarity.random_pair_threshold`), so no label is needed and every corpus and
model is measured anew. The maximum is exact, by dynamic programming from the leaves to the root.
"""

from dataclasses import dataclass

import numpy as np

from clustering.arguments import require_array, require_number, require_whole
from clustering.arrays import Flags, Indices, Labels, Values, Vectors
from clustering.kernels import kernel, parallel_range
from clustering.stories.leaf_order import LeafOrder, leaf_order
from clustering.stories.story_bonus import resemblance
from clustering.stories.time_decay import pair_closeness
from clustering.time_damping import TimeDamping, damping_of
from newstide.core.errors import InvalidGraph

_BLOCK = 32  # dimensions summed at a time: 256 bytes a row is all the memory beyond the vectors


@dataclass(frozen=True, slots=True)
class Selected:
    """The clusters chosen from a tree.

    Attributes:
        labels: (n,) cluster of each row, numbered by the first row of each; -1 = in none.
        probabilities: (n,) how far a row's mean cosine to the other members lies above theta, relative to the row most
            like them: 1 for that one, 0 for rows at theta, below it, or in no cluster.
        nodes: (clusters,) the tree's nodes chosen.
        similarity: (clusters,) mean similarity of the pairs of members, damped by distance in time where that is asked.
    """

    labels: Labels
    probabilities: Vectors
    nodes: Labels
    similarity: Values


def select_calibrated(
    parent: Indices,
    vectors: Vectors,
    theta: float,
    *,
    exponent: float = 1.5,
    min_size: int = 2,
    damping: TimeDamping | None = None,
    stories: Labels | None = None,
    inertia: float = 0.0,
) -> Selected:
    """Chooses clusters from a tree.

    The mean pair similarity of a node is exact from the sum S of its members' vectors: (|S|^2 - n) / (n (n - 1)).
    In the tree's order of leaves a node's members are neighbours, so S is a difference of two prefix sums, taken by
    blocks of dimensions. The damping by distance in time is a sum over pairs too (`clustering.stories.time_decay`).

    Args:
        parent: (nodes,) of a tree whose leaves 0 to n - 1 are the rows; a parent's number is larger than a child's, -1
            marks a root.
        vectors: (n, dim) unit rows in clustering space.
        theta: Mean pair similarity above which a node is worth something.
        exponent: Of the size.
        min_size: Smallest cluster, at least 2.
        damping: By distance in time, of the same rows, or None.
        stories: (n,) the last run's story of each row, -1 = none.
        inertia: Mean similarity that counts on top for what was a story in the last run, by how much it is the same.

    Raises:
        InvalidGraph: The tree and the vectors do not belong together, or an argument is out of range.
    """
    require_array("Vectors", vectors, 2, whole=False)
    require_array("A tree's parents", parent, 1, whole=True)
    n = len(vectors)
    require_whole("min_size", min_size, 2)
    for name, value in {"theta": theta, "exponent": exponent, "inertia": inertia}.items():
        require_number(name, value)
    if stories is not None:
        require_array("Stories", stories, 1, whole=True)
    if stories is not None and len(stories) != n:
        raise InvalidGraph(f"{len(stories)} stories of the last run for {n} rows.", "Give one per row, -1 = none.")
    _check_tree(parent, n)
    if n < 2 or len(parent) == n:
        return Selected(np.full(n, -1, np.int64), np.zeros(n, np.float32), np.empty(0, np.int64), np.empty(0))
    leaves = leaf_order(parent, n)
    similarity = _mean_pair_similarity(vectors, leaves)
    damping = damping_of(damping, n)
    if damping.weight > 0:
        similarity += damping.weight * (pair_closeness(parent, leaves, damping.times, damping.scale) - 1)
    sizes = (leaves.last - leaves.first)[n:].astype(np.float64)
    worth = np.where(sizes >= min_size, (similarity - theta) * sizes**exponent, 0.0)
    if stories is not None and inertia > 0:
        jaccard, story_size = resemblance(parent, leaves, stories)
        worth += np.where(sizes >= min_size, inertia * jaccard * story_size.astype(np.float64) ** exponent, 0.0)
    chosen = _best_antichain(parent, worth, n)
    labels, nodes = _numbered(chosen, leaves, n)
    return Selected(labels, belonging(labels, vectors, theta), nodes, similarity[nodes - n])


def belonging(labels: Labels, vectors: Vectors, theta: float) -> Vectors:
    """How firmly each row belongs to its cluster, (n,); see `Selected.probabilities`.

    Args:
        labels: (n,) clusters of two rows at least, -1 = none.
        vectors: (n, dim) unit rows in clustering space.
        theta: Mean cosine to the other members that is worth 0.
    """
    order = np.argsort(labels, kind="stable").astype(np.int32)
    ends = np.searchsorted(labels[order], np.arange(-1, int(labels.max(initial=-1)) + 1), side="right").astype(np.int32)
    probabilities = np.zeros(len(labels), np.float32)
    _fill_probabilities(vectors, order, ends[:-1], ends[1:], theta, probabilities)
    return probabilities


def _check_tree(parent: Indices, n: int) -> None:
    nodes = len(parent)
    if nodes < n:
        raise InvalidGraph(f"A tree of {nodes} nodes is none over {n} rows.", "Use build_hierarchy's.")
    children = np.flatnonzero(parent >= 0)
    wrong = children[(parent[children] <= children) | (parent[children] < n) | (parent[children] >= nodes)]
    if len(wrong):
        raise InvalidGraph(
            f"Node {wrong[0]} of {nodes} has the parent {parent[wrong[0]]}.",
            "Leaves are the rows, and a parent's number is larger than its children's: use build_hierarchy's tree.",
        )


def _mean_pair_similarity(vectors: Vectors, leaves: LeafOrder) -> Values:
    """(inner nodes,) of the members of each."""
    n = len(vectors)
    first, last = leaves.first[n:], leaves.last[n:]
    squares = np.zeros(len(first))
    for start in range(0, vectors.shape[1], _BLOCK):
        _add_squared_sums(vectors, leaves.order, start, min(start + _BLOCK, vectors.shape[1]), first, last, squares)
    sizes = (last - first).astype(np.float64)
    similarity: Values = (squares - sizes) / np.maximum(sizes * (sizes - 1), 1)
    return similarity


@kernel(parallel=True)
def _add_squared_sums(
    vectors: Vectors, order: Indices, start: int, stop: int, first: Indices, last: Indices, squares: Values
) -> None:
    """Adds to `squares`, for each range of rows in `order`, the squared length of their sum over some columns.

    Prefix sums in double precision: a million unit rows leave the difference of two of them right to ten digits.
    """
    n, width = len(order), stop - start
    prefix = np.empty((n + 1, width))
    prefix[0] = 0.0
    for place in range(n):
        row = order[place]
        for column in range(width):
            prefix[place + 1, column] = prefix[place, column] + vectors[row, start + column]
    for node in parallel_range(len(first)):
        square = 0.0
        for column in range(width):
            part = prefix[last[node], column] - prefix[first[node], column]
            square += part * part
        squares[node] += square


@kernel()
def _best_antichain(parent: Indices, worth: Values, n: int) -> Flags:
    """Which inner nodes to take: disjoint, of the largest total worth; on a tie, the smaller ones."""
    inner = len(worth)
    below = np.zeros(inner)
    take = np.zeros(inner, np.bool_)
    for number in range(inner):
        best = below[number]
        if worth[number] > best:
            best = worth[number]
            take[number] = True
        above = parent[number + n] - n
        if above >= 0:
            below[above] += best
    covered = np.zeros(inner, np.bool_)
    for number in range(inner - 1, -1, -1):
        above = parent[number + n] - n
        if above >= 0 and (covered[above] or take[above]):
            covered[number] = True
            take[number] = False
    return take


def _numbered(chosen: Flags, leaves: LeafOrder, n: int) -> tuple[Labels, Labels]:
    """Labels by the first row of each cluster, so that they do not depend on the tree's numbering; and the nodes."""
    nodes = np.flatnonzero(chosen) + n
    sizes = leaves.last[nodes] - leaves.first[nodes]
    inside = leaves.order[_ranges(leaves.first[nodes], sizes)]
    raw = np.repeat(np.arange(len(nodes)), sizes)
    earliest = np.full(len(nodes), n, np.int64)
    np.minimum.at(earliest, raw, inside)
    by_row = np.argsort(earliest, kind="stable")
    place = np.empty(len(nodes), np.int64)
    place[by_row] = np.arange(len(nodes))
    labels = np.full(n, -1, np.int64)
    labels[inside] = place[raw]
    return labels, nodes[by_row]


def _ranges(starts: Indices, lengths: Indices) -> Labels:
    """start, start + 1, ..., for each start and length, one after another."""
    ends = np.cumsum(lengths, dtype=np.int64)
    places: Labels = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
    return places


@kernel(parallel=True)
def _fill_probabilities(
    vectors: Vectors,
    order: Indices,
    first: Indices,
    last: Indices,
    theta: float,
    probabilities: Vectors,
) -> None:
    """Sets the probability of the rows of each range of `order`."""
    dim = vectors.shape[1]
    for cluster in parallel_range(len(first)):
        total = np.zeros(dim)
        for place in range(first[cluster], last[cluster]):
            for column in range(dim):
                total[column] += vectors[order[place], column]
        others = last[cluster] - first[cluster] - 1
        most = 0.0
        for place in range(first[cluster], last[cluster]):
            alike = -1.0  # without the row itself
            for column in range(dim):
                alike += total[column] * vectors[order[place], column]
            above = max(alike / others - theta, 0.0)
            probabilities[order[place]] = above
            most = max(most, above)
        for place in range(first[cluster], last[cluster]):
            if most > 0.0:
                probabilities[order[place]] /= most
            else:  # where damping by time is off and rounding is all there is: no row stands out
                probabilities[order[place]] = 1.0
