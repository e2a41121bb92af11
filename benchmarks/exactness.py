"""Compares clusters from neighbour lists with those of hdbscan on all distances, on real headlines.

    python -m benchmarks.exactness FOLDER

FOLDER holds the labelled sets, whose distinct titles `use-multilingual` embeds. Prints and writes the table of
`docs/benchmarks.md`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks import document
from benchmarks.machine import RESULTS, machine_card, write_json
from benchmarks.report import PAGE

SETS = {
    "giveme5w1h": None,
    "uci_stories": None,
    "allsides_roundups": 4_000,
    "abp_stream": 5_000,
}  # most titles
SEED = 0
NEIGHBOURS = (15, 30)
MIN_CLUSTER_SIZE = 3


def measure(vectors: npt.NDArray[np.float32], min_samples: int) -> dict[str, Any]:
    """Adjusted Rand indices with hdbscan's labels on one set, of lists of 30 and of hdbscan on permuted rows."""
    from sklearn.metrics import adjusted_rand_score

    from clustering.neighbours import ExactSearcher, update_graph
    from clustering.tree import build_hierarchy, cluster_neighbours

    n = len(vectors)
    ids = [f"{row:06d}" for row in range(n)]
    graph, _ = update_graph(None, ids, lambda _: vectors, ExactSearcher(), k=min(max(NEIGHBOURS), n - 1), spare=0)
    lengths = np.sqrt(np.maximum(0, 2 - 2 * graph.similarities))
    found = cluster_neighbours(
        graph.indices, lengths, min_samples=min_samples, min_cluster_size=MIN_CLUSTER_SIZE, vectors=vectors
    )
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    distances = np.sqrt(np.maximum(0.0, 2 - 2 * exact @ exact.T))
    distances = np.minimum(distances, distances.T)
    np.fill_diagonal(distances, 0.0)
    labels = _hdbscans(distances, min_samples)
    order = np.random.default_rng(SEED).permutation(n)
    permuted = _hdbscans(distances[np.ix_(order, order)], min_samples)
    pieces = {
        f"components_{k}": build_hierarchy(graph.indices[:, :k], lengths[:, :k], min_samples=min_samples).components
        for k in NEIGHBOURS
    }
    return {
        "titles": n,
        "min_samples": min_samples,
        "min_cluster_size": MIN_CLUSTER_SIZE,
        "ari_lists": float(adjusted_rand_score(labels, found.labels)),
        "ari_permuted": float(adjusted_rand_score(labels[order], permuted)),
        **pieces,
    }


def _hdbscans(distances: npt.NDArray[np.float64], min_samples: int) -> npt.NDArray[np.int64]:
    from hdbscan import HDBSCAN

    model = HDBSCAN(metric="precomputed", min_samples=min_samples, min_cluster_size=MIN_CLUSTER_SIZE)
    return np.asarray(model.fit(distances).labels_)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The results as Markdown."""
    lines = [
        "| set | titles | min_samples | ARI of lists of 30 with all distances | ARI of hdbscan with itself on permuted rows "
        "| pieces, k = 15 | k = 30 |",
        "|" + "---|" * 7,
    ]
    lines += [
        f"| {row['set']} | {row['titles']:,} | {row['min_samples']} | {row['ari_lists']:.4f} | {row['ari_permuted']:.4f} "
        f"| {row['components_15']} | {row['components_30']} |"
        for row in rows
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    from newstide.core.settings import EmbeddingSettings
    from newstide.embedding import load_embedder

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--most", type=int, help="most titles of a set, for a quick look")
    parser.add_argument("--json", type=Path, default=RESULTS / "exactness.json")
    parser.add_argument("--no-docs", action="store_true", help="leave docs/benchmarks.md as it is")
    chosen = parser.parse_args(arguments)
    card = machine_card(SEED)
    embedder = load_embedder(EmbeddingSettings(model="use-multilingual"))
    found: list[dict[str, Any]] = []
    for name in chosen.sets:
        most = min(size for size in (SETS[name], chosen.most, 10**9) if size is not None)
        titles = pd.read_parquet(chosen.folder / f"{name}.parquet")["title"].dropna().drop_duplicates().head(most)
        vectors = embedder.encode(titles.tolist())
        for min_samples in (1, 3):
            found.append({"set": name, "model": embedder.card.name, **measure(vectors, min_samples)})
            print(found[-1], flush=True)
        write_json(chosen.json, card, found)
    if not chosen.no_docs:
        document.replace(PAGE, "exactness", table(found))


if __name__ == "__main__":
    main()
