"""Answers in which a server reports an error: they have a title and are no headlines (RFC 9457, JSON:API)."""

from collections.abc import Iterable, Mapping
from typing import Any

from newstide.core.known_names import field_of

_STATUS = frozenset({"status", "statusCode", "status_code", "httpStatus"})
_ERRORS = range(400, 600)
_OF_HEADLINES = ("url", "published_at")


def may_be_error(names: Iterable[str]) -> bool:
    """Whether an object with these names may be such an answer."""
    return not _STATUS.isdisjoint(names)


def fault_of_error(record: Mapping[str, Any]) -> str:
    """Why an object is no headline, where it is a server's error: it has such a status, and neither link nor time."""
    status = next((code for name in _STATUS if (code := _code(record.get(name))) in _ERRORS), None)
    if status is None or any(field_of(name) in _OF_HEADLINES and value for name, value in record.items()):
        return ""
    return f"It is a server's error, with the status {status}."


def _code(value: Any) -> int | None:
    if isinstance(value, str) and len(value) == 3 and value.isdecimal():
        return int(value)
    return value if value.__class__ is int else None
