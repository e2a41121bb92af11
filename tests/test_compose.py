"""docker-compose.yml, Dockerfile, .dockerignore and .env.example: checked against the code, since no engine runs here."""

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from jsonschema.validators import validator_for
from kafka import KafkaAdminClient
from typer.testing import CliRunner

from newstide import __version__
from newstide.core.local_server import free_port, terminate
from newstide.core.setting_types import parse_duration
from newstide.core.settings import Settings
from newstide.embedding import _LOADERS
from newstide.kafka.jars import read_jars
from newstide_app.cli.main import app
from newstide_app.services.monitoring import PORTS, monitored
from tests.harness.compose import (
    ROOT,
    VARIABLE,
    broker,
    compose_file,
    example,
    instructions,
    interpolate,
    wait_until_it_listens,
)

OURS = ("consumer", "reclusterer", "watch", "web", "feeds", "producer")
RAW, EXAMPLE = compose_file(), example()
COMPOSE: dict[str, Any] = interpolate(RAW, EXAMPLE)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
IMAGE = dict(word.split("=", 1) for _, words in instructions("ENV") for word in words)
COPIED = {word for _, words in instructions("COPY") if not words[0].startswith("--") for word in words[:-1]}


def environment(service: str) -> dict[str, str]:
    return {name: str(value) for name, value in SERVICES[service].get("environment", {}).items()}


def parses(command: list[str], *more: str) -> bool:
    assert command[0] == "newstide"
    return CliRunner().invoke(app, [*command[1:], *more, "--help"]).exit_code == 0


@pytest.mark.parametrize("document", [RAW, COMPOSE], ids=["as written", "filled in"])
def test_the_file_keeps_to_the_compose_specification(document: dict[str, Any]) -> None:
    """Its JSON schema (Apache-2.0) comes with the package check-jsonschema."""
    schema = json.loads((files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())
    assert [error.message for error in validator_for(schema)(schema).iter_errors(document)] == []


def test_every_variable_stands_in_the_example_with_its_default() -> None:
    used = [match.groups() for match in VARIABLE.finditer((ROOT / "docker-compose.yml").read_text())]
    assert {name for name, _, _ in used} == set(EXAMPLE)
    for name, kind, default in used:
        assert EXAMPLE[name] == default if kind == "-" else kind == "?" and EXAMPLE[name], name


def test_every_image_is_pinned_to_a_version() -> None:
    pattern = re.compile(r"[\w./-]+:(v?\d+\.\d+\.\d+|RELEASE\.[\dTZ-]+)(@sha256:[0-9a-f]{64})?")
    assert [name for name, service in SERVICES.items() if not pattern.fullmatch(service["image"])] == []
    (base,) = [words[0] for _, words in instructions("ARG") if words[0].startswith("PYTHON=")]
    assert re.fullmatch(r"PYTHON=python:3\.12\.\d+-slim-\w+", base)
    assert {words[0] for _, words in instructions("FROM")} == {"${PYTHON}"}
    assert SERVICES["kafka"]["image"].partition("@")[0].split(":")[1:] == [
        one.version for one in read_jars() if one.artifact == "kafka_2.13"
    ]


def test_our_image_is_of_this_version_and_built_from_this_dockerfile() -> None:
    arguments = {word.partition("=")[0] for _, words in instructions("ARG") for word in words}
    for name in OURS:
        assert SERVICES[name]["image"] == f"newstide:{__version__}"
        assert set(SERVICES[name]["build"]["args"]) <= arguments


def test_the_dockerfile_copies_what_the_wheel_is_made_of_and_only_what_is_there_and_not_ignored() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert {source.split("/")[0] for source in COPIED} == {line[1:] for line in lines if line.startswith("!")}
    assert [source for source in COPIED if not (ROOT / source).exists()] == []
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {*wheel, PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]} <= COPIED
    assert ("COPY", ["producers/sample/day.jsonl", SERVICES["producer"]["command"][-1]]) in instructions("COPY")


@pytest.mark.parametrize("model", [*_LOADERS, "sentence-transformers:some/model", "word2vec"])
def test_the_dockerfile_installs_an_extra_that_exists_for_every_model_and_refuses_others(model: str) -> None:
    (script,) = [" ".join(words) for _, words in instructions("RUN") if words[0] == "case"]
    choice = script.partition("&&")[0] + '; echo "$extra"'
    command = ["/bin/sh", "-c", choice]
    done = subprocess.run(command, env={"EMBEDDING_MODEL": model}, capture_output=True, text=True, check=False)
    if model == "word2vec":
        assert (done.returncode, done.stdout) == (1, "")
        assert model in done.stderr
        return
    extra = done.stdout.strip().strip("[]")
    assert extra == ("" if model in ("use-multilingual", "multilingual-e5-small") else "bge")
    assert not extra or extra in PROJECT["project"]["optional-dependencies"]


