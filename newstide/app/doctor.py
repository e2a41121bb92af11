"""`newstide doctor`: the settings in force, what can be reached, and what to do about the rest."""

import shutil
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from newstide import __version__
from newstide.app.endpoints import read_endpoints
from newstide.broker import lag, reachable
from newstide.embedding import load_embedder
from newstide.errors import NewstideError
from newstide.settings import Settings, settings_file
from newstide.store import open_store


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing examined: whether it is well, what was seen, and what to do where it is not."""

    name: str
    well: bool
    seen: str
    way_out: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything examined, and the settings in force."""

    findings: tuple[Finding, ...]
    settings: dict[str, Any]

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.well for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "well": self.well,
            "findings": [asdict(finding) for finding in self.findings],
            "settings": self.settings,
        }


def examine(settings: Settings) -> Findings:
    """Looks at everything newstide stands on; secrets are never shown."""
    return Findings(
        (
            _look("newstide", lambda: f"{__version__}, settings from {_source()}"),
            _look("data folder", lambda: _data_folder(settings)),
            _look("local services", lambda: _local(settings)),
            _look("Kafka", lambda: _kafka(settings)),
            _look("model", lambda: _model(settings)),
            _look("Milvus", lambda: _milvus(settings)),
            _look("pages", lambda: _pages(settings)),
        ),
        settings.model_dump(mode="json"),
    )


def print_findings(findings: Findings) -> None:
    """A table of what was found, then the settings that differ from their defaults."""
    console = Console()
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for finding in findings.findings:
        mark = Text("ok", style="green") if finding.well else Text("no", style="bold red")
        seen = Text(finding.seen)
        if finding.way_out:
            seen.append(f"\n{finding.way_out}", style="yellow")
        table.add_row(mark, finding.name, seen)
    console.print(table)
    changed = _changed(findings.settings, Settings.model_construct().model_dump(mode="json"))
    if changed:
        console.print("\nSettings that differ from the defaults", style="bold")
        for name, value in changed:
            console.print(Text(f"  {name} = {value}"))


def _look(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except NewstideError as error:
        return Finding(name, False, error.message, error.way_out)


def _source() -> str:
    file = settings_file()
    return f"{file.absolute()} and the environment" if file.is_file() else "the environment (there is no newstide.toml)"


def _data_folder(settings: Settings) -> str:
    folder = settings.data_dir
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 2**30
    if free < 1:
        raise NewstideError(f"{folder} has {free:.2f} GiB left.", "Make room, or choose another --data-dir.")
    return f"{folder}, {free:.0f} GiB free"


def _local(settings: Settings) -> str:
    endpoints = read_endpoints(settings.data_dir)
    return f"running, process {endpoints.pid}" if endpoints else "not running (`newstide up` starts them)"


def _kafka(settings: Settings) -> str:
    seen = reachable(settings.kafka)
    behind = sum(lag(settings.kafka, settings.kafka.group).values())
    return f"{settings.kafka.bootstrap_servers}: {seen}; consumers are {behind:,} messages behind"


def _model(settings: Settings) -> str:
    card = load_embedder(settings.embedding).card
    return f"{card.name}, {card.dim} dimensions, weights {card.fingerprint[:12]}"


def _milvus(settings: Settings) -> str:
    store = open_store(settings.milvus, load_embedder(settings.embedding).card)
    try:
        facts = store.describe()
    finally:
        store.close()
    return f"{settings.milvus.uri}: " + ", ".join(f"{name} {value}" for name, value in facts.items())


def _pages(settings: Settings) -> str:
    runs = sorted(settings.snapshots_dir.glob("run-*.html"))
    if not runs:
        return f"{settings.snapshots_dir}: none yet"
    with socket.socket() as probe:
        served = probe.connect_ex((settings.pages.host, settings.pages.port)) == 0
    address = f", served at http://{settings.pages.host}:{settings.pages.port}" if served else ""
    return f"{settings.snapshots_dir}: {len(runs)} runs, the latest is {runs[-1].name}{address}"


def _changed(values: dict[str, Any], defaults: dict[str, Any], path: str = "") -> list[tuple[str, Any]]:
    changed: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            changed += _changed(value, defaults.get(name) or {}, f"{path}{name}.")
        elif value != defaults.get(name):
            changed.append((path + name, value))
    return changed
