"""A file of headlines sent, read and looked at, as a person would with the commands."""

import json
from pathlib import Path
from threading import Event
from typing import Any

from consumers.tally import Tally
from newstide.core.settings import Settings
from newstide.kafka.consumer import records_of
from newstide.milvus import Store
from newstide_app.services.run import run_consumer
from producers.publisher import produce_files


def send(path: Path, settings: Settings, rejects: Path | None = None) -> Any:
    summary = produce_files([str(path)], settings.kafka, rejects=rejects, progress=False)
    assert summary.failed == 0
    return summary


def ingest(settings: Settings) -> Tally:
    return run_consumer(settings, stop=Event(), drain=True)


def events_of(settings: Settings) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in records_of(settings.kafka, settings.kafka.events_topic)]


def labels(store: Store) -> dict[str, int]:
    rows = store.headlines("", ["id", "cluster_label"])
    return dict(zip(rows["id"], rows["cluster_label"].astype(int), strict=True))
