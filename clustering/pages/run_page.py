"""The page of one run: a Plotly map of headlines and the list of stories beside it, in one HTML file.

Headlines are untrusted. They reach the page as JSON inside a script element that is no script, with every character that
could end it escaped, and the page's own code puts them on screen as text alone. Its content-security policy lets only
that code run, and nothing be fetched from elsewhere.
"""

import base64
import hashlib
import json
import os
import re
import time
import uuid
import zlib
from collections.abc import Mapping
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

from clustering.pages.colours import POINT_OPACITY, SVG_POINTS, chosen_rows, colour_tables, density_image, thumbnail
from newstide.core.text import iso_time

# The page's script, in this order: parts of one function.
_PARTS = ("state", "map", "threads", "labels", "panel", "selection", "address", "renewal", "wiring")
_HALF_WRITTEN = 3600  # seconds after which a file that was never swapped in belongs to nobody
_PACKED_FROM = 1_000_000  # characters of JSON
_STORIES = 5_000  # listed; those with the most headlines
_MOST_SOURCES = 20  # of a story
_DECIMALS = 3
_PLOTLY = '<script src="plotly.min.js" defer></script>'
_HOME_LINK = re.compile(r'(?<=<h1>)<a href="index.html"[^>]*>(.*?)</a>')


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
        facts: About the run, for its foot: texts, numbers, or several of them under one name; None is left out. `kept`,
            where it is there, is the share (0 to 1) of the headlines in a story before that are still in that story.
    """

    run: int
    finished_at: int
    headlines: pd.DataFrame
    stories: pd.DataFrame
    facts: Mapping[str, Any]


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
    _clear_half_written(directory)
    _write_plotly(directory)
    page = directory / f"run-{snapshot.run:06d}.html"
    rows = chosen_rows(snapshot.headlines, max_points)
    fields = _fields(snapshot, rows)
    write(page, template("map.html.j2").render(fields, live=False))
    write(page.with_suffix(".json"), json.dumps(_summary(snapshot), ensure_ascii=False))
    write(directory / "latest.html", template("map.html.j2").render(fields, live=True))
    runs = [int(path.stem[4:]) for path in sorted(directory.glob("run-*.html")) if path.stem[4:].isdigit()]
    latest = json.dumps({"run": snapshot.run, "page": page.name, "runs": runs})
    write(directory / "latest.json", latest)
    write(directory / "latest.js", f"window.newstideLatest = {latest};\n")  # a page opened as a file cannot fetch
    return page


def export_page(directory: Path, run: int, target: Path) -> Path:
    """Writes a run's page with plotly.js inside: one file to send to someone.

    Args:
        directory: Of the pages.
        run: Its number.
        target: The file to write.

    Returns:
        `target`.

    Raises:
        FileNotFoundError: There is no page of that run.
        OSError: The disk is full or not writable.
    """
    page = (directory / f"run-{run:06d}.html").read_text(encoding="utf-8")
    plotly = (directory / "plotly.min.js").read_text(encoding="utf-8")
    page = page.replace('data-live="no"', 'data-live="alone"', 1).replace(
        "script-src ", f"script-src {_hash(plotly)} ", 1
    )
    page = _HOME_LINK.sub(r"\1", page, count=1)  # the list of runs does not come along
    write(target, page.replace(_PLOTLY, f"<script>{plotly}</script>", 1))
    return target


def write(path: Path, text: str) -> None:
    """Writes a file beside and swaps it in, so that a reader sees the old one or the whole new one."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")  # two may write it at once
    try:
        with beside.open("x", encoding="utf-8", newline="") as file:  # as it is: its hash stands in the policy
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def as_script_data(text: str) -> Markup:
    """JSON that can stand in a script element: nothing in it ends the element or starts a comment."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def _fields(snapshot: Snapshot, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    headlines = len(snapshot.headlines)
    data = json.dumps(_data(snapshot, rows), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    packed = len(data) > _PACKED_FROM
    return {
        "run": snapshot.run,
        "finished": datetime.fromtimestamp(snapshot.finished_at / 1000, UTC).strftime("%d %b %Y, %H:%M UTC"),
        "shown_counts": f"{headlines:,} headlines in {_open_stories(snapshot.stories):,} stories",
        "facts": shown_facts(snapshot.facts),
        "kept": kept_share(snapshot.facts),
        "packed": packed,
        "data": as_packed_data(data) if packed else as_script_data(data),
        "css": asset("page.css"),
        "js": page_script(),
        "policy": policy(page_script(), unsafe_eval=len(rows) > SVG_POINTS),
    }


def shown_facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts about a run as its page names them."""
    shown: list[tuple[str, str]] = []
    if share := kept_share(facts):
        shown.append(("kept their story", f"{share} of headlines"))
    for name, value in facts.items():
        if isinstance(value, Mapping):
            shown += shown_facts(value)
        elif name != "kept" and value is not None:
            shown.append((name.replace("_", " "), _said(value)))
    return shown


