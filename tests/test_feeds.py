"""Feeds from a local web server: only what is new, only what is allowed, and never more than one feed's trouble."""

import gzip
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from newstide.core.errors import DeliveryError, SourceError
from newstide.core.settings import FeedSettings, KafkaSettings, LimitSettings
from producers.feed_ids import Known
from producers.feed_poller import FeedPoller
from producers.feed_state import FeedState
from producers.feeds import parse_feed, poll_feed
from producers.fetch import _public, fetch
from producers.publisher import produce_feeds
from producers.rows import Row

NOW = 1_791_892_800.0  # 2026-10-13T12:00:00Z


def rss(*titles: str, extra: str = "") -> str:
    items = "".join(
        f"<item><title>{title}</title><link>https://desk.example/{title.replace(' ', '-')}</link>"
        f"<description>About {title}.</description>"
        f"<pubDate>Tue, 13 Oct 2026 {8 + number % 4:02}:00:00 +0200</pubDate></item>"
        for number, title in enumerate(titles)
    )
    return (
        f'<?xml version="1.0"?><rss version="2.0"><channel><title>The Desk</title><language>en-gb</language>{items}'
        f"{extra}</channel></rss>"
    )


ATOM = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de"><title type="text">Das Blatt</title>
<entry><title type="html">Hafen &lt;b&gt;brennt&lt;/b&gt; &amp;amp; raucht</title><id>urn:blatt:1</id>
<link href="https://blatt.example/1"/><updated>2026-10-13T09:30:00+02:00</updated>
<summary type="html">&lt;p&gt;Niemand &lt;script&gt;alert(1)&lt;/script&gt;verletzt.&lt;/p&gt;</summary></entry>
<entry><title>5 &lt; 6, sagt er</title><id>urn:blatt:2</id></entry>
<entry><title></title><id>urn:blatt:3</id></entry></feed>"""


class Site:
    """A web server on loopback whose pages a test sets, and which keeps what it was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.clients: list[tuple[str, int]] = []  # the other end of each request's connection
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections could be used again

            def do_GET(self) -> None:
                site.asked.append((self.path, dict(self.headers)))
                site.clients.append(self.client_address)
                status, headers, body = site.pages.get(self.path, (404, {}, b"no such page"))
                if status == 200 and headers.get("ETag") and self.headers.get("If-None-Match") == headers["ETag"]:
                    status, body = 304, b""
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def page(self, path: str, body: str | bytes, status: int = 200, **headers: str) -> str:
        content = body if isinstance(body, bytes) else body.encode()
        self.pages[path] = (status, {name.replace("_", "-"): value for name, value in headers.items()}, content)
        return self.address + path

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


def titles(rows: Sequence[Row]) -> list[str]:
    return [row.headline.title for row in rows]


def test_rss_fields_are_found(site: Site) -> None:
    url = site.page("/rss", rss("Rates held"), Content_Type="application/rss+xml")
    (row,) = poll_feed(url, FeedState(":memory:"), NOW, allow_private=True).rows
    headline = row.headline
    assert (headline.title, headline.description) == ("Rates held", "About Rates held.")
    assert (headline.source, headline.language, headline.url) == (
        "The Desk",
        "en-gb",
        "https://desk.example/Rates-held",
    )
    assert headline.published_at == int(datetime(2026, 10, 13, 6, tzinfo=UTC).timestamp() * 1000)
    assert row.published


def test_atom_html_is_turned_into_text_and_entries_without_a_title_are_left_out() -> None:
    listing = parse_feed(ATOM.encode(), "https://blatt.example/atom", NOW)
    rows = listing.rows
    assert titles(rows) == ["Hafen brennt & raucht", "5 < 6, sagt er"]
    assert rows[0].headline.description == "Niemand verletzt."
    assert (rows[0].headline.source, rows[0].headline.language) == ("Das Blatt", "de")
    assert [item.guid for item in listing.items] == ["urn:blatt:1", "urn:blatt:2"]
    assert [row.published for row in rows] == [True, False]
    (refused,) = listing.rejected
    assert (refused.file, refused.line, refused.reason) == (
        "https://blatt.example/atom",
        3,
        "The title is missing or empty.",
    )


def test_the_first_entries_of_a_feed_are_looked_at_and_as_much_of_a_description_as_is_set() -> None:
    limits, short = FeedSettings(max_entries=2), LimitSettings(description=8)
    rows = parse_feed(
        rss("One", "Two", "Three").encode(), "https://desk.example/rss", NOW, limits=limits, headline_limits=short
    ).rows
    assert titles(rows) == ["One", "Two"]
    assert [row.headline.description for row in rows] == ["About On", "About Tw"]


