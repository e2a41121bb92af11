"""Finds the columns of a headline's fields, by common names or as the user says, and reads their cells."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from newstide.core.errors import SourceError
from newstide.core.field_names import NAMES, WITHIN
from newstide.core.text import shorten

FIELDS = tuple(NAMES)
_DEPTH = 4  # levels of values within values that are searched


def find_columns(
    columns: Iterable[str], mapping: Mapping[str, str], file: str, wanted: Sequence[str] = ()
) -> dict[str, str]:
    """The column of each field that the file has.

    Args:
        columns: The file's columns.
        mapping: Field to column, as the user says.
        file: The file's name, for errors.
        wanted: Columns that are wanted besides a headline's fields.

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
    """As `find_columns`, for records that may lack any column: missing columns are left out."""
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
    """The error for a file in which no column looks like titles."""
    return SourceError(
        f"{file} has no column of titles; it has {listed(columns)}.", "Name it with --column title=COLUMN."
    )


def no_column(column: str, columns: Iterable[str], file: str) -> SourceError:
    """The error for a column that the user names and the file does not have."""
    return SourceError(f"{file} has no column {column!r}; it has {listed(columns)}.", "Correct the --column flag.")


def listed(columns: Iterable[str]) -> str:
    """The first thirty names, for a message."""
    names = [repr(shorten(str(column))) for column in columns]
    return ", ".join(names[:30]) + (", …" if len(names) > 30 else "") if names else "none"


def at_path(record: Any, path: str) -> Any:
    """The value at a dotted path, `headline.main`; of a list on the way, the first element counts."""
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
    """A value in the form that a headline's field needs: a text, or a number for a time; None for a missing value.

    An object stands for what it names (`{"name": ...}`), a list for its texts (descriptions) or its first value. NaN is
    a missing value; a float may be an integer of a column with missing values. Values of other types stay as they are,
    and the contract of headlines refuses them.
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
    except ValueError:  # the number has thousands of digits, which Python does not write
        return ""


def _plain(column: str) -> str:
    return re.sub(r"[\W_]+", "", str(column).casefold())
