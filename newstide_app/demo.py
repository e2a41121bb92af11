"""`newstide demo`: the bundled day of headlines through the whole pipeline on this machine.

A real Apache Kafka, a real Milvus Lite server and the very commands that production runs. The day is sent in parts,
with a reclustering run after each, so that stories are seen to be born, to grow and to merge.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.text import Text

from clustering.run.reclusterer import RunReport, recluster
from clustering.run.warm_up import warming_up
from newstide.core.errors import NewstideError
from newstide.core.settings import KafkaSettings, MilvusSettings, Settings
from newstide.kafka.lag import lag
from newstide.milvus import filters, open_store
from newstide_app.cli.tables import print_stories
from newstide_app.queries import records
from newstide_app.scores import f1_by, score
from newstide_app.services.local_services import LocalServices
from newstide_app.services.supervisor import Service, service
from producers.files import read_files
from producers.publisher import publish
from producers.rows import Row
from producers.sample import day_file, true_stories

_PARTS_END = ("09:00", "14:00", "24:00")  # UTC: the day as morning, noon and night
_PATIENCE = 120.0  # seconds for the consumer to catch up


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demo shows.

    `bcubed_f1`, its precision and recall, and `ami` compare with the day's true stories, noise as singletons; `by_language`
    holds the F1 of each language's headlines and how many they are, most first.
    """

    headlines: int
    stories: list[dict[str, Any]]
    noise_share: float
    bcubed_f1: float
    bcubed_precision: float
    bcubed_recall: float
    by_language: dict[str, tuple[float, int]]
    ami: float
    page: str
    seconds: float
    runs: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def run_demo(settings: Settings, *, quiet: bool = False) -> DemoReport:
    """Wipes the demo's own data folder, runs the bundled day through the pipeline, and stops everything again.

    Args:
        settings: The data folder in it is the parent of the demo's; configured servers are not used.
        quiet: Say nothing on the way.

    Raises:
        NewstideError: A part of the pipeline failed.
    """
    say = _Voice(quiet)
    started = time.monotonic()
    folder = settings.data_dir / "demo"
    settings = settings.updated(
        data_dir=folder,
        kafka=KafkaSettings(
            local_port=settings.kafka.local_port, local_heap_mb=settings.kafka.local_heap_mb
        ).model_dump(),
        milvus=MilvusSettings(local_port=settings.milvus.local_port).model_dump(),
        pages={"directory": None, "enabled": True},
        clustering={"window": None},
    )
    say("Starting Apache Kafka and Milvus Lite on this machine")
    with warming_up(settings), LocalServices(settings, wipe=True) as local:
        running = local.settings
        consumer = service("consume", ["consume"], running)
        consumer.start()
        try:
            reports = [_part(part, end, running, consumer, say) for end, part in _parts()]
        finally:
            consumer.stop()
        return _report(running, reports, started)


def print_report(report: DemoReport) -> None:
    """The stories, how well they match the truth, and where the page lies."""
    console = Console()
    frame = pd.DataFrame(report.stories)
    for name in ("first_published_at", "last_published_at"):
        frame[name] = [int(pd.Timestamp(text).timestamp() * 1000) for text in frame[name]]
    shown = 25
    print_stories(frame.head(shown), console)
    if len(frame) > shown:
        console.print(Text(f"… and {len(frame) - shown} more", style="dim"))
    console.print()
    for line in score_lines(report):
        console.print(line, highlight=False)
    console.print(Text("The map: ").append(Path(report.page).as_uri(), style="bold"), soft_wrap=True)


def score_lines(report: DemoReport) -> list[str]:
    """What was found, how right it is, what that means, and for each language."""
    languages = ", ".join(
        f"{language or 'unknown'} {f1:.2f} ({number})" for language, (f1, number) in report.by_language.items()
    )
    return [
        f"{report.headlines} headlines, {len(report.stories)} stories, {report.noise_share:.0%} in none. "
        f"{report.seconds:.0f} s.",
        f"Against the day's true stories: B-cubed F1 {report.bcubed_f1:.2f}, AMI {report.ami:.2f}; 1 is perfect. Of what "
        f"shares a story with a headline, {report.bcubed_precision:.0%} belongs there on average; of what belongs there, "
        f"{report.bcubed_recall:.0%} is found.",
        f"F1 by language (headlines): {languages}.",
    ]


def _parts() -> list[tuple[str, list[Row]]]:
    rows = [row for row in read_files([day_file()]) if isinstance(row, Row)]
    parts: list[tuple[str, list[Row]]] = []
    begin = ""
    for end in _PARTS_END:
        inside = [row for row in rows if begin <= _clock(row) < end]
        parts.append((end, inside))
        begin = end
    return parts


def _clock(row: Row) -> str:
    return pd.Timestamp(row.headline.published_at, unit="ms").strftime("%H:%M")


def _part(rows: Sequence[Row], end: str, settings: Settings, consumer: Service, say: "_Voice") -> RunReport:
    summary = publish(rows, settings.kafka, progress=False)
    if summary.failed or summary.sent != len(rows):
        raise NewstideError(f"Kafka acknowledged {summary.sent} of {len(rows)} headlines.", "See its log.")
    _wait_for(consumer, settings)
    report = recluster(settings)
    say(f"Until {end}: {report.describe()}")
    return report


def _wait_for(consumer: Service, settings: Settings) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if consumer.process is not None and consumer.process.poll() is not None:
            raise NewstideError(
                f"The consumer ended with code {consumer.process.returncode}.", "The consumer's log stands above."
            )
        behind = lag(settings.kafka, settings.kafka.group)
        if behind and sum(behind.values()) == 0:
            return
        time.sleep(0.3)
    raise NewstideError(
        f"The consumer did not catch up within {_PATIENCE:.0f} s.", "Try again when the machine is less busy."
    )


def _report(settings: Settings, reports: Sequence[RunReport], started: float) -> DemoReport:
    truth = true_stories()
    store = open_store(settings.milvus, None)
    try:
        rows = store.headlines("", ["id", "cluster_label", "language"])
        stories = store.stories(filters.OPEN)
    finally:
        store.close()
    if len(rows) != len(truth):
        raise NewstideError(
            f"{len(rows)} of the day's {len(truth)} headlines are in Milvus.",
            "This is a bug in newstide; please report it.",
        )
    true = [truth[id_] for id_ in rows["id"]]
    labels = rows["cluster_label"].to_numpy(np.int64)
    scores, languages = score(true, labels), f1_by(rows["language"].tolist(), true, labels)
    ordered = stories.sort_values(["size", "cluster_label"], ascending=[False, True])
    return DemoReport(
        headlines=len(rows),
        stories=records(ordered),
        noise_share=round(scores.noise_share, 4),
        bcubed_f1=round(scores.f1, 4),
        bcubed_precision=round(scores.precision, 4),
        bcubed_recall=round(scores.recall, 4),
        by_language={language: (round(f1, 4), number) for language, (f1, number) in languages.items()},
        ami=round(scores.ami, 4),
        page=str(settings.snapshots_dir / "latest.html"),
        seconds=round(time.monotonic() - started, 1),
        runs=[report.as_dict() for report in reports],
    )


class _Voice:
    """Tells on stderr what is going on."""

    def __init__(self, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet)

    def __call__(self, text: str) -> None:
        self._console.print(Text(text, style="dim"))
