"""All that a story's own place tells: its titles, its past, its headlines with copies folded, its sources and its kin."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering.stories.similarity import collapse_titles
from clustering.stories.titles import in_language
from newstide.core.plain import plain
from newstide.milvus import Store, StoryEvent, filters
from newstide.milvus.collection import chunks

HEADLINE_COLUMNS = ("id", "title", "source", "url", "language", "published_at", "cluster_label")
HEADLINES = 500  # shown; the newest
NEAREST = 5  # other stories shown
_AT_ONCE = 500  # stories of which headlines and events are read together
_TIMELINE_BARS = 60  # at most
_STEPS = (60, 300, 900, 3_600, 3 * 3_600, 6 * 3_600, 86_400, 7 * 86_400, 30 * 86_400)  # seconds a bar

Contents = dict[str, Any]


class Kin:
    """Which stories are whose parents, children and successors; `stories` are all stories that may be named."""

    def __init__(self, stories: pd.DataFrame) -> None:
        self._rows: dict[int, dict[Any, Any]] = {int(row["cluster_label"]): row for row in stories.to_dict("records")}
        self._children: defaultdict[int, list[int]] = defaultdict(list)
        self._absorbed: defaultdict[int, list[int]] = defaultdict(list)
        for number, row in self._rows.items():
            for parent in row["parents"]:
                self._children[int(parent)].append(number)
            if int(row["successor"]) >= 0:
                self._absorbed[int(row["successor"])].append(number)

    def row(self, number: int) -> Mapping[Any, Any] | None:
        """The story's row of `stories`; None where there is no such story."""
        return self._rows.get(number)

    def of(self, number: int) -> dict[str, list[Contents]]:
        """`parents` (it was born of), `children` (born of it), `absorbed` (went into it), `successor` (it went into)."""
        story = self._rows[number]
        found = {
            "parents": story["parents"],
            "children": self._children[number],
            "absorbed": self._absorbed[number],
            "successor": [story["successor"]],
        }
        return {name: self.named(numbers) for name, numbers in found.items()}

    def named(self, numbers: Iterable[int]) -> list[Contents]:
        """These stories as others refer to them; numbers that nobody knows are left out."""
        rows = [self._rows[int(number)] for number in dict.fromkeys(numbers) if int(number) in self._rows]
        return [
            {
                "number": int(row["cluster_label"]),
                "title": str(row["title"]),
                "titles": dict(row["titles"]),
                "size": int(row["size"]),
                "status": str(row["status"]),
            }
            for row in rows
        ]


@dataclass(frozen=True, slots=True)
class InMemory:
    """What a run has at hand, and need not read from Milvus.

    Attributes:
        run: The run's number.
        stories: Rows of `stories` with centroids: all that are open, and those that the run closed.
        headlines: `HEADLINE_COLUMNS` of headlines.
        headlines_since: They are all that were published later (epoch ms); None: all there are.
        older: Whether there may be older headlines of a story that says it began later.
        events: What happened to stories.
        events_since: These are all events that were decided then (epoch ms) or later.
    """

    run: int
    stories: pd.DataFrame
    headlines: pd.DataFrame
    headlines_since: int | None
    older: bool
    events: Sequence[StoryEvent]
    events_since: int


def read_stories(store: Store, numbers: Sequence[int], kin: Kin) -> Iterator[Contents]:
    """What is told of each of these stories that exist, in ascending order; `kin` are all stories."""
    there = sorted(number for number in set(numbers) if kin.row(number) is not None)
    for some in chunks(there, _AT_ONCE):
        headlines = by_story(store.headlines(filters.in_stories(some), HEADLINE_COLUMNS))
        events, nearest = _events_by_story(store.events.of_stories(some)), _nearest_in(store, some)
        for number in some:
            yield story_contents(kin, number, events[number], headlines[number], nearest.get(number, []))


