"""`newstide produce`: headlines from files or feeds to Kafka, and what a file is read as."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from newstide.core.errors import SettingsError
from newstide.core.files import are_one_file
from newstide.core.headline import Limits
from newstide.core.times import parse_zone
from newstide_app.cli.options import AsJson, Columns, duration, mapping_of, print_json, settings_of, share_of

if TYPE_CHECKING:
    from producers.files import Options
    from producers.publisher import Summary


_TABLES = frozenset({".csv", ".tsv", ".tab", ".psv", ".parquet"})

_commands = typer.Typer()


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.registered_commands += _commands.registered_commands


_Files = Annotated[
    list[str] | None, typer.Argument(metavar="FILE...", help="CSV, JSON, Parquet, text; - for standard input.")
]
_Feeds = Annotated[list[str] | None, typer.Option(metavar="URL", help="Poll this RSS, Atom or JSON feed; repeatable.")]
_Every = Annotated[str, typer.Option(help="How often feeds are polled.")]
_Once = Annotated[bool, typer.Option(help="Poll feeds once, then end.")]
_Private = Annotated[bool, typer.Option(help="Allow feeds at private and loopback addresses.")]
_Pace = Annotated[str, typer.Option(help="Replay by published time: 60x, 1x; max = as fast as possible.")]
_Limit = Annotated[int | None, typer.Option(min=1, help="Send at most this many.")]
_Check = Annotated[bool, typer.Option("--check", help="Say how the files are read; send nothing.")]
_Format = Annotated[
    str | None, typer.Option("--format", help="csv, jsonl, lines or parquet, where the file does not show it.")
]
_Header = Annotated[
    bool | None, typer.Option("--header/--no-header", help="Whether a table's first row names its columns.")
]
_Records = Annotated[str | None, typer.Option(metavar="PATH", help="The array of a JSON document to read.")]
_Encoding = Annotated[str | None, typer.Option(help="Encoding of the texts, as cp1252; default: found in the file.")]
_TimeFormat = Annotated[str | None, typer.Option(help="Layout of times, as '%d.%m.%Y %H:%M'.")]
_Timezone = Annotated[str, typer.Option(help="Zone of times that name none, as Europe/Berlin.")]
_Undated = Annotated[bool, typer.Option("--undated", help="Send the file even where its times cannot be read.")]
_Share = Annotated[str, typer.Option(help="Largest share of unreadable times and refused rows allowed.")]
_Rejects = Annotated[Path | None, typer.Option(help="File for rejected rows; default: in the data folder.")]


@_commands.command()
def produce(
    context: typer.Context,
    files: _Files = None,
    rss: _Feeds = None,
    every: _Every = "5m",
    once: _Once = False,
    allow_private: _Private = False,
    pace: _Pace = "max",
    limit: _Limit = None,
    check: _Check = False,
    file_format: _Format = None,
    column: Columns = None,
    header: _Header = None,
    records: _Records = None,
    encoding: _Encoding = None,
    time_format: _TimeFormat = None,
    timezone: _Timezone = "UTC",
    undated: _Undated = False,
    max_rejected: _Share = "5%",
    rejects: _Rejects = None,
    as_json: AsJson = False,
) -> None:
    """Sends headlines from files or feeds to Kafka."""
    from newstide_app.services.run import run_feeds
    from newstide_app.services.supervisor import stop_on_signals
    from producers.files import Options
    from producers.publisher import produce_files

    if not files and not rss:
        raise SettingsError("Nothing to send.", "Name files (- for standard input), or feeds with --rss URL.")
    if rss and (files or check):
        raise SettingsError("Files and feeds cannot be read by one command.", "Use two; --check is for files.")
    options = Options(
        mapping=mapping_of(column or []),
        file_format=file_format,
        encoding=encoding,
        header=header,
        records=records,
        time_format=time_format,
        zone=parse_zone(timezone),
        undated=undated,
        max_rejected=share_of(max_rejected, "--max-rejected"),
    )
    interval = duration(every, "--every")
    _require_sound(pace, rss or [], records, files or [], file_format)
    settings = settings_of(context, services=not check)
    where = rejects or settings.data_dir / "rejects.jsonl"
    _require_place(where, files or [])
    if check:
        _check(files or [], options, settings.limits, as_json)
        return
    if rss:
        feeds = partial(run_feeds, settings, rss, stop=stop_on_signals(), every=interval)
        summary = feeds(once=once, allow_private=allow_private, rejects=where)
    else:
        sent = partial(produce_files, files or [], settings.kafka, options=options, limits=settings.limits)
        summary = sent(pace=pace, limit=limit, rejects=where, progress=not as_json)
    _close(summary, as_json)


def _require_sound(pace: str, feeds: list[str], records: str | None, files: list[str], file_format: str | None) -> None:
    """Raises a deliberate error where a flag has a value that it cannot have."""
    from producers.fetch import require_address
    from producers.pacing import parse_pace

    parse_pace(pace)
    for url in feeds:
        require_address(url)
    if records is not None:
        _require_documents(files, file_format)


def _require_place(rejects: Path, files: list[str]) -> None:
    """Raises `SettingsError` where no file of rejected rows can be made, or where it would replace a file to send."""
    try:
        if any(are_one_file(rejects, Path(file)) for file in files):
            raise SettingsError(f"--rejects {rejects} is a file to send, and would replace it.", "Name another place.")
        folder = next(one for one in rejects.absolute().parents if one.exists())
        well = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) and not rejects.is_dir()
    except OSError:
        well = False
    if not well:
        raise SettingsError(f"--rejects {rejects} cannot be written.", "Name a file in a folder of yours.")


def _require_documents(files: list[str], file_format: str | None) -> None:
    """Raises `SettingsError` where `--records` is given for files that are no JSON, as their names or `--format` say."""
    if file_format not in (None, "jsonl"):
        raise SettingsError(f"--records is for JSON, and --format is {file_format}.", "Leave one of the two out.")
    for file in files if file_format is None else ():
        if _TABLES.intersection(suffix.lower() for suffix in Path(file).suffixes[-2:]):
            raise SettingsError(f"--records is for JSON, and {file} is a table, which has no records.", "Leave it out.")


def _close(summary: "Summary", as_json: bool) -> None:
    """The closing lines, and the exit code."""
    if as_json:
        print_json(summary.as_dict())
    else:
        Console(stderr=True).print(Text(summary.describe()))
    if not summary.well:
        raise typer.Exit(1)


def _check(files: list[str], options: "Options", limits: Limits, as_json: bool) -> None:
    from producers.files import check_files

    checks = check_files(files, options, limits)
    if as_json:
        print_json([check.as_dict() for check in checks])
    else:
        Console().print(Text("\n\n".join(check.describe() for check in checks)))
    if not all(check.well for check in checks):
        raise typer.Exit(1)
