"""Fetches a page somebody else controls: over http(s) only, from public addresses only, and never too much of it."""

import ipaddress
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from newstide import __version__
from newstide.errors import SourceError
from newstide.headline import shorten
from newstide.settings import FeedSettings

_TIMEOUT = httpx.Timeout(10.0)  # to connect, and for each piece
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Page:
    """A response: its status, body, and the headers newstide looks at."""

    status: int
    content: bytes
    content_type: str = ""
    etag: str = ""
    last_modified: str = ""


def make_client() -> httpx.Client:
    """A client for `fetch`, which follows redirects itself."""
    return httpx.Client(
        timeout=_TIMEOUT,
        follow_redirects=False,
        headers={"User-Agent": f"newstide/{__version__}", "Accept-Encoding": "gzip, deflate"},
    )


def fetch(
    client: httpx.Client,
    url: str,
    headers: Mapping[str, str],
    *,
    allow_private: bool = False,
    limits: FeedSettings | None = None,
) -> Page:
    """GETs a page.

    Every hop's host is resolved here, and the connection goes to the very address that was checked: a name that
    changes its address in between gains nothing.

    Args:
        client: From `make_client`.
        url: http or https.
        headers: For the request.
        allow_private: Private, loopback and other special addresses are allowed.
        limits: Size, time and redirects; by default those of the settings.

    Raises:
        SourceError: Not reachable, not allowed, too large, too slow, too many redirects, or an error status.
    """
    hop = url
    limits = limits or FeedSettings()
    deadline = time.monotonic() + limits.timeout.total_seconds()
    for _ in range(limits.redirects + 1):
        try:
            target = httpx.URL(hop)
            request = _request(client, target, headers, allow_private)
            response = client.send(request, stream=True)
            try:
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    hop = str(target.join(response.headers["location"]))
                    continue
                return _page(response, url, deadline, limits)
            finally:
                response.close()
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            reason = shorten(str(error), 200) or type(error).__name__
            raise SourceError(f"{url} cannot be fetched: {reason}.", "Is the address right?") from None
    raise SourceError(f"{url} redirects more than {limits.redirects} times.", "Is the address right?")


def _request(client: httpx.Client, url: httpx.URL, headers: Mapping[str, str], allow_private: bool) -> httpx.Request:
    if url.scheme not in ("http", "https") or not url.host:
        raise SourceError(f"{url} is no http or https address.", "Feeds are fetched over http and https only.")
    address = _address(url, allow_private)
    host = url.netloc.decode("ascii")
    # To the address, in the name of the host: the certificate is checked against the name.
    return client.build_request(
        "GET",
        url.copy_with(host=address, username="", password=""),
        headers={**headers, "Host": host},
        extensions={"sni_hostname": url.raw_host.decode("ascii")},
    )


def _address(url: httpx.URL, allow_private: bool) -> str:
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(url.raw_host.decode("ascii"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SourceError(f"{url.host} has no address: {error.strerror}.", "Is the address right?") from None
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not allow_private and not _public(address):
            raise SourceError(
                f"{url} lies at {address}, which is no public address.", "Allow it with --allow-private if it is yours."
            )
    return addresses[0]


def _public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            address = inner
    return address.is_global and not address.is_multicast


def _page(response: httpx.Response, url: str, deadline: float, limits: FeedSettings) -> Page:
    if response.status_code == 304:
        return Page(304, b"")
    if response.status_code != 200:
        raise SourceError(
            f"{url} answers {response.status_code} {response.reason_phrase}.".replace(" .", "."),
            "Is the address right?",
        )
    content = bytearray()
    for piece in response.iter_bytes(65_536):
        content += piece
        if len(content) > limits.max_bytes:
            raise SourceError(f"{url} is larger than {limits.max_bytes / 2**20:g} MiB.", "Is it a feed?")
        if time.monotonic() > deadline:
            raise SourceError(f"{url} took longer than {limits.timeout.total_seconds():.0f} s.", "It is tried again.")
    return Page(
        200,
        bytes(content),
        response.headers.get("content-type", ""),
        response.headers.get("etag", ""),
        response.headers.get("last-modified", ""),
    )
