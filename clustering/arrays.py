"""The types of the arrays that the numeric modules take and return, in one place."""

from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]  # (n, dim) unit rows; also the similarities and distances made of them
Values = npt.NDArray[np.float64]  # times in days, sums, weights of edges
Floats = npt.NDArray[np.floating[Any]]  # distances in the precision that they have, single or double
Indices = npt.NDArray[np.int32]  # numbers of rows and of a tree's nodes, -1 = none
Edges = npt.NDArray[np.int32]  # (m, 2) row numbers, the smaller one first
Labels = npt.NDArray[np.int64]  # clusters and stories, -1 = in none
Offsets = npt.NDArray[np.int64]  # places in another array, such as where each row's part of it starts
Flags = npt.NDArray[np.bool_]
