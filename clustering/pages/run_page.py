"""The page of one run: a Plotly map of headlines and the list of stories beside it, in one HTML file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.pages.colours import POINT_OPACITY, SVG_POINTS, chosen_rows, colour_tables, density_image, thumbnail
from clustering.pages.folder import LATEST, PLOTLY, TITLED, facts_path, page_path, story_path, write_latest
from clustering.pages.footer import shown_facts, stability_text
from clustering.pages.page_file import as_live, largest_titled, plotly_script, put_together, several, standalone
from newstide.core.files import replace_text, sweep_half_written
from newstide.core.text import iso_time
from newstide.milvus import StoryEvent

LISTED = 5_000  # stories; those with the most headlines
_MOST_SOURCES = 20  # of a story
_CHANGES = 20_000  # listed; the latest
_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a page shows.

    Attributes:
        run: The run's number.
        finished_at: Epoch milliseconds.
        headlines: `id`, `title`, `source`, `url`, `language`, `published_at` (epoch ms), `cluster_label`,
            `label_probability`, `x`, `y`.
        stories: `cluster_label`, `title`, `titles`, `importance`, `first_seen_at`, `keywords`, `languages`, `sources`,
            `size`, `previous_size`, `first_published_at`, `last_published_at`, `status`, `parents`, `successor`, `events`
            (kinds, of this run).
        facts: About the run, for its foot: texts, numbers, or several of them under one name; None is left out. `kept`,
            where it is there, is the share (0 to 1) of the headlines in a story before that are still in that story.
        changes: What happened to stories in the last days, oldest first.
        wanted: The languages that titles are shown in, where a story has one in them; the first that it has one in.
    """

    run: int
    finished_at: int
    headlines: pd.DataFrame
    stories: pd.DataFrame
    facts: Mapping[str, Any]
    changes: Sequence[StoryEvent] = ()
    wanted: Sequence[str] = ()


def write_snapshot(directory: Path, snapshot: Snapshot, *, max_points: int) -> Path:
    """Writes the run's page and makes it the latest. Each file is written beside and swapped in.

    Args:
        directory: Of the pages.
        snapshot: The run.
        max_points: Headlines drawn; of more, each story's most probable, and a share of those in none, over a picture of
            how dense all of them lie.

    Returns:
        The page's path.

    Raises:
        OSError: The disk is full or not writable; the old pages stay as they are.
    """
    directory.mkdir(parents=True, exist_ok=True)
    sweep_half_written(directory)
    _write_plotly(directory)
    rows = chosen_rows(snapshot.headlines, max_points)
    content, webgl = _data(snapshot, rows), len(rows) > SVG_POINTS
    content["beside"] = _beside(directory, content["stories"], content["changes"])
    html = put_together("map.html.j2", content, "page", unsafe_eval=webgl, **_fields(snapshot))
    page = page_path(directory, snapshot.run)
    replace_text(page, html)
    replace_text(facts_path(directory, snapshot.run), json.dumps(_summary(snapshot, content), ensure_ascii=False))
    replace_text(directory / LATEST, as_live(html))
    write_latest(directory, snapshot.run)
    return page


def export_page(directory: Path, run: int, target: Path) -> Path:
    """Writes a run's page with plotly.js inside: one file to send to someone.

    Args:
        directory: Of the pages.
        run: The run's number.
        target: The file to write.

    Returns:
        `target`.

    Raises:
        FileNotFoundError: There is no page of that run.
        OSError: The disk is full or not writable.
    """
    page = page_path(directory, run).read_text(encoding="utf-8")
    sweep_half_written(target.parent)  # a killed export may hold what has been taken down since
    replace_text(target, standalone(page, (directory / PLOTLY).read_text(encoding="utf-8")))
    return target


def _fields(snapshot: Snapshot) -> dict[str, Any]:
    headlines = several(len(snapshot.headlines), "headline")
    return {
        "run": snapshot.run,
        "finished": datetime.fromtimestamp(snapshot.finished_at / 1000, UTC).strftime("%d %b %Y, %H:%M UTC"),
        "shown_counts": f"{headlines} in {several(_open_stories(snapshot.stories), 'story', 'stories')}",
        "facts": shown_facts({name: value for name, value in snapshot.facts.items() if name != "parameters"}),
        "parameters": shown_facts(snapshot.facts.get("parameters", {})),
        "kept": stability_text(snapshot.facts),
    }


