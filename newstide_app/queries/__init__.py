"""Reads stories and headlines from the store for people and programs: filtered, sorted, a page at a time."""

from newstide_app.queries.changes import ChangeKind, change_record, changes_since, counted
from newstide_app.queries.headlines import (
    Cursor,
    HeadlineFilter,
    Lately,
    State,
    headlines_like,
    list_headlines,
    nearest_headlines,
    newest_headlines,
    search,
)
from newstide_app.queries.records import records
from newstide_app.queries.stories import (
    Sort,
    Status,
    StoryFilter,
    chosen_stories,
    follow,
    list_stories,
    story_facts,
    story_lineage,
    story_records,
    story_timeline,
)

__all__ = [
    "ChangeKind",
    "Cursor",
    "HeadlineFilter",
    "Lately",
    "Sort",
    "State",
    "Status",
    "StoryFilter",
    "change_record",
    "changes_since",
    "chosen_stories",
    "counted",
    "follow",
    "headlines_like",
    "list_headlines",
    "list_stories",
    "nearest_headlines",
    "newest_headlines",
    "records",
    "search",
    "story_facts",
    "story_lineage",
    "story_records",
    "story_timeline",
]
