"""The ids of a feed's items: an item has the same id in every poll, whatever else the feed lists by then.

The first item of a link gets the link's id, as in files and messages. Further items of that link get an id from their
guid, else from link and title. The ids are remembered, with guid, link and title of the item.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from newstide.core.headline import MAX_ID_BYTES, derive_id
from newstide.core.ids import id_of_link_and_title, names_a_site, stands_alone


class Status(Enum):
    """The relation of an item to the remembered items."""

    NEW = auto()
    KNOWN = auto()
    EDITED = auto()  # a known item under another title
    TWICE = auto()  # an item that one look at the feed lists twice


@dataclass(frozen=True, slots=True)
class Item:
    """An item as a feed lists it.

    Attributes:
        guid: Empty where the item has none.
        link: Empty where the item has none, or a link that identifies no item.
        title: The cleaned title.
        otherwise: The id that the item gets where it has neither guid nor link.
        former: The address that an earlier version took for the item's guid or link; empty where it read them as now.
    """

    guid: str
    link: str
    title: str
    otherwise: str
    former: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """A remembered item; `title` is a digest, empty where an earlier version remembered the id alone."""

    id: str
    guid: str = ""
    link: str = ""
    title: str = ""


def name_items(items: Sequence[Item], known: Iterable[Known], feed: str) -> list[tuple[Status, Known]]:
    """The status of each item, and the form in which it is to be remembered.

    Args:
        items: In the feed's order.
        known: The remembered items of the feed.
        feed: The feed's address; guids that identify nothing beyond their feed are joined to it.
    """
    memory = _Memory(known, feed)
    titles = [digest_of(item.title) for item in items]
    listed = Counter(
        link for link, _ in {(item.link, title) for item, title in zip(items, titles, strict=True)} if link
    )
    guids = Counter(
        guid
        for guid, _, _ in {(item.guid, item.link, title) for item, title in zip(items, titles, strict=True)}
        if guid
    )
    seen: set[tuple[str, str, str]] = set()
    named = []
    for item, title in zip(items, titles, strict=True):
        guid = item.guid if guids[item.guid] == 1 else ""  # a guid that several items have identifies none of them
        key = (item.link, "" if item.link else guid, title)
        if item.former:
            memory.rename(item, title if item.former != item.link and item.former in listed else "")
        status, found = memory.look(item, guid, title, alone=listed[item.link] == 1)
        named.append((Status.TWICE if key in seen else status, found))
        seen.add(key)
    return named


def own_address(link: str, own: Iterable[str]) -> bool:
    """Whether a link is a whole site's, or one of the feed's or its site's own, which identify no item."""
    whole = link.rstrip("#?;")  # nothing stands behind these
    return names_a_site(whole) or _bare(whole) in {_bare(address.rstrip("#?;")) for address in own}


def digest_of(title: str) -> str:
    """The digest by which titles are compared, without case: 32 hex digits."""
    return hashlib.sha256(title.casefold().encode()).hexdigest()[:32]


class _Memory:
    def __init__(self, known: Iterable[Known], feed: str) -> None:
        self._feed = feed
        self._ids: dict[str, Known] = {}
        self._guids: dict[str, list[Known]] = {}
        self._links: dict[str, list[Known]] = {}
        for one in known:
            self._add(one)

    def rename(self, item: Item, title: str = "") -> None:
        """Gives a remembered item the guid and link that are read today; its id stays.

        With a title, only what has that title: the address that an earlier version took for the item's is another's.
        """
        former = item.former
        alone = [self._ids[id_] for id_ in (derive_id(former, "", "", None), former) if id_ in self._ids]
        known = [*self._guids.get(former, []), *self._links.get(former, []), *(one for one in alone if not one.title)]
        for one in known:
            if title and one.title != title:
                continue
            guid = item.guid if one.guid in ("", former) else one.guid
            self._forget(one)
            self._add(Known(one.id, guid, item.link if one.link in ("", former) else one.link, one.title))

    def look(self, item: Item, guid: str, title: str, *, alone: bool) -> tuple[Status, Known]:
        """Finds an item, or gives it an id and keeps it; `alone`: no other listed item has its link.

        One guid is one item while link or title stays. One link is one item while the title stays, or while it is
        listed alone, under whatever guid: some feeds give an item another guid at each edit.
        """
        if item.former:
            for one in self._guids.get(item.guid, []) if not guid and not item.link else ():
                if one.title == title:  # of several items with one guid, which earlier shared a link
                    return self._again(one, "", "", title)
        of_guid = self._guids.get(guid, [])
        same = [one for one in of_guid if one.title == title] or [one for one in of_guid if one.link == item.link]
        if same:
            return self._again(same[0], guid, item.link, title)
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
        if guid in self._ids:  # the id that an earlier version gave the item
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
            self._guids.setdefault(one.guid, []).append(one)
        if one.link:
            self._links.setdefault(one.link, []).append(one)

    def _forget(self, one: Known) -> None:
        for kept, name in ((self._links, one.link), (self._guids, one.guid)):
            if name:
                kept[name] = [other for other in kept[name] if other.id != one.id]


def _bare(address: str) -> str:
    """An address without its scheme and last slash, in lower case."""
    return address.strip().casefold().partition("://")[2].rstrip("/")
