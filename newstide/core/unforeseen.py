"""Errors that nobody foresaw while something was read: each costs what was read alone, and is logged with its traceback."""

import traceback

from newstide.core import logs
from newstide.core.text import shorten

_LINES = logs.OnceAMinute()

log = logs.get("reading")


def unforeseen(error: Exception) -> str:
    """Logs an error with its traceback, the first of each kind a minute; returns the reason for a dead letter.

    A kind is the error's type and the line that raised it.
    """
    name = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    kind = f"{name} {frames[-1].filename} {frames[-1].lineno}" if frames else name
    if _LINES.left_out(kind) is not None:
        log.error("an unexpected error while headlines were read", exc_info=error)
    return f"An unexpected error: {name}: {shorten(' '.join(str(error).split()), 200)}"
