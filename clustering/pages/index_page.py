"""`index.html`: the runs, newest first, each with a small picture of its map, and a slider that plays them one by one."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from clustering.pages.colours import colour_tables
from clustering.pages.folder import INDEX
from clustering.pages.footer import stability_text
from clustering.pages.page_file import put_together, several
from newstide.core.files import replace_text

_LISTED = 500  # runs on the page, which would grow without end; from the last one leads a link to the run before
_PLAYED = 200  # runs that the slider shows
_PLAYED_SPAN = timedelta(days=1)  # which they cover at least, where pages reach so far back
_PICTURED = 60  # newest runs that have a picture in the list even where the slider leaves them out
_OUTLYING = 0.5  # of the pictures' side: how far beyond nearly all points one is still shown
_CLOCK = "%d %b %Y, %H:%M UTC"
_BORN, _CLOSED = "born", "closed"


def write_index(directory: Path) -> Path:
    """Writes the list of the runs whose pages lie in `directory`.

    Raises:
        OSError: The disk is full or not writable; the old list stays.
    """
    directory.mkdir(parents=True, exist_ok=True)
    index = directory / INDEX
    paths = sorted(directory.glob("run-*.json"), reverse=True)
    runs = _newest_runs(paths)
    drawn = [run for run in runs if run["points"]]
    played = [drawn[at] for at in evenly([run["time"] for run in drawn], _PLAYED)]
    pictured = {run["run"] for run in played} | {run["run"] for run in drawn[:_PICTURED]}
    data = {
        "colours": colour_tables(),
        "frame": _frame(played),
        "played": [run["run"] for run in reversed(played)],
        "runs": {
            run["run"]: run if run["run"] in pictured else {**run, "points": []} for run in (*runs[:_LISTED], *played)
        },
    }
    fields: dict[str, Any] = {"runs": runs[:_LISTED], "pictured": pictured, "unlisted": max(0, len(paths) - _LISTED)}
    replace_text(index, put_together("index.html.j2", data, "index", **fields))
    return index


def evenly(times: Sequence[int], most: int) -> list[int]:
    """Places of at most `most` of these times (epoch ms, newest first), spread evenly over at least a day.

    All of them where they are no more. Otherwise over the time of the newest `most`, or the last day where that is longer.
    """
    if len(times) <= most:
        return list(range(len(times)))
    span = max(times[0] - times[most - 1], round(_PLAYED_SPAN.total_seconds() * 1000))
    ages = times[0] - np.asarray(times, np.int64)
    wanted = np.linspace(0, min(span, ages.max()), most)
    nearest = np.abs(ages[:, None] - wanted[None]).argmin(axis=0)
    return [int(place) for place in np.unique(nearest)]


def _newest_runs(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Runs, newest first, as many as are listed or played."""
    runs: list[dict[str, Any]] = []
    for path in paths:
        run = _card(path)
        if run is None:
            continue
        if len(runs) >= _LISTED and runs[0]["time"] - run["time"] > _PLAYED_SPAN.total_seconds() * 1000:
            break
        runs.append(run)
    return runs


def _card(path: Path) -> dict[str, Any] | None:
    """What the list shows of a run; None where the run's page or facts are missing or damaged."""
    page = path.with_suffix(".html")
    if not page.exists():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        headlines, events = int(facts["headlines"]), {str(kind): int(n) for kind, n in facts["events"].items()}
        finished = datetime.fromisoformat(facts["finished_at"]).astimezone(UTC)
        newest = facts.get("newest")  # pages of earlier versions have none
        others = {kind: count for kind, count in events.items() if kind not in (_BORN, _CLOSED)}
        return {
            "run": int(facts["run"]),
            "page": page.name,
            "time": round(finished.timestamp() * 1000),
            "finished": finished.strftime(_CLOCK),
            "newest": datetime.fromisoformat(newest).astimezone(UTC).strftime(_CLOCK) if newest else "",
            "largest": [_named(story) for story in facts.get("largest", [])],
            "wanted": [str(language) for language in facts.get("wanted", [])],
            "headlines": several(headlines, "headline"),
            "stories": several(int(facts["stories"]), "story", "stories"),
            "noise": f"{int(facts['noise']) / headlines:.0%}" if headlines else "0%",
            "born": f"{events.get(_BORN, 0):,}",
            "closed": f"{events.get(_CLOSED, 0):,}",
            "others": ", ".join(f"{count:,} {kind}" for kind, count in others.items()),
            "kept": stability_text(facts.get("facts", {})),
            "points": [(float(x), float(y), int(label)) for x, y, label in facts.get("points", [])],
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _named(story: str | dict[str, Any]) -> dict[str, Any]:
    """A story's `title`, and its `titles` by language; of runs of earlier versions, the title alone is known."""
    if isinstance(story, str):
        return {"title": story, "titles": {}}
    return {"title": str(story["title"]), "titles": {str(tag): str(title) for tag, title in story["titles"].items()}}


def _frame(runs: Sequence[dict[str, Any]]) -> list[float]:
    """[left, bottom, right, top] that holds all points of all pictures, so that they keep their places.

    A point that lies further out than half of what nearly all points span is left out: it would make the others small.
    """
    points = np.array([point[:2] for run in runs for point in run["points"]], np.float64).reshape(-1, 2)
    if not len(points):
        return [0.0, 0.0, 1.0, 1.0]
    low, high = np.percentile(points, [1, 99], axis=0)
    room = (high - low) * _OUTLYING
    ends = np.maximum(points.min(axis=0), low - room), np.minimum(points.max(axis=0), high + room)
    return [float(value) for value in np.round([*ends[0], *ends[1]], 2)]
