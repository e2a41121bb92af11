"""What each service tells of itself, and that the dashboard and the alert rules ask for nothing else."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from clustering.run.reclusterer import RunReport
from consumers.tally import Tally
from newstide.core.errors import NewstideError, SettingsError
from newstide.core.headline import Headline
from newstide.core.local_server import free_port, terminate
from newstide.core.settings import KafkaSettings, MilvusSettings, Settings, as_environment
from newstide.milvus.local_server import LocalMilvus
from newstide_app.cli.main import app
from newstide_app.services.cards import check_health, running_services
from newstide_app.services.metrics import ConsumerMetrics, RunMetrics, every_name
from newstide_app.services.monitoring import Monitor, monitored
from newstide_app.services.run import run_consumer, run_reclusterer
from producers.publisher import publish
from producers.rows import Row
from tests.harness.clock import set_clock

GRAFANA = Path(__file__).parent.parent / "docs" / "grafana"
# Of the library's own collectors, which tell nothing of a process that has another platform.
LIBRARY = {"process_resident_memory_bytes", "process_cpu_seconds_total"}


def get(address: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=5) as response:
            return int(response.status), response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def values(address: str) -> dict[str, float]:
    """Every sample; its labels stand behind its name."""
    found = {}
    for family in text_string_to_metric_families(get(f"{address}/metrics")[1]):
        for sample in family.samples:
            found[" ".join([sample.name, *sample.labels.values()])] = sample.value
    return found


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come to pass")


@contextmanager
def running(target: Callable[[Event], object]) -> Iterator[None]:
    stop = Event()
    thread = Thread(target=target, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def settings_for(folder: Path, kafka: KafkaSettings, milvus: MilvusSettings, **monitoring: Any) -> Settings:
    monitoring = {"port": free_port(), "look_every": "200ms", **monitoring}
    groups = {"kafka": kafka.model_dump(), "milvus": milvus.model_dump(), "monitoring": monitoring}
    return Settings.load(data_dir=folder, **groups)


def address_of(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.monitoring.port}"


def test_running_totals_are_counted_once_and_a_batch_is_timed_by_stage() -> None:
    registry = CollectorRegistry()
    metrics = ConsumerMetrics(registry)
    tally = Tally(
        read=10,
        stored=7,
        duplicates=2,
        dead_letters=1,
        unreadable=3,
        unknown=Counter(pubdate=3),
        seconds={"embed": 0.4},
    )
    for _ in range(3):
        metrics.record(tally)
    tally.add(Tally(read=5, stored=5, unknown=Counter(pubdate=2), seconds={"embed": 3.0, "insert": 0.2}))
    metrics.record(tally)
    assert registry.get_sample_value("newstide_messages_read_total") == 15
    assert registry.get_sample_value("newstide_headlines_stored_total") == 12
    assert registry.get_sample_value("newstide_duplicates_total") == 2
    assert registry.get_sample_value("newstide_dead_letters_total") == 1
    assert registry.get_sample_value("newstide_headlines_unreadable_total") == 3
    assert registry.get_sample_value("newstide_fields_unknown_total", {"field": "pubdate"}) == 5
    assert registry.get_sample_value("newstide_batch_seconds_count", {"stage": "embed"}) == 2
    assert registry.get_sample_value("newstide_batch_seconds_sum", {"stage": "embed"}) == pytest.approx(3.4)
    assert registry.get_sample_value("newstide_batch_seconds_bucket", {"stage": "embed", "le": "0.5"}) == 1
    assert registry.get_sample_value("newstide_batch_seconds_count", {"stage": "insert"}) == 1


def test_a_run_shows_its_figures_and_one_with_nothing_new_leaves_them() -> None:
    registry = CollectorRegistry()
    metrics = RunMetrics(registry)
    report = RunReport(
        "finished",
        12,
        rows=110,
        new=10,
        changed=13,
        stories=20,
        noise_share=0.25,
        arrivals_kept=0.8,
        recall=0.97,
        events={"born": 4},
        seconds={"graph": 2.5, "map": 1.0},
        page="run-000012.html",
    )
    metrics.finished(replace(report, run=11, page=""))
    assert registry.get_sample_value("newstide_page_written") == 0
    registry = CollectorRegistry()
    metrics = RunMetrics(registry)
    metrics.finished(report)
    assert registry.get_sample_value("newstide_page_written") == 1
    metrics.finished(RunReport("nothing new", 12))
    metrics.failed()
    value = registry.get_sample_value
    assert value("newstide_runs_total", {"status": "finished"}) == 1
    assert value("newstide_runs_total", {"status": "nothing new"}) == 1
    assert value("newstide_runs_total", {"status": "failed"}) == 1
    assert value("newstide_window_headlines") == 110
    assert value("newstide_label_churn") == pytest.approx(0.03)  # 3 of the 100 that were there before
    assert value("newstide_graph_recall") == pytest.approx(0.97)
    assert value("newstide_noise_share") == pytest.approx(0.25)
    assert value("newstide_arrival_labels_kept_ratio") == pytest.approx(0.8)
    assert value("newstide_story_events_total", {"kind": "born"}) == 4
    assert value("newstide_run_seconds_sum", {"step": "graph"}) == pytest.approx(2.5)
    last, success = value("newstide_last_run_timestamp_seconds"), value("newstide_last_success_timestamp_seconds")
    assert last is not None
    assert success is not None
    assert time.time() - 5 < last <= success


def test_consumer_and_reclusterer_tell_what_they_do(
    kafka_settings: KafkaSettings, milvus_settings: MilvusSettings, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, kafka_settings, milvus_settings)
    now = int(time.time() * 1000)
    titles = [
        f"{what} in {where}" for what in ("Fire", "Flood", "Vote", "Strike") for where in ("Oslo", "Lima", "Rome")
    ]
    rows = [Row(Headline(str(i), title, now), True, "test", i) for i, title in enumerate([*titles, titles[0]])]
    rows[-1] = Row(Headline("0", titles[0], now), True, "test", 99)
    publish(rows, settings.kafka)
    address = address_of(settings)
    with running(lambda stop: run_consumer(settings, stop=stop, drain=False)):
        wait_for(lambda: (tmp_path / "monitoring").is_dir() and running_services(tmp_path))
        wait_for(lambda: get(f"{address}/readyz") == (200, "ready\n"))
        wait_for(lambda: values(address)["newstide_messages_read_total"] == 13)
        told = wait_for(lambda: (seen := values(address)).get("newstide_lag 0") == 0 and seen)
        assert told["newstide_headlines_stored_total"] == 12
        assert told["newstide_duplicates_total"] == 1
        assert told["newstide_batch_seconds_count embed"] >= 1
        assert told["newstide_reachable kafka"] == told["newstide_reachable milvus"] == 1
        assert told["process_resident_memory_bytes"] > 1e7
        assert get(f"{address}/healthz") == (200, "alive\n")
        assert get(f"{address}/elsewhere")[0] == 404
        services = running_services(tmp_path)
        assert [(one["service"], one["address"], one["not_ready"]) for one in services] == [("consumer", address, [])]
    assert running_services(tmp_path) == []
    every = timedelta(minutes=5)
    with running(lambda stop: run_reclusterer(settings, stop=stop, every=every)):
        wait_for(lambda: (tmp_path / "monitoring").is_dir() and running_services(tmp_path))
        told = wait_for(lambda: (seen := values(address))["newstide_runs_total finished"] == 1 and seen, 120)
        assert told["newstide_window_headlines"] == told["newstide_new_headlines"] == 12
        assert told["newstide_run_number"] == 1
        assert told["newstide_graph_recall"] == 1
        assert {f"newstide_run_seconds_count {step}" for step in ("rows", "graph", "clusters", "write")} <= set(told)
        wait_for(lambda: get(f"{address}/readyz") == (200, "ready\n"))  # the run may have kept Milvus from answering
    with monitored("reclusterer", settings) as monitor:  # started again, before any run
        monitor.reclustering(300)
        again = wait_for(lambda: (seen := values(address)).get("newstide_run_number") == 1 and seen)
        assert again["newstide_last_run_timestamp_seconds"] == pytest.approx(
            told["newstide_last_run_timestamp_seconds"], abs=30
        )


def test_not_ready_while_milvus_is_away_and_says_why(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    with LocalMilvus(tmp_path / "milvus", port=0) as milvus:
        settings = settings_for(tmp_path, kafka_settings, MilvusSettings(uri=milvus.uri))
        address = address_of(settings)
        with monitored("consumer", settings) as monitor:
            status, text = get(f"{address}/readyz")
            assert status == 503
            assert "is starting" in text
            monitor.beat()
            wait_for(lambda: values(address).get("newstide_reachable milvus") == 1)
            wait_for(lambda: get(f"{address}/readyz")[0] == 200)
            milvus.stop()
            status, text = wait_for(lambda: (told := get(f"{address}/readyz"))[0] == 503 and told)
            assert f"Milvus at {milvus.uri} cannot be reached" in text
            assert values(address)["newstide_reachable milvus"] == 0
            assert get(f"{address}/healthz")[0] == 200, "a restart would not bring Milvus back"
            milvus.start()
            wait_for(lambda: get(f"{address}/readyz")[0] == 200)


def test_not_ready_while_kafka_is_away_and_says_why(milvus_settings: MilvusSettings, tmp_path: Path) -> None:
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    settings = settings_for(tmp_path, kafka, milvus_settings)
    with monitored("producer", settings, asks=["kafka"]) as monitor:
        monitor.polling(300)(well=True, read=3, rejected=1, failing=0)
        _, text = wait_for(lambda: (told := get(f"{address_of(settings)}/readyz"))[0] == 503 and told)
        assert f"Kafka at {kafka.bootstrap_servers} cannot be reached" in text
        assert values(address_of(settings))["newstide_feed_entries_total"] == 3


def test_the_web_server_tells_beside_its_pages_whether_milvus_answers_it(tmp_path: Path) -> None:
    with LocalMilvus(tmp_path / "milvus", port=0) as milvus:
        settings = settings_for(tmp_path, KafkaSettings(), MilvusSettings(uri=milvus.uri))
        settings = settings.updated(pages={"token": "a-token-of-some-length", "port": free_port()})
        address, pages = address_of(settings), f"http://127.0.0.1:{settings.pages.port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NEWSTIDE_")}
        web = subprocess.Popen([sys.executable, "-m", "newstide_app", "web"], env={**kept, **as_environment(settings)})
        try:
            (told,) = wait_for(lambda: web.poll() is None and running_services(tmp_path))
            assert (told["service"], told["address"]) == ("web", address)
            wait_for(lambda: get(f"{address}/readyz") == (200, "ready\n"))
            seen = values(address)
            assert seen["newstide_reachable milvus"] == 1
            assert "newstide_reachable kafka" not in seen, "it has no need of Kafka"
            milvus.stop()
            _, text = wait_for(lambda: (told := get(f"{address}/readyz"))[0] == 503 and told)
            assert f"Milvus at {milvus.uri} cannot be reached" in text
            assert get(f"{address}/healthz") == (200, "alive\n")
            assert get(f"{pages}/healthz") == (200, "ok\n"), "pages are served without Milvus"
            assert get(f"{pages}/metrics")[0] == 401, "whoever reaches the pages sees no figures"
            milvus.start()
            wait_for(lambda: get(f"{address}/readyz")[0] == 200)
        finally:
            code = terminate(web, 10)
        assert code == 0
        assert list((tmp_path / "monitoring").iterdir()) == []


def test_not_ready_once_the_last_good_run_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = Monitor("reclusterer", Settings(data_dir=tmp_path))
    monitor.reclustering(60)
    monitor.beat()
    now = time.monotonic()

    def later(seconds: float) -> None:
        set_clock(monkeypatch, "newstide_app.services.monitoring", lambda: now + seconds)
        monitor.beat()

    later(170)
    assert monitor.not_ready() == []
    monitor.ran(None)  # it failed
    later(200)
    assert "The last good run is 200 s old; 180 s are allowed." in monitor.not_ready()[0]
    monitor.ran(RunReport("nothing new", 1))
    assert monitor.not_ready() == []
    later(400)
    monitor.ran(None, stood_by=True)
    assert monitor.not_ready() == []
    assert monitor.not_alive() == ""
    set_clock(monkeypatch, "newstide_app.services.monitoring", lambda: now + 400 + 301)
    assert "has been silent for 301 s" in monitor.not_alive()


def test_two_of_a_kind_find_ports_of_their_own_and_a_taken_one_is_an_error(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path)
    with monitored("producer", settings, asks=[]), monitored("consumer", settings, asks=[]):
        addresses = {one["address"] for one in running_services(tmp_path)}
        assert len(addresses) == 2
        taken = int(next(iter(addresses)).rpartition(":")[2])
        with (
            pytest.raises(SettingsError, match=f"127.0.0.1:{taken}"),
            monitored("consumer", settings.updated(monitoring={"port": taken}), asks=[]),
        ):
            pass


def test_without_metrics_healthz_is_still_there_for_this_machine(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path, monitoring={"port": 0, "host": "::", "silence": "30s"})
    with pytest.raises(NewstideError, match=f"No consumer runs on {tmp_path}"):
        check_health(tmp_path, "consumer")
    with monitored("consumer", settings) as monitor:
        assert running_services(tmp_path) == []
        asked = check_health(tmp_path, "consumer")
        address = asked.removesuffix("/healthz")
        assert address.startswith("http://127.0.0.1:"), "nobody else is let in"
        assert get(asked) == (200, "alive\n")
        assert [get(address + path)[0] for path in ("/metrics", "/readyz", "/")] == [404] * 3
        monitor.beat(time.monotonic() - 31)
        with pytest.raises(NewstideError, match="loop of the consumer has been silent for 31 s"):
            check_health(tmp_path, "consumer")


def test_the_command_health_asks_healthz_and_says_that_it_goes(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, KafkaSettings(), MilvusSettings())
    with monitored("reclusterer", settings, asks=[]):
        told = CliRunner().invoke(app, ["--data-dir", str(tmp_path), "health", "reclusterer", "--max-age", "60s"])
    assert (told.exit_code, told.stdout) == (0, "reclusterer is alive\n")
    said = " ".join(told.stderr.split())
    assert f"goes with the next version: ask {address_of(settings)}/healthz" in said
    assert "monitoring.silence, not --max-age" in said


def test_figures_are_read_and_never_written(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, KafkaSettings(), MilvusSettings())
    with monitored("consumer", settings, asks=[]):
        address = address_of(settings)
        for path in ("/metrics", "/healthz", "/readyz"):
            answer = httpx.post(address + path)
            assert (answer.status_code, answer.text) == (405, "Only GET is known here.\n")
        assert httpx.head(f"{address}/metrics").status_code == 200
        assert "newstide_build_info" in httpx.get(f"{address}/metrics").text


def expressions(document: Any) -> Iterator[str]:
    """Every PromQL expression in a dashboard or a file of rules."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name in {"expr", "definition"}:
                yield value
            else:
                yield from expressions(value)
    elif isinstance(document, list):
        for value in document:
            yield from expressions(value)


