"""The connection to Milvus: the first contact, and calls that are retried while Milvus is away."""

import logging
import socket
import ssl
from collections.abc import Callable
from threading import Event
from typing import Any, TypeVar
from urllib.parse import urlsplit

import grpc
from pymilvus import MilvusClient
from pymilvus.exceptions import ConnectError, MilvusException, MilvusUnavailableException
from tenacity import (
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    stop_when_event_set,
    wait_exponential_jitter,
)

from newstide.core import logs
from newstide.core.errors import SettingsError, StoreRefused, StoreSlow, StoreUnavailable
from newstide.core.local_server import is_loopback
from newstide.core.settings import MilvusSettings
from newstide.core.tls import said, tls_context

T = TypeVar("T")

_CONNECT_WITHIN = 5.0  # seconds of one attempt, which cannot be interrupted
_WAIT_LONGER = 10  # multiple of the timeout, for requests that take a server minutes: loading, indexing, flushing
# The client pings the server every 10 s. After much reading and a pause, Milvus Lite answers such pings by closing the
# connection at the next call (GOAWAY too_many_pings). On one machine, a server that ends is noticed without pings.
_NO_PINGS = {"grpc.keepalive_time_ms": 2**31 - 1}
_LITE = "milvus_lite"  # Milvus Lite's version begins with this; the versions of some older servers end in `-lite`
_LITE_UNEXPECTED = 1  # Milvus Lite's code for unforeseen errors, as for a broken file
_NOT_LOADED = (101, 106)  # Milvus Lite's codes after a restart, when no collection is loaded
_NOT_ALLOWED = (1400, 1401, 1800, 1801, 1802, 1803, 1804, 1805, 1806, 1807)
_REFUSED = (6, 10, 11, 26, 35, 100, 700, 702, 800, 801, *range(1100, 1200), *range(1700, 1800))
# Texts with which older servers and Lite refuse a request that no repetition will mend, without a code of its own.
_UNSPECIFIC = (1, 5, 65535)
_REFUSALS = (
    "invalid",
    "illegal",
    "exceeds",
    "cannot parse",
    "not match",
    "missed an field",
    "no corresponding",
    "should be",
    "must be",
    "not found",
    "not exist",
    "already exist",
)
_REFUSED_RPC = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,  # a message too large
    grpc.StatusCode.UNIMPLEMENTED,
)
_LATE_RPC = grpc.StatusCode.DEADLINE_EXCEEDED
_NOT_ALLOWED_RPC = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)

log = logs.get("milvus")


class _Away(StoreUnavailable):
    """Milvus did not answer this attempt; another attempt may succeed."""

    def final(self) -> StoreUnavailable:
        """The error to raise after the last attempt."""
        return StoreUnavailable(self.message, self.way_out)


class _Slow(_Away):
    """A request took longer than was allowed; the connection stays open for other requests."""

    def final(self) -> StoreUnavailable:
        """The error to raise after the last attempt."""
        return StoreSlow(self.message, self.way_out)


