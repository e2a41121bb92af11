"""The pages there are already: headlines taken out of them, and old pages removed.

A page holds its headlines as JSON, apart from its script, so that they can be taken out and the rest stays to the letter.
"""

import base64
import json
import re
import zlib
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from clustering.pages.index_page import write_index
from clustering.pages.run_page import as_packed_data, as_script_data, write
from newstide.core import logs
from newstide.milvus import TAKEN_DOWN, words_left

_DATA = re.compile(r'(<script type="application/json" id="data" data-packed="(yes|no)">)(.*?)(</script>)', re.DOTALL)
_ROW_LISTS = ("x", "y", "title", "url", "time", "label", "source", "language")

_DAMAGED = (ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, zlib.error)

_HOUR, _DAY = 3_600_000, 86_400_000  # ms

log = logs.get("reclusterer")

Hides = Callable[[str, int, str, str], bool]  # title, time (epoch ms), url, source


def clean_pages(
    directory: Path, hides: Hides, hides_title: Callable[[str], bool], *, write_them: bool = True
) -> list[Path]:
    """Takes headlines out of every page of `directory` that holds them; each page is swapped in as a whole.

    Args:
        directory: Of the pages.
        hides: Whether a headline is to go.
        hides_title: Whether no story may carry this title any more.
        write_them: False to find out only which pages hold them.

    Returns:
        The pages that hold them, or held them.

    Raises:
        OSError: A page cannot be read or written; those before it are clean.
    """
    held = []
    for page in [*sorted(directory.glob("run-*.html")), directory / "latest.html"]:
        if not page.exists():
            continue
        try:
            text = page.read_text(encoding="utf-8")
            found = _DATA.search(text)
            if found is None:
                continue
            data = _read(found)
            holds = _clean(data, hides, hides_title)
        except _DAMAGED as error:
            log.warning("a page is damaged and cannot be cleaned; delete it", page=str(page), reason=repr(error))
            continue
        if holds:
            held.append(page)
            if write_them:
                write(page, text[: found.start(3)] + _written(data, packed=found[2] == "yes") + text[found.end(3) :])
    return held


def oldest_on(page: Path) -> int | None:
    """The publication time (epoch ms) of the oldest headline of a page's window; None where it is no such page, or damaged.

    Raises:
        OSError: It cannot be read.
    """
    try:
        found = _DATA.search(page.read_text(encoding="utf-8"))
        return int(_read(found)["begin"]) if found else None
    except _DAMAGED:
        return None


