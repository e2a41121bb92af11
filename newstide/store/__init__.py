"""The one place that knows Milvus: collections, schema versions, rows, labels, stories, runs and means.

Works alike on a Milvus Lite server, a Milvus server and Zilliz Cloud. Limits that only a server enforces are enforced
here, so that what works on Lite works there.
"""

from newstide.store.filters import all_of, any_of, quote
from newstide.store.opening import EmptyStore
from newstide.store.removal import TAKEN_DOWN, remove_headlines, touched_stories, words_left
from newstide.store.rows import HeadlineRow, Hits, LanguageMean, RunRow
from newstide.store.store import Store, open_store
from newstide.store.tombstones import Blocklist, Tombstone

__all__ = [
    "TAKEN_DOWN",
    "Blocklist",
    "EmptyStore",
    "HeadlineRow",
    "Hits",
    "LanguageMean",
    "RunRow",
    "Store",
    "Tombstone",
    "all_of",
    "any_of",
    "open_store",
    "quote",
    "remove_headlines",
    "touched_stories",
    "words_left",
]
