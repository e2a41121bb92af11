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


def either(one: str, other: str) -> str:
    """A filter that holds where one of two conditions does."""
    return f"({one}) or ({other})"


def equals(field: str, value: str | int) -> str:
    """A filter that holds where the field is this value."""
    return f"{field} == {quote(value) if isinstance(value, str) else int(value)}"


def above(field: str, value: str | int) -> str:
    """A filter that holds where the field is larger than this value."""
    return f"{field} > {quote(value) if isinstance(value, str) else int(value)}"


# Of headlines

PROVISIONAL = "label_run == 0"  # no run has labelled the headline yet
LABELLED = "label_run > 0"
IN_A_STORY = "cluster_label >= 0"
IN_NO_STORY = "cluster_label < 0"
NONE_AT_ALL = "cluster_label < -1"  # no row has such a label


def published_after(milliseconds: int) -> str:
    """Headlines published later than this time."""
    return f"published_at > {int(milliseconds)}"


def published_since(milliseconds: int) -> str:
    """Headlines published at this time or later."""
    return f"published_at >= {int(milliseconds)}"


def published_before(milliseconds: int) -> str:
    """Headlines published earlier than this time."""
    return f"published_at < {int(milliseconds)}"


def published_until(milliseconds: int) -> str:
    """Headlines published at this time or earlier."""
    return f"published_at <= {int(milliseconds)}"


def labelled_since(run: int, published_at: int) -> str:
    """Headlines of this time or later that a run after this one has labelled."""
    return all_of(f"label_run > {int(run)}", published_since(published_at))


def in_stories(numbers: Iterable[int]) -> str:
    """Headlines with one of these labels, or stories of these numbers; there must be one at least."""
    return any_of("cluster_label", numbers)


def behind(published_at: int, id_: str) -> str:
    """Headlines that follow this one, newest first and those of the same moment by id."""
    return f"published_at < {int(published_at)} or (published_at == {int(published_at)} and id > {quote(id_)})"


# Of stories

OPEN = 'status == "open"'
CLOSED = 'status == "closed"'
WITHOUT_SUCCESSOR = "successor == -1"
WITH_TITLE = 'title != ""'


def closed_after(numbers: Iterable[int]) -> str:
    """Closed stories that were born of one of these, or went into one; there must be one at least."""
    listed = ", ".join(str(int(number)) for number in numbers)
    return f"{CLOSED} and (successor in [{listed}] or json_contains_any(parents, [{listed}]))"


def updated_since(run: int) -> str:
    """Stories, open and closed, that a run after this one has written."""
    return f"updated_run > {int(run)}"


def last_published_since(milliseconds: int) -> str:
    """Stories whose last headline was published at this time or later."""
    return f"last_published_at >= {int(milliseconds)}"


def last_published_until(milliseconds: int) -> str:
    """Stories whose last headline was published at this time or earlier."""
    return f"last_published_at <= {int(milliseconds)}"


# Of events


def decided_since(milliseconds: int) -> str:
    """Events that were decided at this time or later."""
    return f"at >= {int(milliseconds)}"


def decided_before(milliseconds: int) -> str:
    """Events that were decided earlier than this time."""
    return f"at < {int(milliseconds)}"


def decided_after(run: int) -> str:
    """Events that later runs than this one decided."""
    return f"run > {int(run)}"


def seen_until(milliseconds: int) -> str:
    """Events of runs whose newest headline was published at this time or earlier."""
    return f"newest_at <= {int(milliseconds)}"


def of_stories(numbers: Iterable[int]) -> str:
    """Events of these stories; there must be one at least."""
    return any_of("story", numbers)
