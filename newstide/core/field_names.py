"""The names under which files and messages carry the fields of a headline.

`pick` takes the values of a headline's fields out of an object, whatever its producer calls them.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Any

from newstide.core.field_values import at_path, holds_headline, in_utc, value_of
from newstide.core.known_names import FIELD_OF, MAY_BE_NO_TIMES, NAMES, plain_name, says_utc
from newstide.core.several_values import chosen, is_no_time

__all__ = ["NAMES", "has_title", "pick", "plain_name"]

_EMPTY = (None, "")


def pick(fields: Mapping[str, Any], own: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """The values of a headline's fields in an object, and the object's names that belong to no field.

    Args:
        fields: The object as it came.
        own: Field to the producer's own name or dotted path; such a field is read under that name alone.

    Returns:
        Field to value, unchanged, without missing and blank values (of several, as `several_values` chooses); the names
        that belong to no field; and the fields of which an earlier name holds a value that cannot be read.
    """
    found: dict[str, Any] = {}
    several: set[str] = set()
    candidates, unknown = _sorted(tuple(fields))
    if own:
        tops = {path.partition(".")[0] for path in own.values()}
        candidates = [one for one in candidates if one[0] not in own and one[1] not in tops]
        unknown = tuple(name for name in unknown if name not in tops)
    for field, name, utc in candidates:
        value = fields[name]
        if value is None or (value.__class__ is str and (not value or value.isspace())):
            continue
        if field in found:
            several.add(field)
        else:
            found[field] = in_utc(value) if utc else value
    passed_over: tuple[str, ...] = ()
    for field in several:
        held = [
            (name, in_utc(value) if utc else value)
            for of, name, utc in candidates
            if of == field and (value := fields[name]) is not None and (value.__class__ is not str or value.strip())
        ]
        found[field] = chosen(field, [value for _, value in held])
        if field == "published_at" and _is_passed_over(held, found[field]):
            passed_over = (field,)
    for field, path in own.items():
        value = at_path(fields, path)
        if value not in _EMPTY:
            found[field] = value
    return found, unknown, passed_over


def _is_passed_over(held: Sequence[tuple[str, Any]], chosen_: Any) -> bool:
    """Whether a time that cannot be read stands before the one that was chosen."""
    before = takewhile(lambda one: one[1] is not chosen_, held)
    return any(is_no_time(value) for name, value in before if plain_name(name) not in MAY_BE_NO_TIMES)


@lru_cache(maxsize=256)  # a producer's objects have the same names, again and again
def _sorted(names: tuple[Any, ...]) -> tuple[list[tuple[str, str, bool]], tuple[str, ...]]:
    """The names that may be a field's own, the first that counts first; and the names of no field.

    Of each name that may be, its field and whether it says that a time is in UTC.
    """
    ranked: list[tuple[int, str, str]] = []
    unknown: list[str] = []
    for name in names:
        if isinstance(name, str):
            plain = plain_name(name)
            field = FIELD_OF.get(plain)
            if field is None:
                unknown.append(name)
            else:
                ranked.append((NAMES[field].index(plain) - (name == field), field, name))
    ranked.sort(key=lambda one: one[0])
    return [(field, name, field == "published_at" and says_utc(name)) for _, field, name in ranked], tuple(unknown)


def has_title(fields: Mapping[str, Any], own: Mapping[str, str]) -> bool:
    """Whether the object is a headline: it has a title under one of its names."""
    if not own and (title := fields.get("title")).__class__ is str and title.strip():  # most objects
        return True
    given = pick(fields, own)[0].get("title")
    if "title" not in own and holds_headline(given):  # the object wraps a headline
        return False
    title = value_of("title", given)
    return isinstance(title, str) and bool(title.strip())
