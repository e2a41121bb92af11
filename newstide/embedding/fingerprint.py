"""The fingerprint of a model's weights: which vectors can be compared with which."""

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

from newstide.core.errors import EmbedderError
from newstide.core.files import replace_text

_SLOW = 0.5  # seconds of reading from which a fingerprint is worth remembering


def fingerprint(weights: Sequence[Path], cache: Path | None = None) -> str:
    """32 hex digits of a SHA-256 over the weight files' contents, in order of their names.

    Args:
        weights: The files, at least one.
        cache: JSON file where slow results are remembered by the files' paths, sizes and times of change;
            by default in the user's cache folder.

    Raises:
        EmbedderError: A file is missing, or `weights` is empty.
    """
    if not weights:
        raise EmbedderError("The model has no weight files.")
    files = sorted(weights, key=lambda path: path.name)
    cache = cache or user_cache_path("newstide") / "fingerprints.json"
    try:
        key = json.dumps([_identity(path) for path in files])
        known = _read(cache)
        if key in known:
            return known[key]
        started = time.monotonic()
        digest = _digest(files)
    except OSError as error:
        raise EmbedderError(f"The weights {error.filename} cannot be read: {error.strerror}.") from error
    if time.monotonic() - started > _SLOW:
        _write(cache, known | {key: digest})
    return digest


def _identity(path: Path) -> list[str | int]:
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as content:
            while block := content.read(2**22):
                digest.update(block)
    return digest.hexdigest()[:32]


def _read(cache: Path) -> dict[str, str]:
    """The remembered fingerprints; empty where the file is missing or damaged."""
    try:
        known = json.loads(cache.read_bytes())
    except (OSError, ValueError):
        return {}
    well = isinstance(known, dict) and all(isinstance(digest, str) and len(digest) == 32 for digest in known.values())
    return known if well else {}


def _write(cache: Path, known: dict[str, str]) -> None:
    """Replaces the file in one step; without a writable cache, fingerprints only take longer."""
    with suppress(OSError):
        replace_text(cache, json.dumps(known, indent=1))
