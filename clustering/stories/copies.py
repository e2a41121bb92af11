"""Copies of headlines: which rows are one point, and the neighbour lists of the points.

Copies take places in the lists of rows, so what is left of a list once they are one may be short. A short list is completed,
so that a headline has as many neighbours among many copies as it would have without them.
"""

from collections.abc import Sequence

import numpy as np

from clustering.arrays import Indices, Labels, Vectors
from clustering.kernels import dot, kernel, parallel_range
from clustering.neighbours.exact import ExactSearcher
from clustering.neighbours.graph import NeighbourGraph
from clustering.neighbours.neighbour_lists import NeighbourLists, Points
from clustering.pairs import most_frequent
from clustering.stories.similarity import collapse_titles

_EXACT_POINTS = 100_000  # of these, searching a twentieth again takes a few seconds


def points_of(titles: Sequence[str], times_ms: Labels) -> tuple[Labels, Labels]:
    """As `collapse_titles`, but the row that stands for a point is its earliest, of equals the first.

    So a copy that comes in later changes neither where a point lies nor when it was.
    """
    first, point = collapse_titles(titles)
    by_time = np.lexsort((times_ms, point))
    return by_time[np.searchsorted(point[by_time], np.arange(len(first)))], point


def stories_of_points(previous: Labels, point: Labels, points: int) -> Labels:
    """(points,) the story that most copies were in, of equals the oldest; -1 where none was in any."""
    stories = np.full(points, -1, np.int64)
    known = previous >= 0
    copied, story = most_frequent(point[known], previous[known])
    stories[copied] = story
    return stories


def lists_of_points(
    graph: NeighbourGraph, rows: Labels, point: Labels, memory_mb: int, exact_points: int = _EXACT_POINTS
) -> Indices:
    """The neighbours of each point: (points, k) numbers of other points, none twice, -1 = missing.

    First come the nearest of all that a point's copies list, the neighbours in reserve included. Where these are fewer than
    k, the point is compared with all others; among more points than `exact_points` only where the most alike of what its
    neighbours list do not suffice either. So a list is shorter than k only where there are no more points.

    Args:
        graph: Of the rows.
        rows: (points,) the row that stands for each point.
        point: (n,) each row's point.
        memory_mb: Most memory for a block of products.
        exact_points: Up to how many points, each short list is searched exactly.
    """
    if len(rows) == len(point):
        return graph.indices
    copies = np.argsort(point, kind="stable")
    start = np.searchsorted(point[copies], np.arange(len(rows) + 1))
    lists, reserve = (
        _merged_lists(graph.wide_indices, graph.wide_similarities, point, copies, start, graph.k, listed)
        for listed in (graph.k, graph.wide_indices.shape[1])
    )
    # How long a reserve is depends on earlier runs: what it adds to one row's list is exact, to merged lists it is not.
    lists = np.where((np.bincount(point) == 1)[:, None], reserve, lists)
    most = min(graph.k, len(rows) - 1)
    if len(rows) > exact_points:
        lists = _completed(lists, graph.vectors, rows, most)
    short = np.flatnonzero((lists[:, :most] < 0).any(axis=1)).astype(np.int32)
    if len(short):
        points = Points.of([graph.ids[row] for row in rows], graph.vectors[rows])
        searched = NeighbourLists.empty(len(rows), graph.k)
        ExactSearcher(memory_mb).fill(
            points, searched, short, np.zeros(len(short), np.bool_), np.zeros(len(rows), np.bool_)
        )
        lists[short] = searched.indices[short]
    return lists


@kernel(parallel=True)
def _merged_lists(
    indices: Indices,
    similarities: Vectors,
    point: Labels,
    copies: Labels,
    start: Labels,
    k: int,
    listed: int,
) -> Indices:
    """(points, k): the nearest of all that a point's copies list on their first `listed` places, no point twice."""
    points = len(start) - 1
    lists = np.full((points, k), -1, np.int32)
    for own in parallel_range(points):
        width = (start[own + 1] - start[own]) * listed
        others = np.empty(width, np.int64)
        alike = np.full(width, -np.inf, np.float32)
        filled = 0
        for copy in copies[start[own] : start[own + 1]]:
            for place in range(listed):
                if indices[copy, place] >= 0 and point[indices[copy, place]] != own:
                    others[filled] = point[indices[copy, place]]
                    alike[filled] = similarities[copy, place]
                    filled += 1
        kept = 0
        for candidate in np.argsort(-alike[:filled], kind="mergesort"):  # most alike first, then as they were listed
            known = False
            for place in range(kept):
                known = known or lists[own, place] == others[candidate]
            if not known:
                lists[own, kept] = others[candidate]
                kept += 1
                if kept == k:
                    break
    return lists


@kernel(parallel=True)
def _completed(lists: Indices, vectors: Vectors, rows: Labels, most: int) -> Indices:
    """Lists shorter than `most`, followed by the most alike of what their own neighbours list; of equals the first."""
    points, k = lists.shape
    completed = lists.copy()
    for own in parallel_range(points):
        kept = 0
        while kept < most and lists[own, kept] >= 0:
            kept += 1
        if kept == most:
            continue
        known = set(lists[own, :kept])
        known.add(np.int32(own))
        others = np.empty(kept * k, np.int64)
        filled = 0
        for neighbour in lists[own, :kept]:
            for other in lists[neighbour]:
                if other >= 0 and other not in known:
                    known.add(other)
                    others[filled] = other
                    filled += 1
        others = np.sort(others[:filled])
        distant = np.empty(filled, np.float32)
        for place in range(filled):
            distant[place] = -dot(vectors, rows[own], rows[others[place]])
        nearest = np.argsort(distant, kind="mergesort")[: most - kept]
        for place in range(len(nearest)):
            completed[own, kept + place] = others[nearest[place]]
    return completed