def test_only_what_was_not_sent_comes_oldest_first_and_across_restarts(site: Site, tmp_path: Path) -> None:
    url = site.page("/rss", rss("Two", "Three"))
    state = FeedState(tmp_path / "feeds.sqlite")
    first = poll_feed(url, state, NOW, allow_private=True)
    assert titles(first.rows) == ["Two", "Three"]
    assert titles(poll_feed(url, state, NOW, allow_private=True).rows) == ["Two", "Three"]  # not yet sent
    state.remember(url, first.items, "", "", NOW)
    state.close()
    site.page("/rss", rss("One", "Two", "Three", "Four"))
    again = poll_feed(url, FeedState(tmp_path / "feeds.sqlite"), NOW, allow_private=True)
    assert titles(again.rows) == ["One", "Four"]


def test_an_unchanged_feed_is_asked_for_conditionally(site: Site) -> None:
    stamp = format_datetime(datetime(2026, 10, 13, tzinfo=UTC), usegmt=True)
    url = site.page("/rss", rss("One"), ETag='"v1"', Last_Modified=stamp)
    state = FeedState(":memory:")
    poll = poll_feed(url, state, NOW, allow_private=True)
    state.remember(url, poll.items, poll.etag, poll.last_modified, NOW)
    again = poll_feed(url, state, NOW, allow_private=True)
    assert not again.changed
    asked = site.asked[-1][1]
    assert (asked["If-None-Match"], asked["If-Modified-Since"]) == ('"v1"', stamp)


def test_the_memory_of_a_feed_is_bounded_and_keeps_what_the_feed_still_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.feed_state._KEPT", 5)
    state = FeedState(":memory:")
    state.remember("u", [Known(f"old-{number}") for number in range(9)], "", "", NOW)
    state.remember("u", [Known("old-0"), Known("new")], "", "", NOW + 1)
    known = {item.id for item in state.known("u")}
    assert {"old-0", "new"} <= known
    assert len(known) == 5


def test_a_damaged_memory_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "feeds.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 10)
    with pytest.raises(SourceError, match=r"feeds\.sqlite cannot remember"):
        FeedState(tmp_path / "feeds.sqlite")


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
    monkeypatch.setattr("producers.fetch._public", lambda address: address == "127.0.0.1")
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
    assert _public(address) is public


