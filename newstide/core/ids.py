"""Which ids and links identify a headline by themselves, and the id of a headline that shares its link with another."""

import hashlib
import re

_ALONE = re.compile(
    r"""\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?  # a UUID
    | [0-9a-f]{16,}                                                         # a digest
    | [0-9]{15,}                                                            # a number that one place gives out
    | [a-z][a-z0-9+.-]*:\S.*                                                # a URL, or scheme:...
    """,
    re.IGNORECASE | re.VERBOSE,
)

_SITE = re.compile(r"\s*https?://[^/?#\s]*/?\s*", re.IGNORECASE)


def stands_alone(id_: str) -> bool:
    """Whether an id identifies by its own form: a UUID, 16 hex digits or more, 15 digits or more, a URL, `scheme:...`.

    Any other may be a row's number, which the next file gives to another headline.
    """
    return _ALONE.fullmatch(id_.strip()) is not None


def names_a_site(url: str) -> bool:
    """Whether a link is that of a whole site, `https://outlet.example/`, which identifies no headline."""
    return url.count("/") <= 3 and _SITE.fullmatch(url) is not None  # counting is faster, and decides for most links


def id_of_link_and_title(url: str, title: str) -> str:
    """The id of a headline whose link another of the same file or feed had first: 32 hex digits of a SHA-256."""
    return hashlib.sha256(f"{url}\n{title}".encode()).hexdigest()[:32]
