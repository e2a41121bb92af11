"""Removes headlines from the store: their rows, and the titles, words and ids that stories show of them."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from newstide.core.language_means import primary_language
from newstide.milvus.collection import chunks
from newstide.milvus.filters import equals
from newstide.milvus.store import Store
from newstide.milvus.tombstones import Blocklist, key_of

TAKEN_DOWN = "(taken down)"  # the title of a story of which no headline is left
COLUMNS = ("id", "title", "source", "url", "published_at", "cluster_label", "ingested_at")
_AT_ONCE = 1_000  # rows deleted by one request
_LOOKED_AT = 2_000  # headlines of a story among which its new title is looked for


def remove_headlines(store: Store, rows: pd.DataFrame, blocked: Blocklist) -> int:
    """Deletes headlines; a story that shows one of them gets another title, and loses its words and ids.

    Args:
        store: The store.
        rows: `COLUMNS` of the headlines to delete; may be empty, and then stories alone are looked through.
        blocked: Holds the digests of the headlines' titles and ids.

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
    _clean_events(store, blocked)
    return changed


def touched_stories(stories: pd.DataFrame, rows: pd.DataFrame, blocked: Blocklist) -> npt.NDArray[np.bool_]:
    """Which stories (any rows of `stories`) show or count one of the headlines."""
    labels = set(rows["cluster_label"])
    return np.array(
        [
            any(blocked.hides_title(text) for text in (title, *titles.values()))
            or label in labels
            or any(key_of("id", id_) in blocked.keys for id_ in former_ids)
            or any(blocked.blocks(source=name) for name in sources)
            for label, title, titles, sources, former_ids in zip(
                *(stories[name] for name in ("cluster_label", "title", "titles", "sources", "former_ids")), strict=True
            )
        ],
        bool,
    )


def words_left(keywords: Collection[str], removed: Collection[str], kept: Collection[str]) -> list[str]:
    """The keywords without those that stand in removed titles only."""
    gone, left = ("\n".join(titles).casefold() for titles in (removed, kept))
    return [word for word in keywords if word.casefold() not in gone or word.casefold() in left]


def _without(store: Store, story: dict[Any, Any], own: pd.DataFrame, blocked: Blocklist) -> dict[Any, Any]:
    """The story without these headlines; the next run counts and names an open story anew."""
    where = equals("cluster_label", story["cluster_label"])
    columns = ["id", "title", "source", "language", "embedding"]
    members = next(store.iterate_headlines(where, columns, batch_size=_LOOKED_AT), pd.DataFrame(columns=columns))
    titles = [title for title in members["title"] if not blocked.hides_title(title)]
    removed = own["title"].tolist()
    if blocked.hides_title(story["title"]) or story["title"] in removed:
        removed.append(story["title"])
        story["title"] = _most_central(members[members["title"].isin(titles)])
    for language, title in list(story["titles"].items()):
        if blocked.hides_title(title) or title in removed:
            removed.append(title)
            own_language = members["language"].map(primary_language) == language
            left = members[members["title"].isin(titles) & own_language]
            story["titles"].pop(language)
            story["titles"] |= {language: _most_central(left)} if len(left) else {}
    story["keywords"] = words_left(story["keywords"], removed, titles)
    sources, lost = set(members["source"]), set(own["source"])
    story["sources"] = [
        name for name in story["sources"] if not blocked.blocks(source=name) and (name not in lost or name in sources)
    ]
    story["former_ids"] = [id_ for id_ in story["former_ids"] if key_of("id", id_) not in blocked.keys]
    story["size"] = max(0, int(story["size"]) - len(own))
    return story


def _clean_events(store: Store, blocked: Blocklist) -> None:
    """Takes titles and sources out of what is told of stories' pasts."""
    for batch in store.events.batches():
        changed = []
        for event in batch:
            sources = [name for name in event.sources if not blocked.blocks(source=name)]
            previous = {at: title for at, title in event.previous_titles.items() if not blocked.hides_title(title)}
            title = TAKEN_DOWN if blocked.hides_title(event.title) else event.title
            new = replace(event, title=title, sources=sources, previous_titles=previous)
            if new != replace(event, sources=list(event.sources), previous_titles=dict(event.previous_titles)):
                changed.append(new)
        store.events.put(changed)


def _most_central(members: pd.DataFrame) -> str:
    if members.empty:
        return TAKEN_DOWN
    vectors = np.stack(list(members["embedding"]))
    return str(members["title"].iloc[int(np.argmax(vectors @ vectors.mean(axis=0)))])