class Connection:
    """A client whose calls are retried for a while. Every failure is raised as one of newstide's errors.

    Args:
        settings: The address of Milvus, and for how long calls are retried.
        stop: Ends the waiting.

    Attributes:
        uri: The address, without credentials.
        timeout: Seconds for which a call is tried.
        slow_timeout: Seconds that loading, indexing and flushing may take.
        version: The server's version.
        lite: Whether the server is Milvus Lite.
    """

    def __init__(self, settings: MilvusSettings, stop: Event | None = None) -> None:
        if settings.uri is None:
            raise StoreUnavailable(
                "No Milvus is configured and no local one is running.",
                "Start `newstide up`, or set NEWSTIDE_MILVUS_URI=http://host:19530.",
                passing=False,
            )
        logging.getLogger("pymilvus").setLevel(
            logging.CRITICAL
        )  # pymilvus logs every error that it raises, and much more
        self._host, self._port = _address(settings.uri)
        self.uri = f"{urlsplit(settings.uri).scheme}://{self._host}:{self._port}"
        self.timeout = settings.timeout.total_seconds()
        self.slow_timeout = self.timeout * _WAIT_LONGER
        self._settings = settings
        self._stop = stop or Event()
        self._tls = _tls(settings)
        self._client: MilvusClient | None = None
        self.lite = False  # until the first connection tells
        self.version: str = self.call(lambda client: str(client.get_server_version(timeout=self.timeout)))
        self.lite = self.version.startswith(_LITE)

    def call(self, request: Callable[[MilvusClient], T], *, collection: str = "", again: bool = True) -> T:
        """Makes a request; while Milvus is away, again and again for `timeout`.

        Args:
            request: Makes the request; it may be called twice, also where only the first answer was lost.
            collection: The collection that the request needs; it is loaded where a restarted server has not loaded it.
            again: Whether the request may be made twice.

        Raises:
            StoreUnavailable: Milvus stayed away, or does not let newstide in.
            StoreRefused: Milvus refused the request.
        """
        ends = [stop_before_delay(self.timeout), stop_when_event_set(self._stop)]
        retrying = Retrying(
            retry=retry_if_exception_type(_Away),
            wait=wait_exponential_jitter(initial=0.1, max=5, jitter=0.2),
            stop=stop_any(*ends) if again else stop_after_attempt(1),
            sleep=sleep_using_event(self._stop),
            reraise=True,
        )
        try:
            answer: T = retrying(self._attempt, request, collection)
        except _Away as error:
            raise error.final() from error
        return answer

    def load(self, client: MilvusClient, collection: str) -> None:
        """Loads a collection; indexes that Milvus Lite cannot read are built anew from the rows.

        A Lite that is killed while it writes an index leaves a file cut short, and from then on refuses to load the
        collection (3.2.2 writes in place). The rows are not damaged: they lie in other files and in a log.
        """
        try:
            client.load_collection(collection, timeout=self.slow_timeout)
        except MilvusException as error:
            broken = type(error) is MilvusException and error.code == _LITE_UNEXPECTED
            if not (self.lite and broken) or isinstance(error.__cause__, grpc.RpcError):
                raise
            log.warning("an index is damaged and built anew", collection=collection, reason=_first_line(str(error)))
            _rebuild_indexes(client, collection, self.slow_timeout)
            client.load_collection(collection, timeout=self.slow_timeout)

    def close(self) -> None:
        """Closes the client; the next call opens another."""
        if self._client is not None:
            client, self._client = self._client, None
            client.close()

    def _attempt(self, request: Callable[[MilvusClient], T], collection: str) -> T:
        try:
            return request(self._connected())
        except MilvusException as error:
            if error.code in _NOT_LOADED and collection:
                self._load(collection)
            if isinstance(error.__cause__, (TypeError, ValueError)) and "closed channel" not in str(error.__cause__):
                raise error.__cause__ from None  # the request could not be built, and was not sent
            raise self._explained(error) from error
        except grpc.RpcError as error:
            raise self._explained_rpc(error) from error
        except OSError as error:
            self.close()
            raise self._away(_first_line(str(error))) from error
        except ValueError as error:  # the caller's values are wrong (a text that is no UTF-8, say), not Milvus
            if "closed channel" not in str(error):
                raise
            self.close()
            raise self._away(str(error)) from error

    def _connected(self) -> MilvusClient:
        if self._client is None:
            self._knock()
            options: dict[str, Any] = {"uri": self._settings.uri, "timeout": min(self.timeout, _CONNECT_WITHIN)}
            if self._settings.token is not None:
                options["token"] = self._settings.token.get_secret_value()
            if self._settings.database != "default":
                options["db_name"] = self._settings.database
            if is_loopback(self._host):
                options["grpc_options"] = _NO_PINGS
            if self._tls is not None:
                options.update(_certificates(self._settings))
            # Without this, clients of one address share a channel, in the state in which another client left it.
            self._client = MilvusClient(**options, dedicated=True)
        return self._client

    def _knock(self) -> None:
        """Finds out by a socket, at once, that no trusted server listens: a client's first call would wait long."""
        with socket.create_connection((self._host, self._port), timeout=min(self.timeout, _CONNECT_WITHIN)) as bare:
            if self._tls is None:
                return
            try:
                with self._tls.wrap_socket(bare, server_hostname=self._host) as safe:
                    greeting = safe.recv(1)  # HTTP/2's greeting, or an alert that our certificate is refused
            except TimeoutError:
                return
            except ssl.SSLError as error:
                raise StoreUnavailable(
                    f"Milvus at {self.uri} and newstide do not trust each other: {said(error)}.",
                    "Does that port speak TLS? Correct milvus.uri, milvus.ssl_cafile (who signed its certificate), or "
                    "milvus.ssl_certfile and ssl_keyfile (which it may ask for).",
                    passing=False,
                ) from None
        if not greeting:
            raise ConnectionError(
                "it closes the connection at once; it may ask for a certificate (milvus.ssl_certfile)"
            )

    def _load(self, collection: str) -> None:
        try:
            self.load(self._connected(), collection)
        except (MilvusException, grpc.RpcError) as error:
            self.close()
            raise self._away(_first_line(str(error))) from error

    def _explained(self, error: MilvusException) -> StoreUnavailable | StoreRefused:
        cause = error.__cause__
        if isinstance(cause, grpc.Call) and cause.code() in _NOT_ALLOWED_RPC:
            return self._not_allowed(_first_line(str(cause.details())))  # the client's message names its parameters
        if isinstance(cause, grpc.Call) and cause.code() is _LATE_RPC:
            return self._slow()
        text = _first_line(str(error.message or error))
        if error.code in _NOT_ALLOWED or "auth check failure" in text:
            return self._not_allowed(text)
        if error.code in _NOT_LOADED:
            return self._away(text)
        if error.is_input_error or error.code in _REFUSED:
            return self._refused(text)
        if type(error) not in (MilvusException, ConnectError, MilvusUnavailableException):
            return self._refused(text)  # the client itself refused the request
        if error.code in _UNSPECIFIC and any(word in text.lower() for word in _REFUSALS):
            return self._refused(text)
        self.close()
        return self._away(text)

    def _explained_rpc(self, error: grpc.RpcError) -> StoreUnavailable | StoreRefused:
        code = error.code() if hasattr(error, "code") else None
        details = error.details() if hasattr(error, "details") else None
        text = _first_line(f"{details or error}")
        if code in _NOT_ALLOWED_RPC:
            return self._not_allowed(text)
        if code in _REFUSED_RPC:
            return self._refused(text)
        if code is _LATE_RPC:
            return self._slow()
        self.close()
        return self._away(text)

    def _away(self, reason: str) -> StoreUnavailable:
        return _Away(
            f"Milvus at {self.uri} cannot be reached: {reason}.", "Is Milvus running? `newstide doctor` tells more."
        )

    def _slow(self) -> StoreUnavailable:
        return _Slow(
            f"Milvus at {self.uri} did not answer within {self.timeout:g} s.",
            "Milvus may be busy, or hang: `newstide doctor` tells more.",
        )

    def _not_allowed(self, reason: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"Milvus at {self.uri} does not let newstide in: {reason}.",
            "Correct NEWSTIDE_MILVUS_TOKEN (user:password).",
            passing=False,
        )

    def _refused(self, reason: str) -> StoreRefused:
        return StoreRefused(f"Milvus at {self.uri} refused a request: {reason}.")