def kept_share(facts: Mapping[str, Any]) -> str | None:
    """`kept` in words, where it is known."""
    share = facts.get("kept")
    return f"{share * 100:.1f} %" if isinstance(share, int | float) else None


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def policy(script: str, *, unsafe_eval: bool = False) -> str:
    """The content-security policy of a page whose one script of its own is `script`.

    Args:
        script: The text of the element, to the letter.
        unsafe_eval: Whether scripts may compile texts, as Plotly's WebGL drawing does.
    """
    compiling = " 'unsafe-eval'" if unsafe_eval else ""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash(script)} 'self' file:{compiling}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def as_packed_data(data: str) -> Markup:
    """Large data compressed, as base64: a third of its size."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)  # 31: gzip, which browsers read
    return Markup(  # noqa: S704 - base64 holds nothing that HTML knows
        base64.b64encode(compressor.compress(data.encode()) + compressor.flush()).decode()
    )


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
        "stories": stories[:_STORIES],
        "storiesLeftOut": max(0, len(stories) - _STORIES),
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


def _summary(snapshot: Snapshot) -> dict[str, Any]:
    """What the gallery shows of the run."""
    headlines = snapshot.headlines
    events = [kind for kinds in snapshot.stories.get("events", []) for kind in kinds]
    return {
        "run": snapshot.run,
        "finished_at": iso_time(snapshot.finished_at),
        "headlines": len(headlines),
        "stories": _open_stories(snapshot.stories),
        "noise": int((headlines["cluster_label"] < 0).sum()) if len(headlines) else 0,
        "events": {kind: events.count(kind) for kind in sorted(set(events))},
        "points": thumbnail(headlines),
        "facts": dict(snapshot.facts),
    }


def _open_stories(stories: pd.DataFrame) -> int:
    return int((stories["status"] == "open").sum()) if len(stories) else 0


def _rounded(values: "pd.Series[float]") -> list[float]:
    rounded: list[float] = np.round(values.to_numpy(np.float64), _DECIMALS).tolist()
    return rounded


def _clear_half_written(directory: Path) -> None:
    """What a process that was killed left behind."""
    for path in directory.glob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > _HALF_WRITTEN:
                path.unlink()
        except FileNotFoundError:  # someone else was quicker
            continue


def _write_plotly(directory: Path) -> None:
    """plotly.js lies once beside the pages; written again when the package has another version."""
    from plotly.offline import get_plotlyjs, get_plotlyjs_version

    path, version = directory / "plotly.min.js", directory / "plotly.version"
    if path.exists() and version.exists() and version.read_text() == get_plotlyjs_version():
        return
    write(path, re.sub("</script", r"<\\/script", get_plotlyjs(), flags=re.IGNORECASE))  # an exported page holds it
    write(version, get_plotlyjs_version())


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(files("clustering.pages") / "assets")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )


def template(name: str) -> jinja2.Template:
    """A template of the pages; what it is given is escaped."""
    return _environment().get_template(name)


@cache
def asset(name: str) -> Markup:
    """A style sheet or script of the pages, as it stands."""
    return Markup((files("clustering.pages") / "assets" / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file


@cache
def page_script() -> Markup:
    """The script of a run's page, put together from its parts."""
    parts = Markup("\n").join(asset(f"script/{name}.js").strip() for name in _PARTS)
    return Markup('"use strict";\n(async () => {\n') + parts + Markup("\n})();\n")
