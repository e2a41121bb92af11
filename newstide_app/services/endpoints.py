"""Where the services that newstide itself started are listening, so that a second terminal finds them."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from newstide.core.files import replace_text
from newstide.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of the running local services, and the process that will stop them."""

    pid: int
    bootstrap_servers: str
    milvus_uri: str
    pages: str = ""  # url of the web server, where one runs


def write_endpoints(data_dir: Path, endpoints: Endpoints) -> None:
    """Writes `endpoints.json` in one step."""
    replace_text(_path(data_dir), json.dumps(asdict(endpoints), indent=2) + "\n")


def read_endpoints(data_dir: Path) -> Endpoints | None:
    """The addresses in use, or None where nothing runs (any more)."""
    try:
        endpoints = Endpoints(**json.loads(_path(data_dir).read_text()))
        os.kill(endpoints.pid, 0)
    except (OSError, ValueError, TypeError):
        return None
    return endpoints


def remove_endpoints(data_dir: Path) -> None:
    """Forgets the addresses, at the end of the services."""
    _path(data_dir).unlink(missing_ok=True)


def with_endpoints(settings: Settings) -> Settings:
    """Settings in which unset addresses are those of the running local services, where there are any."""
    endpoints = read_endpoints(settings.data_dir)
    if endpoints is None:
        return settings
    if settings.kafka.bootstrap_servers is None:
        settings = settings.updated(kafka={"bootstrap_servers": endpoints.bootstrap_servers})
    if settings.milvus.uri is None:
        settings = settings.updated(milvus={"uri": endpoints.milvus_uri})
    return settings


def _path(data_dir: Path) -> Path:
    return data_dir / "endpoints.json"
