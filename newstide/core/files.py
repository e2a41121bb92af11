"""The one way a file is replaced: beside and swapped in, so that a reader sees the old file or the whole new one.

What is half written carries a name of its own, and its writer holds a lock on it while it lives. A file that nobody
holds was left by a writer that was killed, and is swept away.
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
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which becomes `path` at the end of the block; where the block fails, `path` stays as it is.

    It is on the disk, and so is its name, before the block is left. Its folder is made where it is missing.

    Args:
        path: The file to replace; two may replace it at once, and the later one stays.

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
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def replace_text(path: Path, content: str) -> None:
    """Replaces a file by this text, in UTF-8 and as it is, line ends included; see `replacing`."""
    with replacing(path) as file:
        file.write(content.encode())


def sweep_half_written(folder: Path) -> list[Path]:
    """Removes what writers that were killed left half written in a folder, and says which; others' files stay.

    Such a file may hold what has been taken down since. Where the folder is missing, or lets nothing be removed, nothing is
    done: whoever writes there next gets the error.
    """
    swept = []
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if _HALF_WRITTEN.fullmatch(path.name) and _is_abandoned(path):
                path.unlink(missing_ok=True)
                swept.append(path)
    return swept


def _is_abandoned(path: Path) -> bool:
    """Whether no living process writes it: the operating system gives a lock back with its holder's end."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is held, or gone meanwhile, or no file
        return False
    return True
