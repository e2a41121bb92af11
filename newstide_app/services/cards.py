"""The services that run on a data folder, and what they answer: each leaves a card there that says where to ask it."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from prometheus_client.parser import text_string_to_metric_families

from newstide.core.errors import NewstideError


def running_services(data_dir: Path) -> list[dict[str, Any]]:
    """The services that run on this data folder and machine: `service`, `pid`, `address`, and `not_ready` (lines)."""
    return [
        {**service, "not_ready": _reasons(f"{service['address']}/readyz")}
        for service in _cards(data_dir)
        if service.get("metrics", True)
    ]


def check_health(data_dir: Path, service: str) -> str:
    """Asks the `/healthz` of a service that runs on this data folder and machine; the address that answered.

    Raises:
        NewstideError: No such service runs here, or its loop has been silent for too long.
    """
    found = [str(card["address"]) for card in _cards(data_dir) if card.get("service") == service]
    if not found:
        raise NewstideError(
            f"No {service} runs on {data_dir}.",
            "Name the data folder that it runs on with --data-dir, or ask on its own machine.",
        )
    reasons = {address: _reasons(f"{address}/healthz") for address in found}
    for address, reason in reasons.items():
        if not reason:
            return f"{address}/healthz"
    raise NewstideError(" ".join(reasons[found[0]]), "See its log.")


def _cards(data_dir: Path) -> list[dict[str, Any]]:
    """What the living services of this data folder have written about themselves."""
    found = []
    for card in sorted((data_dir / "monitoring").glob("*.json")):
        try:
            service = json.loads(card.read_text())
            os.kill(int(service["pid"]), 0)
            found.append({**service, "address": str(service["address"])})
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it was killed
    return found


def figures_of(address: str) -> dict[str, dict[str, float]] | None:
    """What a service says at /metrics: name to label (its one label's value, or nothing) to value; None: no answer."""
    try:
        with build_opener(ProxyHandler({})).open(f"{address}/metrics", timeout=3) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
    except (OSError, ValueError):
        return None
    figures: dict[str, dict[str, float]] = {}
    for sample in (sample for family in families for sample in family.samples):
        figures.setdefault(sample.name, {})["/".join(sample.labels.values())] = sample.value
    return figures


def _reasons(address: str) -> list[str]:
    """The text that an address answers with where its status is not 200; empty where all is well."""
    if urlsplit(address).scheme != "http":
        return [f"{address} is no address."]
    try:
        with build_opener(ProxyHandler({})).open(address, timeout=3):
            return []
    except OSError as error:
        read = getattr(error, "read", None)
        text = read().decode(errors="replace").strip() if read is not None else str(error)
        return text.splitlines() or [type(error).__name__]


def card_of(data_dir: Path, service: str, pid: int) -> Path:
    """Where a process leaves its card."""
    return data_dir / "monitoring" / f"{service}-{pid}.json"
