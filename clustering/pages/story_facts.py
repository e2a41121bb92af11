"""All that a story's own place tells: its titles, its past, its headlines with copies folded, its sources and its kin."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
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
    """Which stories are whose parents, children and successors; `stories` are all stories."""

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


def read_stories(
    store: Store, numbers: Sequence[int], kin: Kin, known: pd.DataFrame | None = None, *, known_from: int | None = None
) -> Iterator[Contents]:
    """What is told of each of these stories that exist, in ascending order.

    Args:
        store: The store.
        numbers: Of the stories.
        kin: All stories.
        known: `HEADLINE_COLUMNS` of headlines that are in memory already.
        known_from: The headlines are all that were published later than this time (epoch ms); None: all there are.
    """
    there = sorted(number for number in set(numbers) if kin.row(number) is not None)
    for some in chunks(there, _AT_ONCE):
        events: defaultdict[int, list[StoryEvent]] = defaultdict(list)
        for event in store.events.of_stories(some):
            events[event.story].append(event)
        headlines = dict(iter(_headlines(store, some, known, known_from).groupby("cluster_label")))
        nearest = _nearest(store, some)
        for number in some:
            none = pd.DataFrame(columns=list(HEADLINE_COLUMNS))
            yield story_contents(kin, number, events[number], headlines.get(number, none), nearest.get(number, []))


def story_contents(
    kin: Kin,
    number: int,
    events: Sequence[StoryEvent],
    headlines: pd.DataFrame,
    nearest: Sequence[tuple[int, float]],
) -> Contents:
    """What is told of one story, as JSON has it; times are epoch ms.

    Args:
        kin: All stories.
        number: Of the story.
        events: What happened to it, oldest first.
        headlines: `HEADLINE_COLUMNS` of its headlines.
        nearest: Number and cosine of other stories, nearest first.
    """
    story = kin.row(number)
    assert story is not None  # noqa: S101 - the caller has looked
    times = headlines["published_at"].to_numpy(np.int64)
    names = ("title", "titles", "status", "keywords", "languages", "size", "previous_size", "importance")
    moments = ("first_seen_at", "first_published_at", "last_published_at", "created_run", "updated_run")
    return {
        "number": number,
        **{name: plain(story[name]) for name in (*names, *moments)},
        "history": [plain(asdict(event)) for event in events],
        "timeline": timeline(times),
        "headlines": folded(headlines)[:HEADLINES],
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


def folded(headlines: pd.DataFrame) -> list[Contents]:
    """Headlines, newest first, with the copies of each below the first of them."""
    ordered = headlines.sort_values(["published_at", "id"], ignore_index=True)
    rows = ordered.to_dict("records")
    points = collapse_titles(ordered["title"].tolist())[1].tolist()
    first: dict[int, Contents] = {}
    for row, point in zip(rows, points, strict=True):
        one = {name: plain(row[name]) for name in ("title", "source", "url", "language", "published_at")}
        one["url"] = one["url"] if one["url"].startswith(("http://", "https://")) else ""
        if point in first:
            first[point]["copies"].append(one)
        else:
            first[point] = {**one, "copies": []}
    return sorted(first.values(), key=lambda one: -one["published_at"])


def timeline(times: npt.NDArray[np.int64]) -> Contents | None:
    """How many were published when: `begin` (epoch ms, a whole step), `step` (seconds), `counts`, at most 60 of them."""
    if not len(times):
        return None
    seconds = times // 1000
    span = int(seconds.max() - seconds.min())
    step = next((step for step in _STEPS if span // step + 2 <= _TIMELINE_BARS), span // (_TIMELINE_BARS - 1) + 1)
    begin = int(seconds.min()) // step * step
    return {"begin": begin * 1000, "step": step, "counts": np.bincount((seconds - begin) // step).tolist()}


def _sources(headlines: pd.DataFrame) -> list[Contents]:
    """Who told the story, the first first: `source`, how many `headlines`, and when the first of them was `published_at`."""
    found = headlines[headlines["source"] != ""].groupby("source")["published_at"].agg(["min", "size"]).reset_index()
    ordered = found.sort_values(["min", "source"])
    return [
        {"source": str(source), "published_at": int(first), "headlines": int(count)}
        for source, first, count in ordered.itertuples(index=False)
    ]


def _headlines(store: Store, numbers: Sequence[int], known: pd.DataFrame | None, since: int | None) -> pd.DataFrame:
    columns = list(HEADLINE_COLUMNS)
    if known is None:
        return store.headlines(filters.in_stories(numbers), columns)
    own = known.loc[known["cluster_label"].isin(list(numbers)), columns]
    if since is None:
        return own
    where = filters.all_of(filters.in_stories(numbers), filters.published_until(since))
    older = store.headlines(where, columns)
    return pd.concat([own, older], ignore_index=True) if len(older) else own


def _nearest(store: Store, numbers: Collection[int]) -> dict[int, list[tuple[int, float]]]:
    """By story, number and cosine of the open stories nearest to it, itself among them."""
    rows = store.stories_by_number(list(numbers), centroids=True)
    if rows.empty:
        return {}
    hits = store.search_stories(np.stack(list(rows["centroid"])), NEAREST + 1)
    return {
        int(number): [(int(id_), float(value)) for id_, value in zip(ids, values, strict=True) if id_ is not None]
        for number, ids, values in zip(rows["cluster_label"], hits.ids, hits.similarities, strict=True)
    }
