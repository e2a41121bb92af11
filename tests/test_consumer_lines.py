"""What the consumer counts and says of lost messages and of headlines that share an id; no server is needed."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from kafka import TopicPartition

from consumers import group, partitions, write
from consumers.group import Handover
from consumers.messages import Item
from consumers.partitions import Partitions
from consumers.tally import Tally
from newstide.core.headline import Headline
from newstide.core.settings import KafkaSettings
from tests.harness.clock import set_clock

HERE = TopicPartition("headlines", 2)


class Consumer:
    """Stands at a place in one partition."""

    def __init__(self, position: int) -> None:
        self._position = position

    def assignment(self) -> set[TopicPartition]:
        return {HERE}

    def position(self, partition: TopicPartition, timeout_ms: int) -> int:
        assert partition == HERE
        assert timeout_ms > 0
        return self._position


@pytest.mark.parametrize(("position", "lost"), [(45, 35), (11, 1), (10, 0), (3, 0)])
def test_lost_to_retention_is_the_logs_start_minus_the_next_offset_where_that_is_out_of_range(
    monkeypatch: pytest.MonkeyPatch, position: int, lost: int
) -> None:
    noted: list[tuple[int, int]] = []
    cut: list[tuple[TopicPartition, int]] = []
    handover = SimpleNamespace(was_cut=lambda partition, read_to: cut.append((partition, read_to)))
    monkeypatch.setattr("newstide.kafka.patches.take_out_of_range", lambda _consumer: {HERE: 10})
    monkeypatch.setattr("newstide.kafka.patches.topic_id", lambda _consumer, _topic: None)
    monkeypatch.setattr("newstide.kafka.patches.unreadable", lambda _consumer: [])
    monkeypatch.setattr(partitions, "note_loss", lambda _settings, partition, count: noted.append((partition, count)))
    tally = Tally()
    Partitions(cast("Any", Consumer(position)), cast("Handover", handover), KafkaSettings(), tally).look()
    assert tally.lost == lost
    assert noted == ([(2, lost)] if lost else [])
    assert cut == ([] if lost else [(HERE, 10)]), "where the log ends before the offset, nothing was lost unread"


def test_a_member_asks_for_new_partitions_within_thirty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(group, "make_consumer", lambda *_arguments, **options: asked.update(options))
    group.join_group(KafkaSettings())
    assert 0 < asked["metadata_max_age_ms"] <= 25_000, "a join takes up to five seconds more"


def test_the_first_clash_of_a_minute_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    clock = iter([1_000.0, 1_001.0, 1_059.0, 1_061.0, 1_062.0])
    set_clock(monkeypatch, "consumers.write", lambda: next(clock))
    monkeypatch.setattr("consumers.write.log.warning", lambda _text, **values: said.append(values["id"]))
    nothing = cast("Any", None)
    writer = write.Writer(*[nothing] * 9)
    for id_ in "abcde":
        record = SimpleNamespace(partition=0, offset=1)
        writer._say_clash(Item(record, headline=Headline(id_, "Quay crane moves", 1)))
    assert said == ["a", "d"]
