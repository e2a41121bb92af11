"""A batch of records: what has piled up while the model was at work, or what comes within a short wait."""

import time
from threading import Event
from typing import Any

from consumers.group import Handover, Membership
from newstide.core.settings import ConsumerSettings

_FETCH_SECONDS = 0.05  # within which records come that have been waiting
_READ_BYTES = 16 * 2**20  # of a batch's messages, after which no more are read into it
_SHORTEST_WAIT = 0.2  # seconds for the first record


class BatchReader:
    """Reads batches.

    Args:
        membership: That polls.
        handover: That knows which partitions were taken away.
        settings: Size of a batch, and the wait for it to fill.
        stop: Ends the waiting.
    """

    def __init__(self, membership: Membership, handover: Handover, settings: ConsumerSettings, stop: Event) -> None:
        self._membership = membership
        self._handover = handover
        self._size = settings.batch_size
        self._linger = settings.linger.total_seconds()
        self._stop = stop
        self._read_at = time.monotonic()  # the last time

    def read(self) -> list[Any]:
        """Up to a batch of records; waits at most `linger` for it to fill.

        That counts from when the first has come, or from the last read where it has been waiting since: what has piled
        up while the model was at work waits no longer.
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
            records = self._handover.ours(records)  # what was taken away by this poll, which may have read it again
            self._handover.begin()
            records.extend(record for partition in polled.values() for record in partition)
            if left <= 0 or sum(len(record.value or b"") for record in records) > _READ_BYTES:
                break
        self._read_at = time.monotonic()
        return records
