"""The short form of `python -m benchmarks.faults`: every part is killed while headlines stream in."""

from pathlib import Path

from benchmarks.faults import VICTIMS, run


def test_whatever_is_killed_no_headline_is_lost_or_doubled_and_the_next_run_repairs(tmp_path: Path) -> None:
    result = run(600, 1, tmp_path)
    assert result["kills"] == dict.fromkeys(VICTIMS, 1)
    assert (result["lost"], result["duplicated"], result["disagreements"]) == (0, 0, [])
    assert result["stories"] > 10
