"""`newstide dead-letters`: what was refused is shown, and sent again as often as makes sense."""

import json
from threading import Event

import pytest
from kafka import KafkaProducer
from typer.testing import CliRunner

from newstide.core.settings import Settings, as_environment
from newstide.kafka.client import connected
from newstide.kafka.lag import end_offsets
from newstide.kafka.producer import Sender
from newstide.milvus import open_store
from newstide_app.cli.main import app
from newstide_app.maintenance.dead_letters import MOST_REPLAYS, letters, preview, replay, waiting
from newstide_app.services.run import run_consumer

LONG = json.dumps({"title": "A headline with a long description", "description": "word " * 20_000}).encode()


def send(settings: Settings, *values: bytes | None) -> None:
    sender = Sender(settings.kafka)
    for value in values:
        sender.send(settings.kafka.topic, key=b"key", value=value)
    sender.flush()
    sender.close()


def test_letters_are_listed_escaped_and_replayed_until_they_are_given_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    send(settings, LONG, b"\x1b[31mred", '{"title": "\u202eevil" '.encode(), b"")
    assert run_consumer(settings, stop=Event(), drain=True).dead_letters == 4

    shown = CliRunner().invoke(app, ["dead-letters", "list", "--json"])
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.output)
    assert len(found) == 4
    assert all(one["reason"] and one["topic"] == settings.kafka.topic and one["offset"] >= 0 for one in found)
    table = CliRunner().invoke(app, ["dead-letters", "list", "--limit", "3"]).output
    assert "4 dead letters, 3 shown" in table
    for output in (shown.output, table):
        assert "\x1b" not in output
        assert "\u202e" not in output

    dry = replay(settings.kafka, dry_run=True)
    assert (dry.sent, sum(end_offsets(settings.kafka, settings.kafka.topic).values())) == (4, 4)

    assert waiting(settings.kafka) == 4

    # The cause of one is mended: larger messages are allowed now.
    mended = settings.updated(consumer={"max_message_bytes": 200_000})
    some = replay(settings.kafka, reason="BYTES; 65,536")
    assert (some.sent, some.other_reason) == (1, 3)
    tally = run_consumer(mended, stop=Event(), drain=True)
    assert (tally.stored, tally.dead_letters) == (1, 0)

    # Whoever replays again and again sends each of the others a bounded number of times, and the good one twice over.
    for again in range(1, MOST_REPLAYS + 3):
        report = json.loads(CliRunner().invoke(app, ["dead-letters", "replay", "--json"]).output)
        assert report["sent"] == (4 if again <= MOST_REPLAYS else 1)
        tally = run_consumer(mended, stop=Event(), drain=True)
        assert (tally.stored, tally.duplicates) == (0, 1)
    assert report["given_up"] == 3 * (1 + MOST_REPLAYS)
    assert waiting(settings.kafka) == 0, "the doctor speaks of letters that nothing more can be done for"
    assert len(list(letters(settings.kafka))) == 4 + 3 * MOST_REPLAYS
    store = open_store(settings.milvus, None)
    assert store.count_headlines() == 1
    store.close()


def test_what_kafka_took_because_it_was_compressed_and_would_not_take_again_is_cut(settings: Settings) -> None:
    """It must not hold up what comes after it."""
    value = b'{"title": "' + b"x" * 5_000_000 + b'"}'
    producer = connected(KafkaProducer, settings.kafka, compression_type="gzip", max_request_size=20_000_000)
    producer.send(settings.kafka.topic, key=b"k", value=value).get(30)
    producer.close()
    send(settings, b'{"title": "A headline"}')

    tally = run_consumer(settings, stop=Event(), drain=True)
    assert (tally.messages, tally.stored, tally.dead_letters) == (2, 1, 1)
    (letter,) = letters(settings.kafka)
    assert letter.value == value[: len(letter.value or b"")]
    assert letter.cut == letter.as_dict()["bytes"] == len(value) + 1
    assert "5,000,013 bytes" in letter.reason
    left = replay(settings.kafka)
    assert (left.sent, left.cut) == (0, 1)


def test_what_is_listed_never_reaches_beyond_its_line() -> None:
    for value in (b"\xff\xfe\x00", "a\nb\u2028c\u200f\ue000".encode(), b"x" * 1_000_000):
        assert preview(value).isprintable()
        assert len(preview(value)) <= 120
    assert preview(None) == ""
