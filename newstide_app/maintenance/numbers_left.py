"""Checks that a backup leaves numbers for the next stories and runs: a forged one might hold the largest number there is."""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from newstide.core.errors import BackupDamaged

LAST_NUMBER = 2**52  # of a story or a run in a backup: Milvus has room for 2,000 times as many after it
_COLUMNS = {
    "headlines": ("cluster_label", "label_run"),
    "stories": ("cluster_label", "parents", "successor", "created_run", "updated_run"),
    "runs": ("run",),
    "means": ("run",),
    "events": ("run", "story", "successor", "parents", "children"),
}


def require_numbers_left(frame: pd.DataFrame, kind: str, place: str) -> None:
    """Checks the numbers of stories and runs in rows of a backup.

    Args:
        frame: The rows; headlines have columns, the others JSON in `row`.
        kind: Of which collection they are.
        place: Where they stand, for the error.

    Raises:
        BackupDamaged: One is larger than `LAST_NUMBER`, or no number; names it.
    """
    for column, value in _numbers(frame, kind):
        if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value <= LAST_NUMBER:
            raise BackupDamaged(
                f"{place}: {column} = {value!r:.60} is no number of a story or run from -1 to {LAST_NUMBER}.",
                "Restore a backup that newstide made.",
            )


def _numbers(frame: pd.DataFrame, kind: str) -> Iterator[tuple[str, Any]]:
    columns = _COLUMNS.get(kind, ())
    if kind == "headlines":
        for column in columns:
            yield column, int(frame[column].min())
            yield column, int(frame[column].max())
        return
    for row in frame["row"] if columns else ():
        fields = json.loads(row)
        for column in columns:
            given = fields.get(column, 0)
            for value in given if isinstance(given, list) else [given]:
                yield column, value
