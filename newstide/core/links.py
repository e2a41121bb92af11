"""Links as feeds write them, some without a scheme, joined to the address at which they stand."""

import re
from urllib.parse import urljoin, urlsplit

_FILE_ENDING = re.compile(
    "aspx?|atom|cfm|cgi|css|dll|docx?|exe|gif|html?|jpe?g|js|json|jspx?|pdf|php|phtml|png|rss|shtml|svg|txt|xhtml|xml"
)
_ODD_SLASHES = re.compile(r"(https?):/*(?=[^/\s])", re.IGNORECASE)
_ABSOLUTE = re.compile("https?://", re.IGNORECASE)
_BREAKS = re.compile(r"[\t\r\n]+")
_LABEL = r"[^\W_](?:[^\W_]|-){0,62}"
_HOST_AND_SLASH = re.compile(
    rf"(?:{_LABEL}\.){{1,8}}([^\W\d_]{{2,24}}|xn--[a-z0-9-]{{2,59}})(?::[0-9]{{1,5}})?/", re.IGNORECASE
)


def joined(base: str, link: str) -> str:
    """The address to which a link leads, where it stands in a document whose address is `base`.

    A whole address stays as it is given (`#` and `?` at its end too), as in files and messages; line breaks within it go.
    A link that begins with a host but no scheme is read with `https://`; `https:/` before what is no host stays.

    Raises:
        ValueError: The link is no address.
    """
    link = link.strip()
    if _names_a_host(link, base):
        link = f"https://{link}"
    elif (odd := _ODD_SLASHES.match(link)) is not None:
        rest = link[odd.end() :]
        if not odd[0].endswith("//") and not _names_a_host(rest, base):
            return link
        link = f"{odd[1]}://{rest}"
    if _ABSOLUTE.match(link) is not None:
        urlsplit(link)
        return _BREAKS.sub("", link)
    return urljoin(base, link)


def _names_a_host(link: str, base: str) -> bool:
    """Whether a link begins with `www.`, with the host of `base`, or with another host and a slash."""
    folded = link.casefold()
    if folded.startswith("www."):
        return True
    own = _host(base)
    if own and folded.startswith(own) and (folded == own or folded[len(own)] in ":/?#"):
        return True
    host = _HOST_AND_SLASH.match(folded)
    return host is not None and _FILE_ENDING.fullmatch(host[1]) is None


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
