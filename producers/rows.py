"""The rows that every source yields: a headline that is ready to be sent, or a rejected row with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from newstide.core.headline import Headline


class Row(NamedTuple):
    """A headline of a file or feed. Where its time is unknown, `published` is false and Kafka's timestamp counts."""

    headline: Headline
    published: bool = True
    file: str = ""
    line: int = 0
    extra: Mapping[str, Any] | None = None  # wanted columns besides a headline's fields


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is no headline: its first line (in Parquet and JSON documents its number, from 1), and the reason."""

    file: str
    line: int
    reason: str
    text: str
