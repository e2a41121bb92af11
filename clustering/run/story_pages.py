"""Step seven of a run, second half: the own pages of the listed stories that changed."""

from pathlib import Path

import pandas as pd

from clustering.pages.folder import story_path
from clustering.pages.run_page import LISTED
from clustering.pages.story_facts import HEADLINE_COLUMNS, Kin, read_stories
from clustering.pages.story_page import write_story
from clustering.run.plan import Plan
from clustering.run.workplace import Workplace


def write_changed_stories(place: Workplace, rows: pd.DataFrame, plan: Plan) -> int:
    """Writes the pages of the stories that this run changed, and of the largest that have none yet; returns how many.

    Args:
        place: Of the run.
        rows: The run's rows as it labelled them.
        plan: What it wrote.

    Raises:
        OSError: The disk is full or not writable.
    """
    settings = place.settings
    directory = settings.snapshots_dir
    stories = place.store.stories()
    numbers = _changed(stories, rows, plan, directory)
    if not numbers:
        return 0
    window, newest = settings.clustering.window, plan.row.counts.get("newest")
    begin = None if window is None or newest is None else int(newest) - int(window.total_seconds() * 1000)
    public = settings.pages.public_url.rstrip("/")
    beside = frozenset(numbers)
    for contents in read_stories(place.store, numbers, Kin(stories), rows[list(HEADLINE_COLUMNS)], known_from=begin):
        address = f"{public}/story/{contents['number']}" if public else ""
        write_story(directory, contents, wanted=settings.pages.title_languages, address=address, beside=beside)
    return len(numbers)


def _changed(stories: pd.DataFrame, rows: pd.DataFrame, plan: Plan, directory: Path) -> list[int]:
    largest = stories[stories["status"] == "open"].sort_values(["size", "cluster_label"], ascending=[False, True])
    listed = set(largest["cluster_label"].head(LISTED).astype(int))
    labelled = rows.loc[rows["label_run"] == plan.row.run, "cluster_label"].astype(int)
    written = plan.stories
    lost = written.loc[written["size"] != written["previous_size"], "cluster_label"].astype(int)
    touched = {*labelled, *lost, *(event.story for event in plan.events)}
    there = {int(number) for number in stories["cluster_label"]}
    return sorted(
        number
        for number in there
        if (number in touched or number in listed) and _due(number, number in touched, number in listed, directory)
    )


def _due(number: int, touched: bool, listed: bool, directory: Path) -> bool:
    """Whether a page is to be written: of a listed story that changed or has none, and of any other that has one."""
    exists = story_path(directory, number).exists()
    return (touched and (listed or exists)) or (listed and not exists)
