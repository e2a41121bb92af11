"""Removes old pages: the last page of each hour stays, and of very old pages the last of each day."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from clustering.pages import page_file
from clustering.pages.folder import DAMAGED, read_latest, remove_pages
from clustering.pages.index_page import write_index

_HOUR, _DAY = 3_600_000, 86_400_000  # ms


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
    kept = {max(finished, default=-1), read_latest(directory).get("run")}
    gone = [run for run in thinned(finished, keep_all, keep_hourly) if run not in kept]
    drop_pages(directory, gone)
    return gone


def drop_pages(directory: Path, runs: Collection[int]) -> None:
    """Deletes the pages of these runs, and lists those that are left. The latest page stays as it is.

    Raises:
        OSError: A file cannot be deleted or written.
    """
    if runs:
        remove_pages(directory, runs)
        write_index(directory)


def oldest_on(page: Path) -> int | None:
    """The publication time (epoch ms) of the oldest headline of a page's window; None where it is no such page, or damaged.

    Raises:
        OSError: The page cannot be read.
    """
    try:
        data = page_file.data(page.read_text(encoding="utf-8"))
        return None if data is None else int(data["begin"])
    except DAMAGED:
        return None


def _ms(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)
