"""The outlet's name at a title's end, as aggregators write it: "Ferry sails again - The Orvane Post"."""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

_ENDING = re.compile(r"^(.*\S)\s+[-|–—·•»:]{1,2}\s+(\S.*)$", re.DOTALL)  # greedy: the last separator
_ODD = re.compile(r"[\W_]+")
_LONGEST = 60  # characters of an outlet's name
_KEPT = 2**21  # titles that are remembered: a run asks several times, and the next one again
_LEAST, _ONE_OF = 5, 5_000  # titles that must have an ending before it counts as recurring
_DEEP = (
    "co",
    "com",
    "net",
    "org",
    "gov",
    "edu",
    "ac",
    "gob",
    "go",
    "or",
    "ne",
)  # second-level domains that name no outlet


def without_outlet(title: str, source: str, url: str) -> str:
    """A title without its ending, where that is the headline's own source or its link's host; else the title.

    Case, spaces, marks and a leading "The" do not count; the host counts with and without what is behind its name:
    "| orvanepost.example" and "- Orvane Post" are both of `www.orvanepost.example`.
    """
    if not source and not url:
        return title
    found = _ENDING.match(title)
    if found is None:
        return title
    ending = _plain(found[2])
    return found[1] if ending and ending in _names(source, url) else title


def without_endings(titles: Sequence[str]) -> list[str]:
    """Titles without endings that recur: what stands behind the last separator of many different ones is no news.

    The shorter titles serve to find copies and a story's keywords; others get full titles. An ending recurs where
    five different titles have it, in many more titles one of 5,000.
    """
    parts = list(map(_parted, titles))
    headed: dict[str, set[str]] = defaultdict(set)
    for part in filter(None, parts):
        headed[part[1]].add(part[0])
    least = max(_LEAST, len(titles) // _ONE_OF)
    recurring = {ending for ending, heads in headed.items() if len(heads) >= least}
    if not recurring:
        return list(titles)
    return [
        part[0] if part is not None and part[1] in recurring else title
        for title, part in zip(titles, parts, strict=True)
    ]


@lru_cache(_KEPT)
def _parted(title: str) -> tuple[str, str] | None:
    """What stands before the last separator, and the name behind it as it is compared; None where there is no such name."""
    found = _ENDING.match(title)
    if found is None or len(found[2]) > _LONGEST:
        return None
    ending = _plain(found[2])
    return (found[1], ending) if ending else None


def _names(source: str, url: str) -> set[str]:
    names = {_plain(source)}
    try:
        host = (urlsplit(url).hostname or "").removeprefix("www.").removeprefix("m.")
    except ValueError:
        host = ""
    if host:
        labels = host.split(".")
        named = labels[:-2] if len(labels) > 2 and labels[-2] in _DEEP else labels[:-1]
        names |= {_plain(host), _plain(named[-1]) if named else ""}
    return names - {""}


def _plain(name: str) -> str:
    plain = _ODD.sub("", name.casefold())
    return plain.removeprefix("the") or plain
