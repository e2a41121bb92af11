"""Webhooks: JSON by POST, signed as Standard Webhooks (standardwebhooks.com) has it."""

import base64
import hashlib
import hmac
import json
import socket
import time
from binascii import Error as NotBase64
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from newstide import __version__
from newstide.core.errors import SettingsError, Undelivered
from newstide.core.outgoing import Deadline, DeadlineTransport, is_public, look_up, request_to
from newstide_app.watch.alerts import Alert, Style, as_document

_REFUSED = (400, 405, 406, 413, 414, 415, 422, 431)  # the alert itself is not taken
_LONGEST_ASKED = 3600.0  # seconds of Retry-After that are heeded
_PREFIX = "whsec_"  # of keys that are base64


class WebhookTarget:
    """An address that is posted to; a redirect is a failure.

    Args:
        url: http or https; http to private addresses only.
        key: Of the signature; empty: nothing is signed.
        style: For whom the text is escaped.
        seconds: Longest time of a delivery, from the look-up of the name to the answer.
        public_url: Where the pages are, for links.
    """

    def __init__(self, url: str, key: str, style: Style, seconds: float, public_url: str = "") -> None:
        self._url = httpx.URL(url)
        self._key = signing_key(key)
        self._style = style
        self._seconds = seconds
        self._public_url = public_url
        self._context = httpx.create_ssl_context()

    def deliver(self, alert: Alert) -> None:
        """Posts it; any answer from 200 to 299 is well."""
        body = json.dumps(as_document(alert, self._style, self._public_url), ensure_ascii=False).encode()
        moment = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"newstide/{__version__}",
            "Idempotency-Key": alert.key,
            "webhook-id": alert.key,
            "webhook-timestamp": moment,
        }
        if self._key:
            headers["webhook-signature"] = signature(self._key, alert.key, moment, body)
        deadline = Deadline(self._seconds)
        try:
            with (
                httpx.Client(
                    transport=DeadlineTransport(deadline, self._context), timeout=self._seconds, trust_env=False
                ) as client,
                _sent(client, request_to(client, "POST", self._url, self._address(deadline), headers, body)) as answer,
            ):
                _require_taken(answer)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            late = deadline.left() <= 0 or isinstance(error, (httpx.TimeoutException, TimeoutError))
            reason = f"no answer within {self._seconds:g} s" if late else _without_address(error)
            raise Undelivered(reason) from None

    def _address(self, deadline: Deadline) -> str:
        port = self._url.port or (443 if self._url.scheme == "https" else 80)
        try:
            addresses = look_up(self._url.raw_host.decode("ascii"), port, deadline.left())
        except OSError as error:
            if isinstance(error, socket.gaierror):
                raise Undelivered("its host has no address") from None
            raise
        if self._url.scheme == "http" and any(is_public(address) for address in addresses):
            raise Undelivered("plain http goes to private addresses only, and this is a public one; use https")
        return addresses[0]


def signing_key(text: str) -> bytes:
    """The bytes of a key: those of the text, or what follows `whsec_` in base64.

    Raises:
        SettingsError: What follows `whsec_` is no base64.
    """
    if not text.startswith(_PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (NotBase64, ValueError):
        raise SettingsError("The key of a webhook begins with whsec_, but no base64 follows.") from None


def signature(key: bytes, identity: str, moment: str, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`."""
    signed = hmac.new(key, f"{identity}.{moment}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()


@contextmanager
def _sent(client: httpx.Client, request: httpx.Request) -> Iterator[httpx.Response]:
    """The answer; its body is not read."""
    answer = client.send(request, stream=True, follow_redirects=False)
    try:
        yield answer
    finally:
        answer.close()


def _require_taken(answer: httpx.Response) -> None:
    code = answer.status_code
    if answer.is_success:
        return
    asked = answer.headers.get("retry-after", "").strip()
    wait = min(float(asked), _LONGEST_ASKED) if asked.isdecimal() and len(asked) < 9 else 0.0
    what = ", a redirect, which is not followed" if answer.is_redirect else ""
    raise Undelivered(f"it answers {code}{what}", refused=code in _REFUSED, wait=wait)


def _without_address(error: Exception) -> str:
    """Why a connection failed; the library's texts hold no address, but its names do for what is unknown."""
    text = str(error)
    if "CERTIFICATE" in text.upper():
        return "its certificate is not trusted"
    if isinstance(error, httpx.ConnectError):
        return "it cannot be reached"
    return f"the connection broke off ({type(error).__name__})"
