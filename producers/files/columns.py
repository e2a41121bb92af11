"""Which column of a file holds which field of a headline, and what a cell is: by common names, or as the user says."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from newstide.core.errors import SourceError
from newstide.core.field_names import NAMES, WITHIN
from newstide.core.text import shorten

FIELDS = tuple(NAMES)
_DEPTH = 4  # of values within values


def find_columns(
    columns: Iterable[str], mapping: Mapping[str, str], file: str, wanted: Sequence[str] = ()
) -> dict[str, str]:
    """The column of each field that the file has.

    Args:
        columns: The file's columns.
        mapping: Field to column, where the user said so.
        file: For the error.
        wanted: Columns beside a headline's own.

    Raises:
        SourceError: A mapped column is missing, or no column holds titles.
    """
    names = list(columns)
    found = find_known_columns(names, mapping, wanted)
    for field, column in mapping.items():
        if field not in found:
            raise no_column(column, names, file)
    if "title" not in found:
        raise no_title(names, file)
    return found


def find_known_columns(
    columns: Iterable[str], mapping: Mapping[str, str], wanted: Sequence[str] = ()
) -> dict[str, str]:
    """As `find_columns`, for records that may lack any column: what is missing is left out."""
    exact = set(columns) if not isinstance(columns, (list, tuple)) else columns
    by_name: dict[str, str] = {}
    for column in exact:
        by_name.setdefault(_plain(column), column)
    taken = set(mapping.values())
    found: dict[str, str] = {}
    for field in (*NAMES, *wanted):
        names = NAMES.get(field, (_plain(field),))
        if field in mapping:
            column = mapping[field]
            match = column if column in exact else by_name.get(_plain(column))
        else:
            match = next((by_name[name] for name in names if name in by_name and by_name[name] not in taken), None)
        if match is not None:
            found[field] = match
    return found


def is_title(name: str) -> bool:
    """Whether a column of this name holds titles."""
    return _plain(name) in NAMES["title"]


def no_title(columns: Iterable[str], file: str) -> SourceError:
    """The error of a file in which nothing looks like titles."""
    return SourceError(
        f"{file} has no column of titles; it has {listed(columns)}.", "Name it with --column title=COLUMN."
    )


def no_column(column: str, columns: Iterable[str], file: str) -> SourceError:
    """The error of a column that was named and is not there."""
    return SourceError(f"{file} has no column {column!r}; it has {listed(columns)}.", "Correct the --column flag.")


def listed(columns: Iterable[str]) -> str:
    """Names for a message, the first thirty."""
    names = [repr(shorten(str(column))) for column in columns]
    return ", ".join(names[:30]) + (", …" if len(names) > 30 else "") if names else "none"


def at_path(record: Any, path: str) -> Any:
    """The value at a dotted path, `headline.main`; a list on the way is looked at in its first element."""
    if isinstance(record, Mapping) and path in record:  # a name may hold dots itself
        return record[path]
    value = record
    for part in path.split("."):
        while isinstance(value, list) and value and not part.isdecimal():
            value = value[0]
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def cell(field: str, value: Any, depth: int = _DEPTH) -> Any:
    """A value as a headline's field wants it: text, a number where a time may be one; None where there is none.

    An object stands for what it names (`{"name": ...}`), a list for its texts (descriptions) or its first value. NaN is
    missing; an integer that stood beside missing ones came as a float. What is left as it is, is for the contract of
    headlines to refuse.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return None
        value = int(value) if value.is_integer() else value
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if field in ("published_at", "title") else _digits(value)
    if depth and isinstance(value, Mapping):
        inner = WITHIN.get(field, ("value", "name", "#text"))
        return next(
            (found for name in inner if (found := cell(field, value.get(name), depth - 1)) not in (None, "")), None
        )
    if depth and isinstance(value, list | tuple):
        found = [inner for item in value if (inner := cell(field, item, depth - 1)) not in (None, "")]
        if field == "description" and found and all(isinstance(text, str) for text in found):
            return "\n".join(found)
        return found[0] if found else None
    return value


def _digits(number: float) -> str:
    try:
        return str(number)
    except ValueError:  # of thousands of digits, which Python does not write
        return ""


def _plain(column: str) -> str:
    return re.sub(r"[\W_]+", "", str(column).casefold())
