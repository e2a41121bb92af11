"""Atomic replacement of files: a reader sees the old file or the whole new one.

The new content is written to a file of another name beside the old one, and renamed. The writer holds a lock on the
half-written file while it lives; a half-written file without a lock was left by a killed writer, and is removed.
"""

import fcntl
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

# Ours, and those of earlier versions: `.page.html.<32 hex digits>.tmp`, `graph.bin.<process>.part`, `.layout.npz.tmp`.
_HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{32}\.(part|tmp)|\.?.+\.\d+\.part|\.layout\.npz\.tmp")


@contextmanager
def replacing(path: Path, *, one_of_many: bool = False) -> Iterator[IO[bytes]]:
    """A file to write to, which becomes `path` at the end of the block; where the block fails, `path` stays as it is.

    The content and the file's name are on the disk before the block is left. A missing folder is made.

    Args:
        path: The file to replace; two writers may replace it at once, and the later one's content stays.
        one_of_many: Whether the caller replaces others in the folder, too, and calls `keep_names` once for all of them.

    Raises:
        OSError: The disk is full or not writable; the old file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with beside.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
            file.flush()
            os.fsync(file.fileno())
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    if not one_of_many:
        keep_names(path.parent)


def keep_names(folder: Path) -> None:
    """Waits until the names of a folder's files are on the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def replace_text(path: Path, content: str, *, one_of_many: bool = False) -> None:
    """Replaces a file by this text in UTF-8, with its line ends unchanged; see `replacing`."""
    with replacing(path, one_of_many=one_of_many) as file:
        file.write(content.encode())


def sweep_half_written(folder: Path) -> list[Path]:
    """Removes the half-written files that killed writers left in a folder, and returns their paths; other files stay.

    A half-written file may hold headlines that have been taken down since. A missing or read-only folder is left as it
    is: the next writer gets the error.
    """
    swept = []
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if _HALF_WRITTEN.fullmatch(path.name) and _is_abandoned(path):
                path.unlink(missing_ok=True)
                swept.append(path)
    return swept


def _is_abandoned(path: Path) -> bool:
    """Whether no living process writes the file: the operating system releases a lock when its holder ends."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # the file is locked, or was removed meanwhile, or is a folder
        return False
    return True


def are_one_file(one: Path, other: Path) -> bool:
    """Whether both paths lead to the same file, through links or in another spelling; False where one of them is absent."""
    return one.exists() and other.exists() and one.samefile(other)
