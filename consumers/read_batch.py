"""Reads a batch: the records that arrived while the model was busy, or those that arrive within a short wait."""

import time
from threading import Event
from typing import Any

from consumers.group import Handover, Membership
from newstide.core.settings import ConsumerSettings

_FETCH_SECONDS = 0.05  # seconds within which waiting records arrive
_READ_BYTES = 16 * 2**20  # size of a batch's messages after which no more are added
_SHORTEST_WAIT = 0.2  # seconds for the first record


class BatchReader:
    """Reads batches.

    Args:
        membership: Polls.
        handover: Knows which partitions were taken away.
        settings: The size of a batch, and the longest wait for it to fill.
        stop: Ends the waiting when it is set.
    """

    def __init__(self, membership: Membership, handover: Handover, settings: ConsumerSettings, stop: Event) -> None:
        self._membership = membership
        self._handover = handover
        self._size = settings.batch_size
        self._linger = settings.linger.total_seconds()
        self._stop = stop
        self._read_at = time.monotonic()  # when a batch was last read

    def read(self) -> list[Any]:
        """Up to a batch of records; waits at most `linger` for it to fill.

        The wait begins when the first record arrives, or at the last read where the record has been waiting since then:
        records that arrived while the model was busy wait no longer.
        """
        records: list[Any] = []
        began = time.monotonic()
        deadline = began + max(self._linger, _SHORTEST_WAIT)
        while len(records) < self._size and not self._stop.is_set():
            left = deadline - time.monotonic()
            polled = self._membership.poll(max(left, 0.0), self._size - len(records))
            if polled and not records:
                now = time.monotonic()
                deadline = self._linger + (self._read_at if now - began < _FETCH_SECONDS else now)
            records = self._handover.ours(records)  # this poll may have taken partitions away, and read them again
            self._handover.begin()
            records.extend(record for partition in polled.values() for record in partition)
            if left <= 0 or sum(len(record.value or b"") for record in records) > _READ_BYTES:
                break
        self._read_at = time.monotonic()
        return records
