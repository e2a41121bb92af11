"""The arrays of objects in a JSON document, by path."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

LOOKED_AT = 50  # elements of an array that show whether it holds headlines
_DEEPEST = 60  # levels to which arrays are searched


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
