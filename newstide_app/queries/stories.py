"""Stories: which are wanted, where they came from, what became of them, and when their headlines were published."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from newstide.core.errors import SettingsError, UnknownStory
from newstide.core.settings import Settings
from newstide.core.text import iso_time
from newstide.milvus import Store, filters, open_store
from newstide_app.queries.records import records

Status = Literal["open", "closed", "all"]
Sort = Literal["size", "growth", "latest", "number"]

_TIMELINE_BARS = 60  # at most
_STEPS = (60, 300, 900, 3_600, 3 * 3_600, 6 * 3_600, 86_400, 7 * 86_400, 30 * 86_400)  # seconds a bar


@dataclass(frozen=True, slots=True)
class StoryFilter:
    """Which stories are wanted; those count in whose span of time any moment from `since` to `until` (epoch ms) lies."""

    status: Status = "open"
    labels: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None


def list_stories(settings: Settings, status: str, limit: int) -> pd.DataFrame:
    """Stories with that status (`open`, `closed`, `all`), largest first."""
    where = {"open": filters.OPEN, "closed": filters.CLOSED, "all": ""}
    if status not in where:
        raise SettingsError(f"--status {status!r} is not one of {', '.join(where)}.")
    store = open_store(settings.milvus, None)
    try:
        frame = store.stories(where[status])
    finally:
        store.close()
    return frame.sort_values(["size", "cluster_label"], ascending=[False, True]).head(limit).reset_index(drop=True)


def chosen_stories(stories: pd.DataFrame, wanted: StoryFilter, sort: Sort = "size") -> pd.DataFrame:
    """The wanted ones among all stories, sorted: the largest, fastest growing, latest or newest number first."""
    keep = np.ones(len(stories), bool)
    if wanted.status != "all":
        keep &= (stories["status"] == wanted.status).to_numpy()
    if wanted.labels:
        keep &= stories["cluster_label"].isin(wanted.labels).to_numpy()
    for name, values in (("sources", wanted.sources), ("languages", wanted.languages)):
        if values:
            keep &= np.fromiter((not set(values).isdisjoint(row) for row in stories[name]), bool, len(stories))
    if wanted.since is not None:
        keep &= (stories["last_published_at"] >= wanted.since).to_numpy(bool)
    if wanted.until is not None:
        keep &= (stories["first_published_at"] < wanted.until).to_numpy(bool)
    found = stories[keep]
    by = {
        "size": found["size"],
        "growth": found["size"] - found["previous_size"],
        "latest": found["last_published_at"],
        "number": found["cluster_label"],
    }[sort]
    order = found.assign(_by=by).sort_values(["_by", "cluster_label"], ascending=[False, True])
    return order.drop(columns="_by").reset_index(drop=True)


def story_records(stories: pd.DataFrame) -> list[dict[str, Any]]:
    """Stories as plain objects, without what only the next run needs."""
    return records(stories.drop(columns=["former_ids"], errors="ignore"))


def story_lineage(stories: pd.DataFrame, label: int) -> dict[str, Any]:
    """Where a story came from and what became of it.

    Args:
        stories: All stories.
        label: The story's number.

    Returns:
        `parents` (those it was born from), `children` (those born from it), `absorbed` (those that went into it) and
        `successor` (the one it went into, or None), each with `cluster_label`, `title`, `size` and `status`.

    Raises:
        UnknownStory: There is no such story.
    """
    story = _story(stories, label)
    parents = {int(number) for number in story["parents"]}
    children = [int(at) for at, of in zip(stories["cluster_label"], stories["parents"], strict=True) if label in of]
    absorbed = stories.loc[stories["successor"] == label, "cluster_label"].astype(int).tolist()
    successor = _named(stories, [int(story["successor"])])
    return {
        "parents": _named(stories, parents),
        "children": _named(stories, children),
        "absorbed": _named(stories, absorbed),
        "successor": successor[0] if successor else None,
    }


def story_facts(stories: pd.DataFrame, label: int) -> dict[str, Any]:
    """One story as a plain object.

    Raises:
        UnknownStory: There is no such story.
    """
    _story(stories, label)
    return story_records(stories[stories["cluster_label"] == label])[0]


def story_timeline(store: Store, label: int) -> dict[str, Any] | None:
    """How many of a story's headlines were published when; None where it has none (any more).

    Returns:
        `begin` (ISO 8601, a whole step), `step_seconds`, and `counts`, at most 60 of them.
    """
    times = store.headlines(filters.in_stories([label]), ["published_at"])["published_at"].to_numpy(np.int64) // 1000
    if not len(times):
        return None
    span = int(times.max() - times.min())
    step = next((step for step in _STEPS if span // step + 2 <= _TIMELINE_BARS), span // (_TIMELINE_BARS - 1) + 1)
    begin = int(times.min()) // step * step
    counts = np.bincount((times - begin) // step)
    return {"begin": iso_time(begin * 1000), "step_seconds": step, "counts": counts.tolist()}


def follow(stories: pd.DataFrame, number: int) -> list[int]:
    """What a closed story became, step by step, to the story that is open today or the last that closed.

    A story's successor; where it fell apart and has none, the last one that took its headlines back, which names it as
    a parent.
    """
    known = {int(story["cluster_label"]): story for story in stories.to_dict("records")}
    steps: list[int] = []
    at = number
    while known[at]["status"] == "closed":
        closed_in = known[at]["updated_run"]
        heirs = [own for own, story in known.items() if at in story["parents"] and story["updated_run"] > closed_in]
        following = int(known[at]["successor"])
        if following < 0:
            following = max(heirs, default=-1, key=lambda own: (known[own]["updated_run"], own))
        if following not in known or following in (number, *steps):
            break
        steps.append(following)
        at = following
    return steps


def _story(stories: pd.DataFrame, label: int) -> "pd.Series[Any]":
    found = stories[stories["cluster_label"] == label]
    if found.empty:
        raise UnknownStory(f"There is no story {label}.", "/api/stories?status=all lists them.")
    return found.iloc[0]


def _named(stories: pd.DataFrame, labels: Iterable[int]) -> list[dict[str, Any]]:
    some = stories[stories["cluster_label"].isin(list(labels))]
    return records(some[["cluster_label", "title", "size", "status"]])
