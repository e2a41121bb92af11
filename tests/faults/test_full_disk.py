"""A disk that takes no more: what readers see stays right."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from clustering.run.reclusterer import recluster
from newstide.core.settings import (
    ClusteringSettings,
    KafkaSettings,
    MilvusSettings,
    MonitoringSettings,
    Settings,
    as_environment,
)
from newstide.milvus import open_store
from producers.sample import day_file
from tests.harness.newsroom import PLAIN_MAP, add_headlines

_ROOM = 4_096  # bytes that a file may have: an errno of its own (EFBIG), and the same error in Python as a full disk


_TWO_TICKS = """
from clustering.run.reclusterer import Memory, recluster
from newstide.core import logs
from newstide.core.settings import Settings
logs.configure("info", json=True)
settings = Settings.load()
memory = Memory()
print(*(recluster(settings, memory=memory).status for _ in range(2)), sep="; ")
"""


def two_ticks_on_a_full_disk(settings: Settings) -> tuple[str, str]:
    """Two runs in a process whose files cannot grow; what became of them, and its log."""
    done = subprocess.run(
        [sys.executable, "-c", _TWO_TICKS],
        env={**os.environ, **as_environment(settings)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (_ROOM, _ROOM)),
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def test_a_run_on_a_full_disk_leaves_the_old_page_writes_right_labels_and_is_not_made_again_at_every_tick(
    kafka_settings: KafkaSettings, milvus_settings: MilvusSettings, tmp_path: Path
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        kafka=kafka_settings,
        milvus=milvus_settings,
        clustering=ClusteringSettings(window=None),
        layout=PLAIN_MAP,
        monitoring=MonitoringSettings(port=0),
    )
    day = [json.loads(line) for line in day_file().read_text(encoding="utf-8").splitlines()]
    add_headlines(settings, day[:150])
    recluster(settings)
    pages = {path: path.read_bytes() for path in settings.snapshots_dir.iterdir() if path.is_file()}

    add_headlines(settings, day[150:250])
    became, said = two_ticks_on_a_full_disk(settings)
    assert became == "finished; nothing new", "a disk that stays full makes every tick a run"
    assert "the page could not be written; the last one stays in place" in said
    assert "the graph could not be kept" in said
    assert {path: path.read_bytes() for path in settings.snapshots_dir.iterdir() if path.is_file()} == pages

    store = open_store(settings.milvus, None)
    try:
        assert store.count_headlines("label_run == 0") == 0
        stories = store.stories('status == "open"').set_index("cluster_label")["size"]
        rows = store.headlines("cluster_label >= 0", ["cluster_label"])["cluster_label"].value_counts()
        assert rows.to_dict() == stories.to_dict()
        assert len(store.runs()) == 2

        recluster(settings)  # there is room again
        assert json.loads((settings.snapshots_dir / "latest.json").read_text())["run"] == store.runs()["run"].max()
    finally:
        store.close()
