"""`index.html`: the runs, newest first, each with a small picture of its map."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from clustering.drawing import colour
from clustering.snapshot import asset, template, write


def write_index(directory: Path) -> Path:
    """Writes the list of the runs whose pages lie in `directory`.

    Raises:
        OSError: The disk is full or not writable; the old list stays.
    """
    directory.mkdir(parents=True, exist_ok=True)
    index = directory / "index.html"
    runs = [_card(path) for path in sorted(directory.glob("run-*.json"), reverse=True)]
    shown = [run for run in runs if run is not None]
    write(index, template("index.html.j2").render(runs=shown, css=asset("page.css")))
    return index


def _card(path: Path) -> dict[str, Any] | None:
    """What is shown of a run; None where its page or its facts are gone or damaged."""
    page = path.with_suffix(".html")
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        headlines = int(facts["headlines"])
        return {
            "run": int(facts["run"]),
            "page": page.name,
            "finished": datetime.fromisoformat(facts["finished_at"]).strftime("%d %b %Y, %H:%M UTC"),
            "headlines": f"{headlines:,}",
            "stories": f"{int(facts['stories']):,}",
            "noise": f"{int(facts['noise']) / headlines:.0%}" if headlines else "0%",
            "changes": ", ".join(f"{count} {kind}" for kind, count in facts["events"].items()) or "no changes",
            "thumbnail": [(float(x), float(y), colour(int(label))) for x, y, label in facts["thumbnail"]],
        } if page.exists() else None  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None