def test_the_address_that_was_checked_is_the_one_connected_to(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes its address between the check and the connection gains nothing: it is looked up once."""
    port = int(site.address.rsplit(":", 1)[1])
    looked_up: list[str] = []

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        looked_up.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    site.page("/rss", rss("One"))
    monkeypatch.setattr("producers.fetch.socket.getaddrinfo", look_up)
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

    monkeypatch.setattr("producers.fetch.socket.getaddrinfo", look_up)
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
    monkeypatch.setattr("producers.fetch.socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", port))])
    site.page("/old", "", 302, Location=f"http://two.example:{port}/rss")
    site.page("/rss", rss("One"))
    assert fetch(f"http://one.example:{port}/old", {}, allow_private=True).status == 200
    assert [headers["Host"] for _, headers in site.asked] == [f"one.example:{port}", f"two.example:{port}"]
    assert len(set(site.clients)) == 2


def test_entities_are_not_expanded_and_files_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    feed = (
        f'<!DOCTYPE rss [<!ENTITY a0 "ha">{entities}<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
        "<rss version='2.0'><channel><item><title>&a9; &x; end</title></item></channel></rss>"
    )
    started = time.monotonic()
    (row,) = parse_feed(feed.encode(), "https://desk.example/rss", NOW).rows
    assert time.monotonic() - started < 5
    assert "haha" not in row.headline.title
    assert "hidden" not in row.headline.title
    with pytest.raises(SourceError):  # a body that is a file's name is not opened
        parse_feed(str(secret).encode(), "https://desk.example/rss", NOW)


@pytest.mark.parametrize(
    "hostile",
    [
        b"<rss><channel><item><title>" + b"<a>" * 600_000,
        b"<html>" + b"<p " * 600_000,
        b"<rss><channel>" + b"<item>" * 300_000,
    ],
    ids=["open tags", "broken tags", "open items"],
)
def test_a_feed_that_keeps_the_parser_busy_is_given_up(hostile: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(SourceError, match=r"desk\.example/rss cannot be parsed within 1 s and 512 MB"):
        parse_feed(hostile, "https://desk.example/rss", NOW, limits=FeedSettings(parse_seconds=1, parse_mb=512))
    assert time.monotonic() - started < 15


def test_a_feed_that_takes_all_memory_is_given_up() -> None:
    hostile = b"<rss version='2.0'><channel>" + b" " * (256 << 20)
    with pytest.raises(SourceError, match="cannot be parsed within 60 s and 256 MB"):
        parse_feed(hostile, "https://desk.example/rss", NOW, limits=FeedSettings(parse_seconds=60, parse_mb=256))


def test_the_parser_is_told_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}
    run = subprocess.run

    def listen(*arguments: Any, **options: Any) -> Any:
        seen.update(options["env"])
        return run(*arguments, **options)

    monkeypatch.setenv("NEWSTIDE_KAFKA_SASL_PASSWORD", "tell-nobody")
    monkeypatch.setattr("producers.feeds.subprocess.run", listen)
    parse_feed(rss("One").encode(), "https://desk.example/rss", NOW)
    assert "PATH" in seen
    assert not [name for name, text in seen.items() if name.startswith("NEWSTIDE_") or text == "tell-nobody"]


def test_an_address_with_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(SourceError, match="holds a name and a password") as caught:
        FeedPoller(["https://desk:tell-nobody@feeds.example/rss"], ":memory:", lambda _rows: None)
    assert "tell-nobody" not in str(caught.value)


class Outbox:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.broken = False

    def __call__(self, rows: Sequence[Row]) -> None:
        if self.broken:
            raise DeliveryError("Kafka is away.")
        self.sent.extend(titles(rows))


def test_a_broken_feed_is_said_once_waited_for_longer_and_holds_up_no_other(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = site.page("/good", rss("One")), site.address + "/bad"
    clock, outbox, every = [NOW], Outbox(), timedelta(minutes=1)
    with FeedPoller([good, bad], ":memory:", outbox, allow_private=True, now=lambda: clock[0]) as poller:
        for _ in range(20):
            poller.tick(bad, every)
            poller.tick(good, every)
            clock[0] += 60
        asked = sum(path == "/bad" for path, _ in site.asked)
        assert 4 <= asked <= 6  # after 1, 2, 4, 8 minutes
        assert outbox.sent == ["One"]
        site.page("/bad", rss("Late"))
        clock[0] += 3600
        poller.tick(bad, every)
    assert outbox.sent == ["One", "Late"]
    said = capsys.readouterr()
    assert (said.out + said.err).count("cannot be read") == 1
    assert (said.out + said.err).count("the feed is back") == 1


def test_what_kafka_did_not_take_is_sent_with_the_next_look(site: Site) -> None:
    url = site.page("/rss", rss("One"), ETag='"v1"')
    outbox = Outbox()
    with FeedPoller([url], ":memory:", outbox, allow_private=True) as poller:
        outbox.broken = True
        poller.tick(url, timedelta())
        outbox.broken = False
        poller.tick(url, timedelta())
    assert outbox.sent == ["One"]


def test_feeds_are_polled_until_stopped(site: Site) -> None:
    url = site.page("/rss", rss("One"))
    outbox, stop = Outbox(), threading.Event()
    with FeedPoller([url, url], ":memory:", outbox, allow_private=True) as poller:
        polling = threading.Thread(target=poller.poll_every, args=(timedelta(seconds=0.3), stop))
        polling.start()
        deadline = time.monotonic() + 10
        while "One" not in outbox.sent and time.monotonic() < deadline:
            time.sleep(0.02)
        site.page("/rss", rss("One", "Two"))
        while "Two" not in outbox.sent and time.monotonic() < deadline:
            time.sleep(0.02)
        stop.set()
        polling.join(5)
    assert not polling.is_alive()
    assert outbox.sent == ["One", "Two"]


def test_feeds_reach_kafka_once_and_are_remembered(site: Site, kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    urls = [site.page("/a", rss("One", "Two")), site.page("/b", ATOM), site.address + "/broken"]
    state = tmp_path / "feeds.sqlite"
    every = timedelta(minutes=5)
    first = produce_feeds(urls, kafka_settings, state=state, every=every, once=True, allow_private=True)
    assert (first.read, first.sent, first.rejected, first.failed) == (5, 4, 1, 0)
    assert "rejected 1: The title is missing or empty." in first.describe()
    assert f"{urls[2]}: it could not be read" in first.describe()
    rejects = tmp_path / "rejects.jsonl"
    again = produce_feeds(
        urls, kafka_settings, state=state, every=every, once=True, allow_private=True, rejects=rejects
    )
    assert (again.read, again.sent, again.rejected) == (1, 0, 1)
    assert f"{urls[0]}: nothing new." in again.describe()
    assert again.well
    assert json.loads(rejects.read_text())["file"] == urls[1]
    with pytest.raises(SourceError, match="No feed could be read"):
        produce_feeds(urls, kafka_settings, state=tmp_path / "other.sqlite", every=every, once=True)
