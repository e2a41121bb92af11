"""Checks of neighbour lists before anything is computed from them.

Lists are `indices` (n, k), row numbers with -1 for a missing neighbour, and `distances` (n, k). A row's own number in its
list is ignored wherever it stands; the order within a list does not matter.
"""

import numpy as np
import numpy.typing as npt

from clustering.arguments import as_array
from clustering.arrays import Floats, Indices
from clustering.kernels import kernel, parallel_range
from newstide.core.errors import InvalidGraph


def validated_neighbours(indices: npt.ArrayLike, distances: npt.ArrayLike) -> tuple[Indices, Floats]:
    """The lists as int32 and float32 or float64 arrays, row by row in memory; copied only where they are not so yet.

    Raises:
        InvalidGraph: Shapes differ, a row number is out of range, or a neighbour's distance is negative, NaN or infinite.
    """
    numbers, lengths = as_array("Neighbour lists", indices), as_array("Distances", distances)
    if numbers.ndim != 2 or numbers.shape != lengths.shape:
        raise InvalidGraph(
            f"Neighbour lists of shape {numbers.shape} with distances of shape {lengths.shape}.",
            "Give two arrays of one shape (rows, neighbours).",
        )
    if numbers.dtype.kind not in "iu":
        raise InvalidGraph(
            f"Neighbour lists of type {numbers.dtype}.",
            "Give row numbers as integers; -1 stands for a missing neighbour.",
        )
    if numbers.size and (int(numbers.min()) < -1 or int(numbers.max()) >= len(numbers)):
        row, column = np.argwhere((numbers < -1) | (numbers >= len(numbers)))[0]
        raise InvalidGraph(
            f"Row {row} names {numbers[row, column]} as a neighbour, and there are {len(numbers)} rows.",
            "Row numbers start at 0; -1 stands for a missing neighbour.",
        )
    if lengths.dtype.kind not in "fiu":
        raise InvalidGraph(f"Distances of type {lengths.dtype}.", "Distances are numbers.")
    numbers = np.ascontiguousarray(numbers, dtype=np.int32)
    lengths = np.ascontiguousarray(lengths, dtype=np.float32 if lengths.dtype == np.float32 else np.float64)
    bad = int(_first_bad_distance(numbers, lengths)) if numbers.size else -1
    if bad >= 0:
        row, column = divmod(bad, numbers.shape[1])
        raise InvalidGraph(
            f"Row {row} has distance {lengths[row, column]} to row {numbers[row, column]}.",
            "Distances are finite and not negative; mark a missing neighbour by the row number -1.",
        )
    return numbers, lengths


@kernel(parallel=True)
def _first_bad_distance(indices: Indices, distances: Floats) -> int:
    """Position (row * k + column) of a neighbour whose distance is no finite number >= 0; -1 = none."""
    n, k = indices.shape
    found = np.full(n, -1, np.int32)
    for row in parallel_range(n):
        for column in range(k):
            value = distances[row, column]
            if indices[row, column] >= 0 and not (value >= 0 and value < np.inf):
                found[row] = column
                break
    for row in range(n):
        if found[row] >= 0:
            return int(row * k + found[row])
    return -1
