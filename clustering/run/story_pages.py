"""Step seven of a run, second half: the own pages of the listed stories that changed."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from clustering.pages.folder import stories_with_page
from clustering.pages.run_page import LISTED
from clustering.pages.story_facts import HEADLINE_COLUMNS, Contents, InMemory, tell_stories
from clustering.pages.story_page import write_story
from clustering.run.plan import Plan
from clustering.run.workplace import Workplace
from newstide.core.files import keep_names
from newstide.milvus import StoryEvent

_WRITERS = 8  # threads, each of which waits for the disk most of the time


def write_changed_stories(
    place: Workplace, rows: pd.DataFrame, plan: Plan, opened: pd.DataFrame, events: Sequence[StoryEvent], since: int
) -> int:
    """Writes the pages of the stories that this run changed, and of the largest that have none yet; returns how many.

    Args:
        place: Of the run.
        rows: The run's rows as it labelled them.
        plan: What it wrote.
        opened: All open stories as they are from the run on, with centroids.
        events: What happened to stories since `since`.
        since: When the first of these events may have been decided, epoch ms.

    Raises:
        OSError: The disk is full or not writable.
    """
    settings = place.settings
    directory = settings.snapshots_dir
    closed = plan.stories[plan.stories["status"] == "closed"]
    stories = pd.concat([opened, closed], ignore_index=True) if len(closed) else opened
    there = stories_with_page(directory)
    numbers = _changed(stories, rows, plan, there)
    if not numbers:
        return 0
    window, newest = settings.clustering.window, plan.row.counts.get("newest")
    begin = None if window is None or newest is None else int(newest) - int(window.total_seconds() * 1000)
    older = bool(plan.row.counts["too_old"])  # which may have had a story's label since they arrived
    known = InMemory(plan.row.run, stories, rows[list(HEADLINE_COLUMNS)], begin, older, events, since)
    public = settings.pages.public_url.rstrip("/")
    beside = there.union(numbers)

    def write(contents: Contents) -> Path:
        address = f"{public}/story/{contents['number']}" if public else ""
        return write_story(directory, contents, wanted=settings.pages.title_languages, address=address, beside=beside)

    with ThreadPoolExecutor(_WRITERS) as pool:
        written = list(pool.map(write, tell_stories(place.store, numbers, known)))
    keep_names(directory)
    return len(written)


def _changed(stories: pd.DataFrame, rows: pd.DataFrame, plan: Plan, there: Collection[int]) -> list[int]:
    """Stories that are listed and changed or have no page, and others that changed and have one; `there` have one."""
    largest = stories[stories["status"] == "open"].sort_values(["size", "cluster_label"], ascending=[False, True])
    listed = set(largest["cluster_label"].head(LISTED).astype(int))
    labelled = rows.loc[rows["label_run"] == plan.row.run, "cluster_label"].astype(int)
    written = plan.stories
    lost = written.loc[written["size"] != written["previous_size"], "cluster_label"].astype(int)
    touched = {*labelled, *lost, *(event.story for event in plan.events)}
    due = (touched & (listed | set(there))) | (listed - set(there))
    return sorted(due.intersection(stories["cluster_label"].astype(int)))
