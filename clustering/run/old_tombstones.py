"""Which tombstones are so old that no run need heed them, told to a process that is started anew by a file of the last one.

A run that begins `TAKEN_DOWN_WITHIN` after its process first saw a tombstone finds stories from which what it blocks has
been taken out, and so does every later run. The file holds that run's number and a digest of all tombstones there were.
"""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from newstide.core.files import replace_text
from newstide.milvus import Blocklist, RunRow
from newstide.milvus.tombstones import LONG_AGO, TAKEN_DOWN_WITHIN, FirstSeen, Tombstone


def recall(path: Path, stones: FirstSeen, blocked: Blocklist, last: RunRow | None) -> None:
    """Lets a process that has seen no tombstone yet know those that are old.

    Args:
        path: The file, which need not exist.
        stones: What the process knows; changed.
        blocked: All tombstones.
        last: The last run. One from before the file, or after a restore, may have left words of what is blocked.
    """
    if stones.at or last is None or last.counts.get("restored"):
        return
    with suppress(OSError, ValueError):
        run, digest = path.read_text(encoding="utf-8").split()
        if int(run) <= last.run and digest == _digest(blocked.tombstones):
            stones.at = dict.fromkeys(blocked.tombstones, LONG_AGO)


def note(path: Path, stones: FirstSeen, began: float, run: int) -> None:
    """Writes the file, where all tombstones are old for a finished run and the file does not say so yet.

    Args:
        path: The file.
        stones: What the process knows.
        began: When the run began, by `time.monotonic`.
        run: Its number.
    """
    if not stones.at or max(stones.at.values()) >= began - TAKEN_DOWN_WITHIN:
        return
    digest = _digest(stones.at)
    with suppress(OSError):  # the next process names all stories once more
        if not path.exists() or path.read_text(encoding="utf-8", errors="replace").split()[1:] != [digest]:
            replace_text(path, f"{run} {digest}\n")


def _digest(stones: Iterable[Tombstone]) -> str:
    found = hashlib.sha256()
    for stone in sorted(stones, key=lambda one: one.key):
        found.update(f"{stone.key} {stone.cause} {stone.point} {stone.title} {stone.created_at}\n".encode())
    return found.hexdigest()
