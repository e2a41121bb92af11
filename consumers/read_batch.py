"""Reads a batch: the records that arrived while the model was busy, or those that arrive within a short wait."""

import time
from collections.abc import Callable
from threading import Event
from typing import Any

from consumers.group import Handover, Membership
from newstide.core.settings import ConsumerSettings

_FETCH_SECONDS = 0.05  # seconds within which waiting records arrive
_READ_BYTES = 16 * 2**20  # size of a batch's messages after which no more are added
_LONGEST_POLL = 0.2  # seconds; then the reader looks whether it is to stop


class BatchReader:
    """Reads batches.

    Args:
        membership: Polls.
        handover: Knows which partitions were taken away.
        settings: The size of a batch, and the longest wait for it to fill.
        stop: Ends the waiting when it is set.
        at_end: Is asked when a poll brought nothing: whether nothing more is to be waited for.
    """

    def __init__(
        self,
        membership: Membership,
        handover: Handover,
        settings: ConsumerSettings,
        stop: Event,
        at_end: Callable[[], bool],
    ) -> None:
        self._membership = membership
        self._handover = handover
        self._size = settings.batch_size
        self._linger = settings.linger.total_seconds()
        self._stop = stop
        self._at_end = at_end
        self._read_at = time.monotonic()  # when a batch was last read

    def read(self) -> list[Any]:
        """Up to a batch of records; waits a moment for the first, and at most `linger` for the batch to fill.

        The wait for further records begins when the first record arrives, or at the last read where the record has been
        waiting since then: records that arrived while the model was busy wait no longer.
        """
        records: list[Any] = []
        began = time.monotonic()
        deadline = began + _LONGEST_POLL
        while len(records) < self._size and not self._stop.is_set():
            left = deadline - time.monotonic()
            polled = self._membership.poll(min(max(left, 0.0), _LONGEST_POLL), self._size - len(records))
            if polled and not records:
                now = time.monotonic()
                deadline = self._linger + (self._read_at if now - began < _FETCH_SECONDS else now)
            records = self._handover.ours(records)  # this poll may have taken partitions away, and read them again
            self._handover.begin()
            records.extend(record for partition in polled.values() for record in partition)
            if left <= 0 or sum(len(record.value or b"") for record in records) > _READ_BYTES:
                break
            if not polled and self._at_end():
                break
        self._read_at = time.monotonic()
        return records
