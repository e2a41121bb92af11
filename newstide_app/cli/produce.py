"""`newstide produce`: headlines from files or feeds to Kafka, and what a file is read as."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from newstide.core.errors import SettingsError
from newstide.core.headline import Limits
from newstide.core.times import parse_zone
from newstide_app.cli.options import AsJson, duration, mapping_of, print_json, settings_of, share_of

if TYPE_CHECKING:
    from producers.files import Options


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(produce)


def produce(
    context: typer.Context,
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE...", help="CSV, JSON, Parquet, text; - for standard input.")
    ] = None,
    rss: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Poll this RSS, Atom or JSON feed; repeatable.")
    ] = None,
    every: Annotated[str, typer.Option(help="How often feeds are polled.")] = "5m",
    once: Annotated[bool, typer.Option(help="Poll feeds once, then end.")] = False,
    allow_private: Annotated[bool, typer.Option(help="Allow feeds at private and loopback addresses.")] = False,
    pace: Annotated[str, typer.Option(help="Replay by published time: 60x, 1x; max = as fast as possible.")] = "max",
    limit: Annotated[int | None, typer.Option(min=1, help="Send at most this many.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Say how the files are read; send nothing.")] = False,
    file_format: Annotated[
        str | None, typer.Option("--format", help="csv, jsonl, lines or parquet, where not clear.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=NAME", help="Which column holds a field, as title=Überschrift, title=headline.main."
        ),
    ] = None,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="Whether a table's first row names its columns.")
    ] = None,
    records: Annotated[str | None, typer.Option(metavar="PATH", help="The array of a JSON document to read.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of texts, as cp1252; default: found.")] = None,
    time_format: Annotated[str | None, typer.Option(help="Layout of times, as '%d.%m.%Y %H:%M'.")] = None,
    timezone: Annotated[str, typer.Option(help="Of times that have none, as Europe/Berlin.")] = "UTC",
    undated: Annotated[bool, typer.Option("--undated", help="Send even where times cannot be read.")] = False,
    max_rejected: Annotated[str, typer.Option(help="Share of unreadable times and refused rows that is borne.")] = "5%",
    rejects: Annotated[Path | None, typer.Option(help="Where rejected rows go; default: in the data folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Sends headlines from files or feeds to Kafka."""
    from newstide_app.services.run import run_feeds
    from newstide_app.services.supervisor import stop_on_signals
    from producers.files import Options
    from producers.publisher import produce_files

    settings = settings_of(context, services=not check)
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
    if check:
        _check(files or [], options, settings.limits, as_json)
        return
    if rss:
        summary = run_feeds(
            settings,
            rss,
            stop=stop_on_signals(),
            every=duration(every, "--every"),
            once=once,
            allow_private=allow_private,
            rejects=rejects,
        )
    else:
        summary = produce_files(
            files or [],
            settings.kafka,
            options=options,
            pace=pace,
            limit=limit,
            rejects=rejects or settings.data_dir / "rejects.jsonl",
            progress=not as_json,
            limits=settings.limits,
        )
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
