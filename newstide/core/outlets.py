"""The outlet's name at a title's end, as aggregators write it: "Ferry sails again - The Orvane Post"."""

import re
from urllib.parse import urlsplit

_ENDING = re.compile(r"^(.*\S)\s+[-|–—·•»:]{1,2}\s+(\S.*)$", re.DOTALL)  # greedy: the last separator
_ODD = re.compile(r"[\W_]+")
_DEEP = ("co", "com", "net", "org", "gov", "edu", "ac", "gob", "go", "or", "ne")  # second levels that name nobody


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


def ending_of(title: str) -> str:
    """What stands behind the last separator of a title, plain; empty where there is none."""
    found = _ENDING.match(title)
    return "" if found is None else _plain(found[2])


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
