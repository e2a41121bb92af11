"""A folder of pages: the names of its files, the runs that have a page, and the latest of them."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from newstide.core import logs
from newstide.core.files import replace_text
from newstide.core.text import shorten

INDEX, LATEST, PLOTLY = "index.html", "latest.html", "plotly.min.js"
DAMAGED = (ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError)  # what reading a damaged file raises

TITLED = 3  # stories that the list of runs names of each run: the largest

log = logs.get("pages")


def page_path(directory: Path, run: int) -> Path:
    """The path of a run's page."""
    return directory / f"run-{run:06d}.html"


def facts_path(directory: Path, run: int) -> Path:
    """The path of the facts about a run, which the list of runs shows."""
    return directory / f"run-{run:06d}.json"


def story_path(directory: Path, number: int) -> Path:
    """The path of a story's own page."""
    return directory / f"story-{number}.html"


def story_pages(directory: Path) -> list[Path]:
    """The stories' own pages."""
    return sorted(path for path in directory.glob("story-*.html") if path.stem.removeprefix("story-").isdecimal())


def stories_with_page(directory: Path) -> set[int]:
    """The stories that have a page of their own."""
    return {int(path.stem.removeprefix("story-")) for path in story_pages(directory)}


def runs_with_page(directory: Path) -> list[int]:
    """The runs that have a page, ascending."""
    numbers = (path.stem.removeprefix("run-") for path in directory.glob("run-*.html"))
    return sorted(int(number) for number in numbers if number.isdecimal())


def run_pages(directory: Path) -> Iterator[Path]:
    """All pages of runs: each run's, ascending, and the latest."""
    yield from sorted(directory.glob("run-*.html"))
    if (directory / LATEST).exists():
        yield directory / LATEST


def write_latest(directory: Path, run: int) -> None:
    """Says which run is the latest, and which have a page.

    Raises:
        OSError: The disk is full or not writable.
    """
    _write_latest(directory, {"run": run, "page": page_path(directory, run).name, "runs": runs_with_page(directory)})


def read_latest(directory: Path) -> dict[str, Any]:
    """`run`, `page` and `runs` of latest.json; empty where the file is missing or damaged: the next run writes it anew."""
    try:
        listed = json.loads((directory / "latest.json").read_text(encoding="utf-8"))
        return {**listed, "run": int(listed["run"]), "page": str(listed["page"]), "runs": list(listed["runs"])}
    except FileNotFoundError:
        return {}
    except DAMAGED as error:
        log.warning("latest.json is damaged; the next run writes it anew", reason=shorten(repr(error), 200))
        return {}


def remove_pages(directory: Path, runs: Collection[int]) -> None:
    """Deletes the pages of these runs. The latest page stays as it is.

    Raises:
        OSError: A file cannot be deleted or written.
    """
    for run in runs:
        page_path(directory, run).unlink(missing_ok=True)
        facts_path(directory, run).unlink(missing_ok=True)
    if listed := read_latest(directory):
        _write_latest(directory, {**listed, "runs": [run for run in listed["runs"] if run not in set(runs)]})


def _write_latest(directory: Path, latest: dict[str, Any]) -> None:
    text = json.dumps(latest)
    replace_text(directory / "latest.json", text)
    replace_text(directory / "latest.js", f"window.newstideLatest = {text};\n")  # a page opened as a file cannot fetch
