"""Which column of a file holds which field of a headline: by common names, or as the user says."""

import re
from collections.abc import Iterable, Mapping

from newstide.core.errors import SettingsError, SourceError

# Names without case, spaces, hyphens and underscores; the first that a file has is taken.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "title": ("title", "headline", "headlinetext", "articletitle", "newstitle", "heading", "headlines", "name"),
    "description": (
        "description", "summary", "abstract", "shortdescription", "subtitle", "snippet", "teaser", "lead", "excerpt",
        "content", "body", "text", "articletext", "article", "fulltext",
    ),
    "url": ("url", "link", "articleurl", "articlelink", "permalink", "href", "uri"),
    "source": (
        "source", "publisher", "outlet", "sourcename", "site", "publication", "newspaper", "provider", "feed", "domain",
        "hostname",
    ),
    "published_at": (
        "publishedat", "published", "date", "pubdate", "timestamp", "publishdate", "time", "datetime",
        "publicationdate", "publishtime", "publishedtime", "publisheddate", "datepublished", "datetimepub",
        "seendate", "createdat", "created",
    ),
    "language": ("language", "lang", "languagecode", "locale"),
    "id": ("id", "uuid", "guid", "articleid", "newsid"),
}  # fmt: skip

FIELDS = tuple(_NAMES)


def find_columns(columns: Iterable[str], mapping: Mapping[str, str], file: str) -> dict[str, str]:
    """The column of each field that the file has.

    Args:
        columns: The file's columns.
        mapping: Field to column, where the user said so.
        file: For the error.

    Raises:
        SourceError: A mapped column is missing, or no column holds titles.
        SettingsError: A mapped field does not exist.
    """
    names = list(columns)
    found = find_known_columns(names, mapping)
    for field, column in mapping.items():
        if field not in found:
            raise SourceError(
                f"{file} has no column {column!r}; it has {_listed(names)}.", "Correct the --column flag."
            )
    if "title" not in found:
        raise no_title(names, file)
    return found


def find_known_columns(columns: Iterable[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """As `find_columns`, for records that may lack any column: what is missing is left out."""
    for field in mapping:
        if field not in _NAMES:
            raise SettingsError(f"A headline has no field {field!r}.", f"The fields are {', '.join(FIELDS)}.")
    exact = list(columns)
    by_name: dict[str, str] = {}
    for column in exact:
        by_name.setdefault(_plain(column), column)
    taken = set(mapping.values())
    found: dict[str, str] = {}
    for field, names in _NAMES.items():
        if field in mapping:
            column = mapping[field]
            match = column if column in exact else by_name.get(_plain(column))
        else:
            match = next((by_name[name] for name in names if name in by_name and by_name[name] not in taken), None)
        if match is not None:
            found[field] = match
    return found


def no_title(columns: Iterable[str], file: str) -> SourceError:
    """The error of a file in which nothing looks like titles."""
    return SourceError(
        f"{file} has no column of titles; it has {_listed(columns)}.", "Name it with --column title=COLUMN."
    )


def _plain(column: str) -> str:
    return re.sub(r"[\W_]+", "", column.casefold())


def _listed(columns: Iterable[str]) -> str:
    names = [repr(str(column)) for column in columns]
    return ", ".join(names[:30]) + (", …" if len(names) > 30 else "") if names else "none"
