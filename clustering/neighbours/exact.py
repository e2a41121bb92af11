"""The exact searcher: blocked matrix products in the client, on all cores, in bounded memory.

A block of products in single precision says which rows may belong to a list; only their products are computed again, in
double precision, and ranked. One block serves two purposes: it fills the new rows' own lists, and it finds the new rows'
places in the lists of all others.
"""

from dataclasses import dataclass

import numpy as np

from clustering.arrays import Flags, Indices, Vectors
from clustering.kernels import as_int64, kernel, parallel_range
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
_STRIDE = 64  # products looked at together: most strides hold nothing that matters


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


@kernel()
def kth_largest(values: Vectors, k: int) -> np.float32:
    """The k-th largest value; -inf where there are fewer, inf for k = 0.

    A heap holds the k largest values so far, with the smallest on top. Only strides whose largest value may be among the k
    largest are gone through.
    """
    n = len(values)
    if k == 0:
        return np.float32(np.inf)
    strides = n // _STRIDE
    largest = np.empty(strides, np.float32)
    for stride in range(strides):
        largest[stride] = _largest(values, stride * _STRIDE)
    heap = np.full(k, -np.inf, np.float32)
    for stride in range(strides):
        if largest[stride] > heap[0]:
            _keep_largest(heap, largest[stride])
    least = heap[0]  # k strides hold a value as large: no smaller one counts
    heap[:] = -np.inf
    for stride in range(strides + 1):
        if stride < strides and (largest[stride] < least or largest[stride] <= heap[0]):
            continue
        for column in range(stride * _STRIDE, min(n, (stride + 1) * _STRIDE)):
            if values[column] > heap[0]:
                _keep_largest(heap, values[column])
    return np.float32(heap[0])


@kernel()
def _keep_largest(heap: Vectors, value: np.float32) -> None:
    """Replaces the smallest value of the heap (mutated) by another value."""
    k = len(heap)
    place = 0
    while True:
        child = 2 * place + 1
        if child >= k:
            break
        if child + 1 < k and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = value


@kernel()
def at_least(values: Vectors, least: np.float32, expected: int) -> Indices:
    """The places of the values that are `least` or more, ascending; `expected` is a guess at their number."""
    n = len(values)
    found = np.empty(max(1, expected), np.int32)
    count = 0
    for start in range(0, n, _STRIDE):
        end = min(n, start + _STRIDE)
        if end - start == _STRIDE and _largest(values, start) < least:
            continue
        for column in range(start, end):
            if values[column] >= least:
                if count == len(found):
                    longer = np.empty(2 * count, np.int32)
                    for number in range(count):
                        longer[number] = found[number]
                    found = longer
                found[count] = column
                count += 1
    return found[:count]


@kernel(fastmath={"nnan", "nsz", "reassoc"})
def _largest(values: Vectors, start: int) -> np.float32:
    """The largest of the stride of values that begins at `start`."""
    largest = values[start]
    for column in range(start + 1, start + _STRIDE):
        largest = max(largest, values[column])
    return np.float32(largest)


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
