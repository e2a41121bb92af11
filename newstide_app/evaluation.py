"""`newstide evaluate`: the clustering of a labelled file, by the same code as production, scored."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table

from clustering.stories.clusters import cluster_rows
from newstide.core import logs
from newstide.core.errors import SettingsError, SourceError, StoreUnavailable
from newstide.core.files import are_one_file
from newstide.core.setting_types import EmbeddedText
from newstide.core.settings import Settings
from newstide.core.text import clean
from newstide.core.times import LATEST_MS
from newstide.embedding import Embedder, load_embedder
from newstide.embedding.headlines import embed
from newstide.embedding.scripts import script_name, unreadable_scripts
from newstide.milvus.model import model_in_use
from newstide_app.replay import replay_rows, update_exact_graph
from newstide_app.scores import score
from producers.files import Options, read_files
from producers.files.columns import listed
from producers.rows import Row
from producers.tally import Tally, described

Labels = npt.NDArray[np.int64]

_NO_STORY = frozenset({"nan", "<na>", "none", "null", "n/a", "#n/a"})  # how tools write a cell that holds nothing
_PATIENCE = timedelta(seconds=3)  # for Milvus to say of which model its collections are

log = logs.get("evaluation")


def evaluate_file(
    path: Path,
    settings: Settings,
    *,
    text: str | None = None,
    use_time: bool = False,
    replay: timedelta | None = None,
    mapping: Mapping[str, str] | None = None,
    labels_out: Path | None = None,
) -> dict[str, Any]:
    """Scores the clustering of a labelled file.

    Args:
        path: Any file that `newstide produce` reads, with a column `story_id`. As in production, of rows with one id
            the first counts, and what would be refused (no title, one of more than 2,000 characters) does not. Rows
            without a story are clustered, but not scored.
        settings: Model and clustering.
        text: What is embedded, as in `embedding.text`: `both`, `title+description` or `title`; None: as live.
        use_time: Damp similarity by distance in time. Off by default: a labelled file's times leak its labels, or span
            years.
        replay: Feed the rows by time and recluster every so often, with window and times as live.
        mapping: Field of a headline, or `story_id`, to column, where the common names do not fit.
        labels_out: Write `id, cluster_label` here (.csv or .parquet), with ids as they stand in the file.

    Raises:
        SourceError: The file cannot be read, lacks a column, or has no story.
        SettingsError: The labels cannot be written there, or would replace the file.
    """
    if text is not None:
        if text not in get_args(EmbeddedText):
            raise SourceError(f"--text {text!r} is not one of {', '.join(get_args(EmbeddedText))}.")
        settings = settings.updated(embedding={"text": text})
    if labels_out is not None:
        _require_writable(labels_out, path)
    rows = read_labelled(path, needs_time=use_time or replay is not None, mapping=mapping)
    embedder = _embedder(settings)
    vectors = embed(embedder, rows["title"].tolist(), rows["description"].tolist())
    readable, unreadable = unreadable_scripts(rows["title"].tolist(), embedder.card)
    report: dict[str, Any] = {
        "file": str(path),
        "headlines": len(rows),
        "stories": int(rows["story_id"][rows["story_id"] != ""].nunique()),
        "model": embedder.card.name,
        "text": embedder.card.text,
        "selection": "tutorial" if settings.clustering.tutorial else settings.clustering.selection,
        "unreadable": {script_name(script): count for script, count in unreadable.items()},
    }
    if replay is not None:
        replayed = replay_rows(rows, vectors, readable, settings, replay)
        labels = replayed.last
        report["at_arrival"] = _scored(rows, replayed.arrival) | replayed.arrivals(rows["story_id"].tolist())
        report |= {"churn": replayed.churn, "runs": replayed.runs}
    else:
        labels = cluster_labelled(rows, vectors, settings, use_time=use_time, readable=readable)
    report |= _scored(rows, labels)
    if labels_out is not None:
        _write_labels(labels_out, rows, labels)
    return report


def _embedder(settings: Settings) -> Embedder:
    """The model that the live services use; where Milvus cannot be asked, the default."""
    try:
        return model_in_use(settings.updated(milvus={"timeout": _PATIENCE}))
    except StoreUnavailable as error:
        log.warning(
            "Milvus cannot be asked for the model of its collections; the evaluation uses the default",
            reason=str(error),
        )
        return load_embedder(settings.embedding, settings.cache_dir)


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
    for script, count in report["unreadable"].items():
        console.print(f"{count:,} titles are in a script that {report['model']} cannot read: {script}", highlight=False)
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
        console.print(
            f"{report['churn']:.2%} of the headlines seen before changed their label a run, in {report['runs']} runs. "
            "Labels on arrival: {labelled:.0%} of the headlines were given one; {right:.0%} of them were right, {kept:.0%} "
            "were kept by the next run.".format(**report["at_arrival"]),
            highlight=False,
        )


def read_labelled(
    path: Path, *, needs_time: bool, needs_stories: bool = True, mapping: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """A labelled file as a table, one row a headline, ascending by id; see `evaluate_file`.

    The file is read as `newstide produce` reads it: same texts, and what would be refused is left out. Its ids count
    whatever form they have, since labels are joined by them; `given_id` is the id as it stands there, None where it
    names none.

    Raises:
        SourceError: The file cannot be read, lacks a column, or has no story although stories are needed.
    """
    wanted = ("title", "story_id") if needs_stories else ("title",)
    options = Options(mapping=mapping or {}, extra=("story_id",), own_ids=True, undated=True)
    tallies: list[Tally] = []
    try:
        produced = read_files([path], options=options, now=lambda: LATEST_MS / 1000, tallies=tallies)
        found: dict[str, Row] = {}
        for row in produced:
            if isinstance(row, Row):
                found.setdefault(row.headline.id, row)  # the first one stays
    except SourceError as error:
        raise SourceError(error.message, f"Name a file with the columns {' and '.join(wanted)}.") from None
    columns = tallies[0].columns
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise SourceError(
            f"{path} has no column {missing[0]!r}; it has {listed(tallies[0].names)}.",
            f"Name it with --column {missing[0]}=COLUMN.",
        )
    if needs_time and "published_at" not in columns:
        raise SourceError(f"{path} has no column 'published_at', which --use-time and --replay need.")
    if not found:
        raise SourceError(f"{path} has no row with a title.")
    _say_left_out(tallies[0], len(found))
    frame = _frame(sorted(found.values(), key=lambda row: row.headline.id))
    if needs_stories and not frame["story_id"].any():
        raise SourceError(
            f"No headline of {path} has a story: the column {columns['story_id']!r} is empty.",
            "Fill it, or name another with --column story_id=COLUMN.",
        )
    return frame


def _say_left_out(tally: Tally, headlines: int) -> None:
    """Logs how many rows of a labelled file are no headlines, and which values could not be read."""
    if said := described([tally]):
        log.warning("not all of the file can be read", rows=tally.read, rejected=tally.rejected, reasons=said)
    if repeats := tally.read - tally.rejected - headlines:
        log.warning("rows have the id of an earlier row, and are left out", rows=repeats)


def _frame(rows: list[Row]) -> pd.DataFrame:
    """Rows as a table; one without a time has the earliest of them."""
    times = [row.headline.published_at for row in rows if row.published]
    earliest = min(times, default=0)
    texts = {
        name: [getattr(row.headline, name) for row in rows]
        for name in ("id", "title", "description", "source", "language")
    }
    extra = [row.extra or {} for row in rows]
    texts["given_id"] = [None if beside.get("id") == "" else beside.get("id") for beside in extra]
    texts["story_id"] = [_story(beside.get("story_id")) for beside in extra]
    return pd.DataFrame(
        {
            **{name: pd.Series(values, dtype=object) for name, values in texts.items()},
            "published_at": [row.headline.published_at if row.published else earliest for row in rows],
        }
    )


def _story(value: Any) -> str:
    """The name of a story; empty where a row has none."""
    name = "" if value is None else clean(str(value))
    return "" if name.casefold() in _NO_STORY else name


def _require_writable(path: Path, read: Path) -> None:
    """Checks where labels go before minutes are spent on embedding; `read` is the file that is scored.

    Raises:
        SettingsError: Labels cannot be written there, or would replace the file that is read.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise SettingsError(
            f"--labels {path} is neither .csv nor .parquet.", "Give the file a name that ends in .csv or .parquet."
        )
    try:
        there = path.exists()
        if are_one_file(path, read):
            raise SettingsError(
                f"--labels {path} is {read}, the file that is read, and would replace it.", "Name another place."
            )
        path.open("ab").close()
        if not there:
            path.unlink()
    except OSError as error:
        raise SettingsError(f"--labels {path} cannot be written: {error.strerror}.", "Name another place.") from error


def _write_labels(path: Path, rows: pd.DataFrame, labels: Labels) -> None:
    """With each id as it stands in the file, so that the two can be joined."""
    ids = [id_ if given is None else given for id_, given in zip(rows["id"], rows["given_id"], strict=True)]
    if len({type(id_) for id_ in ids}) > 1:
        ids = list(map(str, ids))
    frame = pd.DataFrame({"id": ids, "cluster_label": labels})
    if path.suffix.lower() == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)


def cluster_labelled(
    rows: pd.DataFrame,
    vectors: npt.NDArray[np.float32],
    settings: Settings,
    *,
    use_time: bool,
    readable: npt.NDArray[np.bool_] | None = None,
) -> Labels:
    """The labels (n,) that one run of production gives to rows of `read_labelled` with vectors (n, dim)."""
    chosen = settings if use_time else settings.updated(clustering={"time_weight": 0.0})
    graph = update_exact_graph(None, rows["id"], rows["id"], vectors, settings.clustering)
    return cluster_rows(graph, rows, chosen.clustering, readable=readable).labels
