"""`index.html`: the runs, newest first, each with a small picture of its map, and a slider that plays them one by one."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clustering.drawing import PALETTES, palette_place
from clustering.snapshot import as_script_data, asset, policy, template, write

_LISTED = 500  # runs on the page, which would grow without end; from the last one leads a link to the run before
_PICTURED = 200  # of them with a picture, and reached by the slider


def write_index(directory: Path) -> Path:
    """Writes the list of the runs whose pages lie in `directory`.

    Raises:
        OSError: The disk is full or not writable; the old list stays.
    """
    directory.mkdir(parents=True, exist_ok=True)
    index = directory / "index.html"
    facts = sorted(directory.glob("run-*.json"), reverse=True)
    cards = [_card(path, pictured=place < _PICTURED) for place, path in enumerate(facts[:_LISTED])]
    runs = [card for card in cards if card is not None]
    played = {"palettes": PALETTES, "runs": [run for run in runs if run["points"] is not None]}
    script = asset("index.js")
    page = template("index.html.j2").render(
        runs=runs,
        unlisted=max(0, len(facts) - _LISTED),
        played=as_script_data(json.dumps(played, ensure_ascii=False, separators=(",", ":"))),
        css=asset("page.css"),
        js=script,
        policy=policy(script),
    )
    write(index, page)
    return index


def _card(path: Path, *, pictured: bool) -> dict[str, Any] | None:
    """What is shown of a run; None where its page or its facts are gone or damaged."""
    page = path.with_suffix(".html")
    if not page.exists():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        headlines = int(facts["headlines"])
        return {
            "run": int(facts["run"]),
            "page": page.name,
            "finished": datetime.fromisoformat(facts["finished_at"]).astimezone(UTC).strftime("%d %b %Y, %H:%M UTC"),
            "headlines": f"{headlines:,}",
            "stories": f"{int(facts['stories']):,}",
            "noise": f"{int(facts['noise']) / headlines:.0%}" if headlines else "0%",
            "changes": ", ".join(f"{int(count):,} {kind}" for kind, count in facts["events"].items()) or "no changes",
            "points": [
                (float(x), float(y), palette_place(int(label)) if label >= 0 else -1)
                for x, y, label in facts["thumbnail"]
            ]
            if pictured
            else None,
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
