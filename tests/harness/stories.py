"""What a story's own page tells, of a story that never was."""

from typing import Any

import pandas as pd

from clustering.pages.story_facts import Kin, by_story, story_contents
from newstide.milvus import StoryEvent
from tests.harness.store_rows import story_frame

HOUR = 3_600_000
NASTY = '</title></script><script>alert(1)</script><img src=x onerror="alert(2)">'


def made(titles: list[str]) -> dict[str, Any]:
    """Story 3, whose parent is 1 and whose child is 4, with these headlines an hour apart, all of one paper."""
    parent, own, child = (
        story_frame([number], title=title, titles=by_language, parents=parents)
        for number, title, by_language, parents in (
            (1, "The parent", {}, []),
            (3, titles[0], {"en": titles[0]}, [1]),
            (4, "The child", {}, [3]),
        )
    )
    stories = pd.concat([parent, own, child], ignore_index=True)
    headlines = pd.DataFrame(
        {
            "id": [f"h{row}" for row in range(len(titles))],
            "title": titles,
            "source": [f"Paper {row % 2}" for row in range(len(titles))],
            "url": [f"https://paper.example/{row}" for row in range(len(titles))],
            "language": "en",
            "published_at": [1_700_000_000_000 + row * HOUR for row in range(len(titles))],
            "cluster_label": 3,
        }
    )
    event = StoryEvent(
        id="2/3/retitled",
        run=2,
        at=1_700_000_000_000,
        newest_at=1_700_000_000_000,
        kind="retitled",
        story=3,
        title=titles[0],
        size=3,
        previous_size=2,
        importance=1.0,
        previous_titles={"": "What it was called"},
    )
    return story_contents(Kin(stories), 3, [event], by_story(headlines)[3], [(3, 1.0), (4, 0.7)])
