"""What every source of headlines hands on: a headline ready to be sent, or a row that is none, with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from newstide.core.headline import Headline


@dataclass(frozen=True, slots=True)
class Row:
    """A headline of a file or feed. Where nobody says its time, `published` is false and Kafka's time counts."""

    headline: Headline
    published: bool = True
    file: str = ""
    line: int = 0
    extra: Mapping[str, Any] | None = None  # columns asked for beside a headline's own


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is no headline: where it starts (a line; in Parquet and JSON documents a row, from 1), and why."""

    file: str
    line: int
    reason: str
    text: str
