"""`newstide forget`: a headline, or all of a url or source, taken out of everything and kept out.

First the tombstones, so that nothing comes in any more; then rows, stories, pages. Rows that were on their way from the
topic at that moment are removed by the next run, and so are pages on another machine.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clustering.pages.redaction import clean_pages
from newstide.core.errors import EmptyStore, NewstideError, SettingsError
from newstide.core.headline import MAX_SOURCE
from newstide.core.settings import Settings
from newstide.core.text import clean, clean_plain
from newstide.milvus import (
    Blocklist,
    Store,
    Tombstone,
    filters,
    open_store,
    remove_headlines,
    touched_stories,
)
from newstide.milvus.removal import COLUMNS
from newstide.milvus.tombstones import KINDS, key_of, point_of, title_digest


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be forgotten.

    Attributes:
        kind: `id`, `url` or `source`.
        value: As headlines carry it.
        headlines: The story's headlines, `COLUMNS`.
        stories: How many stories show or count something of them.
        pages: The pages of this machine that hold them.
    """

    kind: str
    value: str
    headlines: pd.DataFrame
    stories: int
    pages: Sequence[Path]

    def describe(self) -> str:
        """What would go, in one sentence."""
        count = len(self.headlines)
        return (
            f"{count:,} headline{'' if count == 1 else 's'} with {self.kind} {self.value!r}, "
            f"what {self.stories:,} stor{'y shows' if self.stories == 1 else 'ies show'} of "
            f"{'it' if count == 1 else 'them'}, on {len(self.pages):,} page{'' if len(self.pages) == 1 else 's'} here"
        )


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went."""

    kind: str
    value: str
    headlines: int
    stories: int
    pages: int
    tombstones: int


def look_up(settings: Settings, kind: str, value: str) -> Target:
    """Finds what would be forgotten; touches nothing.

    Raises:
        SettingsError: The value is empty.
        EmptyStore: Nothing has been ingested yet.
    """
    store = open_store(settings.milvus, None)
    try:
        return _target(store, settings, kind, value)
    finally:
        store.close()


def forget(settings: Settings, kind: str, value: str) -> Forgotten:
    """Takes the headlines down; a value that no headline has (any more) is blocked all the same.

    Raises:
        SettingsError: The value is empty.
        NewstideError: A page could not be written; everything else is done, and the next run tries again.
    """
    store = open_store(settings.milvus, None)
    try:
        target = _target(store, settings, kind, value)
        tombstones = _tombstones(target)
        store.tombstones.add(tombstones)
        target = _target(store, settings, kind, value)  # rows too that came in before the tombstones were there
        late = _tombstones(target)
        store.tombstones.add(late)
        tombstones = list({stone.key: stone for stone in [*tombstones, *late]}.values())
        blocked = Blocklist.of(tombstones)
        stories = remove_headlines(store, target.headlines, blocked)
        for suffix in store.suffixes_of_other_models():
            _remove_elsewhere(settings, suffix, target, blocked)
        if not store.count_headlines():  # no run will write these anew
            from clustering.neighbours import remove_graph  # what else is taken down needs no compiled code

            cache = settings.data_dir / "cache"
            remove_graph(cache / "graph.bin")
            (cache / "layout.npz").unlink(missing_ok=True)
        pages = clean_pages(settings.snapshots_dir, blocked.hides, blocked.hides_title)
    except OSError as error:
        raise NewstideError(
            f"The headlines are gone from Milvus and blocked, but a page could not be cleaned: {error}.",
            "Make room, and run the command again.",
        ) from error
    finally:
        store.close()
    return Forgotten(kind, target.value, len(target.headlines), stories, len(pages), len(tombstones))


def allow_again(settings: Settings, kind: str, value: str) -> int:
    """Takes the tombstones of one request away, and returns how many; what was removed comes back only if it is sent."""
    store = open_store(settings.milvus, None)
    try:
        return store.tombstones.remove(key_of(kind, _checked(kind, value)))
    finally:
        store.close()


def _target(store: Store, settings: Settings, kind: str, value: str) -> Target:
    value = _checked(kind, value)
    headlines = store.headlines(filters.equals(kind, value), COLUMNS)
    blocked = Blocklist.of(_tombstones(Target(kind, value, headlines, 0, ())))
    stories = sum(int(touched_stories(frame, headlines, blocked).sum()) for frame in store.frames("stories"))
    pages = clean_pages(settings.snapshots_dir, blocked.hides, blocked.hides_title, write_them=False)
    return Target(kind, value, headlines, stories, pages)


def _remove_elsewhere(settings: Settings, suffix: str, target: Target, blocked: Blocklist) -> None:
    """Deletes from collections to which no alias points: an earlier model's, or those that `reembed` is filling."""
    try:
        other = open_store(settings.milvus, None, suffix=suffix)
    except EmptyStore:  # they are only being made
        return
    try:
        remove_headlines(other, other.headlines(filters.equals(target.kind, target.value), COLUMNS), blocked)
    finally:
        other.close()


def _tombstones(target: Target) -> list[Tombstone]:
    """A tombstone for the request, and one for each headline, by which other machines clean pages and stories."""
    now = int(time.time() * 1000)
    cause = key_of(target.kind, target.value)
    own = [
        Tombstone(
            key_of("id", row["id"]),
            cause,
            point_of(row["title"], row["published_at"], row["url"], row["source"]),
            title_digest(row["title"]),
            now,
        )
        for row in target.headlines.to_dict("records")
    ]
    return [*own, *([Tombstone(cause, cause, "", "", now)] if cause not in {stone.key for stone in own} else [])]


def _checked(kind: str, value: str) -> str:
    """The value as headlines carry it."""
    if kind not in KINDS:
        raise SettingsError(f"{kind!r} is not one of {', '.join(KINDS)}.")
    # A source is cleaned of markup and cut, as the consumer does it with what was sent.
    cleaned = clean(value)[:MAX_SOURCE].strip() if kind == "source" else clean_plain(value)
    if not cleaned:
        raise SettingsError(f"--{kind} is empty.")
    return cleaned
