"""The types of settings: time spans, time zones, addresses, ports, and what every group of settings is."""

from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(value: Any) -> Any:
    """`90s`, `5m`, `6h`, `7d`, `2w` as a timedelta; anything else is left to pydantic (ISO 8601, seconds)."""
    if isinstance(value, str):
        text = value.strip().lower()
        for unit in sorted(_UNITS, key=len, reverse=True):
            number = text.removesuffix(unit)
            if number != text and number.replace(".", "", 1).isdigit():
                return timedelta(seconds=float(number) * _UNITS[unit])
    return value


def parse_window(value: Any) -> Any:
    """A duration, or `none` for no limit."""
    return None if isinstance(value, str) and value.strip().lower() == "none" else parse_duration(value)


def known_zone(value: str) -> str:
    """The name of a time zone as it is; `ValueError` where no time zone has that name."""
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {value!r}; write it as Europe/Berlin or UTC") from None
    return value


def without_login(value: Any) -> Any:
    """The address unchanged; an address with a login is refused, since logs and errors would show the login."""
    if isinstance(value, str) and "@" in value:
        raise ValueError(
            "the address holds a login; milvus.token (user:password), kafka.sasl_username and _password are for that"
        )
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Window = Annotated[timedelta | None, BeforeValidator(parse_window)]
Address = Annotated[str | None, BeforeValidator(without_login)]
TimeZone = Annotated[str, AfterValidator(known_zone)]
EmbeddedText = Literal["both", "title+description", "title"]
HeadlineField = Literal["title", "description", "url", "source", "published_at", "language", "id"]
Port = Annotated[int, Field(ge=1, le=65_535)]


class Group(BaseModel):
    """A group of settings: unknown names are errors, and errors show no values."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)
