"""Finds the columns of a headline's fields, by common names or as the user says."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from newstide.core.errors import SourceError
from newstide.core.field_names import NAMES
from newstide.core.known_names import MAY_BE_NO_TIMES, says_utc
from newstide.core.nulls import NULLS
from newstide.core.several_values import chosen, is_flag, is_no_time, is_sure
from newstide.core.text import clean, is_no_title, shorten
from producers.tally import Tally

FIELDS = tuple(NAMES)
# Among a row's fields: whether its time is from a column whose name says UTC; a time before it that cannot be read.
IN_UTC, UNREAD_TIME = "published_at in UTC", "unread published_at"
_WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])")  # in first_seen_date, firstSeenDate and FIRST-SEEN
_TIME_WORDS = frozenset({"time", "date", "datetime", "timestamp", "published", "pubdate", "posted", "created"})


class Place(NamedTuple):
    """One of the columns that may hold a field.

    Attributes:
        at: Its number or its name in a row.
        utc: Whether its name says that times are in UTC.
        sure: Whether it holds nothing but what belongs to the field.
    """

    at: Any
    utc: bool = False
    sure: bool = True


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


def spare_places(columns: Sequence[str], mapping: Mapping[str, str]) -> dict[str, list[Place]]:
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
            time = field == "published_at"
            found[field] = [
                Place(place, time and says_utc(columns[place]), plain[place] not in MAY_BE_NO_TIMES)
                for place in sorted(places, key=lambda place: names.index(plain[place]))
            ]
    return found


def is_missing(field: str, value: Any) -> bool:
    """Whether a cell holds nothing for a field; of a title, nothing that is one once it is cleaned (`N/A`, a bare link)."""
    if value is None or value == "":
        return True
    if not isinstance(value, str):
        return False
    return (
        not value.strip()
        or value in NULLS
        or (field == "title" and (not (title := clean(value)) or is_no_title(title)))
    )


def fill_missing(
    fields: dict[str, Any],
    spare: Mapping[str, Sequence[Place]],
    value_at: Callable[[str, Any], Any],
    time_format: str | None = None,
) -> None:
    """Gives each field the value that counts of its columns, as `spare_places` orders them and `several_values` chooses.

    Times in a layout that the user names are taken as they stand.
    """
    for field, places in spare.items():
        given = fields.get(field)
        missing = is_missing(field, given)
        if not missing and is_sure(field, given):
            continue
        held = [(place, value) for place in places if not is_missing(field, value := value_at(field, place.at))]
        if field == "published_at":
            if held and (missing or time_format is None):
                _fill_time(fields, held, time_format)
        elif held:
            fields[field] = chosen(field, [value for _, value in held], in_file=True)


def _fill_time(fields: dict[str, Any], held: Sequence[tuple[Place, Any]], time_format: str | None) -> None:
    """Gives a row the time that counts of its columns, with what is to be known of it."""
    told = held[:1] if time_format is not None else [(place, value) for place, value in held if not is_flag(value)]
    if not told:
        fields["published_at"] = None
        return
    time = told[0][1] if len(told) == 1 else chosen("published_at", [value for _, value in told], in_file=True)
    number = next((number for number, (_, value) in enumerate(told) if _is_of(time, value)), 0)
    fields["published_at"] = time
    fields[IN_UTC] = told[number][0].utc
    unread = [value for place, value in told[:number] if place.sure and is_no_time(value)]
    if unread:
        fields[UNREAD_TIME] = unread[0]


def _is_of(time: Any, value: Any) -> bool:
    """Whether the time that was chosen is this value, or begins with it: a day and the time of day beside it."""
    return time is value or (isinstance(time, str) and isinstance(value, str) and time.startswith(value.strip()))


def note_times(tally: Tally) -> None:
    """Notes columns whose names speak of times, where none of them was taken: a headline without a time counts as new."""
    if "published_at" in tally.columns:
        return
    if named := [name for name in tally.names if _TIME_WORDS.intersection(map(str.casefold, _WORD.findall(name)))]:
        tally.note(f"no column of times was found; --column published_at=NAME takes one, as {shorten(named[0], 40)!r}")


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
