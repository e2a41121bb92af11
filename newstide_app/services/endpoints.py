"""Where the services that newstide itself started are listening, so that a second terminal finds them."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from newstide.core.errors import NewstideError
from newstide.core.files import replace_text
from newstide.core.local_server import locked
from newstide.core.settings import Settings

LOCK = ".up.lock"  # of the data folder; it stays where it is while it is held
_LOCK_WITHIN = 1.0  # seconds: whoever looks whether the folder is held holds its lock for a moment


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of the running local services, and the process that will stop them."""

    pid: int
    bootstrap_servers: str
    milvus_uri: str
    pages: str = ""  # url of the web server, where one runs


@contextmanager
def held_folder(data_dir: Path) -> Iterator[None]:
    """Holds the data folder for this process alone.

    The lock is the operating system's: it ends with this process, however that ends, and no child inherits it.

    Raises:
        NewstideError: Another newstide runs on the folder, or the folder cannot be made.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / LOCK).open("a+")
    except OSError as error:
        raise NewstideError(
            f"The data folder cannot be used: {error}.", "Choose another folder with --data-dir."
        ) from None
    with lock:
        if not locked(lock, _LOCK_WITHIN):
            lock.seek(0)
            raise NewstideError(
                f"newstide is already running on {data_dir} (process {lock.read().strip() or 'unknown'}).",
                "Stop that process, or choose another folder with --data-dir.",
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def write_endpoints(data_dir: Path, endpoints: Endpoints) -> None:
    """Writes `endpoints.json` in one step."""
    replace_text(_path(data_dir), json.dumps(asdict(endpoints), indent=2) + "\n")


def read_endpoints(data_dir: Path) -> Endpoints | None:
    """The addresses in use, or None where nothing runs (any more)."""
    try:
        endpoints = Endpoints(**json.loads(_path(data_dir).read_text()))
        with (data_dir / LOCK).open() as lock:
            return None if locked(lock, 0.0) else endpoints
    except (OSError, ValueError, TypeError):
        return None


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