def thinned(pages: Mapping[int, int], keep_all: timedelta | None, keep_hourly: timedelta | None) -> list[int]:
    """The runs whose pages are to go: of old pages the last of each hour stays, of very old ones the last of each day.

    The age of a page is counted to the newest one. What stays today is a part of what stayed yesterday, so that it does
    not matter how often pages are thinned.

    Args:
        pages: When each run finished (epoch ms), by its number.
        keep_all: The age up to which every page stays; None: all stay.
        keep_hourly: The time after that in which one an hour stays, before one a day (UTC); None: one an hour stays.

    Returns:
        Their numbers, ascending.
    """
    if keep_all is None or not pages:
        return []
    newest = max(pages.values())
    hourly_from = newest - _ms(keep_all)
    daily_from = None if keep_hourly is None else hourly_from - _ms(keep_hourly)
    last: dict[tuple[int, int], tuple[int, int]] = {}  # (span, which) -> (time, run)
    for run, time in pages.items():
        for span in (_HOUR, _DAY):
            key = (span, time // span)
            last[key] = max(last.get(key, (time, run)), (time, run))
    gone = []
    for run, time in sorted(pages.items()):
        if time >= hourly_from:
            continue
        span = _DAY if daily_from is not None and time < daily_from else _HOUR
        if last[span, time // span] != (time, run):
            gone.append(run)
    return gone


def thin_pages(directory: Path, keep_all: timedelta | None, keep_hourly: timedelta | None) -> list[int]:
    """Deletes the pages that `thinned` names; the last run's stays, and one whose facts are damaged.

    Returns:
        Their runs, ascending.

    Raises:
        OSError: A file cannot be read, deleted or written.
    """
    if keep_all is None:
        return []
    finished: dict[int, int] = {}
    for path in directory.glob("run-*.json"):
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            finished[int(facts["run"])] = round(datetime.fromisoformat(facts["finished_at"]).timestamp() * 1000)
        except (ValueError, KeyError, TypeError):
            continue
    kept = {max(finished, default=-1), _latest(directory).get("run")}
    gone = [run for run in thinned(finished, keep_all, keep_hourly) if run not in kept]
    remove_pages(directory, gone)
    return gone


def remove_pages(directory: Path, runs: Collection[int]) -> None:
    """Deletes the pages of these runs, and lists those that are left. The latest page stays as it is.

    Raises:
        OSError: A file cannot be deleted or written.
    """
    if not runs:
        return
    for run in runs:
        page = directory / f"run-{run:06d}.html"
        page.unlink(missing_ok=True)
        page.with_suffix(".json").unlink(missing_ok=True)
    if listed := _latest(directory):
        text = json.dumps({**listed, "runs": [run for run in listed["runs"] if run not in set(runs)]})
        write(directory / "latest.json", text)
        write(directory / "latest.js", f"window.newstideLatest = {text};\n")
    write_index(directory)


def _latest(directory: Path) -> dict[str, Any]:
    """What is said of the last run's page; nothing where there is none, or where that is damaged: the next run mends it."""
    try:
        listed = json.loads((directory / "latest.json").read_text(encoding="utf-8"))
        return {**listed, "run": int(listed["run"]), "runs": list(listed["runs"])}
    except FileNotFoundError:
        return {}
    except _DAMAGED as error:
        log.warning("latest.json is damaged; the next page comes with a new one", reason=repr(error))
        return {}


def _ms(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)


def _read(found: "re.Match[str]") -> dict[str, Any]:
    text = zlib.decompress(base64.b64decode(found[3]), 31).decode() if found[2] == "yes" else found[3]
    data: dict[str, Any] = json.loads(text)
    return data


def _written(data: dict[str, Any], *, packed: bool) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return str(as_packed_data(text) if packed else as_script_data(text))


def _clean(data: dict[str, Any], hides: Hides, hides_title: Callable[[str], bool]) -> bool:
    """Takes the headlines out of a page's data, in place; whether there was anything to take out."""
    sources = data["sources"]
    rows = zip(data["title"], data["time"], data["url"], data["source"], strict=True)
    keep = [not hides(title, time, url, sources[source] if source >= 0 else "") for title, time, url, source in rows]
    removed: dict[int, list[str]] = {}
    left: dict[int, list[str]] = {}
    for title, label, stays in zip(data["title"], data["label"], keep, strict=True):
        (left if stays else removed).setdefault(label, []).append(title)
    gone_titles = {title for titles in removed.values() for title in titles}
    changed = bool(removed)
    for story in data["stories"]:
        number = story["number"]
        own, kept = list(removed.get(number, [])), left.get(number, [])
        story["size"] = max(0, story["size"] - len(own))
        if story["title"] in gone_titles or hides_title(story["title"]):
            changed = True
            own.append(story["title"])
            story["title"] = next((title for title in kept if not hides_title(title)), TAKEN_DOWN)
        if own:
            story["keywords"] = words_left(story["keywords"], own, kept)
        named = [name for name in story["sources"] if not hides("", 0, "", name)]
        changed |= len(named) < len(story["sources"])
        story["sources"] = named
    if removed:
        for name in _ROW_LISTS:
            data[name] = [value for value, stays in zip(data[name], keep, strict=True) if stays]
    shown = [place for place, name in enumerate(sources) if not hides("", 0, "", name)]
    if len(shown) < len(sources):  # none of their headlines is left
        changed = True
        place_of = {old: new for new, old in enumerate(shown)}
        data["source"] = [place_of.get(place, -1) for place in data["source"]]
        data["sources"] = [sources[place] for place in shown]
    return changed
