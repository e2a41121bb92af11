"""The tutorial's own code, as its readers typed it: a dense matrix of infinities given to hdbscan."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from hdbscan import HDBSCAN

Array = npt.NDArray[Any]


def tutorials_own_code(indices: Array, distances: Array) -> tuple[Array, Array]:
    ids = [f"id{row}" for row in range(len(indices))]
    dist = {
        ids[row]: [(ids[other], value) for other, value in zip(indices[row], distances[row], strict=True) if other >= 0]
        for row in range(len(indices))
    }
    ids2index: dict[str, int] = {}
    for name in dist:
        ids2index[name] = len(ids2index)
    dist_metric = np.full((len(ids), len(ids)), np.inf, dtype=np.float64)
    for name, hits in dist.items():
        for hit in hits:
            dist_metric[ids2index[name]][ids2index[hit[0]]] = hit[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hdb = HDBSCAN(min_samples=3, min_cluster_size=3, metric="precomputed").fit(dist_metric)
    return hdb.labels_, hdb.probabilities_
