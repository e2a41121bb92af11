"""What the commands share: their common options, the settings in force, and JSON on standard output."""

import json
from datetime import timedelta
from typing import Annotated, Any

import typer

from newstide.core import logs
from newstide.core.errors import SettingsError
from newstide.core.setting_types import parse_duration
from newstide.core.settings import Settings
from newstide_app.services.endpoints import with_endpoints

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most this many.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="FIELD=NAME", help="Which column holds a field, as title=Überschrift, title=headline.main."
    ),
]
Selection = Annotated[str | None, typer.Option(help="calibrated, eom or leaf.")]
Tutorial = Annotated[bool, typer.Option("--tutorial", help="The Milvus tutorial's clustering, exactly.")]


def settings_of(context: typer.Context, *, services: bool = False, **groups: dict[str, Any]) -> Settings:
    """The settings in force; with `services`, addresses of running local services are filled in."""
    settings = Settings.load(**context.obj, **{name: values for name, values in groups.items() if values})
    logs.configure(settings.log_level)
    return with_endpoints(settings) if services else settings


def given(**options: Any) -> dict[str, Any]:
    """The options that were given; None and False stand for those that were not."""
    return {name: value for name, value in options.items() if value not in (None, False)}


def duration(text: str, flag: str) -> timedelta:
    """The value of a flag as a time span.

    Raises:
        SettingsError: The value is no time span, not longer than zero, or longer than any clock counts.
    """
    try:
        value = parse_duration(text)
    except ValueError as error:
        raise SettingsError(f"{flag} {text!r}: {error}.") from None
    if not isinstance(value, timedelta) or value <= timedelta(0):
        raise SettingsError(f"{flag} {text!r} is not a duration.", "Write it as 30s, 5m, 6h or 7d.")
    return value


def mapping_of(pairs: list[str], *more: str) -> dict[str, str]:
    """The values of `--column`: field of a headline, or one of `more`, to column.

    Raises:
        SettingsError: One is not FIELD=NAME.
    """
    known = ("title", "description", "url", "source", "language", "published_at", "id", *more)
    mapping = {}
    for pair in pairs:
        name, separator, column = pair.partition("=")
        if not separator or name not in known or not column:
            raise SettingsError(f"--column {pair!r} is not FIELD=NAME.", f"Fields: {', '.join(known)}.")
        mapping[name] = column
    return mapping


def share_of(text: str, flag: str) -> float:
    """The value of a flag as a share: `5%` and `5` are 0.05.

    Raises:
        SettingsError: The value is no share, or not between 0 and 100 %.
    """
    try:
        share = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingsError(f"{flag} {text!r} is no share.", "Write it as 5%.")
    return share


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(document, ensure_ascii=False, indent=2, default=str))  # noqa: T201