def tell_stories(store: Store, numbers: Sequence[int], known: InMemory) -> Iterator[Contents]:
    """What `read_stories` tells of these stories, which are among those known; Milvus is asked for what is not, at once."""
    some = known.stories[known.stories["cluster_label"].isin(list(numbers))].sort_values("cluster_label")
    kin = Kin(_with_relatives(store, some, known))
    headlines = by_story(
        known.headlines[known.headlines["cluster_label"].isin(list(numbers))],
        *_older_headlines(store, some, known),
    )
    before = some.loc[some["first_seen_at"] < known.events_since, "cluster_label"].astype(int).tolist()
    early = (store.events.of_stories(part, before=known.events_since) for part in chunks(before, _AT_ONCE))
    events = _events_by_story([*chain.from_iterable(early), *known.events])
    nearest = _nearest_of(some, known.stories[known.stories["status"] == "open"])
    for number in some["cluster_label"].astype(int):
        yield story_contents(kin, number, events[number], headlines[number], nearest[number])


def story_contents(
    kin: Kin,
    number: int,
    events: Sequence[StoryEvent],
    headlines: Sequence[Contents],
    nearest: Sequence[tuple[int, float]],
) -> Contents:
    """What is told of one story, as JSON has it; times are epoch ms.

    Args:
        kin: The stories that it names, itself among them.
        number: Of the story.
        events: What happened to it, oldest first.
        headlines: From `by_story`.
        nearest: Number and cosine of other stories, nearest first.
    """
    story = kin.row(number)
    assert story is not None  # noqa: S101 - the caller has looked
    names = ("title", "titles", "status", "keywords", "languages", "size", "previous_size", "importance")
    moments = ("first_seen_at", "first_published_at", "last_published_at", "created_run", "updated_run")
    return {
        "number": number,
        **{name: plain(story[name]) for name in (*names, *moments)},
        "history": [plain(asdict(event)) for event in events],
        "timeline": timeline(np.array([one["published_at"] for one in headlines], np.int64)),
        "headlines": folded(headlines),
        "headlineCount": len(headlines),
        "sources": _sources(headlines),
        "lineage": kin.of(number),
        "nearest": [
            {**kin.named([other])[0], "similarity": round(similarity, 3)}
            for other, similarity in nearest
            if other != number and kin.row(other) is not None
        ][:NEAREST],
    }


def titled(contents: Mapping[str, Any], wanted: Sequence[str]) -> tuple[str, str]:
    """The title in the first of these languages that there is one in, and that language (empty where it is not known)."""
    return in_language(contents["title"], contents["titles"], wanted)


def by_story(*frames: pd.DataFrame) -> defaultdict[int, list[Contents]]:
    """By story, its headlines, oldest first, of frames of `HEADLINE_COLUMNS`; a `url` that is no link is left empty."""
    some = [frame for frame in frames if len(frame)]
    found: defaultdict[int, list[Contents]] = defaultdict(list)
    if not some:
        return found
    ordered = pd.concat(some, ignore_index=True).sort_values(["published_at", "id"])
    names = HEADLINE_COLUMNS[1:]
    for title, source, url, language, at, story in zip(*(ordered[name].tolist() for name in names), strict=True):
        followed = url if url.startswith(("http://", "https://")) else ""
        found[story].append(
            {"title": title, "source": source, "url": followed, "language": language, "published_at": at}
        )
    return found


def folded(headlines: Sequence[Contents], most: int = HEADLINES) -> list[Contents]:
    """At most so many headlines, newest first, with the copies of each below the first; `headlines` are oldest first.

    Copies are looked for among four times as many of the newest, so that a large story costs no more than that.
    """
    headlines = headlines[-4 * most :]
    rows, point = collapse_titles([row["title"] for row in headlines])
    begin = max(0, len(rows) - most)  # points ascend with the times of their first headlines
    found = [{**headlines[row], "copies": []} for row in rows[begin:].tolist()]
    copies = np.flatnonzero((point >= begin) & (rows[point] != np.arange(len(point))))
    for row, number in zip(copies.tolist(), point[copies].tolist(), strict=True):
        found[number - begin]["copies"].append(headlines[row])
    return sorted(found, key=lambda one: -one["published_at"])


