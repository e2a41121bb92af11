"""What the compiled kernels of `clustering` share: how they are compiled, how work is split, union-find, exact products.

Compiled code is kept on disk (numba's cache), so that only the first call on a machine pays for compiling.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from clustering.kernel_cache import checked

Function = TypeVar("Function", bound=Callable[..., Any])

# In a kernel: a number as int64, a truth value as one that is no constant. What kernels give to one another has one type
# each, so that the function called is compiled once: loops over `parallel_range` count in uint64, arrays hold int32.
as_int64: Any = numba.int64
as_flag: Any = numba.boolean

parallel_range = numba.prange  # in a kernel compiled with parallel=True; else a plain range

BLOCK = 256  # rows whose neighbours a pass looks up together
MOST_CHUNKS = 8  # of one pass over all edges: each needs arrays of its own


def kernel(*, parallel: bool = False, fastmath: set[str] | bool = False) -> Callable[[Function], Function]:
    """`numba.njit` with the cache on where there is a folder for it, for type checkers an identity.

    Other threads of the process run beside a kernel (`nogil`): one that takes a minute must not hold up Kafka's heartbeats.
    """
    options: dict[str, Any] = {"nogil": True, "parallel": parallel, "fastmath": fastmath}

    def compile_function(function: Function) -> Function:
        try:
            compiled = checked(numba.njit(function, cache=True, **options))
        except RuntimeError:  # neither beside the code nor in the user's folder can anything be written
            compiled = numba.njit(function, **options)
        return cast("Function", compiled)

    return compile_function


def chunk_count() -> int:
    """Into how many parts a pass over all edges is split; results never depend on it."""
    return max(1, min(int(numba.get_num_threads()), MOST_CHUNKS))


@kernel()
def find(above: npt.NDArray[np.int64], one: int) -> int:
    """The root of a union-find in which roots stand above themselves; shortens the way there (mutates `above`)."""
    root = one
    while above[root] != root:
        root = above[root]
    while above[one] != root:
        following = above[one]
        above[one] = root
        one = following
    return int(root)


@kernel(fastmath={"reassoc"})
def dot(vectors: npt.NDArray[np.float32], first: int, second: int) -> float:
    """Product of two rows in double precision.

    Products of single-precision numbers are exact in double precision and are summed in an order that depends on the
    dimension alone, so the result is the same in whichever batch a pair is met, and whichever row comes first.
    """
    total = 0.0
    for column in range(vectors.shape[1]):
        total += np.float64(vectors[first, column]) * np.float64(vectors[second, column])
    return total


@kernel(parallel=True)
def inverse_norms(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """1 / euclidean norm of each row, (n,); infinite for a row of zeros."""
    n = vectors.shape[0]
    result = np.empty(n, np.float64)
    for row in parallel_range(n):
        squared = dot(vectors, as_int64(row), as_int64(row))
        result[row] = 1.0 / np.sqrt(squared) if squared > 0 else np.inf
    return result
