"""What `/readyz` says of runs, pages and waiting batches; and a service that ends itself once its loop is silent."""

import json
import subprocess
import sys
import time
from pathlib import Path

from clustering.run.reclusterer import RunReport
from consumers.tally import Tally
from newstide.core.settings import Settings
from newstide_app.services import silence
from newstide_app.services.monitoring import Monitor


def test_the_age_of_the_last_run_does_not_begin_anew_with_the_process(tmp_path: Path) -> None:
    monitor = Monitor("reclusterer", Settings(data_dir=tmp_path))
    monitor.reclustering(60)
    monitor.beat()
    monitor.found(7, time.time() - 1_000)
    assert "The last good run is 1000 s old; 180 s are allowed." in monitor.not_ready()[0]
    monitor.ran(RunReport("nothing new", 7))
    monitor.found(7, time.time() - 1_000)  # a look that took longer than the run
    assert monitor.not_ready() == []


def test_not_ready_while_the_last_runs_page_could_not_be_written(tmp_path: Path) -> None:
    monitor = Monitor("reclusterer", Settings(data_dir=tmp_path))
    monitor.reclustering(60)
    monitor.beat()
    monitor.ran(RunReport("finished", 3))
    assert monitor.not_ready() == ["The page of run 3 could not be written; see the log."]
    monitor.ran(RunReport("nothing new", 3))
    assert len(monitor.not_ready()) == 1, "the page is still missing"
    monitor.ran(RunReport("finished", 4, page="run-000004.html"))
    assert monitor.not_ready() == []
    assert monitor.not_alive() == ""


def test_a_consumer_tells_what_a_batch_waits_for_and_why(tmp_path: Path) -> None:
    monitor = Monitor("consumer", Settings(data_dir=tmp_path))
    record = monitor.consuming()
    record(Tally(waits=("the model", "no memory")))
    assert monitor.not_ready() == ["A batch waits for the model: no memory"]
    assert monitor.registry.get_sample_value("newstide_waiting", {"what": "the model"}) == 1
    assert monitor.registry.get_sample_value("newstide_waiting", {"what": "Milvus"}) == 0
    assert monitor.not_alive() == "", "the loop turns while it waits"
    record(Tally())
    assert monitor.not_ready() == []
    assert monitor.registry.get_sample_value("newstide_waiting", {"what": "the model"}) == 0


def test_a_service_whose_loop_is_silent_ends_itself_and_says_where_it_hangs(tmp_path: Path) -> None:
    code = """
import time
from pathlib import Path
from newstide.core import logs
from newstide.core.settings import Settings
from newstide_app.services.monitoring import monitored
logs.configure("warning", json=True)
settings = Settings.load(data_dir=Path.cwd(), monitoring={"port": 0, "silence": "1s"})
with monitored("consumer", settings, asks=[], ends_silent=True) as monitor:
    time.sleep(2)  # a start takes as long as it takes
    for _ in range(8):
        monitor.beat()
        time.sleep(0.25)
    print("hangs", flush=True)
    time.sleep(60)
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (silence.CODE, "hangs\n")
    assert time.monotonic() - started < 50
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert line["event"].startswith("the loop is silent")
    assert "time.sleep" in line["hangs_at"] or "<string>" in line["hangs_at"]
