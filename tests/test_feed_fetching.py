"""What a feed's address leads to: only public places, within time, and to the address that was checked."""

import gzip
import socket
import threading
import time
from typing import Any

import pytest

from newstide.core.errors import FeedRefused, SourceError
from newstide.core.outgoing import is_public
from newstide.core.settings import FeedSettings
from producers.feed_state import FeedState
from producers.feeds import poll_feed
from producers.fetch import fetch
from tests.harness.feed_site import NOW, Site, rss, titles


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/absent", "answers 404"),
        ("/page", "is no RSS, Atom or JSON feed"),
        ("/large", "is larger than 2 MiB"),
        ("/bomb", "is larger than 2 MiB"),
        ("/loop", "redirects more than 5 times"),
        ("/file", "is no http or https address"),
        ("/garbage", "cannot be unpacked"),
    ],
)
def test_pages_that_are_no_feeds_are_refused_by_name(site: Site, path: str, reason: str) -> None:
    site.page("/page", "<html><body>News</body></html>", Content_Type="text/html")
    site.page("/large", rss("One") + " " * FeedSettings().max_bytes)
    site.page("/bomb", gzip.compress(b" " * 100_000_000), Content_Encoding="gzip")
    site.page("/loop", "", 302, Location="/loop")
    site.page("/file", "", 302, Location="file:///etc/passwd")
    site.page("/garbage", b"not gzip", Content_Encoding="gzip")
    with pytest.raises(SourceError, match=reason) as caught:
        poll_feed(site.address + path, FeedState(":memory:"), NOW, allow_private=True)
    assert site.address in caught.value.message or reason.startswith("is no http")


def test_redirects_are_followed_and_keep_the_question(site: Site) -> None:
    site.page("/new", rss("One"), ETag='"v1"')
    url = site.page("/old", "", 301, Location="/new")
    assert titles(poll_feed(url, FeedState(":memory:"), NOW, allow_private=True).rows) == ["One"]


def test_private_addresses_are_refused_also_behind_names_and_redirects(site: Site) -> None:
    url = site.page("/rss", rss("One"))
    port = url.rsplit(":", 1)[1]
    for address in (url, f"http://localhost:{port}", f"http://[::ffff:127.0.0.1]:{port}", f"http://2130706433:{port}"):
        with pytest.raises(SourceError, match="no public address") as caught:
            poll_feed(address, FeedState(":memory:"), NOW)
        assert "--allow-private" in caught.value.way_out
    assert site.asked == []


def test_a_redirect_to_a_private_address_is_refused_before_it_is_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first hop counts as public here, since a test has no public server; the second is looked at as it is."""
    port = int(site.address.rsplit(":", 1)[1])
    monkeypatch.setattr("producers.fetch.is_public", lambda address: address == "127.0.0.1")
    site.page("/rss", rss("One"))
    for private in ("[::1]", "169.254.169.254", "10.0.0.1", "127.0.0.2"):
        site.page("/old", "", 302, Location=f"http://{private}:{port}/rss")
        with pytest.raises(SourceError, match="no public address"):
            poll_feed(f"{site.address}/old", FeedState(":memory:"), NOW)
    assert {path for path, _ in site.asked} == {"/old"}


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.20.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - an address to refuse
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b:1::5db8:d70e", False),
        ("64:ff9b::5db8:d70e", True),
        ("::127.0.0.1", False),
        ("::169.254.169.254", False),
        ("::ffff:0:10.0.0.1", False),
        ("fec0::1", False),
        ("3fff:fff::1", False),
        ("3fff:1000::1", True),
        ("5f00:1::1", False),
        ("2606:4700::5efe:5db8:d70e", False),
        ("2606:4700::200:5efe:5db8:d70e", False),
        ("2606:4700::1", True),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_the_address_that_was_checked_is_the_one_connected_to(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes its address between the check and the connection gains nothing: it is looked up once."""
    port = int(site.address.rsplit(":", 1)[1])
    looked_up: list[str] = []

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        looked_up.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    site.page("/rss", rss("One"))
    monkeypatch.setattr("newstide.core.outgoing.socket.getaddrinfo", look_up)
    page = fetch(f"http://feeds.example:{port}/rss", {}, allow_private=True)
    assert page.status == 200
    assert looked_up == ["feeds.example", "127.0.0.1"]  # the second is the connection's own, of an address
    assert site.asked[0][1]["Host"] == f"feeds.example:{port}"


class Dripping:
    """A server that sends its answer a byte at a time, or one redirect after another, and takes its time over each."""

    def __init__(self, answer: bytes, pause: float = 0.05) -> None:
        self._answer, self._pause = answer, pause
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/rss"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._drip, args=(connection,), daemon=True).start()

    def _drip(self, connection: socket.socket) -> None:
        with connection:
            for byte in self._answer:
                if self._over.wait(self._pause):
                    return
                try:
                    connection.sendall(bytes([byte]))
                except OSError:
                    return

    def __enter__(self) -> "Dripping":
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.close()


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (b"HTTP/1.1 200 OK\r\n" + b"X-Long: 1\r\n" * 10_000, 0.05),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b" " * 100_000, 0.01),
        (b"HTTP/1.1 302 Found\r\nLocation: /rss\r\nContent-Length: 0\r\n\r\n", 0.01),
    ],
    ids=["the headers", "the body", "redirects"],
)
def test_a_feed_that_drips_is_given_up_at_the_deadline(answer: bytes, pause: float) -> None:
    started = time.monotonic()
    limits = FeedSettings(timeout="2s", redirects=20)
    with Dripping(answer, pause) as server, pytest.raises(SourceError, match="took longer than 2 s"):
        poll_feed(server.url, FeedState(":memory:"), NOW, allow_private=True, limits=limits)
    assert 1.9 < time.monotonic() - started < 10


def test_a_name_that_is_not_resolved_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def look_up(*_: Any, **__: Any) -> list[Any]:
        answered.wait(60)
        raise OSError("too late")

    monkeypatch.setattr("newstide.core.outgoing.socket.getaddrinfo", look_up)
    started = time.monotonic()
    with pytest.raises(SourceError, match=r"feeds\.example/rss took longer than 0\.5 s"):
        poll_feed("http://feeds.example/rss", FeedState(":memory:"), NOW, limits=FeedSettings(timeout="500ms"))
    assert time.monotonic() - started < 10
    answered.set()


def test_no_connection_is_used_for_a_second_name_at_the_same_address(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS the second name's certificate would not be looked at."""
    port = int(site.address.rsplit(":", 1)[1])
    monkeypatch.setattr(
        "newstide.core.outgoing.socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", port))]
    )
    site.page("/old", "", 302, Location=f"http://two.example:{port}/rss")
    site.page("/rss", rss("One"))
    assert fetch(f"http://one.example:{port}/old", {}, allow_private=True).status == 200
    assert [headers["Host"] for _, headers in site.asked] == [f"one.example:{port}", f"two.example:{port}"]
    assert len(set(site.clients)) == 2


@pytest.mark.parametrize("after", ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "soon", "-5", "9" * 400])
def test_whatever_a_busy_server_writes_as_retry_after_its_refusal_is_what_is_said(site: Site, after: str) -> None:
    with pytest.raises(FeedRefused, match="answers 503"):
        fetch(site.page("/busy", "", 503, Retry_After=after), {}, allow_private=True)
