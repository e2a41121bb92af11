"""Reaching Milvus: the first contact, and calls that are retried while it is away."""

import logging
import socket
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import grpc
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from newstide.errors import StoreLimit, StoreUnavailable
from newstide.settings import MilvusSettings

T = TypeVar("T")

# What a server says of a request that no repetition will mend.
_REFUSALS = (
    "invalid",
    "illegal",
    "exceed",
    "cannot parse",
    "not match",
    "should be",
    "must be",
    "not found",
    "not exist",
)


class Connection:
    """A client and its patience. Every failure leaves it as one of newstide's errors."""

    def __init__(self, settings: MilvusSettings) -> None:
        if settings.uri is None:
            raise StoreUnavailable(
                "No Milvus is configured and no local one is running.",
                "Start `newstide up`, or set NEWSTIDE_MILVUS_URI=http://host:19530.",
            )
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs what is raised, and much more
        self.uri = settings.uri
        self.timeout = settings.timeout.total_seconds()
        self._settings = settings
        self._client: MilvusClient | None = None
        self.version: str = self.call(lambda client: str(client.get_server_version()))
        self.lite = "lite" in self.version.lower()

    def call(self, request: Callable[[MilvusClient], T]) -> T:
        """Makes a request; while Milvus is away, again and again for `timeout`.

        Raises:
            StoreUnavailable: Milvus stayed away.
            StoreLimit: Milvus refused the request.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_exponential_jitter(initial=0.1, max=5),
            stop=stop_after_delay(self.timeout),
            reraise=True,
        )
        answer: T = retrying(self._attempt, request)
        return answer

    def close(self) -> None:
        """Closes the client."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _attempt(self, request: Callable[[MilvusClient], T]) -> T:
        try:
            return request(self._connected())
        except MilvusException as error:
            text = shorten(str(error.message or error))
            if error.code != 2 and any(word in text.lower() for word in _REFUSALS):
                raise StoreLimit(f"Milvus at {self.uri} refused a request: {text}") from error
            raise self._away(text) from error
        except (grpc.RpcError, OSError) as error:
            raise self._away(shorten(str(error))) from error
        except ValueError as error:
            if "closed channel" in str(error):
                raise self._away(str(error)) from error
            raise

    def _connected(self) -> MilvusClient:
        if self._client is None:
            self._probe()
            options: dict[str, Any] = {"uri": self.uri, "timeout": self.timeout}
            if self._settings.token is not None:
                options["token"] = self._settings.token.get_secret_value()
            if self._settings.database != "default":
                options["db_name"] = self._settings.database
            self._client = MilvusClient(**options)
        return self._client

    def _probe(self) -> None:
        """A client's first call waits long where nobody listens; a socket says so at once."""
        address = urlsplit(self.uri)
        if address.scheme not in ("http", "https", "tcp") or not address.hostname:
            raise StoreLimit(f"milvus.uri {self.uri!r} is not an address.", "Write it as http://host:19530.")
        port = address.port or (443 if address.scheme == "https" else 19530)
        socket.create_connection((address.hostname, port), timeout=min(self.timeout, 5)).close()

    def _away(self, reason: str) -> StoreUnavailable:
        self.close()
        return StoreUnavailable(
            f"Milvus at {self.uri} cannot be reached: {reason}.", "Is it running? `newstide doctor` tells more."
        )


def shorten(text: str) -> str:
    """The first line of a client's message, without its stack of details."""
    lines = text.strip().splitlines() or [""]
    return lines[0][:300].rstrip(".")