def test_the_dockerfile_converts_the_packaged_model_where_it_is_the_image_s(tmp_path: Path) -> None:
    (script,) = [" ".join(words) for _, words in instructions("RUN") if "newstide.embedding.e5;" in words]
    for model, said in (("multilingual-e5-small", "asked -m newstide.embedding.e5\n"), ("bge-m3", "")):
        command = ["/bin/sh", "-c", f'python() {{ echo asked "$@"; }}; {script}']
        done = subprocess.run(command, env={"EMBEDDING_MODEL": model}, capture_output=True, text=True, check=True)
        assert done.stdout == said
    made = subprocess.run(
        [sys.executable, "-m", "newstide.embedding.e5"],
        env={**os.environ, "NEWSTIDE_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (Path(made.stdout.strip()) / "model.bin").is_file()
    assert Path(made.stdout.strip()).parent == tmp_path


def test_every_command_is_one_of_newstides() -> None:
    for name in OURS:
        command = SERVICES[name]["command"]
        command = command.split() if isinstance(command, str) else command
        assert parses(command), name
        assert not parses(command, "--no-such-flag"), name
        durations = [value for flag, value in pairwise(command) if flag in ("--every", "--max-age")]
        assert not any(isinstance(parse_duration(value), str) for value in durations)
    text = (ROOT / "docker-compose.yml").read_text()
    examples = re.findall(r"^#   docker .* (newstide [^#\n]+?)(?:  +#|$)", text, flags=re.MULTILINE)
    assert examples
    assert all(parses(line.split()) for line in examples)


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_one_that_newstide_knows(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in [one for one in os.environ if one.startswith("NEWSTIDE_")]:
        monkeypatch.delenv(variable)
    for variable, value in {**IMAGE, **environment(name)}.items():
        if variable.startswith("NEWSTIDE_"):
            monkeypatch.setenv(variable, value)
    settings = Settings.load()  # refuses unknown names and impossible values
    assert (settings.data_dir, settings.snapshots_dir) == (Path("/data"), Path("/pages"))
    if name != "web":
        assert settings.kafka.bootstrap_servers == "kafka:19092"
        assert settings.milvus.uri == "http://milvus:19530"
        assert settings.embedding.model == "bge-m3"
        assert settings.embedding.batch_size == Settings().embedding.batch_size
        assert settings.clustering.window == Settings().clustering.window


def test_ports_are_the_settings_defaults_and_open_to_this_machine_alone() -> None:
    defaults = Settings.model_construct()
    wanted = {
        "web": [f"127.0.0.1:{defaults.pages.port}:{defaults.pages.port}"],
        "kafka": [f"127.0.0.1:{defaults.kafka.local_port}:9092"],
        "milvus": [f"127.0.0.1:{defaults.milvus.local_port}:19530"],
    }
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == wanted
    moved = interpolate(RAW["services"]["kafka"], {**EXAMPLE, "KAFKA_PORT": "29999"})
    assert moved["ports"] == ["127.0.0.1:29999:9092"]
    assert "HOST://localhost:29999" in moved["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_services_reach_those_they_need_over_a_network_they_share_and_no_others() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    needed = {(one, other) for one in ("consumer", "reclusterer", "producer") for other in ("kafka", "milvus")}
    for one, other in {*needed, ("web", "milvus"), ("milvus", "etcd"), ("milvus", "minio")}:
        assert networks[one] & networks[other], (one, other)
    for one, other in [("consumer", "minio"), ("web", "etcd")]:
        assert not networks[one] & networks[other], (one, other)
    assert set.union(*networks.values()) == set(COMPOSE["networks"])


def test_our_containers_can_write_where_newstide_writes_and_nowhere_else() -> None:
    (made,) = [words for _, words in instructions("RUN") if "install" in words and "/data" in words]
    (user,) = [words for _, words in instructions("USER")]
    targets = {name: {volume.split(":", 1)[1] for volume in SERVICES[name]["volumes"]} for name in OURS}
    assert targets["consumer"] == {"/data", "/home/newstide/.cache"}
    assert targets["reclusterer"] == {"/data", "/pages", "/compiled", "/home/newstide/.cache:ro"}
    assert targets["watch"] == {"/data", "/home/newstide/.cache:ro"}
    assert targets["web"] == {"/pages:ro", "/home/newstide/.cache:ro"}
    assert targets["feeds"] == targets["producer"] == {"/data"}
    assert environment("reclusterer")["NUMBA_CACHE_DIR"] == "/compiled", "a folder that no other service has"
    assert IMAGE["NUMBA_CACHE_DIR"].startswith("/tmp/"), "of the container alone"  # noqa: S108
    for name in OURS:
        service = SERVICES[name]
        mounts = {target.split(":")[0] for target in targets[name]}
        assert mounts <= set(made), "a mount point that the image does not make belongs to root"
        assert service["read_only"] is True
        assert [service["user"]] == user == ["10001:10001"]
        assert any(mount.startswith("/tmp:") for mount in service["tmpfs"])  # noqa: S108


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_has_capabilities_can_gain_any_or_sees_the_machines_files(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "cap_add", "pid", "ipc", "network_mode", "devices"} & set(service)
    assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"])


def test_every_container_that_may_write_to_its_root_or_be_root_is_named_in_the_documentation() -> None:
    security = (ROOT / "docs" / "security.md").read_text()
    rows = dict(re.findall(r"^\| (Kafka|Milvus|etcd|MinIO) \| (.*) \|$", security, re.MULTILINE))
    assert {name.lower() for name in rows} == set(SERVICES) - set(OURS)
    for name, row in rows.items():
        service = SERVICES[name.lower()]
        user, root = row.split(" | ")
        assert root.startswith("read-only" if service.get("read_only") else "writable"), name
        assert user.startswith("`" + service["user"] if "user" in service else "root"), name


def test_no_container_can_take_all_memory_of_the_machine() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name


def test_whatever_is_set_in_the_variables_file_reaches_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {
        "NEWSTIDE_KEEP": "90d",
        "NEWSTIDE_PAGES_TOKEN": "a-token-of-some-length",
        "NEWSTIDE_PAGES_ALLOWED_HOSTS": "news.example.org",
        "FEEDS": "--rss https://example.org/a.xml --rss https://example.org/b.xml",
        "NEWSTIDE_MONITORING_SILENCE": "2m",
    }
    filled = interpolate(RAW, {**EXAMPLE, **chosen})["services"]
    assert filled["reclusterer"]["environment"]["NEWSTIDE_KEEP"] == "90d"
    assert filled["feeds"]["command"].split().count("--rss") == 2
    assert parses(filled["feeds"]["command"].split())
    for name in ("consumer", "reclusterer", "web", "feeds"):
        with monkeypatch.context() as patch:
            for variable, value in filled[name]["environment"].items():
                patch.setenv(variable, str(value))
            settings = Settings.load()
        assert settings.monitoring.silence.total_seconds() == 120, name
        assert (settings.pages.token is not None) == (name == "web")


def test_every_service_says_how_it_is_and_waits_only_for_those_that_do() -> None:
    for name, service in SERVICES.items():
        check = service["healthcheck"]
        if name == "producer":  # runs only when asked for
            assert (name, check, service["restart"]) == ("producer", {"disable": True}, "no")
            continue
        assert check["test"][0] == "CMD", name
        for key in ("interval", "timeout", "start_period"):
            assert not isinstance(parse_duration(check[key]), str), (name, key)
        for other, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert other in SERVICES


@pytest.mark.parametrize("name", ["consumer", "reclusterer", "feeds"])
def test_a_service_is_healthy_while_its_loop_turns(name: str, tmp_path: Path) -> None:
    command = SERVICES[name]["healthcheck"]["test"][1:]
    assert command[:2] == ["python", "-c"]
    service = {"feeds": "producer"}.get(name, name)
    assert f" or {PORTS[service]})" in command[2], "also where monitoring.port is 0"
    port = free_port(0)

    def healthy() -> bool:
        environment = {**os.environ, "NEWSTIDE_MONITORING_PORT": str(port)}
        told = subprocess.run([sys.executable, *command[1:]], env=environment, capture_output=True, check=False)
        return told.returncode == 0

    assert not healthy()
    settings = Settings.load(data_dir=tmp_path, monitoring={"port": port, "silence": "30s"})
    with monitored(service, settings, asks=[]) as monitor:
        assert healthy()  # it is starting
        monitor.beat()
        assert healthy()
        monitor.beat(time.monotonic() - 31)
        assert not healthy()


def test_the_web_server_is_healthy_while_it_answers(tmp_path: Path) -> None:
    port = free_port(0)
    command = SERVICES["web"]["healthcheck"]["test"][1:]
    assert command[:2] == ["python", "-c"]
    code = command[2].replace(":8000/", f":{port}/")
    assert code != command[2]

    def healthy() -> bool:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0

    assert not healthy()
    server = subprocess.Popen(
        [sys.executable, "-m", "newstide_app", "web", "--host", "127.0.0.1", "--port", str(port)],
        env={**os.environ, "NEWSTIDE_PAGES_DIRECTORY": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_it_listens(port, server)
        assert healthy()
    finally:
        terminate(server, 10)


@pytest.mark.slow  # its twins look at the environment alone
def test_kafka_starts_with_this_environment_and_creates_no_topic_by_itself(tmp_path: Path) -> None:
    with broker(tmp_path, environment("kafka")) as port:
        client = KafkaAdminClient(bootstrap_servers=f"localhost:{port}")
        (node,) = client.describe_cluster()["brokers"]
        assert node["port"] == port
        assert "headlines" not in client.list_topics()
        client.close()
    properties = (tmp_path / "final" / "server.properties").read_text()
    assert "auto.create.topics.enable=false" in properties
    assert "INTERNAL://kafka:19092" in properties
