"""Where the headlines stand in a JSON document that is no headline itself, in a file or in a message: arrays and tables."""

from collections.abc import Callable, Mapping
from typing import Any

from newstide.core.field_values import WRAPPERS, beside_headlines, filled, is_by_language, unwrapped, value_of
from newstide.core.known_names import field_of
from newstide.core.nested_headlines import names_another

_JSON_FEED = "https://jsonfeed.org/version/"
_FEEDS = frozenset({"items", "rss", "channel", "feed"})  # names of which a feed has one
_ENTRIES = ("entry", "item", "items")  # names of the entries in RSS and Atom that became JSON
_LOOKED_AT = 50  # cells of a column that show whether it is one of plain values
_SPARSEST = 10  # cells that a table by column has room for, for each that it holds
_DEEPEST = 60  # levels to which arrays are searched


def titled_arrays(document: Any, has_title: Callable[[Mapping[str, Any]], bool]) -> dict[str, list[Any]]:
    """Finds the arrays, at any depth, of which an object has a title, or wraps one that has.

    Args:
        document: The parsed JSON.
        has_title: Says whether an object has a title of its own.

    Returns:
        Dotted path to elements; arrays at one path through a list count as one. The source, language and time of the
        objects around an array fill those that its elements lack.
    """
    found: dict[str, list[Any]] = {}
    waiting: list[tuple[str, Any, int, Mapping[str, Any]]] = [("", document, 0, {})]
    while waiting:
        path, value, depth, beside = waiting.pop()
        if depth > _DEEPEST:
            continue
        if isinstance(value, list):
            if any(_holds_title(element, has_title) for element in value):
                found[path] = [_filled(element, beside) for element in value] + found.get(path, [])
            else:
                inners = (element for element in value if isinstance(element, Mapping | list))
                waiting.extend((path, element, depth + 1, beside) for element in inners)
        elif isinstance(value, Mapping) and (depth == 0 or not has_title(value)):
            nested = [(key, inner) for key, inner in value.items() if isinstance(inner, Mapping | list)]
            if nested and not (depth == 0 and has_title(value)):  # what a headline holds is not its own
                beside = filled(beside_headlines(value), beside)
            waiting.extend((f"{path}.{key}" if path else str(key), inner, depth + 1, beside) for key, inner in nested)
    if found.keys() == {"data", "included"}:  # JSON:API: what is included belongs to the data
        del found["included"]
    return dict(reversed(found.items()))


def _filled(element: Any, beside: Mapping[str, Any]) -> Any:
    return filled(element, beside) if beside and isinstance(element, Mapping) else element


def json_feed_items(document: Any) -> list[Any] | None:
    """The items of a feed, each with the feed's title as source and its language; None for other documents.

    Such a document has a title of its own, which is no headline's: JSON Feed, and RSS and Atom that became JSON.
    """
    if not isinstance(document, Mapping) or _FEEDS.isdisjoint(document):
        return None
    items: Any = document.get("items")
    if not isinstance(items, list) or not str(document.get("version", "")).startswith(_JSON_FEED):
        document = _feed_within(document)
        items = next((found for name in _ENTRIES if _holds_entries(found := _as_list(document.get(name)))), None)
        if items is None:
            return None
    named = {"language": document.get("language"), "source": value_of("title", document.get("title"))}
    beside = {name: value for name, value in named.items() if value}
    return [filled(item, beside) if isinstance(item, Mapping) else item for item in items]


def _feed_within(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The feed in `{"rss": {"channel": ...}}`, `{"channel": ...}` or `{"feed": ...}`; empty where there is none."""
    feed: Mapping[str, Any] = {}
    for name in ("rss", "channel", "feed"):
        inner = (feed or document).get(name)
        if isinstance(inner, list) and len(inner) == 1:
            inner = inner[0]
        if isinstance(inner, Mapping) and not any(field_of(beside) == "title" for beside in (feed or document)):
            feed = inner
    return feed


def _as_list(value: Any) -> list[Any]:
    """The entries of a feed that became JSON: of one entry, many a converter makes an object."""
    return value if isinstance(value, list) else [value] if isinstance(value, Mapping) else []


def _holds_entries(entries: list[Any]) -> bool:
    return any(field_of(name) == "title" for entry in entries if isinstance(entry, Mapping) for name in entry)


def table_of(
    document: Mapping[str, Any], has_title: Callable[[Mapping[str, Any]], bool]
) -> list[dict[str, Any]] | None:
    """The rows of a table as pandas writes it: by column, by row (`index`) or split; None for other objects."""
    columns, data = document.get("columns"), document.get("data")
    if isinstance(columns, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
        names = list(map(str, columns))
        return [dict(zip(names, row, strict=False)) for row in data] if has_title(dict.fromkeys(names, "x")) else None
    values = list(document.values())
    if values and all(isinstance(value, Mapping) for value in values):
        if has_title(dict.fromkeys(map(str, document), "x")) and _are_columns(values):
            keys = dict.fromkeys(key for value in values for key in value)
            if len(keys) * len(values) > _SPARSEST * sum(map(len, values)):  # it would be far larger than what came
                return None
            return [{name: column.get(key) for name, column in document.items()} for key in keys]
        return values if any(map(has_title, values)) and not any(map(_names_an_object, document)) else None
    if len(values) > 1 and all(isinstance(value, list) for value in values) and len({*map(len, values)}) == 1:
        plain = not any(isinstance(cell, Mapping) for value in values for cell in value[:_LOOKED_AT])
        if plain and has_title(dict.fromkeys(map(str, document), "x")):
            return [dict(zip(document, row, strict=True)) for row in zip(*values, strict=True)]
    return None


def _names_an_object(name: str) -> bool:
    """Whether a name says what an object is, so that the objects are no rows of one table: `author`, `data`, `source`."""
    return names_another(name) or name in WRAPPERS or field_of(name) is not None


def _are_columns(values: list[Mapping[str, Any]]) -> bool:
    """Whether objects are columns of one table: they share the names of its rows, and hold no other objects."""
    rows = max(values, key=len).keys()
    shared = all(not rows.isdisjoint(value) for value in values if value)
    return shared and not any(map(is_by_language, values))


def _holds_title(element: Any, has_title: Callable[[Mapping[str, Any]], bool]) -> bool:
    if not isinstance(element, Mapping):
        return False
    wrapped = (element[name] for name in WRAPPERS if isinstance(element.get(name), Mapping))
    return has_title(element) or any(map(has_title, wrapped)) or unwrapped(element, has_title) is not None
