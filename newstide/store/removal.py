"""Headlines taken out of the store: their rows, and what stories keep of them."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from newstide.store.collection import chunks
from newstide.store.store import Store
from newstide.store.tombstones import Blocklist, key_of, title_digest

TAKEN_DOWN = "(taken down)"  # the title of a story of which no headline is left
COLUMNS = ("id", "title", "source", "url", "published_at", "cluster_label", "ingested_at")
_AT_ONCE = 1_000  # rows deleted by one request
_LOOKED_AT = 2_000  # headlines of a story among which its new title is looked for


def remove_headlines(store: Store, rows: pd.DataFrame, blocked: Blocklist) -> int:
    """Deletes rows, then gives every story that shows something of them another title, and drops their words and ids.

    Args:
        store: The store.
        rows: `COLUMNS` of the headlines to delete; may be empty, and then stories alone are looked through.
        blocked: With the digests of their titles and ids.

    Returns:
        How many stories were changed.
    """
    ids = rows["id"].tolist()
    for some in chunks(ids, _AT_ONCE):
        store.delete_headlines(some)
    if ids:
        store.settle()
    changed = 0
    for stories in store.frames("stories"):
        touched = stories[touched_stories(stories, rows, blocked)]
        for story in touched.to_dict("records"):
            own = rows[rows["cluster_label"] == story["cluster_label"]]
            store.upsert_stories(pd.DataFrame([_without(store, story, own, blocked)]))
        changed += len(touched)
    return changed


def touched_stories(stories: pd.DataFrame, rows: pd.DataFrame, blocked: Blocklist) -> "pd.Series[bool]":
    """Which stories (any rows of `stories`) show or count something of the headlines."""
    if stories.empty:
        return pd.Series([], dtype=bool)
    titled = stories["title"].map(title_digest).isin(blocked.titles)
    counting = stories["cluster_label"].isin(set(rows["cluster_label"]))
    remembering = stories["former_ids"].map(lambda ids: any(key_of("id", id_) in blocked.keys for id_ in ids))
    naming = stories["sources"].map(lambda names: any(blocked.blocks(source=name) for name in names))
    return pd.Series(titled | counting | remembering | naming, dtype=bool)


def words_left(keywords: Collection[str], removed: Collection[str], kept: Collection[str]) -> list[str]:
    """Keywords less those that stand in a removed title and in none that is kept."""
    gone, left = ("\n".join(titles).casefold() for titles in (removed, kept))
    return [word for word in keywords if word.casefold() not in gone or word.casefold() in left]


def _without(store: Store, story: dict[Any, Any], own: pd.DataFrame, blocked: Blocklist) -> dict[Any, Any]:
    """The story as it is without these headlines of its own; the next run counts and names an open one anew."""
    where = f"cluster_label == {int(story['cluster_label'])}"
    columns = ["id", "title", "source", "embedding"]
    members = next(store.iterate_headlines(where, columns, batch_size=_LOOKED_AT), pd.DataFrame(columns=columns))
    titles = [title for title in members["title"] if title_digest(title) not in blocked.titles]
    removed = own["title"].tolist()
    if title_digest(story["title"]) in blocked.titles or story["title"] in removed:
        removed.append(story["title"])
        story["title"] = _most_central(members[members["title"].isin(titles)])
    story["keywords"] = words_left(story["keywords"], removed, titles)
    sources, lost = set(members["source"]), set(own["source"])
    story["sources"] = [
        name for name in story["sources"] if not blocked.blocks(source=name) and (name not in lost or name in sources)
    ]
    story["former_ids"] = [id_ for id_ in story["former_ids"] if key_of("id", id_) not in blocked.keys]
    story["size"] = max(0, int(story["size"]) - len(own))
    return story


def _most_central(members: pd.DataFrame) -> str:
    if members.empty:
        return TAKEN_DOWN
    vectors = np.stack(list(members["embedding"]))
    return str(members["title"].iloc[int(np.argmax(vectors @ vectors.mean(axis=0)))])
