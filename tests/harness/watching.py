"""What tests of watches share: made events, and receivers that note what they are told."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from newstide.core.settings import KafkaSettings
from newstide.core.text import iso_time
from newstide.kafka.producer import Sender
from newstide_app.watch.events import StoryEvent, read_event

HOSTILE_TITLE = (
    "Flood\r\nBcc: all@example.org\u2028<!channel> @all *now* <http://evil.example|bank> https://evil.example [x](y)"
)
KEY = "the key of a watch, long enough"


def made_event(story: int, kind: str = "born", *, run: int = 7, at: int | None = None, **fields: Any) -> dict[str, Any]:
    """An event as it stands on the topic."""
    moment = int(time.time() * 1000) if at is None else at
    event = {"id": f"{run}/{story}/{kind}", "run": run, "at": iso_time(moment), "kind": kind, "story": story}
    return {**event, "title": f"Flood closes bridge {story}", "size": 4, "previous_size": 0, **fields}


def as_event(document: dict[str, Any]) -> StoryEvent:
    """As the service reads it."""
    return read_event(json.dumps(document).encode())


def send_events(settings: KafkaSettings, events: Sequence[dict[str, Any]]) -> None:
    """Puts events on the topic."""
    sender = Sender(settings)
    for event in events:
        sender.send(settings.events_topic, key=str(event["story"]).encode(), value=json.dumps(event).encode())
    sender.flush()
    sender.close()


def until(what: str, condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Waits until the condition holds, or raises."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Within {seconds:g} s it did not happen that {what}.")
        time.sleep(0.02)


@dataclass
class Receiver:
    """A webhook's other end, which checks signatures.

    Attributes:
        address: Of it.
        taken: Bodies that it answered with 200, in their order.
        answer: What it does with a request: a status to answer with, `close`, or `hang`.
        bad: What was wrong with requests: signatures, headers.
        tries: Requests there were.
    """

    address: str = ""
    key: str = KEY
    taken: list[dict[str, Any]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    answer: Callable[[], int | str] = lambda: 200
    headers: dict[str, str] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    tries: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        """One request."""
        self.tries += 1
        length = int(handler.headers["Content-Length"])
        body = handler.rfile.read(length)
        if len(body) < length:  # the sender was killed while it sent
            return
        what = self.answer()
        if what == "hang":
            self.released.wait(30)
            return
        if what == "close":
            return
        if what == 200:
            self._check(handler, body)
            self.taken.append(json.loads(body))
            self.at.append(time.time())
        handler.send_response(int(what))
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    @property
    def keys(self) -> list[str]:
        """Of what was taken."""
        return [str(one["key"]) for one in self.taken]

    def _check(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        identity, moment = handler.headers["webhook-id"], handler.headers["webhook-timestamp"]
        signed = hmac.new(self.key.encode(), f"{identity}.{moment}.".encode() + body, hashlib.sha256).digest()
        if handler.headers["webhook-signature"] != f"v1,{base64.b64encode(signed).decode()}":
            self.bad.append(f"signature of {identity}")
        if handler.headers["Idempotency-Key"] != json.loads(body)["key"]:
            self.bad.append(f"Idempotency-Key of {identity}")


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on this machine."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.close_connection = True
            receiver.take(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    receiver.address = f"http://127.0.0.1:{server.server_address[1]}/hook"
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()


class Mailbox:
    """Takes every mail; aiosmtpd's handler."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.port = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        """One mail."""
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@contextmanager
def mail_server(port: int, **options: Any) -> Iterator[Mailbox]:
    """A real SMTP server on this machine; `options` of aiosmtpd's controller."""
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=port, **options)
    controller.start()
    box.port = port
    try:
        yield box
    finally:
        controller.stop()
