"""Rows of Milvus as plain Python objects, for programs."""

from typing import Any

import pandas as pd

from newstide.core.plain import plain
from newstide.core.text import iso_time


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame as plain Python objects: times as ISO 8601, arrays as lists, vectors left out."""
    return [
        {str(name): _shown(str(name), value) for name, value in row.items() if name != "centroid"}
        for row in frame.to_dict("records")
    ]


def _shown(name: str, value: Any) -> Any:
    if name.endswith("_at") and not isinstance(value, str):
        return iso_time(int(value))
    return plain(value)
