"""Fetches a page that a stranger controls: over http(s), from public addresses, within limits of size and time."""

import socket
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from newstide import __version__
from newstide.core.errors import FeedGone, FeedRefused, SourceError
from newstide.core.outgoing import Deadline, DeadlineTransport, is_public, look_up, request_to
from newstide.core.settings import FeedSettings
from newstide.core.text import shorten

_TIMEOUT = 10.0  # seconds to connect, and to wait for each piece
_REDIRECTS = (301, 302, 303, 307, 308)
_GZIP = b"\x1f\x8b"
_PIECE = 65_536  # bytes unpacked at a time
_PERMANENT = (301, 308)


_FETCHED = "Feeds are fetched over http and https only."


@dataclass(frozen=True, slots=True)
class Page:
    """A response: its status, body, and the headers that newstide reads."""

    status: int
    content: bytes
    content_type: str = ""
    etag: str = ""
    last_modified: str = ""
    url: str = ""  # the address after all redirects
    moved_to: str = ""  # the address of a permanent redirect


def fetch(
    url: str,
    headers: Mapping[str, str],
    *,
    allow_private: bool = False,
    limits: FeedSettings | None = None,
) -> Page:
    """Fetches a page by GET.

    The host of every redirect is resolved here, and the connection goes to the address that was checked, so that a name
    cannot change its address in between. No connection is used twice: two names at one address would share it, and the
    second name's certificate would not be checked.

    Args:
        url: An http or https address.
        headers: The headers of the request.
        allow_private: Whether private, loopback and other special addresses are allowed.
        limits: The most bytes and redirects, and the whole time from the first look-up of a name to the last byte; by
            default those of the settings.

    Raises:
        FeedGone: The server answers 410.
        FeedRefused: The server answers another error status.
        SourceError: The page is unreachable, not allowed, too large or too slow, or redirects too often.
    """
    hop = url
    moved_to, for_good = "", True
    limits = limits or FeedSettings()
    deadline = Deadline(limits.timeout.total_seconds())
    try:
        with _client(deadline) as client:
            for _ in range(limits.redirects + 1):
                target = httpx.URL(hop)
                request = _request(client, target, headers, allow_private, deadline)
                response = client.send(request, stream=True)
                try:
                    if response.status_code in _REDIRECTS and "location" in response.headers:
                        hop = str(target.join(response.headers["location"]))
                        for_good = for_good and response.status_code in _PERMANENT
                        moved_to = hop if for_good else moved_to
                        continue
                    return replace(_page(response, url, limits), url=hop, moved_to=moved_to)
                finally:
                    response.close()
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, TimeoutError) as error:
        if deadline.left() <= 0:
            seconds = limits.timeout.total_seconds()
            raise SourceError(f"{url} took longer than {seconds:g} s.", "It is tried again.") from None
        reason = shorten(str(error), 200) or type(error).__name__
        raise SourceError(f"{url} cannot be fetched: {reason}.", "Is the address right?") from None
    raise SourceError(f"{url} redirects more than {limits.redirects} times.", "Is the address right?")


def require_address(url: str) -> None:
    """Raises `SourceError` where a text is no address that a feed can be fetched from; asks no server."""
    try:
        parts = urlsplit(url)
        named = parts.port != 0 and httpx.URL(url).host and parts.hostname
    except (httpx.InvalidURL, ValueError) as error:
        reason = "(hidden)" if "@" in url else f"{url!r}: {error}"
        raise SourceError(f"A feed's address cannot be read: {reason}.", _FETCHED) from None
    if "@" in parts.netloc:
        raise SourceError(
            "A feed's address holds a name and a password.", "Feeds are read without a login; leave both out."
        )
    if parts.scheme not in ("http", "https") or not named:
        raise SourceError(f"{url} is no http or https address.", _FETCHED)


def _client(deadline: Deadline) -> httpx.Client:
    return httpx.Client(
        transport=DeadlineTransport(deadline),
        timeout=_TIMEOUT,
        follow_redirects=False,
        headers={"User-Agent": f"newstide/{__version__}", "Accept-Encoding": "gzip, deflate"},
    )


def _request(
    client: httpx.Client, url: httpx.URL, headers: Mapping[str, str], allow_private: bool, deadline: Deadline
) -> httpx.Request:
    if url.scheme not in ("http", "https") or not url.host:
        raise SourceError(f"{url} is no http or https address.", _FETCHED)
    address = _address(url, allow_private, deadline)
    return request_to(client, "GET", url, address, headers)


