"""The largest of many values, found without sorting them."""

import numpy as np

from clustering.arrays import Indices, Vectors
from clustering.kernels import kernel

_STRIDE = 64  # values looked at together: most strides hold nothing that matters


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
