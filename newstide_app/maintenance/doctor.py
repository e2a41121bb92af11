"""`newstide doctor`: examines everything that newstide needs, says what is wrong, and what to do about it."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clustering.pages.folder import page_path, runs_with_page
from newstide import __version__
from newstide.core.errors import EmptyStore, NewstideError
from newstide.core.local_server import is_loopback
from newstide.core.settings import Settings
from newstide.milvus import filters, open_store
from newstide.milvus.model import model_for
from newstide.milvus.schema import require_same_model
from newstide_app.maintenance import doctor_kafka
from newstide_app.maintenance.doctor_time import time_findings
from newstide_app.maintenance.doctor_watch import look_at_watches
from newstide_app.maintenance.findings import Finding, Findings, Status, Visit, span
from newstide_app.maintenance.model import rate, unread
from newstide_app.services.cards import running_services
from newstide_app.services.endpoints import read_endpoints

_SCARCE, _LITTLE = 1.0, 5.0  # GiB of disk
_OLD_RUN, _SOON = 3600.0, 600.0  # seconds: a run of this age is overdue in any case, and in none
_GAPS = 10  # between the last runs
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def examine(settings: Settings) -> Findings:
    """Examines everything that newstide needs; changes nothing, and never shows a secret."""
    visit = Visit(settings)
    looks: tuple[tuple[str, Callable[[Visit], Iterator[Finding]]], ...] = (
        ("newstide", _newstide),
        ("secrets", _secrets),
        ("data folder", _folders),
        ("local services", _local),
        ("Kafka", doctor_kafka.look_at_broker),
        ("topics", doctor_kafka.look_at_topics),
        ("consumers", doctor_kafka.look_at_group),
        ("lost messages", doctor_kafka.look_at_losses),
        ("consumer's figures", doctor_kafka.look_at_figures),
        ("dead letters", doctor_kafka.look_at_dead_letters),
        ("Milvus", _milvus),
        ("model", _model),
        ("runs", _runs),
        ("scripts", _scripts),
        ("pages", _pages),
        ("watches", look_at_watches),
        ("services", _services),
    )
    findings: list[Finding] = []
    try:
        for name, look in looks:
            try:
                findings += look(visit)
            except NewstideError as error:
                findings.append(Finding(name, "fail", error.message, error.way_out))
            except Exception as error:  # noqa: BLE001 - one look that breaks must not hide what the others see
                findings.append(
                    Finding(
                        name, "fail", f"{type(error).__name__}: {error}", "This is a bug in newstide; please report it."
                    )
                )
    finally:
        if visit.store is not None:
            visit.store.close()
    return Findings(tuple(findings), settings.model_dump(mode="json"))


def print_findings(findings: Findings, console: Console | None = None) -> None:
    """A line for each finding with its next step, then the settings that differ from their defaults."""
    console = console or Console()
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for finding in findings.findings:
        seen = Text(finding.seen)
        if finding.way_out:
            seen.append(f"\n→ {finding.way_out}", style="yellow" if finding.status == "warn" else "bold")
        table.add_row(Text(finding.status, style=_COLOURS[finding.status]), finding.name, seen)
    console.print(table)
    changed = _changed(findings.settings, Settings.model_construct().model_dump(mode="json"))
    if changed:
        console.print("\nSettings that differ from the defaults", style="bold")
        for name, value in changed:
            console.print(Padding(Text(f"{name} = {value}", overflow="fold"), (0, 0, 0, 2)))
    counts = {status: sum(finding.status == status for finding in findings.findings) for status in _COLOURS}
    console.print(
        Text.assemble(
            "\n", *((f"{count} {status}  ", _COLOURS[status] if count else "dim") for status, count in counts.items())
        )
    )


def _newstide(visit: Visit) -> Iterator[Finding]:
    file = visit.settings.config
    source = f"{file.absolute()} and the environment" if file.is_file() else "the environment; no newstide.toml here"
    yield Finding("newstide", "ok", f"{__version__}, settings from {source}")


def _secrets(visit: Visit) -> Iterator[Finding]:
    """Secrets that travel in the clear to another machine, or that others may read on this one."""
    kafka, milvus, pages = visit.settings.kafka, visit.settings.milvus, visit.settings.pages
    if kafka.security_protocol == "SASL_PLAINTEXT" and _elsewhere(kafka.bootstrap_servers or ""):
        yield Finding(
            "secrets",
            "warn",
            f"What {kafka.sasl_username} sends to Kafka at {kafka.bootstrap_servers} can be read on the way.",
            "Set kafka.security_protocol to SASL_SSL, where Kafka offers it.",
        )
    if milvus.token is not None and (milvus.uri or "").startswith("http://") and _elsewhere(milvus.uri or ""):
        yield Finding(
            "secrets",
            "warn",
            f"The token for Milvus at {milvus.uri} can be read on the way.",
            "Use an https:// address in milvus.uri, where Milvus offers it.",
        )
    if pages.token is None and _elsewhere(f"{pages.host}:0"):
        yield Finding(
            "secrets",
            "warn",
            f"Whoever reaches {pages.host}:{pages.port} can read every page and headline.",
            "Set NEWSTIDE_PAGES_TOKEN, or bind pages.host to 127.0.0.1.",
        )
    file = visit.settings.config
    if file.is_file() and file.stat().st_mode & 0o004 and _holds_secret(file):
        yield Finding(
            "secrets",
            "warn",
            f"{file.absolute()} holds a secret, and everyone on this machine may read it.",
            f"chmod 600 {file.absolute()}",
        )


def _holds_secret(file: Path) -> bool:
    import tomllib

    try:
        written = tomllib.loads(file.read_text())
    except (OSError, ValueError):
        return False
    named = {"kafka": ("sasl_password", "ssl_keypassword"), "milvus": ("token",), "pages": ("token",)}
    return any(written.get(group, {}).get(name) for group, names in named.items() for name in names)


def _elsewhere(addresses: str) -> bool:
    """Whether one of `host:port,...`, or of urls, is not on this machine."""
    for address in addresses.split(","):
        place = address.rpartition("//")[2].rpartition("@")[2]
        if not is_loopback((place.rpartition(":")[0] or place).strip()):
            return True
    return False


def _folders(visit: Visit) -> Iterator[Finding]:
    folders = {"data folder": visit.settings.data_dir, "pages folder": visit.settings.snapshots_dir}
    for name, folder in folders.items():
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir():
            yield Finding(name, "fail", f"{existing} is no folder.", "Move it away, or choose another --data-dir.")
            continue
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            yield Finding(
                name,
                "fail",
                f"Nothing can be written to {existing}: {error.strerror}.",
                f"Give this user write access (chown, or a writable mount), or choose another folder for {folder}.",
            )
            continue
        free = shutil.disk_usage(existing).free / 2**30
        there = str(folder) if existing == folder else f"{folder} (not made yet)"
        if free < _LITTLE:
            status: Status = "fail" if free < _SCARCE else "warn"
            yield Finding(
                name,
                status,
                f"{there}, {free:.2f} GiB free",
                "Make room: set `keep`, or thin old pages by `pages.keep_all`.",
            )
        elif name == "data folder" or not folder.is_relative_to(visit.settings.data_dir):
            yield Finding(name, "ok", f"{there}, {free:.0f} GiB free")


def _local(visit: Visit) -> Iterator[Finding]:
    endpoints = read_endpoints(visit.settings.data_dir)
    seen = f"`newstide up` runs, process {endpoints.pid}" if endpoints else "`newstide up` does not run here"
    yield Finding("local services", "ok", seen)


def _milvus(visit: Visit) -> Iterator[Finding]:
    milvus = visit.settings.milvus
    try:
        visit.store = open_store(milvus, None)
    except EmptyStore as error:
        yield Finding("Milvus", "warn", error.message, error.way_out)
        return
    facts = ", ".join(f"{name} {value}" for name, value in visit.store.describe().items())
    yield Finding("Milvus", "ok", f"{milvus.uri}: {facts}")


def _model(visit: Visit) -> Iterator[Finding]:
    """Comes after `_milvus`: where no model is set, newstide uses the model of the collections."""
    there = None if visit.store is None else visit.store.card
    embedder = model_for(visit.settings, there)
    card = embedder.card
    if there is not None:
        require_same_model(there, card, f"{visit.settings.milvus.prefix}headlines")
    why = (
        ""
        if visit.settings.embedding.model is not None
        else " (the model of the collections)"
        if there
        else " (the default)"
    )
    facts = [
        f"{card.name}{why}",
        f"{card.dim} dimensions",
        f"text: {card.text}",
        f"fingerprint {card.fingerprint[:12]}",
    ]
    facts += [card.engine] * bool(card.engine) + [f"{rate(embedder):,.0f} headlines/s just now"]
    yield Finding("model", "ok", ", ".join(facts))


def _runs(visit: Visit) -> Iterator[Finding]:
    if visit.store is None:
        return
    last = visit.store.last_run()
    waiting = visit.store.count_headlines(filters.PROVISIONAL)
    if last is None:
        way_out = "Start `newstide recluster --every 5m`." if waiting else "Send headlines: `newstide produce FILE`."
        yield Finding("runs", "warn", f"No run has been made yet; {waiting:,} headlines wait for the first.", way_out)
        return
    yield from (Finding(*one) for one in time_findings(visit.store, visit.settings, last))
    age = time.time() - last.finished_at / 1000
    seen = f"run {last.run} finished {span(age)} ago; {waiting:,} headlines have come since"
    if waiting and age > _late_after(visit):
        yield Finding("runs", "warn", seen, "See whether `newstide recluster` is running; its log says why runs fail.")
    else:
        yield Finding("runs", "ok", seen)


def _late_after(visit: Visit) -> float:
    """Seconds after which a run is overdue: several times the usual gap between the last ones, but an hour at most."""
    assert visit.store is not None  # noqa: S101 - there is a last run
    begun = visit.store.runs()["started_at"].to_numpy()[-_GAPS - 1 :] / 1000
    usual = float(np.median(np.diff(begun))) if len(begun) > 1 else _OLD_RUN
    return min(max(visit.settings.monitoring.missed_runs * usual, _SOON), _OLD_RUN)


def _scripts(visit: Visit) -> Iterator[Finding]:
    """Headlines of the last run that the model cannot read, and a model that can read them."""
    last = None if visit.store is None else visit.store.last_run()
    unreadable = {} if last is None else last.counts.get("unreadable", {})
    if not unreadable or visit.store is None:
        return
    yield Finding("scripts", "warn", *unread(visit.store.card.name, unreadable))


def _pages(visit: Visit) -> Iterator[Finding]:
    folder = visit.settings.snapshots_dir
    if not visit.settings.pages.enabled:
        yield Finding("pages", "ok", "runs write no pages: pages.enabled is false")
        return
    runs = runs_with_page(folder)
    endpoints = read_endpoints(visit.settings.data_dir)
    served = f", served at {endpoints.pages}" if endpoints and endpoints.pages else ""
    there = f"{len(runs)} runs, the latest is {page_path(folder, runs[-1]).name}" if runs else "no page yet"
    seen = f"{folder}: {there}{served}"
    last = visit.store.last_run() if visit.store is not None and runs else None
    if last is not None and runs[-1] < last.run:
        way_out = "See whether the disk is full; the log of `newstide recluster` names the reason."
        yield Finding("pages", "warn", f"{seen}; run {last.run} has no page", way_out)
    else:
        yield Finding("pages", "ok", seen)


def _services(visit: Visit) -> Iterator[Finding]:
    for one in running_services(visit.settings.data_dir):
        name, where = f"{one['service']}", f"process {one['pid']}, {one['address']}/metrics"
        if one["not_ready"]:
            yield Finding(
                name, "warn", f"not ready ({where}): {' '.join(one['not_ready'])}", f"See the log of the {name}."
            )
        else:
            yield Finding(name, "ok", f"ready ({where})")


def _changed(values: dict[str, Any], defaults: dict[str, Any], path: str = "") -> list[tuple[str, Any]]:
    changed: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            changed += _changed(value, defaults.get(name) or {}, f"{path}{name}.")
        elif value != defaults.get(name):
            changed.append((path + name, value))
    return changed
