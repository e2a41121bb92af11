"""What `newstide doctor` finds, and what it says to do; against a real Kafka and a real Milvus Lite."""

import io
import json
import shutil
from collections import namedtuple
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest
from kafka import KafkaAdminClient
from rich.console import Console

from newstide.core.local_server import free_port
from newstide.core.settings import KafkaSettings, MilvusSettings, Settings
from newstide.embedding import ModelCard
from newstide.kafka.producer import Sender
from newstide.milvus import Store, open_store
from newstide_app.maintenance import doctor
from newstide_app.maintenance.doctor import examine, print_findings
from newstide_app.maintenance.findings import Finding, Findings, Visit
from newstide_app.services.monitoring import monitored
from newstide_app.services.run import run_consumer

SECRETS = ("kafka-password-7c1", "key-password-7c2", "milvus-token-7c3", "pages-token-long-7c4")


def settings_for(folder: Path, kafka: KafkaSettings, milvus: MilvusSettings, **more: Any) -> Settings:
    return Settings.load(data_dir=folder, kafka=kafka.model_dump(), milvus=milvus.model_dump(), **more)


def nowhere(folder: Path, **more: Any) -> Settings:
    """Nobody listens where these settings point."""
    kafka = {"bootstrap_servers": f"127.0.0.1:{free_port()}", **more.pop("kafka", {})}
    milvus = {"uri": f"http://127.0.0.1:{free_port()}", "timeout": "300ms", **more.pop("milvus", {})}
    return Settings.load(data_dir=folder, kafka=kafka, milvus=milvus, **more)


def named(findings: Findings, name: str) -> list[Finding]:
    return [finding for finding in findings.findings if finding.name == name]