def _rebuild_indexes(client: MilvusClient, collection: str, timeout: float) -> None:
    """Drops all indexes, and their files with them, and declares them again; loading builds them."""
    wanted = client.prepare_index_params()
    for name in client.list_indexes(collection):
        found = client.describe_index(collection, name, timeout=timeout)
        kind = {key: found[key] for key in ("index_type", "metric_type") if found.get(key)}
        wanted.add_index(found["field_name"], index_name=name, **kind)
    while left := client.list_indexes(collection):  # Lite drops all at the first call
        client.drop_index(collection, left[0], timeout=timeout)
    client.create_index(collection, wanted, timeout=timeout, sync=False)


def _address(uri: str) -> tuple[str, int]:
    try:
        parts = urlsplit(uri)
        port = parts.port or (443 if parts.scheme == "https" else 19530)
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in ("http", "https", "tcp") or not parts.hostname:
        raise SettingsError(f"milvus.uri {uri!r} is not an address.", "Write it as http://host:19530.")
    return parts.hostname, port


def _tls(settings: MilvusSettings) -> ssl.SSLContext | None:
    if urlsplit(settings.uri or "").scheme != "https":
        return None
    if settings.ssl_certfile is not None and (settings.ssl_keyfile is None or settings.ssl_cafile is None):
        raise SettingsError(
            "milvus.ssl_certfile is set, but milvus.ssl_keyfile or milvus.ssl_cafile is not.", "Set all three."
        )
    context = tls_context("milvus", settings.ssl_cafile, settings.ssl_certfile, settings.ssl_keyfile)
    context.set_alpn_protocols(["h2"])
    return context


def _certificates(settings: MilvusSettings) -> dict[str, str]:
    """The certificate files for the client, which does not use this machine's list of trusted authorities."""
    if settings.ssl_certfile is not None:
        return {
            "ca_pem_path": str(settings.ssl_cafile),
            "client_pem_path": str(settings.ssl_certfile),
            "client_key_path": str(settings.ssl_keyfile),
        }
    trusted = settings.ssl_cafile or ssl.get_default_verify_paths().cafile
    return {} if trusted is None else {"server_pem_path": str(trusted)}


def _first_line(text: str) -> str:
    """The first line of a client's message, without its stack of details."""
    lines = text.strip().splitlines() or [""]
    return lines[0][:300].rstrip(".")
