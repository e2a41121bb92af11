"""What a kill in the middle of a write leaves of Milvus Lite's files, and how the store mends it."""

import os
import signal
import time
import uuid
from pathlib import Path

import pytest

from newstide.core.settings import MilvusSettings
from newstide.milvus import open_store
from newstide.milvus.local_server import LocalMilvus
from tests.harness.store_rows import CARD, headline_rows


def _kill(milvus: LocalMilvus) -> None:
    assert milvus.pid is not None
    os.kill(milvus.pid, signal.SIGKILL)
    while milvus.alive():
        time.sleep(0.02)


def _index_files(milvus: LocalMilvus, prefix: str) -> list[Path]:
    return [path for path in (milvus.data_dir / "data").rglob("*.*idx") if prefix in str(path)]


def _wait_for_indexes(milvus: LocalMilvus, prefix: str) -> None:
    """Lite writes them a moment after the rows."""
    deadline = time.monotonic() + 20
    while not _index_files(milvus, prefix):
        assert time.monotonic() < deadline, "Lite keeps its indexes elsewhere now"
        time.sleep(0.05)


@pytest.mark.parametrize(("kept", "opened_again"), [(0, True), (100, True), (5, False)])
def test_indexes_cut_short_by_a_kill_are_built_anew_and_no_row_is_lost(
    mortal_milvus: LocalMilvus, kept: int, opened_again: bool
) -> None:
    mortal_milvus.start()
    settings = MilvusSettings(uri=mortal_milvus.uri, prefix=f"d{uuid.uuid4().hex[:8]}_")
    store = open_store(settings, CARD)
    rows = headline_rows(50)
    store.insert_headlines(rows)
    store.settle()
    _wait_for_indexes(mortal_milvus, settings.prefix)
    _kill(mortal_milvus)
    for path in _index_files(mortal_milvus, settings.prefix):
        os.truncate(path, min(kept, path.stat().st_size))
    mortal_milvus.start()
    if opened_again:
        store.close()
        store = open_store(settings, None)
    try:
        assert store.count_headlines() == 50
        assert set(store.known_ids([row.headline.id for row in rows])) == {row.headline.id for row in rows}
        assert store.count_headlines("label_run == 0") == 50
        vector = rows[7].embedding
        assert store.search_headlines(vector[None], 1).similarities[0, 0] == pytest.approx(1, abs=1e-5)
        for path in _index_files(mortal_milvus, settings.prefix):
            assert path.stat().st_size > kept
    finally:
        store.close()
