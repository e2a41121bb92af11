"""Outgoing connections of our own: which address a name has, whether it is public, and a deadline for all of a request."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from threading import Thread
from typing import Any

import httpcore
import httpx

_HOLD_IPV4 = [
    ipaddress.IPv6Network(text) for text in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96")
]  # in the last 32 bits
# NAT64 within a site, addresses of a site, documentation, segment routing: Python counts these among the public addresses.
_NOT_PUBLIC = [ipaddress.IPv6Network(text) for text in ("64:ff9b:1::/48", "fec0::/10", "3fff::/20", "5f00::/16")]
_ISATAP = (0x00005EFE, 0x02005EFE)  # values of the third quarter of an IPv6 address that tunnels IPv4 (RFC 5214)


class Deadline:
    """A moment, and how many seconds are left until it."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until the deadline; negative ones after it."""
        return self._at - time.monotonic()

    def within(self, timeout: float | None) -> float:
        """The timeout, shortened so that it ends at the deadline."""
        left = self.left()
        if left <= 0:
            raise httpcore.ReadTimeout("the time is up")
        return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    """A connection that ends at the deadline, also where the server sends byte by byte."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.within(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.within(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        safe = self._inner.start_tls(ssl_context, server_hostname, self._deadline.within(timeout))
        return _Stream(safe, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Network(httpcore.SyncBackend):
    """Opens connections that end at the deadline."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        timeout = self._deadline.within(timeout)
        return _Stream(super().connect_tcp(host, port, timeout, local_address, socket_options), self._deadline)


class DeadlineTransport(httpx.HTTPTransport):
    """The transport of httpx over connections that end at the deadline, for which httpx has no argument."""

    def __init__(self, deadline: Deadline, context: ssl.SSLContext | None = None) -> None:
        context = context or httpx.create_ssl_context()
        super().__init__(verify=context)  # else it makes a context too, which takes many times as long as a request
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_keepalive_connections=0,
            network_backend=_Network(deadline),
        )


def request_to(
    client: httpx.Client,
    method: str,
    url: httpx.URL,
    address: str,
    headers: Mapping[str, str],
    content: bytes | None = None,
) -> httpx.Request:
    """A request that goes to an address that was checked, with the host's name: the certificate is checked against it."""
    return client.build_request(
        method,
        url.copy_with(host=address, username="", password=""),
        headers={**headers, "Host": url.netloc.decode("ascii")},
        content=content,
        extensions={"sni_hostname": url.raw_host.decode("ascii")},
    )


def look_up(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a name. A look-up cannot be interrupted: its thread is abandoned if it takes too long."""
    found: list[str] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            found.extend(str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            failed.append(error)

    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(max(seconds, 0.0))
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError(f"the address of {host} was not found in time")
    return found


def is_public(text: str) -> bool:
    """Whether an address is public; an IPv6 address that embeds an IPv4 address is judged by the latter."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _NOT_PUBLIC) or int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
            return False
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if any(address in network for network in _HOLD_IPV4):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            address = inner
    return address.is_global and not address.is_multicast
