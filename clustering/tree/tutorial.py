"""The labels of the Milvus tutorial's clustering, bit for bit, without its dense matrix.

The tutorial searches the nearest 50 of every row (squared euclidean distances, the row itself among them), writes them into
the rows of an (n, n) matrix of infinities, and gives that to `hdbscan` as precomputed distances. The matrix is not
symmetric, and hdbscan uses it as it is: core distances come from its columns (a row's *listers*), Prim's algorithm walks
along its rows, each edge is taken to start at the row added last, and edges are sorted by an unstable sort. All of it is
repeated here over the lists alone.
"""

import warnings

import numpy as np
import numpy.typing as npt

from clustering.arguments import require_array, require_whole
from clustering.arrays import Indices, Labels, Offsets, Values, Vectors
from clustering.tree.extraction import labels_of_merges
from clustering.tree.prim import merges_of_path, walk
from clustering.tree.validation import validated_neighbours

NEIGHBOURS = 50  # a row searches, itself included


def tutorial_labels(
    indices: Indices,
    similarities: Vectors,
    *,
    min_samples: int = 3,
    min_cluster_size: int = 3,
) -> tuple[Labels, Values]:
    """The labels that the tutorial's code gives for the lists of the neighbour graph.

    Args:
        indices: (n, k) of others, most similar first, -1 = missing. The first 49 are used; the tutorial has that many.
        similarities: (n, k) cosines.
        min_samples: The tutorial's is 3.
        min_cluster_size: The tutorial's is 3.

    Returns:
        Labels (n,), -1 = noise, and probabilities (n,).

    Raises:
        InvalidGraph: Lists of which no matrix can be made.
    """
    require_array("Neighbour lists", indices, 2, whole=True)
    require_array("Similarities", similarities, 2, whole=False)
    lists = as_searched(indices, similarities)
    return labels_of_search(*lists, min_samples=min_samples, min_cluster_size=min_cluster_size)


def as_searched(indices: Indices, similarities: Vectors) -> tuple[Indices, Vectors]:
    """What the tutorial's search gives: the row itself first, and squared distances of unit vectors; (n, up to 50)."""
    others = NEIGHBOURS - 1
    itself = np.arange(len(indices), dtype=np.int32)[:, None]
    squared = np.maximum(np.float32(0), np.float32(2) - np.float32(2) * similarities[:, :others])
    return (
        np.concatenate((itself, indices[:, :others]), axis=1),
        np.concatenate((np.zeros((len(indices), 1), np.float32), squared), axis=1),
    )


def labels_of_search(
    indices: npt.ArrayLike, distances: npt.ArrayLike, *, min_samples: int = 3, min_cluster_size: int = 3
) -> tuple[Labels, Values]:
    """The labels of the tutorial's code, bit for bit, wherever that code ends at all.

    Args:
        indices: (n, k) as the search gave them, the row itself included where it was found; -1 = missing. Of a row found
            twice the last counts.
        distances: (n, k) as the search gave them: squared euclidean.
        min_samples: The tutorial's is 3.
        min_cluster_size: The tutorial's is 3.

    Returns:
        Labels (n,), -1 = noise, and probabilities (n,).

    Raises:
        InvalidGraph: Lists of which no matrix can be made, or parameters out of range.
    """
    require_whole("min_samples", min_samples, 1)
    require_whole("min_cluster_size", min_cluster_size, 2)
    rows, lengths = validated_neighbours(indices, distances)
    n = len(rows)
    if n < 2 * min_cluster_size:  # hdbscan finds nothing in so few, or refuses them
        return np.full(n, -1, np.int64), np.zeros(n, np.float64)
    starts, columns, values = _matrix(rows, lengths.astype(np.float64))
    core = _column_core(columns, values, n, min(n - 1, min_samples))
    path, weights = walk(starts, columns, values, core)
    merges = merges_of_path(path, weights)
    with warnings.catch_warnings():  # infinite densities, as in the tutorial
        warnings.simplefilter("ignore", RuntimeWarning)
        return labels_of_merges(merges, min_cluster_size)


def _matrix(rows: Indices, lengths: Values) -> tuple[Offsets, Indices, Values]:
    """The matrix's finite entries by row: where each row starts (n + 1,), columns, values."""
    n, k = rows.shape
    row = np.repeat(np.arange(n), k)
    column, value = rows.ravel(), lengths.ravel()
    given = column >= 0
    row, column, value = row[given], column[given], value[given]
    order = np.lexsort((column, row))
    row, column, value = row[order], column[order], value[order]
    last = np.ones(len(row), np.bool_)  # of those written to one place
    last[:-1] = (row[1:] != row[:-1]) | (column[1:] != column[:-1])
    return np.searchsorted(row[last], np.arange(n + 1)), column[last], value[last]


def _column_core(columns: Indices, values: Values, n: int, min_samples: int) -> Values:
    """The `min_samples`-th smallest (from 0) of each column of the matrix."""
    order = np.lexsort((values, columns))
    starts = np.searchsorted(columns[order], np.arange(n + 1))
    core = np.full(n, np.inf)
    reached = np.diff(starts) > min_samples
    core[reached] = values[order][starts[:-1][reached] + min_samples]
    return core
