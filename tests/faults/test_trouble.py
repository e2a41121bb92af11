"""A short form of `python -m benchmarks.trouble`: a minute and a half of trouble costs no headline."""

from pathlib import Path

import pytest

from benchmarks import trouble


@pytest.mark.slow  # its twins: tests/test_local_services.py, and of a kill tests/faults/test_ingest_faults.py
def test_one_trouble_after_another_loses_and_doubles_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    only = ["kill consumer", "Milvus' port taken", "headlines 400 days ahead"]
    result = trouble.trouble(1.5, 30, only, folder, disk=False)
    assert {hit["fault"] for hit in result["hits"]} == set(only)
    assert result["acknowledged"] > 200
    assert (result["lost"], result["doubled"], result["lineage"]) == (0, 0, [])
    assert all(hit["lines"] <= trouble.LINES_BAR for hit in result["hits"])
