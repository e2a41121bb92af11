"""What people and programs read of the store: filtered, sorted, a page at a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from newstide.core.errors import NewstideError, SettingsError
from newstide.core.settings import Settings
from newstide.core.text import iso_time
from newstide.embedding import load_embedder
from newstide.milvus import Store, filters, open_store
from newstide.milvus.collection import MOST
from newstide_app.inspect import HEADLINE_COLUMNS, records

State = Literal["all", "story", "noise", "provisional"]
Status = Literal["open", "closed", "all"]
Sort = Literal["size", "growth", "latest", "number"]
Cursor = tuple[int, str]  # published_at (epoch ms) and id of the last headline of a page

_FIRST_SPAN = 3_600_000  # ms looked back for the newest headlines; where they are few, eight times as far, and so on
_TIMELINE_BARS = 60  # at most
_TIES = 50  # hits looked at beyond a page: how many copies of a title may lie about its end
_DIGITS = 5  # of a similarity; what differs by less is equally near
_STEPS = (60, 300, 900, 3_600, 3 * 3_600, 6 * 3_600, 86_400, 7 * 86_400, 30 * 86_400)  # seconds a bar


class UnknownStory(NewstideError):
    """There is no story of that number."""


@dataclass(frozen=True, slots=True)
class HeadlineFilter:
    """Which headlines are wanted; an empty tuple or None leaves a field open.

    Attributes:
        labels: Story numbers; -1 = in no story.
        sources: To the letter.
        languages: BCP 47, to the letter.
        since: Published at or after, epoch ms.
        until: Published before, epoch ms.
        state: `story` (in one), `noise` (in none), `provisional` (labelled on arrival, not yet by a run).
    """

    labels: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    state: State = "all"

    def expression(self) -> str:
        """As a filter of Milvus, in which every value stays a value."""
        states = {
            "all": "",
            "story": filters.IN_A_STORY,
            "noise": filters.IN_NO_STORY,
            "provisional": filters.PROVISIONAL,
        }
        return filters.all_of(
            filters.in_stories(self.labels) if self.labels else "",
            filters.any_of("source", self.sources) if self.sources else "",
            filters.any_of("language", self.languages) if self.languages else "",
            filters.published_since(self.since) if self.since is not None else "",
            filters.published_before(self.until) if self.until is not None else "",
            states[self.state],
        )


@dataclass(frozen=True, slots=True)
class StoryFilter:
    """Which stories are wanted; those count in whose span of time any moment from `since` to `until` (epoch ms) lies."""

    status: Status = "open"
    labels: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None


def newest_headlines(
    store: Store, wanted: HeadlineFilter, limit: int, after: Cursor | None = None
) -> tuple[pd.DataFrame, Cursor | None]:
    """A page of headlines, newest first, those of the same moment by id.

    Milvus does not sort: the times of one story's headlines are read whole, those of all headlines in growing steps back
    from the newest.

    Args:
        store: The store.
        wanted: Which.
        limit: Headlines a page.
        after: The last headline of the page before.

    Returns:
        The page, and where the next begins, or None at the end.
    """
    where = wanted.expression()
    behind = "" if after is None else filters.behind(*after)
    if wanted.labels and min(wanted.labels) >= 0:
        keys = store.headlines(filters.all_of(where, behind), ["id", "published_at"])
    else:
        keys = _looking_back(store, wanted, limit, after)
    keys = keys.sort_values(["published_at", "id"], ascending=[False, True])
    page = keys.head(limit)
    frame = store.headlines_by_id(page["id"].tolist(), HEADLINE_COLUMNS)
    more = len(keys) > limit
    return frame, (int(page["published_at"].iloc[-1]), str(page["id"].iloc[-1])) if more else None


def nearest_headlines(store: Store, vector: Any, wanted: HeadlineFilter, limit: int, offset: int = 0) -> pd.DataFrame:
    """The headlines nearest to a text's vector, (1, dim), best first, with their cosine as `similarity`.

    Copies of a title are equally near, and Milvus gives them in whatever order: by id, so that no page repeats another's.
    """
    end = offset + limit
    hits = store.search_headlines(vector, max(end, min(end + _TIES, MOST)), wanted.expression())
    found = [
        (str(id_), float(value))
        for id_, value in zip(hits.ids[0], hits.similarities[0], strict=True)
        if id_ is not None
    ]
    found.sort(key=lambda hit: (-round(hit[1], _DIGITS), hit[0]))
    similarity = dict(found[offset:end])
    frame = store.headlines_by_id(list(similarity), HEADLINE_COLUMNS)
    return frame.assign(similarity=[similarity[id_] for id_ in frame["id"]])


def search(settings: Settings, text: str, limit: int) -> pd.DataFrame:
    """The headlines nearest in meaning to a text, with their cosine similarity, best first."""
    if not text.strip():
        raise SettingsError("The search text is empty.")
    embedder = load_embedder(settings.embedding)
    store = open_store(settings.milvus, embedder.card)
    try:
        return nearest_headlines(store, embedder.encode([text]), HeadlineFilter(), limit)
    finally:
        store.close()


def chosen_stories(stories: pd.DataFrame, wanted: StoryFilter, sort: Sort = "size") -> pd.DataFrame:
    """Those of all stories that are wanted, sorted: the largest, fastest growing, latest or newest number first."""
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


def _looking_back(store: Store, wanted: HeadlineFilter, limit: int, after: Cursor | None) -> pd.DataFrame:
    """Ids and times of at least `limit + 1` headlines from the newest back, where there are so many."""
    bounds = [_newest(store)]
    if wanted.until is not None:
        bounds.append(wanted.until - 1)
    if after is not None:
        bounds.append(after[0])
    upper, floor, span = min(bounds), max(wanted.since or 0, 0), _FIRST_SPAN
    where, behind = wanted.expression(), "" if after is None else filters.behind(*after)
    parts: list[pd.DataFrame] = []
    while upper >= floor and sum(map(len, parts)) <= limit:
        lower = max(upper - span + 1, floor)
        slice_ = filters.all_of(filters.published_since(lower), filters.published_until(upper))
        parts.append(store.headlines(filters.all_of(slice_, where, behind), ["id", "published_at"]))
        upper, span = lower - 1, span * 8
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["id", "published_at"])


def _newest(store: Store) -> int:
    """The latest publication time, epoch ms; -1 where there is no headline."""
    last = store.last_run()
    known = -1 if last is None else int(last.counts.get("newest") or -1)
    newer = store.newest_published_at(known)
    return known if newer is None else newer


def _story(stories: pd.DataFrame, label: int) -> "pd.Series[Any]":
    found = stories[stories["cluster_label"] == label]
    if found.empty:
        raise UnknownStory(f"There is no story {label}.", "/api/stories?status=all lists them.")
    return found.iloc[0]


def _named(stories: pd.DataFrame, labels: Iterable[int]) -> list[dict[str, Any]]:
    some = stories[stories["cluster_label"].isin(list(labels))]
    return records(some[["cluster_label", "title", "size", "status"]])