def printed(findings: Findings, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_findings(findings, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_what_is_away_fails_with_a_next_step_and_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    findings = examine(nowhere(tmp_path))
    assert not findings.well
    for name, setting in (("Kafka", "kafka.bootstrap_servers"), ("Milvus", "newstide doctor")):
        (finding,) = named(findings, name)
        assert finding.status == "fail"
        assert "cannot be reached" in finding.seen
        assert setting in finding.way_out
    assert named(findings, "model")[0].status == "ok"
    assert named(findings, "data folder")[0].status == "ok"
    assert "2 fail" in printed(findings)


def test_a_fresh_pipeline_is_well_and_says_what_to_start(
    kafka_settings: KafkaSettings, milvus_settings: MilvusSettings, tmp_path: Path
) -> None:
    findings = examine(settings_for(tmp_path, kafka_settings, milvus_settings))
    assert findings.well, printed(findings)
    assert named(findings, "Milvus")[0].status == "warn"
    assert "Nothing has been ingested yet" in named(findings, "Milvus")[0].seen
    assert named(findings, "consumers")[0].status == "warn"
    assert "newstide consume" in named(findings, "consumers")[0].way_out
    assert named(findings, "topics")[0].seen == f"{kafka_settings.topic} has 4 partitions"
    assert named(findings, "dead letters")[0].status == "ok"


def test_rows_without_a_run_and_dead_letters_are_counted(
    kafka_settings: KafkaSettings, milvus_settings: MilvusSettings, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, kafka_settings, milvus_settings)
    sender = Sender(settings.kafka)
    for number, value in enumerate([b'{"title": "Harbour fire"}', b"no headline", b'{"title": "Vote in Lima"}']):
        sender.send(settings.kafka.topic, key=str(number).encode(), value=value)
    sender.flush()
    sender.close()
    assert "3 headlines wait" in named(examine(settings), "consumers")[0].seen
    run_consumer(settings, stop=Event(), drain=True)
    findings = examine(settings)
    assert "headlines 2" in named(findings, "Milvus")[0].seen
    assert "2 headlines wait for the first" in named(findings, "runs")[0].seen
    assert "newstide recluster" in named(findings, "runs")[0].way_out
    (letters,) = named(findings, "dead letters")
    assert letters.status == "warn"
    assert letters.seen.startswith("1 dead letters")
    assert "newstide dead-letters" in letters.way_out
    assert json.loads(json.dumps(findings.as_dict()))["well"] is True


def test_vectors_of_another_model_fail_and_the_way_out_names_the_setting(
    kafka_settings: KafkaSettings, milvus_settings: MilvusSettings, tmp_path: Path
) -> None:
    open_store(milvus_settings, ModelCard("bge-m3", 1024, "a" * 64)).close()
    findings = examine(
        settings_for(tmp_path, kafka_settings, milvus_settings, embedding={"model": "multilingual-e5-small"})
    )
    (finding,) = named(findings, "model")
    assert finding.status == "fail"
    assert "bge-m3" in finding.seen
    assert "NEWSTIDE_EMBEDDING_MODEL=bge-m3" in finding.way_out


def test_topics_that_cannot_work_are_named(
    kafka_settings: KafkaSettings, milvus_settings: MilvusSettings, tmp_path: Path
) -> None:
    admin: Any = KafkaAdminClient(bootstrap_servers=kafka_settings.bootstrap_servers)
    wide = f"{kafka_settings.lease_topic}-wide"
    admin.create_topics({wide: {"num_partitions": 2, "replication_factor": 1}})
    admin.wait_for_topics([wide])
    admin.close()
    changed = kafka_settings.model_copy(update={"lease_topic": wide, "partitions": 8, "events_topic": "absent"})
    topics = named(examine(settings_for(tmp_path, changed, milvus_settings)), "topics")
    assert {(finding.status, finding.seen.split()[0]) for finding in topics} == {
        ("fail", wide),
        ("warn", kafka_settings.topic),
        ("warn", "There"),
    }


def test_folders_that_cannot_be_written_or_are_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (finding,) = named(examine(nowhere(tmp_path / "file" / "below")), "data folder")
    assert finding.status == "fail"
    assert "is no folder" in finding.seen
    usage = namedtuple("usage", "total used free")
    for free, status in ((0.5, "fail"), (3, "warn"), (50, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage(0, 0, int(free * 2**30)))
        assert named(examine(nowhere(tmp_path)), "data folder")[0].status == status

    def refuse(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    (finding,) = named(examine(nowhere(tmp_path)), "data folder")
    assert finding.status == "fail"
    assert "Read-only file system" in finding.seen


def test_no_secret_is_shown_and_those_in_the_clear_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    kafka_password, key_password, token, pages_token = SECRETS
    file = tmp_path / "newstide.toml"
    file.write_text(f'[kafka]\nsasl_password = "{kafka_password}"\n')
    file.chmod(0o644)
    monkeypatch.setenv("NEWSTIDE_CONFIG", str(file))
    kafka = {
        "bootstrap_servers": "0.0.0.0:1",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_username": "reporter",
        "ssl_keypassword": key_password,
    }
    milvus = {"uri": "http://0.0.0.0:1", "token": token}
    pages = {"token": pages_token, "host": "0.0.0.0"}  # noqa: S104
    findings = examine(nowhere(tmp_path, kafka=kafka, milvus=milvus, pages=pages))
    shown = printed(findings) + printed(findings, 300) + json.dumps(findings.as_dict()) + repr(findings)
    shown += "".join(capfd.readouterr())
    assert not [secret for secret in SECRETS if secret in shown]
    warned = " ".join(finding.seen for finding in named(findings, "secrets"))
    assert "What reporter sends to Kafka" in warned
    assert "The token for Milvus" in warned
    assert "everyone on this machine may read it" in warned
    assert "can read every page" not in warned  # there is a token
    file.chmod(0o600)
    assert "everyone on this machine" not in " ".join(
        finding.seen for finding in named(examine(nowhere(tmp_path)), "secrets")
    )


def test_a_service_that_is_not_ready_is_shown_with_its_reason(tmp_path: Path) -> None:
    settings = nowhere(tmp_path)
    with monitored("consumer", settings, asks=[]) as monitor:
        (waiting,) = named(examine(settings), "consumer")
        assert waiting.status == "warn"
        assert "consumer is starting" in waiting.seen
        monitor.beat()
        assert named(examine(settings), "consumer")[0].status == "ok"


def test_a_run_is_overdue_by_the_usual_gap_between_runs_and_after_an_hour_in_any_case(tmp_path: Path) -> None:
    def late_after(*minutes: float) -> float:
        runs = pd.DataFrame({"started_at": [int(at * 60_000) for at in minutes]})
        visit = Visit(Settings(data_dir=tmp_path), store=cast("Store", SimpleNamespace(runs=lambda: runs)))
        return doctor._late_after(visit) / 60

    assert late_after(0) == 60
    assert late_after(0, 5, 10, 15, 100, 105, 110) == 15
    assert late_after(0, 1, 2, 3) == 10
    assert late_after(0, 60, 120, 180) == 60


def test_it_fits_a_narrow_terminal(tmp_path: Path) -> None:
    text = printed(examine(nowhere(tmp_path)), 60)
    assert max(len(line) for line in text.splitlines()) <= 60
    assert "→" in text