def timeline(times: npt.NDArray[np.int64]) -> Contents | None:
    """How many were published when: `begin` (epoch ms, a whole step), `step` (seconds), `counts`, at most 60 of them."""
    if not len(times):
        return None
    seconds = times // 1000
    span = int(seconds.max() - seconds.min())
    step = next((step for step in _STEPS if span // step + 2 <= _TIMELINE_BARS), span // (_TIMELINE_BARS - 1) + 1)
    begin = int(seconds.min()) // step * step
    return {"begin": begin * 1000, "step": step, "counts": np.bincount((seconds - begin) // step).tolist()}


def _sources(headlines: Sequence[Contents]) -> list[Contents]:
    """Who told the story, the first first: `source`, how many `headlines`, and when the first of them was `published_at`."""
    told = Counter(row["source"] for row in headlines)
    first = {row["source"]: row["published_at"] for row in reversed(headlines)}
    return [
        {"source": source, "published_at": first[source], "headlines": told[source]}
        for source in sorted(first, key=lambda source: (first[source], source))
        if source
    ]


def _events_by_story(events: Iterable[StoryEvent]) -> defaultdict[int, list[StoryEvent]]:
    found: defaultdict[int, list[StoryEvent]] = defaultdict(list)
    for event in events:
        found[event.story].append(event)
    return found


def _with_relatives(store: Store, some: pd.DataFrame, known: InMemory) -> pd.DataFrame:
    """The known stories, and all that those of `some` descend from or went into, and that came of them."""
    named = {int(number) for parents in some["parents"] for number in parents} | set(some["successor"].astype(int))
    missing = sorted(number for number in named - set(known.stories["cluster_label"].astype(int)) if number >= 0)
    earlier = some.loc[some["created_run"] < known.run, "cluster_label"].astype(int).tolist()
    parts = [known.stories, store.stories_by_number(missing)] if missing else [known.stories]
    parts += [store.stories(filters.closed_after(part)) for part in chunks(earlier, _AT_ONCE)]
    return pd.concat([part for part in parts if len(part)], ignore_index=True).drop_duplicates("cluster_label")


def _older_headlines(store: Store, some: pd.DataFrame, known: InMemory) -> Iterator[pd.DataFrame]:
    since = known.headlines_since
    if since is None:
        return
    began = some if known.older else some[some["first_published_at"] <= since]
    for numbers in chunks(began["cluster_label"].astype(int).tolist(), _AT_ONCE):
        where = filters.all_of(filters.in_stories(numbers), filters.published_until(since))
        yield store.headlines(where, HEADLINE_COLUMNS)


def _nearest_of(some: pd.DataFrame, others: pd.DataFrame) -> dict[int, list[tuple[int, float]]]:
    """By story, number and cosine of the others nearest to it, itself among them."""
    if others.empty:
        return {int(number): [] for number in some["cluster_label"]}
    numbers, centroids = others["cluster_label"].to_numpy(np.int64), np.stack(list(others["centroid"]))
    found = {}
    for start in range(0, len(some), _AT_ONCE):
        part = some.iloc[start : start + _AT_ONCE]
        alike = np.stack(list(part["centroid"])) @ centroids.T
        order = np.argsort(-alike, axis=1, kind="stable")[:, : NEAREST + 1]
        for number, values, best in zip(part["cluster_label"], alike, order, strict=True):
            found[int(number)] = list(zip(numbers[best].tolist(), values[best].tolist(), strict=True))
    return found


def _nearest_in(store: Store, numbers: Collection[int]) -> dict[int, list[tuple[int, float]]]:
    """By story, number and cosine of the open stories nearest to it, itself among them."""
    rows = store.stories_by_number(list(numbers), centroids=True)
    if rows.empty:
        return {}
    hits = store.search_stories(np.stack(list(rows["centroid"])), NEAREST + 1)
    return {
        int(number): [(int(id_), float(value)) for id_, value in zip(ids, values, strict=True) if id_ is not None]
        for number, ids, values in zip(rows["cluster_label"], hits.ids, hits.similarities, strict=True)
    }
