"""Events of partitions: they are assigned, lose messages, belong to a topic made anew, or cannot be read."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from consumers.group import Handover
from consumers.tally import Tally
from newstide.core import logs
from newstide.core.errors import Unavailable
from newstide.core.settings import KafkaSettings
from newstide.kafka import patches
from newstide.kafka.losses import note_loss

_ANSWER_WITHIN = 3.0  # seconds for Kafka to say where a partition begins, and where the group stands
_SAY_EVERY = 60.0  # seconds between two lines of log about a batch that cannot be read

log = logs.get("consumer")


@dataclass
class Partitions:
    """Watches the partitions of a member of the group.

    Args:
        consumer: The member.
        handover: Knows which partitions have just been assigned.
        settings: The topic, and the Kafka in which losses are noted.
        tally: Counts the losses.
    """

    consumer: KafkaConsumer
    handover: Handover
    settings: KafkaSettings
    tally: Tally
    _topic: UUID | None = None  # the topic's id when it was last seen
    _said: dict[TopicPartition, float] = field(default_factory=dict)

    def let_in(self) -> None:
        """Looks at newly assigned partitions before any of their records is read, and lets them be read.

        Raises:
            KafkaError: Kafka does not answer; the partitions stay paused.
        """
        new = sorted(self.handover.new & self.consumer.assignment())
        within = int(_ANSWER_WITHIN * 1000)
        starts = self.consumer.beginning_offsets(new, timeout_ms=within) if new else {}
        ends = self.consumer.end_offsets(new, timeout_ms=within) if new else {}
        anew = 0
        for partition in new:
            entry = self.consumer.committed(partition, metadata=True, timeout_ms=within)
            if entry is None:
                continue
            note = _note(entry.metadata)
            here = patches.topic_id(self.consumer, partition.topic)
            if note.get("topic") and here is not None and note["topic"] != str(here):
                anew += 1
                self.consumer.seek(partition, starts[partition])
                continue
            self.handover.starts_at(partition, -1 if "skipped" in note else entry.offset)
            if "skipped" in note:  # the next commit does not repeat this note
                self.tally.skipped += int(note["skipped"])
                self.tally.messages += int(note["skipped"])
            if starts[partition] > entry.offset:
                self.consumer.seek(partition, starts[partition])
                self._lost(partition, entry.offset, starts[partition])
            elif ends[partition] < entry.offset:  # else what comes next would be taken for read
                self.consumer.seek(partition, ends[partition])
                self.handover.was_cut(partition, entry.offset)
            elif entry.leader_epoch >= 0:  # new messages may lie where the log was cut
                patches.seek(self.consumer, partition, entry)
        if anew:
            self._made_anew(f"{anew} of its partitions were read under another id")
        self.handover.new -= set(new)
        if new:
            self.consumer.resume(*new)

    def look(self) -> None:
        """Logs and counts the events since the last look; called after every batch."""
        for partition, offset in patches.take_out_of_range(self.consumer).items():
            self._out_of_range(partition, offset)
        self._look_at_topic()
        self._look_at_unreadable()

    def _out_of_range(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self.consumer.assignment():
            return
        try:
            position = self.consumer.position(partition, timeout_ms=int(_ANSWER_WITHIN * 1000))
        except KafkaError:
            return
        if position is not None and position > offset:
            self._lost(partition, offset, position)
        else:
            self.handover.was_cut(partition, offset)

    def _lost(self, partition: TopicPartition, offset: int, start: int) -> None:
        self.tally.lost += start - offset
        log.error(
            "messages were removed by the topic's retention before they were read; `newstide doctor` keeps saying so",
            partition=partition.partition,
            messages=start - offset,
            first_offset=offset,
            last_offset=start - 1,
        )
        try:
            note_loss(self.settings, partition.partition, start - offset)
        except Unavailable as error:
            log.warning("the loss could not be noted for `newstide doctor`", reason=str(error))

    def _look_at_topic(self) -> None:
        found = patches.topic_id(self.consumer, self.settings.topic)
        if found is None or found == self._topic:
            return
        before, self._topic = self._topic, found
        if before is not None:
            if assigned := self.consumer.assignment():  # for new partitions, the offsets show it
                self.consumer.seek_to_beginning(*assigned)
            self._made_anew(f"its id was {before}, and is {found}")

    def _made_anew(self, how: str) -> None:
        self.tally.new_topics += 1
        log.warning(
            "the topic was made anew under its name; it is read from its beginning",
            topic=self.settings.topic,
            reason=how,
        )

    def _look_at_unreadable(self) -> None:
        found = {batch.partition: batch for batch in patches.unreadable(self.consumer)}
        now = time.monotonic()
        waiting: dict[int, int] = {}
        for partition, batch in found.items():
            behind = max(1, (self.consumer.highwater(partition) or 0) - batch.offset)
            waiting[partition.partition] = behind
            if now - self._said.get(partition, float("-inf")) < _SAY_EVERY:
                continue
            self._said[partition] = now
            log.error(
                "a batch cannot be read, and its partition waits; `newstide dead-letters skip` passes over it",
                partition=partition.partition,
                first_offset=batch.first,
                last_offset=batch.last,
                messages=batch.messages,
                waiting=behind,
                reason=batch.reason,
            )
        self.tally.waiting = waiting
        for partition in set(self._said) - set(found):
            del self._said[partition]
            log.info("the partition is read again", partition=partition.partition)


def _note(metadata: Any) -> Mapping[str, Any]:
    try:
        note = json.loads(metadata or "{}")
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}
