"""The names under which files and messages carry the fields of a headline.

`pick` takes the values of a headline's fields out of an object, whatever its producer calls them.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from newstide.core.field_values import at_path, value_of

# Names without case and punctuation (`article_title`, `headline.main`); the first that an object has is taken. `name` is
# not a title's name: an object with a `name` is a person, an outlet or a tag.
NAMES: Mapping[str, tuple[str, ...]] = {
    "title": (
        "title", "headline", "headlinetext", "articletitle", "newstitle", "heading", "headlines", "webtitle",
        "headlinemain", "titlerendered", "posttitle", "storytitle", "articleheadline", "newsheadline", "titles",
    ),
    "description": (
        "description", "summary", "abstract", "shortdescription", "subtitle", "snippet", "teaser", "lead", "excerpt",
        "content", "body", "text", "articletext", "article", "fulltext", "trailtext", "leadparagraph", "standfirst",
        "fieldstrailtext", "excerptrendered", "articledescription", "selftext", "desc",
    ),
    "url": (
        "url", "link", "articleurl", "articlelink", "permalink", "href", "weburl", "originallink", "storyurl",
        "newsurl", "pageurl", "uri",
    ),
    "source": (
        "source", "publisher", "outlet", "sourcename", "site", "publication", "newspaper", "provider", "feed", "domain",
        "hostname", "sitename", "sourcetitle", "publishername", "newssource", "sourcedomain", "sourcecommonname",
    ),
    "published_at": (
        "publishedat", "published", "dategmt", "date", "pubdate", "timestamp", "publishdate", "time", "datetime",
        "publicationdate", "publishtime", "publishedtime", "publisheddate", "datepublished", "datetimepub",
        "seendate", "createdutc", "createdat", "created", "webpublicationdate", "firstpublishedat", "publishedon",
        "newsdate", "publicationtime", "articledate", "dateunixtime", "publishedtimestamp",
    ),
    "language": ("language", "lang", "languagecode", "locale", "inlanguage"),
    "id": ("id", "uuid", "guid", "articleid", "newsid"),
}  # fmt: skip

_FIELD_OF = {name: field for field, names in NAMES.items() for name in names}
_EMPTY = (None, "")


@lru_cache(maxsize=4096)  # a producer uses few names, again and again
def plain_name(name: str) -> str:
    """A name without case, spaces, hyphens and underscores: `published_at` and `publishedAt` are one."""
    return re.sub(r"[\W_]+", "", name.casefold())


def pick(fields: Mapping[str, Any], own: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The values of a headline's fields in an object, and the object's names that belong to no field.

    Args:
        fields: The object as it came.
        own: Field to the producer's own name or dotted path; such a field is read under that name alone.

    Returns:
        Field to value, unchanged, without missing and blank values (of several titles, the first that can be read); and
        the names that belong to no field.
    """
    found: dict[str, Any] = {}
    candidates, unknown = _sorted(tuple(fields))
    if own:
        tops = {path.partition(".")[0] for path in own.values()}
        candidates = [(field, name) for field, name in candidates if field not in own and name not in tops]
        unknown = tuple(name for name in unknown if name not in tops)
    for field, name in candidates:
        value = fields[name]
        if value is None or (value.__class__ is str and (not value or value.isspace())):
            continue
        if field not in found or (field == "title" and not _is_readable(found[field]) and _is_readable(value)):
            found[field] = value
    for field, path in own.items():
        value = at_path(fields, path)
        if value not in _EMPTY:
            found[field] = value
    return found, unknown


def _is_readable(title: Any) -> bool:
    return isinstance(value_of("title", title), str)


@lru_cache(maxsize=256)  # a producer's objects have the same names, again and again
def _sorted(names: tuple[Any, ...]) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """The names that may be a field's own, each with its field, the first that counts first; and the names of no field."""
    ranked: list[tuple[int, str, str]] = []
    unknown: list[str] = []
    for name in names:
        if isinstance(name, str):
            plain = plain_name(name)
            field = _FIELD_OF.get(plain)
            if field is None:
                unknown.append(name)
            else:
                ranked.append((NAMES[field].index(plain) - (name == field), field, name))
    ranked.sort(key=lambda one: one[0])
    return [(field, name) for _, field, name in ranked], tuple(unknown)


def has_title(fields: Mapping[str, Any], own: Mapping[str, str]) -> bool:
    """Whether the object is a headline: it has a title under one of its names."""
    if not own and (title := fields.get("title")).__class__ is str and title.strip():  # most objects
        return True
    title = value_of("title", pick(fields, own)[0].get("title"))
    return isinstance(title, str) and bool(title.strip())