def _address(url: httpx.URL, allow_private: bool, deadline: Deadline) -> str:
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        addresses = look_up(url.raw_host.decode("ascii"), port, deadline.left())
    except socket.gaierror as error:
        raise SourceError(f"{url.host} has no address: {error.strerror}.", "Is the address right?") from None
    for address in addresses:
        if not allow_private and not is_public(address):
            raise SourceError(
                f"{url} lies at {address}, which is no public address.", "Allow it with --allow-private if it is yours."
            )
    return addresses[0]


def _page(response: httpx.Response, url: str, limits: FeedSettings) -> Page:
    if response.status_code == 304:
        return Page(304, b"")
    if response.status_code == 410:
        raise FeedGone(f"{url} answers 410 {response.reason_phrase}".rstrip() + ".", "It has ended; take it out.")
    if response.status_code != 200:
        raise FeedRefused(
            f"{url} answers {response.status_code} {response.reason_phrase}".rstrip() + ".",
            "Is the address right?",
            retry_after=_retry_after(response.headers.get("retry-after", "")),
        )
    return Page(
        200,
        _content(response, url, limits.max_bytes),
        response.headers.get("content-type", ""),
        response.headers.get("etag", ""),
        response.headers.get("last-modified", ""),
    )


def _retry_after(text: str) -> float:
    """Seconds to wait by the header Retry-After, a number of seconds or a date; 0 where the header is missing."""
    if text.strip().isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(moment.timestamp() - time.time(), 0.0)


def _content(response: httpx.Response, url: str, most: int) -> bytes:
    """The body, unpacked piece by piece, so that no more than the allowed size is ever held."""
    coding = response.headers.get("content-encoding", "").strip().lower()
    unpack = _Unpacking(coding.removeprefix("x-"), url)
    content = bytearray()
    for packed in response.iter_raw(_PIECE):
        for piece in unpack(packed):
            content += piece
            if len(content) > most:
                raise SourceError(f"{url} is larger than {most / 2**20:g} MiB.", "Is it a feed?")
    if unpack.unfinished:
        raise SourceError(f"{url} cannot be unpacked: its data ends too early.", "It is tried again.")
    if content.startswith(_GZIP):
        raise SourceError(f"{url} is packed twice.", "Feeds are read plain, or packed once with gzip.")
    return bytes(content)


class _Unpacking:
    """Unpacks one coding: gzip or deflate by the header, or a gzip file without a header."""

    def __init__(self, coding: str, url: str) -> None:
        if coding not in ("", "identity", "gzip", "deflate"):
            raise SourceError(f"{url} is packed as {coding!r}.", "Feeds are read plain, or packed once with gzip.")
        self._coding = "" if coding == "identity" else coding
        self._url = url
        self._started = False
        self._unpacker: Any = None

    @property
    def unfinished(self) -> bool:
        """Whether the packed data has not come to its end."""
        return self._unpacker is not None and not self._unpacker.eof

    def __call__(self, packed: bytes) -> Iterator[bytes]:
        """What these bytes unpack to, in pieces."""
        if not self._started and packed:
            self._start(packed)
        if self._unpacker is None:
            yield packed
            return
        while packed:
            try:
                piece = self._unpacker.decompress(packed, _PIECE)
            except zlib.error as error:
                raise SourceError(f"{self._url} cannot be unpacked: {error}.", "It is tried again.") from None
            yield piece
            packed = self._unpacker.unconsumed_tail
            if self._unpacker.eof and (packed := self._unpacker.unused_data).startswith(_GZIP):
                self._unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)  # gzip data may have further members
            elif self._unpacker.eof:
                return

    def _start(self, packed: bytes) -> None:
        self._started = True
        if packed.startswith(_GZIP) and self._coding in ("", "gzip"):
            self._unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        elif self._coding == "deflate":  # with zlib's header or, from some servers, without it
            headed = packed[0] & 0x0F == 8 and int.from_bytes(packed[:2], "big") % 31 == 0
            self._unpacker = zlib.decompressobj(zlib.MAX_WBITS if headed else -zlib.MAX_WBITS)
        elif self._coding:
            raise SourceError(f"{self._url} cannot be unpacked: it is no {self._coding}.", "It is tried again.")
