"""Feeds from a local web server: only what is new, only what is allowed, and never more than one feed's trouble."""

import json
import subprocess
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from newstide.core.errors import DeliveryError, SourceError
from newstide.core.settings import FeedSettings, KafkaSettings, LimitSettings
from producers.feed_ids import Known
from producers.feed_poller import FeedPoller
from producers.feed_state import FeedState
from producers.feeds import parse_feed, poll_feed
from producers.publisher import produce_feeds
from producers.rows import Row
from tests.harness.feed_site import NOW, Site, rss, titles

ATOM = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de"><title type="text">Das Blatt</title>
<entry><title type="html">Hafen &lt;b&gt;brennt&lt;/b&gt; &amp;amp; raucht</title><id>urn:blatt:1</id>
<link href="https://blatt.example/1"/><updated>2026-10-13T09:30:00+02:00</updated>
<summary type="html">&lt;p&gt;Niemand &lt;script&gt;alert(1)&lt;/script&gt;verletzt.&lt;/p&gt;</summary></entry>
<entry><title>5 &lt; 6, sagt er</title><id>urn:blatt:2</id></entry>
<entry><title></title><id>urn:blatt:3</id></entry></feed>"""


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


def test_a_memory_that_cannot_be_opened_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "feeds.sqlite").mkdir()
    with pytest.raises(SourceError, match=r"feeds\.sqlite cannot hold the state of feeds"):
        FeedState(tmp_path / "feeds.sqlite")


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
    assert f"{urls[2]}: the feed could not be read" in first.describe()
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
