"""What an item of a feed is called: the same in every poll, whatever else the feed lists by then.

The first headline of a link has the link's id, as everywhere. A feed's further items of that link are called by their
guid, else by link and title. What an item was called is remembered, with its guid, link and title.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from newstide.core.headline import MAX_ID_BYTES, derive_id
from newstide.core.ids import id_of_link_and_title, names_a_site, stands_alone


class Status(Enum):
    """What an item is to those that came before."""

    NEW = auto()
    KNOWN = auto()
    EDITED = auto()  # a known item under another title
    TWICE = auto()  # in one look at the feed


@dataclass(frozen=True, slots=True)
class Item:
    """An item as a feed lists it.

    Attributes:
        guid: Empty where it has none.
        link: Empty where it has none, or one that identifies nothing.
        title: Cleaned.
        otherwise: The id that it has without guid and link.
    """

    guid: str
    link: str
    title: str
    otherwise: str


@dataclass(frozen=True, slots=True)
class Known:
    """What was remembered of an item; `title` is a digest, empty where an earlier version remembered the id alone."""

    id: str
    guid: str = ""
    link: str = ""
    title: str = ""


def name_items(items: Sequence[Item], known: Iterable[Known], feed: str) -> list[tuple[Status, Known]]:
    """The status of each item, and what is to be remembered of it.

    Args:
        items: In the feed's order.
        known: What was remembered of the feed's items.
        feed: Its address; guids that identify nothing beyond their feed are joined to it.
    """
    memory = _Memory(known, feed)
    titles = [digest_of(item.title) for item in items]
    listed = Counter(
        link for link, _ in {(item.link, title) for item, title in zip(items, titles, strict=True)} if link
    )
    guids = Counter(guid for guid, _ in {(item.guid, title) for item, title in zip(items, titles, strict=True)} if guid)
    seen: set[tuple[str, str, str]] = set()
    named = []
    for item, title in zip(items, titles, strict=True):
        guid = item.guid if guids[item.guid] == 1 else ""  # a guid that several items have tells them not apart
        key = (item.link, "" if item.link else guid, title)
        status, found = memory.look(item, guid, title, alone=listed[item.link] == 1)
        named.append((Status.TWICE if key in seen else status, found))
        seen.add(key)
    return named


def own_address(link: str, own: Iterable[str]) -> bool:
    """Whether a link is a whole site's, or one of the feed's or its site's own, which identify no item."""
    return names_a_site(link) or _bare(link) in {_bare(address) for address in own}


def digest_of(title: str) -> str:
    """By which titles are compared: without case, 32 hex digits."""
    return hashlib.sha256(title.casefold().encode()).hexdigest()[:32]


class _Memory:
    def __init__(self, known: Iterable[Known], feed: str) -> None:
        self._feed = feed
        self._ids: dict[str, Known] = {}
        self._guids: dict[str, Known] = {}
        self._links: dict[str, list[Known]] = {}
        for one in known:
            self._add(one)

    def look(self, item: Item, guid: str, title: str, *, alone: bool) -> tuple[Status, Known]:
        """Finds an item, or gives it an id and keeps it; `alone`: no other listed item has its link."""
        same = self._guids.get(guid) if guid else None
        if same is not None and same.link == item.link:
            return self._again(same, guid, item.link, title)
        if not item.link:
            id_ = self._of_guid(guid) if guid else item.otherwise
            return self._again(self._ids[id_], guid, "", title) if id_ in self._ids else self._new(id_, guid, "", title)
        of_link = self._links.get(item.link) or self._earlier(derive_id(item.link, "", "", None))
        for one in of_link:
            if one.title in (title, ""):
                return self._again(one, guid, item.link, title)
        if of_link and alone:
            return self._again(of_link[0], guid, item.link, title)
        if not of_link:
            return self._new(derive_id(item.link, "", "", None), guid, item.link, title)
        id_ = self._of_guid(guid) if guid else id_of_link_and_title(item.link, item.title)
        return self._new(id_, guid, item.link, title)

    def _earlier(self, id_: str) -> list[Known]:
        return [self._ids[id_]] if id_ in self._ids else []

    def _of_guid(self, guid: str) -> str:
        if guid in self._ids:  # as an earlier version called it
            return guid
        if len(guid.encode()) > MAX_ID_BYTES:
            return derive_id(guid, "", "", None)
        return guid if stands_alone(guid) else hashlib.sha256(f"{self._feed}\n{guid}".encode()).hexdigest()[:32]

    def _again(self, one: Known, guid: str, link: str, title: str) -> tuple[Status, Known]:
        status = Status.KNOWN if one.title in (title, "") else Status.EDITED
        now = Known(one.id, guid or one.guid, link, title)
        self._forget(one)
        self._add(now)
        return status, now

    def _new(self, id_: str, guid: str, link: str, title: str) -> tuple[Status, Known]:
        now = Known(id_, guid, link, title)
        self._add(now)
        return Status.NEW, now

    def _add(self, one: Known) -> None:
        self._ids[one.id] = one
        if one.guid:
            self._guids[one.guid] = one
        if one.link:
            self._links.setdefault(one.link, []).append(one)

    def _forget(self, one: Known) -> None:
        if one.link:
            self._links[one.link] = [other for other in self._links[one.link] if other.id != one.id]


def _bare(address: str) -> str:
    """An address without its scheme and the last slash, whose case does not count."""
    return address.strip().casefold().partition("://")[2].rstrip("/")
