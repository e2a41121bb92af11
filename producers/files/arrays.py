"""Where the headlines stand in a JSON document: its arrays of objects, and tables as pandas writes them."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from newstide.core.field_values import WRAPPERS

LOOKED_AT = 50  # elements of an array that show whether it holds headlines
_DEEPEST = 60  # levels to which arrays are searched


def titled_arrays(document: Any, has_title: Callable[[Mapping[str, Any]], bool]) -> dict[str, list[Any]]:
    """Path to elements of each array whose objects have titles; arrays at one path through a list count as one."""
    found: dict[str, list[Any]] = {}
    waiting: list[tuple[str, Any, int]] = [("", document, 0)]
    while waiting:
        path, value, depth = waiting.pop()
        if depth > _DEEPEST:
            continue
        if isinstance(value, list):
            objects = [element for element in value[:LOOKED_AT] if isinstance(element, Mapping)]
            wrapped = [
                element[name] for element in objects for name in WRAPPERS if isinstance(element.get(name), Mapping)
            ]
            if any(map(has_title, objects)) or any(map(has_title, wrapped)):
                found[path] = value + found.get(path, [])
            else:
                waiting.extend((path, element, depth + 1) for element in value if isinstance(element, Mapping | list))
        elif isinstance(value, Mapping) and (not has_title(value) or depth == 0):
            waiting.extend(
                (f"{path}.{key}" if path else str(key), inner, depth + 1)
                for key, inner in value.items()
                if isinstance(inner, Mapping | list)
            )
    return dict(reversed(found.items()))


def followed(value: Any, parts: list[str]) -> Iterator[Any]:
    """The elements of the arrays at a path, through lists on the way."""
    if isinstance(value, list):
        if not parts:
            yield from value
        else:
            for element in value:
                yield from followed(element, parts)
    elif isinstance(value, Mapping):
        if not parts:
            yield from (value.values() if all(isinstance(inner, Mapping) for inner in value.values()) else [value])
            return
        for count in range(1, len(parts) + 1):  # a name may contain dots
            if (name := ".".join(parts[:count])) in value:
                yield from followed(value[name], parts[count:])
                return


def arrays_in(document: Any) -> list[str]:
    """Paths of the arrays of objects in a document, for a message."""
    found: dict[str, None] = {}
    waiting: deque[tuple[str, Any, int]] = deque([("", document, 0)])
    while waiting and len(found) < 30:
        path, value, depth = waiting.popleft()
        if depth > _DEEPEST:
            continue
        if isinstance(value, list):
            if path and any(isinstance(element, Mapping) for element in value):
                found[path] = None
            waiting.extend((path, element, depth + 1) for element in value[:5])
        elif isinstance(value, Mapping):
            waiting.extend((f"{path}.{key}" if path else str(key), inner, depth + 1) for key, inner in value.items())
    return list(found)


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
        if has_title(dict.fromkeys(map(str, document), "x")):
            keys = dict.fromkeys(key for value in values for key in value)
            return [{name: column.get(key) for name, column in document.items()} for key in keys]
        return values if any(map(has_title, values)) else None
    if values and all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1:
        plain = not any(isinstance(cell, Mapping) for value in values for cell in value[:LOOKED_AT])
        if plain and has_title(dict.fromkeys(map(str, document), "x")):
            return [dict(zip(document, row, strict=True)) for row in zip(*values, strict=True)]
    return None
