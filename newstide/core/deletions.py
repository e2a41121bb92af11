"""Records that say that a row was deleted: what they still hold of the row is no headline."""

from collections.abc import Iterator, Mapping
from typing import Any

from newstide.core.field_values import wrapper_in
from newstide.core.known_names import plain_name

_OPERATIONS = frozenset({
    "action", "changetype", "eventname", "eventtype", "kind", "modtype", "op", "operation", "operationname",
    "operationtype", "optype", "type",
})  # fmt: skip
_DELETIONS = frozenset({"d", "delete", "deleted", "destroy", "destroyed", "remove", "removed"})
_BESIDE = ("metadata", "meta", "headers")  # objects beside a row that say what became of it
# What a row is now, and what it was: where the first is there and empty, and the second is not, the row was deleted.
_NOW_AND_BEFORE = (
    ("after", "before"), ("new", "old"), ("new_val", "old_val"), ("record", "old_record"), ("NewImage", "OldImage"),
    ("current", "previous"),
)  # fmt: skip
_DEPTH = 4  # objects within each other that are looked at


def is_change(value: Mapping[str, Any]) -> bool:
    """Debezium's change of a row."""
    return "op" in value and ("after" in value or "before" in value)


def is_deleted(value: Mapping[str, Any]) -> bool:
    """Whether an object, with a title or without, says so: Debezium, also unwrapped, Maxwell, Canal, AWS DMS, MongoDB."""
    if str(value.get("__deleted", "")).lower() == "true":
        return True
    if is_change(value) and value.get("op") == "d" and value.get("after") is None:
        return True
    if "documentKey" in value and value.get("operationType") == "delete":
        return True
    metadata = value.get("metadata")
    if isinstance(metadata, Mapping) and "data" in value and str(metadata.get("operation")).lower() == "delete":
        return True
    return "database" in value and "table" in value and str(value.get("type")).lower() == "delete"


def tells_of_deletion(value: Mapping[str, Any]) -> bool:
    """Whether an object without a title says, in any usual way, that what it wraps was deleted."""
    return any(map(_says_so, _within(value)))


def _within(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The object and those that it wraps."""
    for _ in range(_DEPTH):
        yield value
        name = wrapper_in(value)
        if name is None:
            return
        value = value[name]


def _says_so(value: Mapping[str, Any]) -> bool:
    beside = (value.get(name) for name in _BESIDE)
    for told in (value, *(one for one in beside if isinstance(one, Mapping))):
        for name, said in told.items():
            if isinstance(said, str) and said.casefold() in _DELETIONS and plain_name(name) in _OPERATIONS:
                return True
    return any(now in value and not value[now] and value.get(before) for now, before in _NOW_AND_BEFORE)
