"""Groups in JSON: objects with a title that are no headlines but hold them, as sections, feeds and folders do."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from newstide.core.field_values import beside_headlines, filled
from newstide.core.known_names import field_of, plain_name
from newstide.core.titled_arrays import json_feed_items, titled_arrays

EMPTY_GROUP = "group without headlines"  # as which it is counted among what is left out

_LOOKED_AT = 50  # objects that show whether they are groups
_DEEPEST = 20  # groups within each other
# Beginnings of the names of arrays that belong to a headline: its tags have titles of their own. The words of
# `nested_headlines` say that the title of one object is no headline's; an array called `sections` may lead to headlines.
_BELONGING = (
    "author", "byline", "categor", "contributor", "enclosure", "entit", "image", "keyword", "link", "media", "multimedia",
    "person", "photo", "place", "related", "seealso", "tag", "term", "topic", "video",
)  # fmt: skip

Titled = Callable[[Mapping[str, Any]], bool]


def are_groups(objects: list[Any], has_title: Titled, shared: Sequence[Any] = ()) -> bool:
    """Whether most of the objects are groups: they hold headlines, and have no link and no time of their own.

    Args:
        objects: The elements of an array, or the lines of a file.
        has_title: Says whether an object has a title of its own.
        shared: Values in the objects that are those of an object around them, and so not their own.
    """
    return bool(names_in_groups(objects, has_title, shared))


def names_in_groups(objects: list[Any], has_title: Titled, shared: Sequence[Any] = ()) -> frozenset[str]:
    """The names that groups have in them, where most of the objects are groups; else none. See `are_groups`."""
    looked_at = [_own(one, shared) for one in objects[:_LOOKED_AT] if isinstance(one, Mapping)]
    groups = [one for one in looked_at if _is_group(one, has_title)]
    return frozenset(name for group in groups for name in group) if _are_most(looked_at, groups) else frozenset()


def is_empty_group(one: Mapping[str, Any], names: Collection[str]) -> bool:
    """Whether an object among groups is one without headlines: it has nothing that they do not have.

    Args:
        one: The object, which is no group that holds headlines.
        names: What the groups around it have, see `names_in_groups`.
    """
    return bool(names) and not _has(one, "url", "published_at", "description") and all(name in names for name in one)


def title_of_group(one: Mapping[str, Any]) -> str:
    """The title of a group, as it is given."""
    return str(next((one[name] for name in one if field_of(name) == "title"), ""))


def of_groups(objects: list[Any], has_title: Titled, shared: Sequence[Any] = ()) -> tuple[list[Any], list[str]]:
    """The headlines in groups, those of groups within groups too, and the titles of the groups that hold none.

    What is no group stays among the headlines. Source, language and time of a group, or around it, fill those that its
    headlines lack. For the arguments see `are_groups`.
    """
    empty: list[str] = []
    return list(_within(objects, has_title, shared, {}, empty, _DEEPEST)), empty


def times_around(document: Any, path: str) -> list[Any]:
    """The times of the objects that stand around what lies at a dotted path of a document."""
    found: list[Any] = []
    for name in path.split("."):
        if not isinstance(document, Mapping):
            break
        found += [value for key, value in document.items() if field_of(key) == "published_at"]
        document = document.get(name)
    return found


def held_by(objects: list[Any], has_title: Titled) -> str:
    """The dotted path of arrays with titles in some of the objects, which may be headlines; empty where they hold none.

    What only belongs to a headline with a link or a time is none, nor what fewer than half of such headlines hold.
    """
    looked_at = [one for one in objects[:_LOOKED_AT] if isinstance(one, Mapping) and has_title(one)]
    held = [(one, paths) for one in looked_at if (paths := list(_arrays(one, has_title)))]
    if 2 * len(held) <= len(looked_at):
        held = [(one, paths) for one, paths in held if not _has(one, "url", "published_at")]
    return held[0][1][0] if held else ""


def _within(
    objects: list[Any],
    has_title: Titled,
    shared: Sequence[Any],
    beside: Mapping[str, Any],
    empty: list[str],
    depth: int,
) -> Iterator[Any]:
    told = [isinstance(one, Mapping) and depth > 0 and _is_group(_own(one, shared), has_title) for one in objects]
    groups = [one for one, is_group in zip(objects, told, strict=True) if is_group]
    among_groups = _are_most(objects, groups)
    names = {name for group in groups for name in group}
    for one, is_group in zip(objects, told, strict=True):
        if is_group:
            items = json_feed_items(one)
            around = filled(beside_headlines(one), beside)
            for inner in [items] if items is not None else _arrays(one, has_title).values():
                yield from _within(inner, has_title, shared, around, empty, depth - 1)
        elif among_groups and isinstance(one, Mapping) and is_empty_group(_own(one, shared), names):
            empty.append(title_of_group(one))
        else:
            yield filled(one, beside) if beside and isinstance(one, Mapping) else one


def _is_group(one: Mapping[str, Any], has_title: Titled) -> bool:
    if _has(one, "url", "published_at") or not has_title(one):
        return False
    arrays = _arrays(one, has_title)
    if not _has(one, "description"):
        return bool(arrays)
    inner = (element for array in arrays.values() for element in array if isinstance(element, Mapping))
    return any(_has(element, "url", "published_at") for element in inner)


def _are_most(objects: list[Any], groups: list[Any]) -> bool:
    """Whether more of the objects are groups than are none; one with an empty array where groups have theirs is either."""
    arrays = {name for group in groups for name, value in group.items() if isinstance(value, list)}
    either = sum(isinstance(one, Mapping) and any(one.get(name) == [] for name in arrays) for one in objects)
    return 2 * len(groups) > len(objects) - either


def _own(one: Mapping[str, Any], shared: Sequence[Any]) -> Mapping[str, Any]:
    if not shared:
        return one
    return {name: value for name, value in one.items() if not any(value is other for other in shared)}


def _arrays(one: Mapping[str, Any], has_title: Titled) -> dict[str, list[Any]]:
    """By path, the arrays with titles in an object that do not merely belong to it."""
    if not any(isinstance(value, Mapping | list) for value in one.values()):
        return {}
    own = {name: value for name, value in one.items() if not plain_name(str(name)).startswith(_BELONGING)}
    return titled_arrays(own, has_title)


def _has(one: Mapping[str, Any], *fields: str) -> bool:
    return any(value not in (None, "", [], {}) and field_of(name) in fields for name, value in one.items())
