"""The page of one run: a Plotly map of headlines and the list of stories beside it, in one HTML file.

Headlines are untrusted. They reach the page as JSON inside a script element that is no script, with every character that
could end it escaped, and the page's own code puts them on screen as text alone.
"""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
import pandas as pd
from markupsafe import Markup

from newstide.headline import iso_time

# Told apart with the common kinds of colour blindness, and at least 3:1 against the page. A story's number picks the same
# place in both.
PALETTES = {
    "light": (
        *("#0072b2", "#c9510c", "#117733", "#a23b8f", "#3d2c91", "#8a6a00"),
        *("#b8281d", "#00727a", "#82204f", "#5a5fcf", "#4f6d1f", "#7a4a1e"),
    ),
    "dark": (
        *("#56b4e9", "#f28e2b", "#6fcf97", "#e39bd3", "#a99ff2", "#e2c044"),
        *("#ff8a75", "#5fd3d3", "#ec80ab", "#9db4ff", "#b5cf6b", "#d9a878"),
    ),
}
NOISE = "#c9c6bd"
_THUMBNAIL_POINTS = 400
_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a page shows.

    Attributes:
        run: Its number.
        finished_at: Epoch milliseconds.
        headlines: `id`, `title`, `source`, `url`, `language`, `published_at` (epoch ms), `cluster_label`,
            `label_probability`, `x`, `y`.
        stories: `cluster_label`, `title`, `keywords`, `languages`, `sources`, `size`, `previous_size`,
            `first_published_at`, `last_published_at`, `status`, `parents`, `successor`, `events` (kinds, of this run).
        facts: About the run, for its foot.
    """

    run: int
    finished_at: int
    headlines: pd.DataFrame
    stories: pd.DataFrame
    facts: dict[str, str | int | float]


def write_snapshot(directory: Path, snapshot: Snapshot, *, max_points: int) -> Path:
    """Writes the run's page and makes it the latest. Each file is written beside and swapped in.

    Args:
        directory: Of the pages.
        snapshot: The run.
        max_points: Headlines drawn; of more, each story's most probable, and a share of those in none.

    Returns:
        The page's path.

    Raises:
        OSError: The disk is full or not writable; the old pages stay as they are.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _write_plotly(directory)
    page = directory / f"run-{snapshot.run:06d}.html"
    before = [path.name for path in sorted(directory.glob("run-*.html")) if path.name < page.name]
    drawn = _drawn(snapshot.headlines, max_points)
    fields = _fields(snapshot, drawn, before[-1] if before else "")
    write(page, template("map.html.j2").render(fields, live=False))
    write(page.with_suffix(".json"), json.dumps(_summary(snapshot, drawn), ensure_ascii=False))
    write(directory / "latest.html", template("map.html.j2").render(fields, live=True))
    write(directory / "latest.js", f"window.newstideLatest = {snapshot.run};\n")
    write(directory / "latest.json", json.dumps({"run": snapshot.run, "page": page.name}))
    return page


