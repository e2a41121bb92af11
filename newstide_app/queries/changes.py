"""What happened to stories since a time: what was born, grew, merged, split, closed, came back or has another title."""

from dataclasses import asdict
from typing import Any, Literal

import pandas as pd

from newstide.core.plain import plain
from newstide.core.text import iso_time
from newstide.milvus import Store, StoryEvent

ChangeKind = Literal["born", "reopened", "grown", "merged", "split", "closed", "retitled"]


def changes_since(
    store: Store, stories: pd.DataFrame, since: int, until: int | None = None, kinds: tuple[ChangeKind, ...] = ()
) -> list[StoryEvent]:
    """What was decided from `since` on and before `until` (epoch ms), newest first.

    The births of stories that are older than the collection of events are made up from the stories themselves.

    Args:
        store: The store.
        stories: All stories.
        since: From this time on.
        until: Before this time; None: until now.
        kinds: Of these kinds alone, where there is one.
    """
    events = store.events.since(since)
    told = {event.story for event in events if event.kind == "born"}
    unseen = stories[(stories["first_seen_at"] >= since) & ~stories["cluster_label"].isin(list(told))]
    born = [_birth(row) for row in unseen.to_dict("records")]
    found = [
        event
        for event in [*events, *born]
        if (until is None or event.at < until) and (not kinds or event.kind in kinds)
    ]
    return sorted(found, key=lambda event: (-event.at, event.story, event.kind))


def change_record(event: StoryEvent) -> dict[str, Any]:
    """An event as a plain object; times as ISO 8601."""
    shown: dict[str, Any] = plain(asdict(event))
    return shown | {"at": iso_time(event.at), "newest_at": iso_time(event.newest_at)}


def counted(events: list[StoryEvent]) -> dict[str, int]:
    """How many stories each kind of event happened to."""
    stories: dict[str, set[int]] = {}
    for event in events:
        stories.setdefault(event.kind, set()).add(event.story)
    return {kind: len(numbers) for kind, numbers in sorted(stories.items())}


def _birth(row: dict[Any, Any]) -> StoryEvent:
    run, number = int(row["created_run"]), int(row["cluster_label"])
    return StoryEvent(
        id=f"{run}/{number}/born",
        run=run,
        at=int(row["first_seen_at"]),
        newest_at=int(row["first_seen_at"]),
        kind="born",
        story=number,
        title=row["title"],
        size=int(row["size"]),
        previous_size=0,
        importance=float(row["importance"]),
        languages=list(row["languages"]),
        sources=list(row["sources"]),
        parents=list(row["parents"]),
    )
