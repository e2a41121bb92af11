"""The one place that knows Milvus: collections, schema versions, rows, labels, stories, runs and means.

Works alike on a Milvus Lite server, a Milvus server and Zilliz Cloud. Limits that only a server enforces are enforced
here, so that what works on Lite works there.
"""

from newstide.milvus.filters import all_of, any_of, quote
from newstide.milvus.opening import EmptyStore
from newstide.milvus.removal import TAKEN_DOWN, remove_headlines, touched_stories, words_left
from newstide.milvus.rows import HeadlineRow, Hits, LanguageMean, RunRow
from newstide.milvus.store import Store, open_store
from newstide.milvus.tombstones import Blocklist, Tombstone

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
