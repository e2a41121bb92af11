"""`newstide evaluate`: the clustering of a labelled file, by the same code as production, scored."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from clustering.lineage import match
from clustering.naming import name_stories
from clustering.neighbours import ExactSearcher, NeighbourGraph, update_graph
from clustering.stories import Clusters, cluster_rows
from consumers.assignment import OpenStories, assign
from newstide.embedding import load_embedder
from newstide.errors import SourceError
from newstide.headline import clean, derive_id, parse_language
from newstide.settings import Settings

Labels = npt.NDArray[np.int64]

_TEXTS = ("title", "title+description")


@dataclass(frozen=True, slots=True)
class Scores:
    """How well labels match the truth; a headline in no story counts as a story of its own.

    Attributes:
        precision, recall, f1: B-cubed (Bagga and Baldwin 1998).
        ami: Adjusted mutual information.
        ari: Adjusted Rand index.
        noise_share: Of headlines in no story.
        clusters: Stories of two headlines and more.
    """

    precision: float
    recall: float
    f1: float
    ami: float
    ari: float
    noise_share: float
    clusters: int


def score(truth: Sequence[str], labels: Labels) -> Scores:
    """Compares labels (n,), -1 = noise, with the true stories (n,)."""
    if not len(labels):
        return Scores(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)
    stories, _ = pd.factorize(pd.Series(list(truth), dtype=object))
    own = np.array(labels, np.int64)
    noise = own < 0
    own[noise] = own.max(initial=-1) + 1 + np.arange(int(noise.sum()))
    pairs = pd.DataFrame({"story": stories, "label": own})
    together = pairs.groupby(["story", "label"]).size().reset_index(name="rows")
    in_story = pairs.groupby("story").size().loc[together["story"]].to_numpy()
    in_label = pairs.groupby("label").size().loc[together["label"]].to_numpy()
    squares = together["rows"].to_numpy(np.float64) ** 2
    precision = float((squares / in_label).sum() / len(own))
    recall = float((squares / in_story).sum() / len(own))
    return Scores(
        precision,
        recall,
        2 * precision * recall / (precision + recall),
        float(adjusted_mutual_info_score(stories, own)),
        float(adjusted_rand_score(stories, own)),
        float(noise.mean()),
        int((np.unique(own, return_counts=True)[1] > 1).sum()),
    )


def evaluate_file(
    path: Path,
    settings: Settings,
    *,
    text: str = "title+description",
    use_time: bool = False,
    replay: timedelta | None = None,
    labels_out: Path | None = None,
) -> dict[str, Any]:
    """Scores the clustering of a labelled file.

    Args:
        path: CSV, JSONL or Parquet with `title`, `story_id`, and where there are `id`, `description`, `published_at`,
            `language` or `lang`. As in production, of rows with one id the first counts, and rows without a title do not.
            Rows without a story are clustered, but not scored.
        settings: Model and clustering.
        text: What is embedded: `title`, or `title+description`.
        use_time: Damp similarity by distance in time. Off by default: a labelled file's times leak its labels, or span
            years.
        replay: Feed the rows by time and recluster every so often, with window and times as live.
        labels_out: Write `id, cluster_label` here (CSV or Parquet).

    Raises:
        SourceError: The file cannot be read, or lacks a column.
    """
    if text not in _TEXTS:
        raise SourceError(f"--text {text!r} is not one of {', '.join(_TEXTS)}.")
    rows = read_labelled(path, needs_time=use_time or replay is not None)
    embedder = load_embedder(settings.embedding)
    texts = rows["title"] if text == "title" else (rows["title"] + "\n" + rows["description"]).str.strip()
    vectors = embedder.encode(texts.tolist())
    report: dict[str, Any] = {
        "file": str(path),
        "headlines": len(rows),
        "stories": int(rows["story_id"][rows["story_id"] != ""].nunique()),
        "model": embedder.card.name,
        "text": text,
        "selection": "tutorial" if settings.clustering.tutorial else settings.clustering.selection,
    }
    if replay is not None:
        arrival, labels, churn = _replay(rows, vectors, settings, replay)
        report["at_arrival"] = _scored(rows, arrival)
        report["churn"] = churn
    else:
        labels = cluster_labelled(rows, vectors, settings, use_time=use_time)
    report |= _scored(rows, labels)
    if labels_out is not None:
        frame = pd.DataFrame({"id": rows["id"], "cluster_label": labels})
        if labels_out.suffix == ".parquet":
            frame.to_parquet(labels_out, index=False)
        else:
            frame.to_csv(labels_out, index=False)
    return report


def _scored(rows: pd.DataFrame, labels: Labels) -> dict[str, float]:
    known = (rows["story_id"] != "").to_numpy()
    return asdict(score(rows["story_id"][known].tolist(), labels[known]))


def print_evaluation(report: dict[str, Any]) -> None:
    """The scores as a table."""
    console = Console()
    console.print(
        f"{report['headlines']:,} headlines, {report['stories']:,} stories; {report['model']}, {report['text']}, "
        f"{report['selection']}",
        highlight=False,
    )
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    shown = {"f1": "B3 F1", "precision": "precision", "recall": "recall", "ami": "AMI", "ari": "ARI"}
    for name in ("", *shown.values(), "noise", "stories found"):
        table.add_column(name, justify="left" if not name else "right")
    lines = {"at arrival": report.get("at_arrival"), "at the last run" if "churn" in report else "": report}
    for name, scores in lines.items():
        if scores is not None:
            numbers = [f"{scores[key]:.3f}" for key in shown]
            table.add_row(name, *numbers, f"{scores['noise_share']:.1%}", f"{scores['clusters']:,}")
    console.print(table)
    if "churn" in report:
        console.print(f"{report['churn']:.2%} of clustered headlines changed their story a run", highlight=False)


def read_labelled(path: Path, *, needs_time: bool, needs_stories: bool = True) -> pd.DataFrame:
    """A labelled file as a table, one row an id, ascending; see `evaluate_file`. Raises: SourceError."""
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".csv": pd.read_csv,
        ".parquet": pd.read_parquet,
        ".jsonl": _read_jsonl,
        ".ndjson": _read_jsonl,
    }
    if path.suffix not in readers:
        raise SourceError(f"{path} is not one of {', '.join(readers)}.", "Convert it.")
    try:
        rows = readers[path.suffix](path)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
    missing = [name for name in ("title", *(["story_id"] if needs_stories else [])) if name not in rows]
    if missing:
        raise SourceError(f"{path} has no column {missing[0]!r}; it has {', '.join(map(str, rows.columns))}.")
    if needs_time and "published_at" not in rows:
        raise SourceError(f"{path} has no column 'published_at', which --use-time and --replay need.")
    blank = pd.Series("", index=rows.index)
    language = rows["language"] if "language" in rows else rows.get("lang", blank)
    url, source, titles, description = (
        _texts(rows.get(name, blank)) for name in ("url", "source", "title", "description")
    )
    ids = _texts(rows["id"]) if "id" in rows else blank
    times = _times(rows.get("published_at", blank))
    frame = pd.DataFrame(
        {
            "id": [
                given or derive_id(address, outlet, title, None)
                for given, address, outlet, title in zip(ids, url, source, titles, strict=True)
            ],
            "title": titles.to_numpy(object),
            "description": description.to_numpy(object),
            "source": source.to_numpy(object),
            "language": language.map(parse_language).to_numpy(object),
            "published_at": times.fillna(times.min()).fillna(pd.Timestamp(0, tz="UTC")).astype("int64").to_numpy(),
            "story_id": _texts(rows.get("story_id", blank)).to_numpy(object),
        }
    )
    frame = frame[frame["title"] != ""].drop_duplicates("id")
    if frame.empty:
        raise SourceError(f"{path} has no row with a title.")
    return frame.sort_values("id", ignore_index=True)


def _texts(column: "pd.Series[Any]") -> "pd.Series[str]":
    return column.where(column.notna(), "").astype(str).map(clean)


def _times(column: "pd.Series[Any]") -> "pd.Series[pd.Timestamp]":
    """Times in milliseconds; numbers are epoch milliseconds, what is no time is missing."""
    if pd.api.types.is_numeric_dtype(column):
        times = pd.to_datetime(column, unit="ms", utc=True, errors="coerce")
    else:
        times = pd.to_datetime(column, utc=True, errors="coerce", format="mixed")
    return times.dt.as_unit("ms")


def _read_jsonl(path: Path) -> pd.DataFrame:
    return pd.read_json(path, lines=True, convert_dates=False, dtype=False)


def cluster_labelled(
    rows: pd.DataFrame, vectors: npt.NDArray[np.float32], settings: Settings, *, use_time: bool
) -> Labels:
    """The labels (n,) that one run of production gives to rows of `read_labelled` with vectors (n, dim)."""
    chosen = settings if use_time else settings.updated(clustering={"time_weight": 0.0})
    graph = _graph(None, rows["id"].tolist(), rows["id"].tolist(), vectors, settings)
    return _clusters(graph, rows, chosen).labels


def _graph(
    previous: NeighbourGraph | None,
    ids: Sequence[str],
    all_ids: Sequence[str],
    vectors: npt.NDArray[np.float32],
    settings: Settings,
) -> NeighbourGraph:
    row = {id_: number for number, id_ in enumerate(all_ids)}
    graph, _ = update_graph(
        previous,
        ids,
        lambda some: vectors[[row[id_] for id_ in some]],
        ExactSearcher(settings.clustering.memory_mb),
        k=settings.clustering.graph_neighbours,
        spare=settings.clustering.spare_neighbours,
    )
    return graph


def _clusters(
    graph: NeighbourGraph,
    rows: pd.DataFrame,
    settings: Settings,
    theta: float | None = None,
    previous: Labels | None = None,
) -> Clusters:
    return cluster_rows(
        graph.vectors,
        rows["title"].tolist(),
        rows["language"].tolist(),
        rows["published_at"].to_numpy(np.int64),
        graph.indices,
        graph.similarities,
        settings.clustering,
        known_theta=theta,
        previous=previous,
    )


def _replay(
    rows: pd.DataFrame, vectors: npt.NDArray[np.float32], settings: Settings, every: timedelta
) -> tuple[Labels, Labels, float]:
    """Labels at arrival and at the last run that saw each row, and the mean share of clustered rows that changed."""
    times = rows["published_at"].to_numpy(np.int64)
    step = int(every.total_seconds() * 1000)
    window = settings.clustering.window
    length = None if window is None else int(window.total_seconds() * 1000)
    arrival = np.full(len(rows), -1, np.int64)
    labels = np.full(len(rows), -1, np.int64)
    stories = OpenStories(
        np.empty(0, np.int64), np.empty((0, vectors.shape[1]), np.float32), np.empty(0, np.float32), None
    )
    graph: NeighbourGraph | None = None
    theta: float | None = None
    next_number, changes = 0, []
    for tick in range(int(times.min()) // step * step + step, int(times.max()) + step + 1, step):
        arrived = np.flatnonzero((times >= tick - step) & (times < tick))
        if not len(arrived):
            continue
        given, _ = assign(vectors[arrived], rows["language"].to_numpy(object)[arrived].tolist(), stories)
        arrival[arrived] = given
        seen = times < tick
        inside = np.flatnonzero(seen if length is None else seen & (times > times[seen].max() - length))
        part = rows.iloc[inside].reset_index(drop=True)
        graph = _graph(graph, part["id"].tolist(), rows["id"].tolist(), vectors, settings)
        living = np.where(np.isin(labels[inside], stories.numbers), labels[inside], -1)
        clusters = _clusters(graph, part, settings, theta, living)
        theta = clusters.threshold.theta
        lineage = match(labels[inside], clusters.labels, stories.numbers.tolist(), next_number)
        next_number = lineage.next_number
        before = labels[inside]
        both = (before >= 0) & (lineage.labels >= 0)
        if both.any():
            changes.append(float((before != lineage.labels)[both].mean()))
        labels[inside] = lineage.labels
        names = name_stories(lineage.labels, clusters.centred, part, theta)
        stories = OpenStories(
            names["cluster_label"].to_numpy(np.int64),
            np.stack(list(names["centroid"])) if len(names) else np.empty((0, vectors.shape[1]), np.float32),
            names["reach"].to_numpy(np.float32),
            clusters.means,
        )
    return arrival, labels, float(np.mean(changes)) if changes else 0.0