def write(path: Path, text: str) -> None:
    """Writes a file beside and swaps it in, so that a reader sees the old one or the whole new one."""
    beside = path.with_name(f".{path.name}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def colour(number: int, theme: str = "light") -> str:
    """A story's colour: the same for its number in every run."""
    return NOISE if number < 0 else PALETTES[theme][(number * 7 + number // 12) % 12]


def as_script_data(value: Any) -> Markup:
    """JSON that can stand in a script element: nothing in it ends the element or starts a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def _fields(snapshot: Snapshot, drawn: npt.NDArray[np.int64], previous: str) -> dict[str, Any]:
    headlines = len(snapshot.headlines)
    stories = int((snapshot.stories["status"] == "open").sum()) if len(snapshot.stories) else 0
    return {
        "run": snapshot.run,
        "finished": datetime.fromtimestamp(snapshot.finished_at / 1000, UTC).strftime("%d %b %Y, %H:%M UTC"),
        "shown_counts": f"{headlines:,} headlines in {stories:,} stories",
        "previous": previous,
        "facts": [(name.replace("_", " "), value) for name, value in snapshot.facts.items()],
        "data": as_script_data(_data(snapshot, drawn)),
        "css": asset("page.css"),
        "js": asset("page.js"),
    }


def _data(snapshot: Snapshot, drawn: npt.NDArray[np.int64]) -> dict[str, Any]:
    everything = snapshot.headlines
    rows = everything.iloc[drawn]
    source_codes, sources = pd.factorize(rows["source"])
    language_codes, languages = pd.factorize(rows["language"])
    times = everything["published_at"]
    return {
        "finished": snapshot.finished_at,
        "begin": int(times.min()) if len(times) else 0,
        "end": int(times.max()) if len(times) else 1,
        "palettes": PALETTES,
        "leftOut": len(everything) - len(rows),
        "x": _rounded(rows["x"]),
        "y": _rounded(rows["y"]),
        "title": rows["title"].tolist(),
        "url": rows["url"].tolist(),
        "time": rows["published_at"].astype(int).tolist(),
        "label": rows["cluster_label"].astype(int).tolist(),
        "sources": [str(name) for name in sources],
        "source": source_codes.tolist(),
        "languages": [str(tag) for tag in languages],
        "language": language_codes.tolist(),
        "stories": _stories(snapshot),
    }


def _stories(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The open stories, each at the median of its headlines."""
    stories = snapshot.stories
    if stories.empty:
        return []
    medians = snapshot.headlines.groupby("cluster_label")[["x", "y"]].median()
    places = dict(zip(medians.index.tolist(), medians.to_numpy(np.float64).round(_DECIMALS).tolist(), strict=True))
    return [
        {
            "number": int(story["cluster_label"]),
            "title": story["title"],
            "keywords": list(story["keywords"]),
            "languages": list(story["languages"]),
            "sources": list(story["sources"]),
            "size": int(story["size"]),
            "previous": int(story["previous_size"]),
            "first": int(story["first_published_at"]),
            "last": int(story["last_published_at"]),
            "parents": [int(number) for number in story["parents"]],
            "successor": int(story["successor"]),
            "events": list(story["events"]),
            "x": places[int(story["cluster_label"])][0],
            "y": places[int(story["cluster_label"])][1],
        }
        for story in stories.to_dict("records")
        if story["status"] == "open"
    ]


def _drawn(headlines: pd.DataFrame, most: int) -> npt.NDArray[np.int64]:
    """Row numbers to draw: all, or each story's most probable before the next of any, noise by its share."""
    n = len(headlines)
    if n <= most:
        return np.arange(n)
    labels = headlines["cluster_label"].to_numpy(np.int64)
    noise = np.flatnonzero(labels < 0)
    room = int(most * len(noise) / n)
    some_noise = np.random.default_rng(0).permutation(noise)[:room]
    inside = np.flatnonzero(labels >= 0)
    by_probability = inside[np.lexsort((inside, -headlines["label_probability"].to_numpy()[inside], labels[inside]))]
    starts = np.r_[True, labels[by_probability][1:] != labels[by_probability][:-1]]
    rank = np.arange(len(by_probability)) - np.maximum.accumulate(np.where(starts, np.arange(len(by_probability)), 0))
    chosen = by_probability[np.argsort(rank, kind="stable")][: most - len(some_noise)]
    return np.sort(np.concatenate([chosen, some_noise]))


def _summary(snapshot: Snapshot, drawn: npt.NDArray[np.int64]) -> dict[str, Any]:
    """What the gallery shows of the run."""
    headlines = snapshot.headlines
    events = [kind for kinds in snapshot.stories.get("events", []) for kind in kinds]
    return {
        "run": snapshot.run,
        "finished_at": iso_time(snapshot.finished_at),
        "headlines": len(headlines),
        "stories": int((snapshot.stories["status"] == "open").sum()) if len(snapshot.stories) else 0,
        "noise": int((headlines["cluster_label"] < 0).sum()) if len(headlines) else 0,
        "events": {kind: events.count(kind) for kind in sorted(set(events))},
        "thumbnail": _thumbnail(headlines.iloc[drawn]),
        "facts": snapshot.facts,
    }


def _thumbnail(rows: pd.DataFrame) -> list[list[Any]]:
    """Some points as [x, y, story], x from 0 to 100 and y from 0 to 60."""
    if rows.empty:
        return []
    some = rows.iloc[np.random.default_rng(0).permutation(len(rows))[:_THUMBNAIL_POINTS]]
    places = some[["x", "y"]].to_numpy(np.float64)
    low, high = np.percentile(places, 1, axis=0), np.percentile(places, 99, axis=0)
    unit = float(np.max((high - low) / np.array([100.0, 60.0]))) or 1.0
    middle = (low + high) / 2
    x = 50 + (places[:, 0] - middle[0]) / unit
    y = 30 - (places[:, 1] - middle[1]) / unit
    labels = some["cluster_label"].astype(int).tolist()
    return [[round(float(a), 1), round(float(b), 1), label] for a, b, label in zip(x, y, labels, strict=True)]


def _rounded(values: "pd.Series[float]") -> list[float]:
    return [round(float(value), _DECIMALS) for value in values]


def _write_plotly(directory: Path) -> None:
    """plotly.js lies once beside the pages; written again when the package has another version."""
    from plotly.offline import get_plotlyjs, get_plotlyjs_version

    path, version = directory / "plotly.min.js", directory / "plotly.version"
    if path.exists() and version.exists() and version.read_text() == get_plotlyjs_version():
        return
    write(path, get_plotlyjs())
    write(version, get_plotlyjs_version())


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(files("clustering") / "page")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )


def template(name: str) -> jinja2.Template:
    """A template of the pages; what it is given is escaped."""
    found: jinja2.Template = _environment().get_template(name)
    return found


def asset(name: str) -> Markup:
    """A style sheet or script of the pages, as it stands."""
    return Markup((files("clustering") / "page" / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file
