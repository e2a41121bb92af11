"""Milvus filter expressions from untrusted values: an id like `" or 1==1` must stay a value."""

from collections.abc import Iterable

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(text: str) -> str:
    """The text as a string literal of Milvus' filter language."""
    return '"' + "".join(_ESCAPES.get(character, character) for character in text) + '"'


def any_of(field: str, values: Iterable[str | int]) -> str:
    """A filter that holds where the field is one of the values. `values` must not be empty."""
    literals = ", ".join(quote(value) if isinstance(value, str) else str(int(value)) for value in values)
    return f"{field} in [{literals}]"


def all_of(*conditions: str) -> str:
    """A filter that holds where every condition does; empty conditions are left out."""
    return " and ".join(f"({condition})" for condition in conditions if condition)
