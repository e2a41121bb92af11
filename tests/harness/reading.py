"""What tests of reading files share: writing a file, reading it, telling rows from rejected ones."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from producers.files import Options, read_files
from producers.rows import Rejected, Row
from producers.tally import Tally

NOW = 1_791_892_800.0  # 2026-10-13T12:00:00Z, epoch seconds


def write(path: Path, content: str | bytes) -> Path:
    """A file with this content, text in UTF-8."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path | str, **options: Any) -> list[Row | Rejected]:
    """All rows of a file; `options` are those of `Options`."""
    return list(read_files([path], now=lambda: NOW, options=Options(**options)))


def told(path: Path | str, **options: Any) -> tuple[list[Row | Rejected], Tally]:
    """All rows of a file, and its tally."""
    tallies: list[Tally] = []
    items = list(read_files([path], now=lambda: NOW, options=Options(**options), tallies=tallies))
    return items, tallies[0]


def rows(items: Iterable[Row | Rejected]) -> list[Row]:
    """Those that are headlines."""
    return [item for item in items if isinstance(item, Row)]


def rejects(items: Iterable[Row | Rejected]) -> list[Rejected]:
    """Those that are none."""
    return [item for item in items if isinstance(item, Rejected)]


def titles(path: Path | str, **options: Any) -> list[str]:
    """The titles of a file, in its order."""
    return [row.headline.title for row in rows(read(path, **options))]
