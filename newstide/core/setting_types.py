"""The types of settings: time spans, time zones, addresses, ports, and what every group of settings is."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

LONGEST = timedelta(days=36_500)  # no clock and no timer of a library counts further

SPAN_EXAMPLES = "write it as 30s, 5m, 6h or 7d"
_ISO_SPAN = re.compile(r"\s*[-+]?(P|\d+:|\d+ ?d)", re.IGNORECASE)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

SMOOTHING = 0.6  # how much of what neighbours say is added to a row; docs/quality.md compares other values


def parse_duration(value: Any) -> Any:
    """`90s`, `5m`, `6h`, `7d`, `2w` as a timedelta; ISO 8601 (`PT90S`, `1:30:00`) is left to pydantic.

    Raises:
        ValueError: The span is longer than `LONGEST`, is a bare number, or is no span of time.
    """
    if isinstance(value, str):
        text = value.strip().lower()
        for unit in sorted(_UNITS, key=len, reverse=True):
            number = text.removesuffix(unit)
            if number != text and number.replace(".", "", 1).isdecimal():
                seconds = float(number) * _UNITS[unit]
                return _not_too_long(timedelta(seconds=min(seconds, 2 * LONGEST.total_seconds())))
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"it has no unit; {SPAN_EXAMPLES}")
    if isinstance(value, str) and not _ISO_SPAN.match(value):
        raise ValueError(f"it is no span of time; {SPAN_EXAMPLES}")
    return value


def parse_window(value: Any) -> Any:
    """A duration, or `none` for no limit."""
    return None if isinstance(value, str) and value.strip().lower() == "none" else parse_duration(value)


def _not_too_long(span: timedelta) -> timedelta:
    if span > LONGEST:
        raise ValueError(f"it is longer than {LONGEST.days:,} days; {SPAN_EXAMPLES}")
    return span


def _not_negative(span: timedelta | None) -> timedelta | None:
    if span is not None and span < timedelta(0):
        raise ValueError(f"it is shorter than zero; {SPAN_EXAMPLES}")
    return span if span is None else _not_too_long(span)


def _positive(span: timedelta | None) -> timedelta | None:
    if span is not None and span == timedelta(0):
        raise ValueError(f"it is not longer than zero; {SPAN_EXAMPLES}")
    return _not_negative(span)


def known_zone(value: str) -> str:
    """The name of a time zone as it is; `ValueError` where no time zone has that name."""
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {value!r}; write it as Europe/Berlin or UTC") from None
    return value


def sound_address(value: Any) -> Any:
    """The address unchanged.

    Raises:
        ValueError: The address is blank, or holds a login, which logs and errors would show.
    """
    if isinstance(value, str) and "@" in value:
        raise ValueError(
            "the address holds a login; milvus.token (user:password), kafka.sasl_username and _password are for that"
        )
    if isinstance(value, str) and value and not value.replace(",", " ").strip():
        raise ValueError("the address is blank; write it as host:port, or leave it out")
    return value


def strength_of(value: Any) -> Any:
    """The strength of smoothing; yes and no, as earlier versions had it, are the default's and none."""
    said = value.strip().casefold() if isinstance(value, str) else value
    if said is True or said in ("true", "yes", "on"):
        return SMOOTHING
    return 0.0 if said is False or said in ("false", "no", "off") else value


def _not_blank(name: str) -> str:
    if not name.strip():
        raise ValueError("the name is blank; name the field as producers do, or leave it out")
    return name


Strength = Annotated[float, BeforeValidator(strength_of), Field(ge=0, le=1)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration), AfterValidator(_positive)]
Wait = Annotated[timedelta, BeforeValidator(parse_duration), AfterValidator(_not_negative)]  # zero: none at all
Window = Annotated[timedelta | None, BeforeValidator(parse_window), AfterValidator(_positive)]
Age = Annotated[timedelta | None, BeforeValidator(parse_window), AfterValidator(_not_negative)]
Address = Annotated[str | None, BeforeValidator(sound_address)]
ColumnName = Annotated[str, AfterValidator(_not_blank)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # what numpy's generators take
TimeZone = Annotated[str, AfterValidator(known_zone)]
EmbeddedText = Literal["both", "title+description", "title"]
HeadlineField = Literal["title", "description", "url", "source", "published_at", "language", "id"]
Port = Annotated[int, Field(ge=1, le=65_535)]


class Group(BaseModel):
    """A group of settings: unknown names are errors, numbers are finite, and errors show no values."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True, allow_inf_nan=False
    )
