"""The exact searcher: blocked matrix products in the client, on all cores, in bounded memory.

A block of products in single precision says which rows may belong to a list; only their products are computed again, in
double precision, and ranked. One block serves two purposes: it fills the new rows' own lists, and it finds the new rows'
places in the lists of all others.
"""

from dataclasses import dataclass

import numpy as np

from clustering.arrays import Flags, Indices, Vectors
from clustering.kernels import as_int64, kernel, parallel_range
from clustering.neighbours.largest import at_least, kth_largest
from clustering.neighbours.neighbour_lists import (
    NeighbourListArrays,
    NeighbourLists,
    PointArrays,
    Points,
    offer,
    similarity,
    write_most_similar,
)

_LARGEST_BLOCK_MB = 256  # larger blocks are not faster
_SMALLEST_BLOCK = 8
_COLUMNS = 2048  # of a block that one thread goes through at a time


@dataclass(frozen=True, slots=True)
class ExactSearcher:
    """Compares every searched row with every row.

    Args:
        memory_mb: Most memory for a block of products.
    """

    memory_mb: int = 1024

    @property
    def exact(self) -> bool:
        """Lists are the true ones."""
        return True

    @property
    def judge(self) -> "ExactSearcher":
        """Itself."""
        return self

    def fill(self, points: Points, lists: NeighbourLists, rows: Indices, offered: Flags, complete: Flags) -> None:
        """See `Searcher.fill`."""
        vectors, n = points.vectors, len(points.vectors)
        memory = min(self.memory_mb, _LARGEST_BLOCK_MB) * 2**20
        block = max(_SMALLEST_BLOCK, memory // (4 * max(1, n)))
        least = least_to_offer(lists, rows, complete, points.slack)
        for start in range(0, len(rows), block):
            part, new = rows[start : start + block], offered[start : start + block]
            products = vectors[part] @ vectors.T
            _search(products, part, points.arrays, lists.arrays)
            if new.any():
                places = np.flatnonzero(new).astype(np.int32)
                _offer_to_all(products, places, part, points.arrays, least, complete, lists.arrays)


def least_to_offer(lists: NeighbourLists, searched: Indices, complete: Flags, slack: float) -> Vectors:
    """The product below which an offered row cannot enter each row's list, (n,); infinite for rows that are searched."""
    width = lists.indices.shape[1]
    last = np.take_along_axis(lists.similarities, np.maximum(lists.lengths - 1, 0)[:, None], axis=1)[:, 0]
    known = np.where(lists.lengths > 0, last, np.float32(np.inf))  # what lies in an empty list is no similarity
    least: Vectors = (known - np.float32(slack)).astype(np.float32)
    least[complete & (lists.lengths < width)] = -np.inf
    least[searched] = np.inf
    return least


@kernel(parallel=True)
def _search(products: Vectors, rows: Indices, points: PointArrays, lists: NeighbourListArrays) -> None:
    """Writes the lists (mutated) of `rows`; `products` (len(rows), n) are those of each with all rows, and mutated."""
    n = products.shape[1]
    width = min(lists.indices.shape[1], n - 1)
    for place in parallel_range(len(rows)):
        row = rows[place]
        products[place, row] = -np.inf
        least = kth_largest(products[place], width) - np.float32(2 * points.slack)
        candidates = at_least(products[place], least, 2 * width)
        write_most_similar(lists, row, candidates, points)


@kernel(parallel=True)
def _offer_to_all(
    products: Vectors,
    places: Indices,
    rows: Indices,
    points: PointArrays,
    least: Vectors,
    complete: Flags,
    lists: NeighbourListArrays,
) -> None:
    """Offers the rows at `places` of the block to the lists of all rows; the lists and `least` are mutated."""
    vectors, norms, slack = points.vectors, points.norms, points.slack
    similarities, lengths = lists.similarities, lists.lengths
    n = products.shape[1]
    width = lists.indices.shape[1]
    for part in parallel_range((n + _COLUMNS - 1) // _COLUMNS):
        for place in places:
            row = as_int64(rows[place])
            for other in range(part * _COLUMNS, min(n, (part + 1) * _COLUMNS)):
                if products[place, other] < least[other]:
                    continue
                value = similarity(vectors, norms, row, other)
                if offer(lists, other, row, value, complete[other]):
                    length = lengths[other]
                    if length == width or not complete[other]:
                        least[other] = similarities[other, length - 1] - np.float32(slack)
