"""Options of reading files, which the flags of `newstide produce` set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

from newstide.core.errors import SettingsError, SourceError
from producers.files.columns import FIELDS

FORMATS = ("csv", "jsonl", "lines", "parquet")


@dataclass(frozen=True, slots=True)
class Options:
    """The options with which files are read.

    Attributes:
        mapping: Field of a headline to column, a dotted path (`headline.main`) or, without a header, a number from 1.
        extra: Columns that are wanted besides a headline's fields, such as `story_id`; they may be mapped like fields.
        file_format: One of `FORMATS`; None: found by the file's name and first bytes.
        encoding: The encoding of texts; None: UTF-8, UTF-16 or UTF-32 where it is valid, else guessed.
        header: Whether a table's first row names its columns; None: found.
        records: Dotted path of the array in a JSON document that holds the headlines.
        time_format: The layout of publication times, as `strptime` takes it.
        zone: The time zone of times that name no zone.
        own_ids: Whether headlines keep the ids of their rows, whatever form the ids have; implied where `mapping` names
            the id.
        undated: Whether to send a file even where most of its times cannot be read.
        max_rejected: The largest share of rejected rows, and of unreadable times, that is accepted.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    extra: Sequence[str] = ()
    file_format: str | None = None
    encoding: str | None = None
    header: bool | None = None
    records: str | None = None
    time_format: str | None = None
    zone: tzinfo = UTC
    own_ids: bool = False
    undated: bool = False
    max_rejected: float = 0.05

    def __post_init__(self) -> None:
        if self.file_format not in (None, *FORMATS):
            raise SourceError(f"There is no format {self.file_format!r}.", f"Formats are {', '.join(FORMATS)}.")
        for name in self.mapping:
            if name not in (*FIELDS, *self.extra):
                raise SettingsError(f"A headline has no field {name!r}.", f"The fields are {', '.join(FIELDS)}.")
        if self.encoding is not None and not _is_encoding(self.encoding):
            raise SettingsError(
                f"There is no encoding {self.encoding!r}.", "Name one as utf-8, utf-16, cp1252, gb18030."
            )
        if self.time_format is not None:
            _require_format(self.time_format)


class Item(NamedTuple):
    """A row of a file: its first line, its cells by field, its text for the file of rejects, and its fault."""

    line: int
    fields: dict[str, Any]
    raw: Any
    fault: str = ""


def _is_encoding(name: str) -> bool:
    try:
        b"a".decode(name)
    except UnicodeError:  # an encoding of two or more bytes a character
        return True
    except (LookupError, ValueError):  # also raised for codecs without text, such as base64, and for names with NUL
        return False
    return True


def _require_format(time_format: str) -> None:
    moment = datetime(2026, 11, 27, 10, 42, 17)
    try:
        written = moment.strftime(time_format)
        datetime.strptime(written, time_format)
        told = "%" in time_format
    except (ValueError, UnicodeError):
        told = False
    if not told:
        raise SettingsError(
            f"--time-format {time_format!r} is no layout of times.", "Write it as strptime takes it: %d.%m.%Y %H:%M."
        )
