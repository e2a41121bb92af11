"""The jars of Apache Kafka: fetched once from a Maven repository, and never used with a wrong checksum.

`jars.txt` beside this file lists every jar with its sha256 sum. A jar in the cache with the right
sum is used without any network; jgo fetches the others.
"""

import fcntl
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tenacity import retry, retry_if_not_exception_type, stop_after_attempt, wait_exponential_jitter

from newstide.core import logs
from newstide.core.errors import DownloadError
from newstide.core.text import shorten

_TIMEOUT = 10  # seconds without a byte before a download is given up
_AT_ONCE = 4  # downloads side by side
_WAY_OUT = (
    "Try again with a network; behind a proxy, name your Maven mirror under [repositories] in ~/.config/jgo.conf; "
    "or use a Kafka of yours by setting kafka.bootstrap_servers."
)

log = logs.get("kafka")


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar by its Maven coordinate, and the sha256 sum it must have."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """`artifact-version.jar`."""
        return f"{self.artifact}-{self.version}.jar"

    def path(self, repository: Path) -> Path:
        """Where the jar lies in a local Maven repository."""
        return repository.joinpath(*self.group.split("."), self.artifact, self.version, self.name)


def classpath(
    cache_dir: Path, jars: Sequence[Jar] | None = None, repositories: Mapping[str, str] | None = None
) -> list[Path]:
    """Paths of all jars, each with the right sum; fetches those that are missing or damaged.

    Args:
        cache_dir: Downloads are kept in its folder `kafka`; several processes may share it.
        jars: The jars that are wanted; by default those that `jars.txt` lists.
        repositories: Names and addresses of Maven repositories; by default those of jgo's settings file, then Maven
            Central.

    Raises:
        DownloadError: A jar could not be fetched, or has a wrong sum and was deleted.
    """
    jars = read_jars() if jars is None else jars
    repository = cache_dir / "kafka"
    if any(not _right(jar, repository) for jar in jars):
        try:
            repository.mkdir(parents=True, exist_ok=True)
            with _exclusive(repository / ".lock"):
                missing = [jar for jar in jars if not _right(jar, repository)]
                if missing:
                    _fetch(missing, repository, repositories)
        except OSError as error:
            raise DownloadError(f"Kafka's jars cannot be kept in {repository}: {error}.", "Check the folder.") from None
    return [jar.path(repository) for jar in jars]


def read_jars() -> list[Jar]:
    """The jars that the project holds sums of."""
    lines = files("newstide.kafka").joinpath("jars.txt").read_text().splitlines()
    jars = []
    for line in lines:
        if line and not line.startswith("#"):
            sha256, coordinate = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(Jar(group, artifact, version, sha256))
    return jars


def _right(jar: Jar, repository: Path) -> bool:
    path = jar.path(repository)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Lets one process at a time fetch into a cache that several share."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(jars: Sequence[Jar], repository: Path, repositories: Mapping[str, str] | None) -> None:
    log.info("fetching Apache Kafka, once", jars=len(jars), into=str(repository))
    context = _maven(repository, repositories)
    columns = TextColumn("Apache Kafka"), BarColumn(), MofNCompleteColumn(), TextColumn("jars"), TimeElapsedColumn()
    with (
        Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress,
        ThreadPoolExecutor(_AT_ONCE, "jars") as pool,
    ):
        task = progress.add_task("", total=len(jars))
        try:
            for future in as_completed([pool.submit(_fetch_one, jar, repository, context) for jar in jars]):
                future.result()
                progress.advance(task)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _maven(repository: Path, repositories: Mapping[str, str] | None) -> Any:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    if repositories is None:
        repositories = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    return MavenContext(repo_cache=repository, remote_repos=dict(repositories), timeout=_TIMEOUT)


def _fetch_one(jar: Jar, repository: Path, context: Any) -> None:
    try:
        _download(jar, repository, context)
    except (OSError, RuntimeError) as error:
        raise DownloadError(f"{jar.name} could not be fetched: {shorten(str(error), 300)}.", _WAY_OUT) from None
    if not _right(jar, repository):
        path = jar.path(repository)
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
        path.unlink()
        raise DownloadError(
            f"{jar.name} is not what it should be: its sha256 is {actual}, not {jar.sha256}. It was deleted.", _WAY_OUT
        )


@retry(
    retry=retry_if_not_exception_type(DownloadError),
    stop=stop_after_attempt(3),
    wait=wait_exponential_jitter(initial=0.5, max=3, jitter=0.5),
    reraise=True,
)
def _download(jar: Jar, repository: Path, context: Any) -> None:
    jar.path(repository).unlink(missing_ok=True)  # the file is half of an interrupted download, or damaged
    context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
