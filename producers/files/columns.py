"""Finds the columns of a headline's fields, by common names or as the user says."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from newstide.core.errors import SourceError
from newstide.core.field_names import NAMES
from newstide.core.several_values import chosen, is_flag, is_sure
from newstide.core.text import clean, is_no_title, shorten

FIELDS = tuple(NAMES)

_Place = TypeVar("_Place")


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


def spare_places(columns: Sequence[str], mapping: Mapping[str, str]) -> dict[str, list[int]]:
    """By field, the places of the columns that may hold it, the first that counts first, where there are several.

    Where one is empty or cannot be read in a row, the next has the value. A field that the user names has that column
    alone. A column `published` is always among them, as it may hold no times at all.
    """
    plain, taken = [_plain(column) for column in columns], set(mapping.values())
    found = {}
    for field in FIELDS:
        names = NAMES[field]
        places = [place for place, name in enumerate(plain) if name in names and columns[place] not in taken]
        flag = field == "published_at" and "published" in plain
        if places and (len(places) > 1 or flag) and field not in mapping:
            found[field] = sorted(places, key=lambda place: names.index(plain[place]))
    return found


def is_missing(field: str, value: Any) -> bool:
    """Whether a cell holds nothing for a field; of a title, nothing that is one once it is cleaned (`N/A`, a bare link)."""
    if value is None or value == "":
        return True
    if not isinstance(value, str):
        return False
    return not value.strip() or (field == "title" and (not (title := clean(value)) or is_no_title(title)))


def fill_missing(
    fields: dict[str, Any],
    spare: Mapping[str, Sequence[_Place]],
    value_at: Callable[[str, _Place], Any],
    time_format: str | None = None,
) -> None:
    """Gives each field the value that counts of its columns, as `spare_places` orders them and `several_values` chooses.

    Times in a layout that the user names are taken as they stand.
    """
    for field, places in spare.items():
        given = fields.get(field)
        if (missing := is_missing(field, given)) or not is_sure(field, given):
            values = [value for place in places if not is_missing(field, value := value_at(field, place))]
            if field == "published_at" and time_format is not None:
                fields[field] = values[0] if missing and values else given
            elif values:
                told = [value for value in values if field != "published_at" or not is_flag(value)]
                fields[field] = chosen(field, told, in_file=True) if told else None


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


def _plain(column: str) -> str:
    return re.sub(r"[\W_]+", "", str(column).casefold())
