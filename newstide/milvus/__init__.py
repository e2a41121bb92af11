"""The only package that talks to Milvus: collections, schema versions, rows, labels, stories, runs, means and events.

Works alike on a Milvus Lite server, a Milvus server and Zilliz Cloud. Limits that only a server enforces are enforced
here, so that a request that works on Lite works on a server, too.
"""

from newstide.milvus import filters
from newstide.milvus.removal import TAKEN_DOWN, remove_headlines, touched_stories, words_left
from newstide.milvus.rows import HeadlineRow, Hits, LanguageMean, RunRow, StoryEvent
from newstide.milvus.store import Store, open_store
from newstide.milvus.tombstones import Blocklist, Tombstone

__all__ = [
    "TAKEN_DOWN",
    "Blocklist",
    "HeadlineRow",
    "Hits",
    "LanguageMean",
    "RunRow",
    "Store",
    "StoryEvent",
    "Tombstone",
    "filters",
    "open_store",
    "remove_headlines",
    "touched_stories",
    "words_left",
]
