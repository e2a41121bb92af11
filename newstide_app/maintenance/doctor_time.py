"""What `newstide doctor` finds about times: a wrong clock, and old headlines that no run deletes."""

import time
from collections.abc import Iterator
from typing import Literal

from clustering.run.retention import find_due
from newstide.core.settings import Settings
from newstide.core.text import iso_time
from newstide.milvus import RunRow, Store


def time_findings(
    store: Store, settings: Settings, last: RunRow
) -> Iterator[tuple[str, Literal["warn", "fail"], str, str]]:
    """Name, status, what was seen and the way out, of each thing that is not as it should be.

    Args:
        store: The store.
        settings: `keep` and `keep_at_most`.
        last: The last run, which has counted the headlines that are ahead of its clock.
    """
    if last.counts.get("clock_behind"):
        yield (
            "clock",
            "fail",
            f"This machine's clock is behind most headlines: run {last.run} began at {iso_time(last.started_at)} by it.",
            "Set this machine's clock right; until then the window of runs does not move.",
        )
    elif ahead := int(last.counts.get("ahead", 0)):
        yield (
            "clock",
            "warn",
            f"{ahead:,} headlines are dated further ahead of this machine's clock than limits.ahead; they move no window.",
            "Check the clocks of this machine and of the machines that send headlines.",
        )
    due = find_due(store, settings, int(time.time() * 1000))
    if due is not None and due.too_many:
        yield (
            "keep",
            "fail",
            f"{due.headlines:,} of {due.of:,} headlines are older than keep, and none is deleted: they are more than "
            f"keep_at_most = {settings.keep_at_most:g} of all.",
            "`newstide prune` shows and deletes them. If they are not old, a clock is wrong.",
        )
