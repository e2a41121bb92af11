"""The names that the fields of a headline commonly have, in files and in messages."""

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import chain

_TIMES = (
    "publishedat", "published", "date", "pubdate", "timestamp", "publishdate", "time", "datetime", "publicationdate",
    "publishtime", "publishedtime", "publisheddate", "datepublished", "datetimepub", "seendate", "createdat", "created",
    "webpublicationdate", "firstpublishedat", "publishedon", "newsdate", "publicationtime", "articledate", "dateunixtime",
    "publishedtimestamp", "postdate", "datepublish", "timepublished", "providerpublishtime", "postpublished",
)  # fmt: skip
_ZONES = ("gmt", "utc")
# In a time's name: date_gmt, createdutc, utcTime; not date (UTC+2).
_UTC = re.compile(r"(?:gmt|utc)(?:(?![a-z])|(?=date|time))(?!\s*[-+]\s*\d)", re.IGNORECASE)


def _with_zones(name: str) -> tuple[str, ...]:
    """The names of a time, those that say it is in UTC first."""
    return (*(name + zone for zone in _ZONES), *(zone + name for zone in _ZONES), name)


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
        "newsurl", "pageurl", "canonicalurl", "canonical", "requestedurl", "uri",
    ),
    "source": (
        "source", "publisher", "outlet", "sourcename", "site", "publication", "newspaper", "provider", "feed", "domain",
        "hostname", "sitename", "sourcetitle", "publishername", "newssource", "sourcedomain", "sourcecommonname",
        "medianame", "namesource", "newssite", "cleanurl",
    ),
    "published_at": tuple(chain.from_iterable(map(_with_zones, _TIMES))),
    "language": ("language", "lang", "languagecode", "locale", "inlanguage"),
    "id": ("id", "uuid", "guid", "articleid", "newsid"),
}  # fmt: skip

MAY_BE_NO_TIMES = frozenset({"published", "time"})  # names of times that may be those of a state, or of a time of day

FIELD_OF = {name: field for field, names in NAMES.items() for name in names}


@lru_cache(maxsize=4096)  # a producer uses few names, again and again
def plain_name(name: str) -> str:
    """A name without case, spaces, hyphens and underscores: `published_at` and `publishedAt` are one."""
    return re.sub(r"[\W_]+", "", name.casefold())


def field_of(name: object) -> str | None:
    """The field of which a name is one of the common ones; None for any other."""
    return FIELD_OF.get(plain_name(name)) if isinstance(name, str) else None


@lru_cache(maxsize=4096)
def says_utc(name: str) -> bool:
    """Whether a time's name says that the time is in UTC."""
    return _UTC.search(name) is not None
