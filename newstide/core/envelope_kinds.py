"""Envelopes as CloudEvents, Debezium, Kafka Connect and Canal make them, and the source and id that they state."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from newstide.core.deletions import is_change, is_deleted
from newstide.core.json_texts import Broken

_NOTHING_LEFT = (({"schema", "payload"}, "payload"), ({"key", "value"}, "value"))  # a record of Kafka without a value


@dataclass(frozen=True, slots=True)
class Origin:
    """The source and the id that an envelope states; together they identify what the envelope holds."""

    source: str
    id: str


def is_envelope(value: Mapping[str, Any]) -> bool:
    """Whether an object is an envelope that a message's reader opens or leaves out, and not by its wrapper's name alone."""
    if value.keys() == {"schema", "payload"} or is_event(value) or is_change(value):
        return True
    return is_changed_row(value) or is_deleted(value) or is_empty_record(value)


def is_empty_record(value: Mapping[str, Any]) -> bool:
    """A record of Kafka or of Connect that has no value."""
    return any(value.keys() >= names and value[inner] is None for names, inner in _NOTHING_LEFT)


def is_event(value: Mapping[str, Any]) -> bool:
    """CloudEvents, structured."""
    return "specversion" in value and ("data" in value or "data_base64" in value)


def is_changed_row(value: Mapping[str, Any]) -> bool:
    """Canal's and Maxwell's, which say in `old` what the row was before."""
    return "old" in value and "database" in value and "table" in value


def event_data(event: Mapping[str, Any]) -> Any:
    """What a CloudEvent holds."""
    if event.get("data") is not None:
        return event["data"]
    if event.get("data_base64") is None:
        return Broken(event, "The event holds no data.")
    try:
        return base64.b64decode(str(event["data_base64"]), validate=True)
    except (binascii.Error, ValueError):
        return Broken(event, "The event's data_base64 is not base64.")


def origin_of(source: Any, id_: Any) -> Origin | None:
    """The origin of what states both; else None."""
    return Origin(str(source), str(id_)) if source not in (None, "") and id_ not in (None, "") else None


def row_origin(source: Any, row: Any) -> Origin | None:
    """The origin of a database row: the name of its table, and the row's id in that table."""
    if not isinstance(source, Mapping) or not isinstance(row, Mapping):
        return None
    place = ".".join(str(source[name]) for name in ("name", "db", "schema", "table") if source.get(name))
    return origin_of(place, row.get("id"))


def time_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event's time, which its headlines have where they name none."""
    return {"time": event["time"]} if event.get("time") not in (None, "") else {}


def binary_event(named: Mapping[str, bytes]) -> Origin | None:
    """The envelope of a CloudEvent in binary mode, which stands in the message's headers."""
    if b"" in (named.get("ce_specversion", b""), named.get("ce_id", b""), named.get("ce_source", b"")):
        return None
    return Origin(named["ce_source"].decode("utf-8", "replace"), named["ce_id"].decode("utf-8", "replace"))