def _data(snapshot: Snapshot, drawn: npt.NDArray[np.int64]) -> dict[str, Any]:
    everything = snapshot.headlines
    rows = everything.iloc[drawn]
    source_codes, sources = pd.factorize(rows["source"])
    language_codes, languages = pd.factorize(rows["language"])
    times = everything["published_at"]
    left_out = len(everything) - len(rows)
    stories = _stories(snapshot)
    return {
        "finished": snapshot.finished_at,
        "begin": int(times.min()) if len(times) else 0,
        "end": int(times.max()) if len(times) else 1,
        "colours": colour_tables(),
        "opacity": POINT_OPACITY,
        "webgl": len(rows) > SVG_POINTS,
        "leftOut": left_out,
        "density": density_image(everything["x"].to_numpy(np.float64), everything["y"].to_numpy(np.float64))
        if left_out
        else None,
        "x": _rounded(rows["x"]),
        "y": _rounded(rows["y"]),
        "title": rows["title"].tolist(),
        "url": rows["url"].fillna("").tolist(),
        "time": rows["published_at"].astype(int).tolist(),
        "label": rows["cluster_label"].astype(int).tolist(),
        "sources": [str(name) for name in sources],
        "source": source_codes.tolist(),
        "languages": [str(tag) for tag in languages],
        "language": language_codes.tolist(),
        "stories": stories[:LISTED],
        "storiesLeftOut": max(0, len(stories) - LISTED),
        "wanted": list(snapshot.wanted),
        "changes": _changes(snapshot, {story["number"] for story in stories[:LISTED]}),
        "told": snapshot.changes[-_CHANGES - 1].at + 1 if len(snapshot.changes) > _CHANGES else 0,  # all that is later
    }


def _stories(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The open stories and those closed by this run, largest first, each at the median of its headlines."""
    stories = snapshot.stories
    if stories.empty:
        return []
    places = {
        int(label): (round(float(x), _DECIMALS), round(float(y), _DECIMALS))
        for label, x, y in snapshot.headlines.groupby("cluster_label")[["x", "y"]].median().itertuples()
    }
    shown = [
        {
            "number": int(story["cluster_label"]),
            "title": story["title"],
            "titles": dict(story["titles"]),
            "importance": round(float(story["importance"]), _DECIMALS),
            "seen": int(story["first_seen_at"]),
            "keywords": list(story["keywords"]),
            "languages": list(story["languages"]),
            "sources": list(story["sources"])[:_MOST_SOURCES],
            "sourceCount": len(story["sources"]),
            "size": int(story["size"]),
            "previous": int(story["previous_size"]),
            "first": int(story["first_published_at"]),
            "last": int(story["last_published_at"]),
            "open": story["status"] == "open",
            "parents": [int(number) for number in story["parents"]],
            "successor": int(story["successor"]),
            "events": list(story["events"]),
            "place": places.get(int(story["cluster_label"])) if story["status"] == "open" else None,
        }
        for story in stories.to_dict("records")
        if story["status"] == "open" or "closed" in story["events"]
    ]
    return sorted(shown, key=lambda story: (not story["open"], -story["size"], story["number"]))


def _beside(directory: Path, stories: Sequence[dict[str, Any]], changes: Sequence[Sequence[Any]]) -> list[int]:
    """Which of the stories that the page names have a page of their own in the folder, beside the open ones that it lists.

    Each of those has one as soon as the run is over.
    """
    named = {number for story in stories for number in (story["number"], story["successor"], *story["parents"])}
    named |= {story for _, _, story, *_ in changes}
    numbers = named - {story["number"] for story in stories if story["open"]}
    return sorted(number for number in numbers if number >= 0 and story_path(directory, number).exists())


def _changes(snapshot: Snapshot, listed: set[int]) -> list[list[Any]]:
    """[time, kind, story, size, size before, title] of the last days' events; the title where the story is not listed."""
    recent = snapshot.changes[-_CHANGES:]
    return [
        [one.at, one.kind, one.story, one.size, one.previous_size, "" if one.story in listed else one.title]
        for one in recent
    ]


def _summary(snapshot: Snapshot, content: dict[str, Any]) -> dict[str, Any]:
    """The facts about the run that the list of runs shows; `content` is what its page is put together from."""
    headlines = snapshot.headlines
    events = [kind for kinds in snapshot.stories.get("events", []) for kind in kinds]
    return {
        "run": snapshot.run,
        "finished_at": iso_time(snapshot.finished_at),
        "headlines": len(headlines),
        "stories": _open_stories(snapshot.stories),
        "noise": int((headlines["cluster_label"] < 0).sum()) if len(headlines) else 0,
        "events": {kind: events.count(kind) for kind in sorted(set(events))},
        "newest": iso_time(content["end"]) if len(headlines) else None,
        "largest": largest_titled(content, TITLED),
        "wanted": list(snapshot.wanted),
        "points": thumbnail(headlines),
        "facts": dict(snapshot.facts),
    }


def _open_stories(stories: pd.DataFrame) -> int:
    return int((stories["status"] == "open").sum()) if len(stories) else 0


def _rounded(values: "pd.Series[float]") -> list[float]:
    rounded: list[float] = np.round(values.to_numpy(np.float64), _DECIMALS).tolist()
    return rounded


def _write_plotly(directory: Path) -> None:
    """Writes plotly.js beside the pages, once, and again when the package has another version."""
    from plotly.offline import get_plotlyjs, get_plotlyjs_version

    path, version = directory / PLOTLY, directory / "plotly.version"
    if path.exists() and version.exists() and version.read_text() == get_plotlyjs_version():
        return
    replace_text(path, plotly_script(get_plotlyjs()))  # as an exported page holds it
    replace_text(version, get_plotlyjs_version())
