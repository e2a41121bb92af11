"""Stories: which are wanted, where they came from, what became of them, and when their headlines were published."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from clustering.pages.story_facts import timeline
from clustering.stories.titles import in_language
from newstide.core.errors import UnknownStory
from newstide.core.settings import Settings
from newstide.core.text import iso_time
from newstide.milvus import Store, filters, open_store
from newstide_app.queries.records import records

Status = Literal["open", "closed", "all"]
Sort = Literal["size", "importance", "seen", "growth", "latest", "number"]


@dataclass(frozen=True, slots=True)
class StoryFilter:
    """Which stories are wanted; those count in whose span of time any moment from `since` to `until` (epoch ms) lies."""

    status: Status = "open"
    labels: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None


def list_stories(settings: Settings, wanted: StoryFilter, limit: int, sort: Sort = "size") -> pd.DataFrame:
    """The wanted stories, sorted, at most `limit`; titles in the first wanted language that a story has one in."""
    store = open_store(settings.milvus, None)
    try:
        found = chosen_stories(store.stories(), wanted, sort).head(limit)
        return retitled(found, [*wanted.languages, *settings.pages.title_languages])
    finally:
        store.close()


def retitled(stories: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """The same rows of `stories`, each with its title in the first of these languages that it has one in."""
    told = zip(stories["title"], stories["titles"], strict=True)
    return stories.assign(title=[in_language(title, titles, wanted)[0] for title, titles in told])


def chosen_stories(stories: pd.DataFrame, wanted: StoryFilter, sort: Sort = "size") -> pd.DataFrame:
    """The wanted ones among all stories, sorted: largest, most important, last seen first, fastest growing, and so on."""
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
        "importance": found["importance"],
        "seen": found["first_seen_at"],
        "growth": found["size"] - found["previous_size"],
        "latest": found["last_published_at"],
        "number": found["cluster_label"],
    }[sort]
    order = found.assign(_by=by).sort_values(["_by", "cluster_label"], ascending=[False, True])
    return order.drop(columns="_by").reset_index(drop=True)


def story_records(stories: pd.DataFrame, wanted: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Stories as plain objects, without what only the next run needs.

    Args:
        stories: Rows of `stories`.
        wanted: Languages of titles: `title` is in the first that a story has, and `title_language` says which.
    """
    shown = records(stories.drop(columns=["former_ids", "challenged"], errors="ignore"))
    for story in shown:
        story["title"], story["title_language"] = in_language(story["title"], story["titles"], wanted)
        story["importance"] = round(story["importance"], 4)
    return shown


def story_lineage(stories: pd.DataFrame, label: int, wanted: Sequence[str] = ()) -> dict[str, Any]:
    """Where a story came from and what became of it.

    Args:
        stories: All stories.
        label: The story's number.
        wanted: Languages of titles, the first that a story has.

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
    successor = _named(stories, [int(story["successor"])], wanted)
    return {
        "parents": _named(stories, parents, wanted),
        "children": _named(stories, children, wanted),
        "absorbed": _named(stories, absorbed, wanted),
        "successor": successor[0] if successor else None,
    }


def story_facts(stories: pd.DataFrame, label: int, wanted: Sequence[str] = ()) -> dict[str, Any]:
    """One story as a plain object; see `story_records`.

    Raises:
        UnknownStory: There is no such story.
    """
    _story(stories, label)
    return story_records(stories[stories["cluster_label"] == label], wanted)[0]


def story_timeline(store: Store, label: int) -> dict[str, Any] | None:
    """How many of a story's headlines were published when; None where it has none (any more).

    Returns:
        `begin` (ISO 8601, a whole step), `step_seconds`, and `counts`, at most 60 of them.
    """
    found = timeline(store.headlines(filters.in_stories([label]), ["published_at"])["published_at"].to_numpy(np.int64))
    if found is None:
        return None
    return {"begin": iso_time(found["begin"]), "step_seconds": found["step"], "counts": found["counts"]}


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


def _named(stories: pd.DataFrame, labels: Iterable[int], wanted: Sequence[str]) -> list[dict[str, Any]]:
    some = retitled(stories[stories["cluster_label"].isin(list(labels))], wanted)
    return records(some[["cluster_label", "title", "size", "status"]])
