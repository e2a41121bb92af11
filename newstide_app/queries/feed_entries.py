"""The entries of feeds: stories by what was wanted, or the headlines and events of one story.

An entry is made of a story's last event alone, so that it changes only when something happened, and says when that was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import pandas as pd

from clustering.stories.titles import in_language
from newstide.milvus import TAKEN_DOWN, Store, StoryEvent, filters
from newstide_app.queries.headlines import HEADLINE_COLUMNS
from newstide_app.queries.words import Words

Show = Literal["new", "surging"]

ENTRIES = 100
_SURGE = 6 * 3_600_000  # ms before the last run in which a story has at least doubled, as on the page
_SURGE_ROWS = 3  # headlines that it has gained in them
_NAMED = 5  # sources


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a feed. Times are epoch ms.

    Attributes:
        path: Within the installation, for ever: `story/91`.
        title: Plain text.
        language: Of the title; empty where it is not known.
        link: A whole address, or one below the server's.
        published: When it came first.
        updated: When something changed last.
        text: Plain text.
        categories: Status, languages, keywords.
    """

    path: str
    title: str
    language: str
    link: str
    published: int
    updated: int
    text: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FeedFilter:
    """Which stories a feed is about; an empty field leaves it open.

    Attributes:
        show: The new ones, or those that surge: that have at least doubled within six hours, by three headlines or more.
        q: Words; see `Words`.
        languages: BCP 47, to the letter.
        sources: To the letter.
        least: Headlines a story has at least.
    """

    show: Show = "new"
    q: str = ""
    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    least: int = 0


def story_entries(store: Store, stories: pd.DataFrame, chosen: FeedFilter, wanted: Sequence[str]) -> list[Entry]:
    """The newest entries of the stories that are wanted, the latest first.

    Args:
        store: The store.
        stories: All stories.
        chosen: Which of them.
        wanted: Languages of titles.
    """
    there = stories[(stories["title"] != "") & (stories["title"] != TAKEN_DOWN) & (stories["size"] >= chosen.least)]
    rows = [row for row in there.to_dict("records") if _is_wanted(row, chosen)]
    if chosen.show == "surging":
        rows = _surging(store, rows)
    else:
        rows.sort(key=lambda row: (-int(row["first_seen_at"]), -int(row["cluster_label"])))
    rows = rows[:ENTRIES]
    latest: dict[int, StoryEvent] = {}
    for event in store.events.of_stories([int(row["cluster_label"]) for row in rows]):
        latest[event.story] = event  # oldest first
    entries = [_story_entry(row, latest.get(int(row["cluster_label"])), wanted) for row in rows]
    return sorted(entries, key=lambda entry: -entry.updated)


def one_storys_entries(store: Store, row: dict[Any, Any], wanted: Sequence[str]) -> list[Entry]:
    """What one story tells: its headlines, and what happened to it, the latest first."""
    number = int(row["cluster_label"])
    headlines = store.headlines(filters.in_stories([number]), HEADLINE_COLUMNS)
    newest = headlines.sort_values(["published_at", "id"], ascending=[False, True]).head(ENTRIES)
    entries = [
        Entry(
            path=f"story/{number}/headline/{quote(str(one['id']), safe='')}",
            title=one["title"],
            language=one["language"],
            link=one["url"] or f"story/{number}",
            published=int(one["published_at"]),
            updated=int(one["published_at"]),
            text=one["source"],
            categories=tuple(filter(None, (one["language"],))),
        )
        for one in newest.to_dict("records")
    ]
    entries += [
        Entry(
            path=f"story/{number}/event/{event.run}/{event.kind}",
            title=f"{event.kind}: {_title(row, wanted)[0]}",
            language="",
            link=f"story/{number}",
            published=event.at,
            updated=event.at,
            text=_told(event),
            categories=(event.kind,),
        )
        for event in store.events.of_stories([number])
    ]
    return sorted(entries, key=lambda entry: -entry.updated)[:ENTRIES]


def _is_wanted(row: dict[Any, Any], chosen: FeedFilter) -> bool:
    if chosen.languages and set(chosen.languages).isdisjoint(row["languages"]):
        return False
    if chosen.sources and set(chosen.sources).isdisjoint(row["sources"]):
        return False
    return not chosen.q or Words(chosen.q).match([row["title"], *row["titles"].values(), *row["keywords"]])


def _surging(store: Store, rows: Sequence[dict[Any, Any]]) -> list[dict[Any, Any]]:
    """Those of these stories that surge, the one that has gained most first."""
    last = store.last_run()
    if last is None:
        return []
    since = last.finished_at - _SURGE
    before: dict[int, int] = {}  # by story, its size when these hours began
    for event in store.events.since(since):  # oldest first
        before.setdefault(event.story, 0 if event.kind == "born" else event.previous_size)

    def gained(row: dict[Any, Any]) -> int:
        size, number = int(row["size"]), int(row["cluster_label"])
        return size - (0 if int(row["first_seen_at"]) >= since else before.get(number, size))

    found = [row for row in rows if row["status"] == "open" and gained(row) >= max(_SURGE_ROWS, int(row["size"]) / 2)]
    return sorted(found, key=lambda row: (-gained(row), int(row["cluster_label"])))


def _story_entry(row: dict[Any, Any], last: StoryEvent | None, wanted: Sequence[str]) -> Entry:
    number, seen = int(row["cluster_label"]), int(row["first_seen_at"])
    title, language = _title(row, wanted)
    closed = row["status"] == "closed"
    return Entry(
        path=f"story/{number}",
        title=title,
        language=language,
        link=f"story/{number}",
        published=seen,
        updated=seen if last is None else max(last.at, seen),
        text="" if last is None else _told(last),
        categories=tuple(dict.fromkeys(("closed" if closed else "open", *row["languages"], *row["keywords"]))),
    )


def _title(row: dict[Any, Any], wanted: Sequence[str]) -> tuple[str, str]:
    return in_language(row["title"], row["titles"], wanted)


def _told(event: StoryEvent) -> str:
    """An event in words."""
    if event.kind == "closed":
        return "This story has closed." + (f" It went on as story {event.successor}." if event.successor >= 0 else "")
    named = ", ".join(event.sources[:_NAMED])
    more = f" and {len(event.sources) - _NAMED} more" if len(event.sources) > _NAMED else ""
    parts = [
        f"{event.size} headline{'' if event.size == 1 else 's'}" + (f" from {named}{more}" if named else ""),
        f"in {', '.join(event.languages)}" if event.languages else "",
        f"before: {event.previous_size}" if event.kind in ("grown", "merged") else "",
    ]
    kin = {"parents": event.parents, "children": event.children}
    parts += [f"{name}: {', '.join(f'story {one}' for one in some)}" for name, some in kin.items() if some]
    titles = [f'title before: "{title}"' for title in dict.fromkeys(event.previous_titles.values())]
    return f"{event.kind.capitalize()}. " + "; ".join(filter(None, [*parts, *titles])) + "."
