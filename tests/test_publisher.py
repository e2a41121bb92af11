"""Sending to the real broker: what is counted is what is there."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from newstide.core.errors import BrokerUnavailable, SettingsError, SourceError
from newstide.core.headline import Headline, decode
from newstide.core.local_server import free_port
from newstide.core.settings import KafkaSettings
from newstide.kafka.consumer import make_consumer
from newstide.kafka.lag import end_offsets
from producers.publisher import Summary, produce_files, publish
from producers.rows import Row
from producers.sample import day_file


def in_topic(settings: KafkaSettings) -> list[tuple[bytes, Headline]]:
    total = sum(end_offsets(settings, settings.topic).values())
    consumer = make_consumer(settings, [settings.topic], group=f"check-{settings.topic}")
    found: list[tuple[bytes, Headline]] = []
    while len(found) < total:
        for records in consumer.poll(timeout_ms=200).values():
            found.extend((record.key, decode(record.value, record.timestamp).headline) for record in records)
    consumer.close(autocommit=False)
    return found


def test_the_bundled_day_arrives_whole_and_keyed_by_id(kafka_settings: KafkaSettings) -> None:
    summary = produce_files([day_file()], kafka_settings)
    assert (summary.read, summary.sent, summary.rejected, summary.failed) == (800, 800, 0, 0)
    found = in_topic(kafka_settings)
    assert len(found) == 800
    assert all(key == headline.id.encode() for key, headline in found)
    assert {headline.title for _, headline in found} == {
        " ".join(json.loads(line)["title"].split()) for line in day_file().read_text(encoding="utf-8").splitlines()
    }


def test_rejected_rows_stand_in_a_file_with_line_and_reason(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("".join(["title,source\n", *(f"{'' if n % 5 == 0 else f'Headline {n}'},S\n" for n in range(1000))]))
    rejects = tmp_path / "made" / "rejects.jsonl"
    summary = produce_files([file], kafka_settings, rejects=rejects)
    assert (summary.read, summary.sent, summary.rejected, summary.failed) == (1000, 800, 200, 0)
    assert str(rejects) in summary.describe()
    kept = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [entry["line"] for entry in kept] == [n + 2 for n in range(0, 1000, 5)]
    assert {(entry["file"], entry["reason"]) for entry in kept} == {(str(file), "The title is missing or empty.")}
    good = tmp_path / "good.csv"
    good.write_text("title\nOne\n")
    assert produce_files([good], kafka_settings, rejects=rejects).rejected == 0
    assert not rejects.exists()  # what an earlier run rejected is not taken for this one's


def test_headlines_without_a_time_take_kafkas(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("title\nOne\n")
    produce_files([file], kafka_settings)
    consumer = make_consumer(kafka_settings, [kafka_settings.topic], group="times")
    records = [record for part in consumer.poll(timeout_ms=5000).values() for record in part]
    consumer.close(autocommit=False)
    assert "published_at" not in json.loads(records[0].value)
    assert decode(records[0].value, records[0].timestamp).headline.published_at == records[0].timestamp


def test_the_limit_counts_what_is_sent(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("title,source\n" + "".join(f"{title},S\n" for title in ["One", "", "Two", "Three", "Four"]))
    summary = produce_files([file], kafka_settings, limit=3, rejects=tmp_path / "r")
    assert (summary.read, summary.sent, summary.rejected) == (4, 3, 1)
    assert sum(end_offsets(kafka_settings, kafka_settings.topic).values()) == 3


def test_what_kafka_refuses_is_failed_and_not_sent(kafka_settings: KafkaSettings) -> None:
    rows = [
        Row(Headline("good", "Good", 0)),
        Row(Headline("huge", "Huge", 0, description="x" * 3_000_000)),
        Row(Headline("good too", "Good", 0)),
    ]
    summary = publish(rows, kafka_settings)
    assert (summary.read, summary.sent, summary.failed) == (3, 2, 1)
    assert "NOT ACKNOWLEDGED 1 (MessageSizeTooLargeError" in summary.describe()
    assert summary.as_dict()["failed"] == 1


def test_a_file_that_breaks_midway_says_how_much_was_sent(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    whole, absent = tmp_path / "a.csv", tmp_path / "absent.csv"
    whole.write_text("title\nOne\nTwo\n")
    with pytest.raises(SourceError, match=r"absent\.csv cannot be opened.* 2 headlines before that were sent"):
        produce_files([whole, absent], kafka_settings)
    assert sum(end_offsets(kafka_settings, kafka_settings.topic).values()) == 2


def test_topics_are_made_where_they_are_missing(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("title\nOne\n")
    settings = kafka_settings.model_copy(update={"topic": f"{kafka_settings.topic}-new"})
    assert produce_files([file], settings).sent == 1


def test_arguments_are_checked_before_anything_is_sent(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        produce_files([tmp_path / "absent.csv"], kafka_settings, pace="fast")


def test_without_kafka_nothing_is_claimed_to_be_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}", delivery_timeout=timedelta(seconds=2))
    monkeypatch.setattr("newstide.kafka.client._ANSWER_WITHIN", 0.5)
    with pytest.raises(BrokerUnavailable, match="cannot be reached"):
        publish([Row(Headline("a", "A", 0))], settings)


def test_a_summary_adds_up_in_words() -> None:
    summary = Summary(read=1200, sent=1000, rejected=200, failed=0, seconds=1.25, rejects="r.jsonl")
    assert summary.describe() == "read 1,200, sent 1,000, rejected 200 (see r.jsonl); 1.2 s"