@pytest.mark.parametrize("file", ["newstide.json", "alerts.yml"])
def test_dashboard_and_alerts_ask_for_metrics_that_exist(file: str) -> None:
    text = (GRAFANA / file).read_text()
    found = list(expressions(json.loads(text) if file.endswith("json") else yaml.safe_load(text)))
    assert len(found) >= 10
    known = every_name() | LIBRARY
    asked = {name for expression in found for name in re.findall(r"\b(?:newstide|process)_\w+|\bup\b", expression)}
    assert asked <= known, f"nobody exposes {asked - known}"
    for expression in found:
        assert expression.count("(") == expression.count(")"), expression
        assert re.search(r"\b(?:newstide|process)_\w+|\bup\b", expression), expression


def test_every_metric_is_explained_and_each_alert_says_what_to_do() -> None:
    explained = (GRAFANA.parent / "monitoring.md").read_text()
    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in every_name() if name.startswith("newstide_")}
    missing = {name for name in ours if f"`{name}`" not in explained}
    assert not missing
    rules = [
        rule for group in yaml.safe_load((GRAFANA / "alerts.yml").read_text())["groups"] for rule in group["rules"]
    ]
    for rule in rules:
        assert {"alert", "expr", "for", "labels", "annotations"} <= set(rule)
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["action"]


def test_a_poller_of_feeds_counts_as_dead_once_it_has_looked_at_none_for_three_intervals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = Monitor("producer", Settings(data_dir=tmp_path))
    looked = monitor.polling(600)
    looked(well=True, read=1, rejected=0, failing=0)
    now = [time.monotonic()]
    set_clock(monkeypatch, "newstide_app.services.monitoring", lambda: now[0])
    for later, dead in ((1_700, False), (200, True)):
        now[0] += later
        assert bool(monitor.not_alive()) == dead
