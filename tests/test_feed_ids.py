"""The ids of a feed's items across polls: what stays one item, and what is two."""

from dataclasses import replace

import pytest

from newstide.core.headline import derive_id
from producers.feed_ids import Item, Known, Status, name_items

FEED = "https://wharf.example/news/rss"
LIVE = "https://v.example/live"


def entry(title: str, link: str = "", guid: str = "") -> Item:
    return Item(guid, link, title, derive_id("", "Wharf", title, None))


class Feed:
    """A feed that is polled again and again, and what is remembered of it."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def poll(self, *items: Item) -> list[tuple[Status, str]]:
        named = name_items(items, self._known.values(), FEED)
        self._known |= {one.id: one for _, one in named}
        return [(status, one.id) for status, one in named]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("http://v.example/1", "https://v.example/1"),
        ("https://v.example/1?from=rss", "https://v.example/1?from=feed"),
        ("", "https://v.example/1"),
        ("https://v.example/1", ""),
    ],
)
def test_an_item_of_the_same_guid_and_title_stays_itself_under_another_link(before: str, after: str) -> None:
    feed, other = Feed(), entry("Mill sold", "https://v.example/2", "g-2")
    first = entry("Quay closed", before, "g-1")
    ((_, id_), (_, other_id)) = feed.poll(first, other)
    moved = replace(first, link=after)
    assert feed.poll(moved, other) == [(Status.KNOWN, id_), (Status.KNOWN, other_id)]
    assert feed.poll(replace(moved, title="Quay open again")) == [(Status.EDITED, id_)]


def test_a_guid_that_items_under_several_links_have_identifies_none_of_them_whatever_their_titles() -> None:
    alerts = [entry("Alert", f"https://v.example/{number}", "same") for number in range(3)]
    feed = Feed()
    first = feed.poll(*alerts)
    assert [status for status, _ in first] == [Status.NEW] * 3
    assert feed.poll(*reversed(alerts)) == [(Status.KNOWN, id_) for _, id_ in reversed(first)]


def test_a_guid_that_each_item_has_in_its_turn_is_one_item_only_under_its_title() -> None:
    feed = Feed()
    ids = [feed.poll(entry(title, f"https://v.example/{title}", "same"))[0] for title in ("a", "b", "c")]
    assert [status for status, _ in ids] == [Status.NEW] * 3
    assert feed.poll(entry("b", "https://v.example/moved", "same")) == [(Status.KNOWN, ids[1][1])]


@pytest.mark.parametrize(("before", "after"), [("", ""), ("1", ""), ("", "2"), ("1", "2")])
def test_another_title_under_a_link_that_is_listed_alone_is_an_edit(before: str, after: str) -> None:
    feed = Feed()
    ((_, id_),) = feed.poll(entry("Ferry late", LIVE, before))
    assert feed.poll(entry("Ferry very late", LIVE, after)) == [(Status.EDITED, id_)]
