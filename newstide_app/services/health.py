"""A service's heartbeat: a file it touches while its loop turns, and the check that containers run against it."""

import time
from pathlib import Path

from newstide.core.errors import NewstideError


def beat(data_dir: Path, service: str) -> None:
    """Says that the service is alive now."""
    path = _path(data_dir, service)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def check(data_dir: Path, service: str, max_age: float) -> float:
    """Seconds since the last heartbeat.

    Raises:
        NewstideError: There is none, or it is older than `max_age` seconds.
    """
    path = _path(data_dir, service)
    if not path.exists():
        raise NewstideError(f"{service} has never given a sign of life in {data_dir}.", "Is it running there?")
    age = time.time() - path.stat().st_mtime
    if age > max_age:
        raise NewstideError(f"{service} was last alive {age:.0f} s ago; {max_age:.0f} s are allowed.", "See its log.")
    return age


def _path(data_dir: Path, service: str) -> Path:
    return data_dir / "health" / service
